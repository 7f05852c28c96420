package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"tokengate/session"
)

var directoryTests = map[string]func(*fixture){
	"FindsWhatWasPut":       directoryFind,
	"PutIsWhole":            directoryWhole,
	"Rename":                directoryRename,
	"NameTaken":             directoryTaken,
	"PutReplacesNobody":     directoryNew,
	"PutReplacesWhoWasRead": directoryRead,
	"OneOfManyPuts":         directoryRace,
	"InOrderOfName":         directoryOrder,
	"Remove":                directoryRemove,
	"AppsApart":             directoryApart,
	"OddNames":              directoryOdd,
}

const directoryApp = "shop"

func account(id session.UserID, name string) session.Account {
	return session.Account{ID: id, Username: name, Password: "hash of " + name, Active: true}
}

func (f *fixture) wantAccount(want session.Account) {
	f.Helper()
	found, err := f.Directory.Find(f.ctx, directoryApp, want.Username)
	f.ok(err, "Find "+want.Username)
	read, err := f.Directory.Account(f.ctx, directoryApp, want.ID)
	f.ok(err, "Account "+want.ID.String())
	b, _ := json.Marshal(want)
	for _, got := range []session.Account{found, read} {
		if a, _ := json.Marshal(got); string(a) != string(b) {
			f.Errorf("got %s, want %s", a, b)
		}
	}
}

func (f *fixture) missing(name string) {
	f.Helper()
	_, err := f.Directory.Find(f.ctx, directoryApp, name)
	f.fails(err, session.UserUnknown, "")
}

func (f *fixture) write(accounts ...session.Account) {
	f.Helper()
	for _, a := range accounts {
		f.ok(f.replace(directoryApp, a), "Put "+a.Username)
	}
}

// replace puts a user in the place of whoever has the ID.
func (f *fixture) replace(app string, a session.Account) error {
	was, err := f.Directory.Account(f.ctx, app, a.ID)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return err
	}
	return f.putAs(app, a, was)
}

// putAs is Put, and wants no word of durability, which nobody has asked for.
func (f *fixture) putAs(app string, a, was session.Account) error {
	f.Helper()
	durability, err := f.Directory.Put(f.ctx, app, a, was)
	if durability != session.NotAsked {
		f.Errorf("Put is %s", durability)
	}
	return err
}

// remove is Remove, in the same way.
func (f *fixture) remove(app string, id session.UserID) error {
	f.Helper()
	durability, err := f.Directory.Remove(f.ctx, app, id)
	if durability != session.NotAsked {
		f.Errorf("Remove is %s", durability)
	}
	return err
}

func (f *fixture) names() []string {
	f.Helper()
	all, err := f.Directory.Accounts(f.ctx, directoryApp)
	f.ok(err, "Accounts")
	out := []string{}
	for _, a := range all {
		out = append(out, a.Username)
	}
	return out
}

func (f *fixture) wantNames(want ...string) {
	f.Helper()
	if got := f.names(); !slices.Equal(got, want) {
		f.Fatalf("Accounts: got %q, want %q", got, want)
	}
}

// directoryFind: an id keeps its JSON type, and the claims their bytes.
func directoryFind(f *fixture) {
	f.missing("zoë")
	_, err := f.Directory.Account(f.ctx, directoryApp, session.NumberID(-7))
	f.fails(err, session.UserUnknown, "")
	f.wantNames()
	number, text := account(session.NumberID(-7), "zoë"), account(session.TextID("7"), "adam")
	number.Claims = json.RawMessage(`{"role":"ädmin","n":[1,2.5e3],"deep":{"a":null}}`)
	text.Active = false
	f.write(number, text)
	f.wantAccount(number)
	f.wantAccount(text)
	f.missing("Zoë")
	f.missing("zoë ")
}

func directoryWhole(f *fixture) {
	a := account(session.NumberID(1), "zoë")
	a.Claims = json.RawMessage(`{"role":"admin"}`)
	f.write(a)
	a.Claims, a.Password, a.Active = nil, "another hash", false
	f.write(a)
	f.wantAccount(a)
	f.wantNames("zoë")
}

func directoryRename(f *fixture) {
	a := account(session.NumberID(1), "zoë")
	f.write(a)
	a.Username = "zoe"
	f.write(a)
	f.wantAccount(a)
	f.missing("zoë")
	f.wantNames("zoe")
	f.write(account(session.NumberID(2), "zoë"))
	f.wantNames("zoe", "zoë")
}

func directoryTaken(f *fixture) {
	a, b := account(session.NumberID(1), "adam"), account(session.NumberID(2), "berta")
	f.write(a, b)
	for _, id := range []session.UserID{session.NumberID(2), session.NumberID(3), session.TextID("x")} {
		f.fails(f.replace(directoryApp, account(id, "adam")), session.UserExists, "")
	}
	f.wantAccount(a)
	f.wantAccount(b)
	f.wantNames("adam", "berta")
	f.write(a, b)
}

// directoryNew: who is new takes no ID that somebody has, whatever his name.
func directoryNew(f *fixture) {
	a := account(session.NumberID(1), "adam")
	f.write(a)
	for _, other := range []session.Account{a, account(a.ID, "berta"), account(session.TextID("1"), "carl")} {
		err := f.putAs(directoryApp, other, session.Account{})
		f.fails(err, session.UserExists, "")
	}
	f.wantAccount(a)
	f.wantNames("adam")
	f.write(account(session.NumberID(2), "berta"), account(session.NumberID(3), "carl")) // the names are free
}

// directoryRead: a Put that rests on what is not so any more, in whichever
// field, changes nothing.
func directoryRead(f *fixture) {
	a := account(session.NumberID(1), "adam")
	a.Claims = json.RawMessage(`{"role":"admin"}`)
	f.write(a)
	for what, edit := range map[string]func(*session.Account){
		"id":       func(a *session.Account) { a.ID = session.TextID("1") },
		"name":     func(a *session.Account) { a.Username = "eve" },
		"password": func(a *session.Account) { a.Password = "another" },
		"active":   func(a *session.Account) { a.Active = false },
		"claims":   func(a *session.Account) { a.Claims = nil },
	} {
		changed, mine := a, a
		edit(&changed)
		f.write(changed)
		mine.Password = "mine"
		if err := f.putAs(directoryApp, mine, a); session.CodeOf(err) != session.UserUnknown {
			f.Errorf("with another %s: got %v", what, err)
		}
		f.wantAccount(changed)
		f.write(a)
	}
	f.ok(f.remove(directoryApp, a.ID), "Remove")
	f.fails(f.putAs(directoryApp, a, a), session.UserUnknown, "")
	f.missing("adam")
}

// directoryRace: of many who have read the same, one is written.
func directoryRace(f *fixture) {
	const many = 16
	was := session.Account{}
	for round := range 5 {
		errs := make([]error, many)
		var all sync.WaitGroup
		for i := range errs {
			a := account(session.NumberID(1), "adam")
			a.Password = fmt.Sprint(round, " ", i)
			all.Go(func() { errs[i] = f.putAs(directoryApp, a, was) })
		}
		all.Wait()
		lost := session.UserUnknown
		if round == 0 {
			lost = session.UserExists
		}
		var won []int
		for i, err := range errs {
			if err == nil {
				won = append(won, i)
			} else if session.CodeOf(err) != lost {
				f.Errorf("Put %d of round %d: got %v, want %s", i, round, err, lost)
			}
		}
		if len(won) != 1 {
			f.Fatalf("round %d: %v were written", round, won)
		}
		was = account(session.NumberID(1), "adam")
		was.Password = fmt.Sprint(round, " ", won[0])
		f.wantAccount(was)
	}
}

func directoryOrder(f *fixture) {
	names := []string{"b", "a", "B", "ä", "10", "9", "aa", "_", "~"}
	for i, name := range names {
		f.write(account(session.NumberID(int64(i)), name))
	}
	slices.Sort(names)
	f.wantNames(names...)
}

func directoryRemove(f *fixture) {
	f.write(account(session.NumberID(1), "adam"), account(session.NumberID(2), "berta"))
	f.fails(f.remove(directoryApp, session.NumberID(3)), session.UserUnknown, "")
	f.ok(f.remove(directoryApp, session.NumberID(1)), "Remove")
	f.fails(f.remove(directoryApp, session.NumberID(1)), session.UserUnknown, "")
	f.missing("adam")
	f.wantNames("berta")
	f.write(account(session.NumberID(4), "adam"))
	f.wantNames("adam", "berta")
}

func directoryApart(f *fixture) {
	f.write(account(session.NumberID(1), "adam"))
	_, err := f.Directory.Find(f.ctx, "other", "adam")
	f.fails(err, session.UserUnknown, "")
	all, err := f.Directory.Accounts(f.ctx, "other")
	f.ok(err, "Accounts")
	if len(all) != 0 {
		f.Errorf("the other app has %v", all)
	}
	f.fails(f.remove("other", session.NumberID(1)), session.UserUnknown, "")
	f.ok(f.replace("other", account(session.NumberID(2), "adam")), "Put")
	f.wantAccount(account(session.NumberID(1), "adam"))
}

func directoryOdd(f *fixture) {
	names := []string{
		"{", "}", ":", "a:b", "a|b", "%", "%3A", "%3a", "{shop:00}", "é", "e\u0301", "ユーザー", "a b", "a@b.example",
		strings.Repeat("n", 150), strings.Repeat(":", 150),
	}
	for i, name := range names {
		f.write(account(session.TextID(name), name))
		f.missing(name + "x")
		if n := len(f.names()); n != i+1 {
			f.Fatalf("%d users after %q, want %d", n, name, i+1)
		}
	}
	for _, name := range names {
		f.wantAccount(account(session.TextID(name), name))
	}
}
