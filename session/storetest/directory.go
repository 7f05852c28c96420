package storetest

import (
	"encoding/json"
	"slices"
	"strings"

	"tokengate/session"
)

var directoryTests = map[string]func(*fixture){
	"FindsWhatWasPut": directoryFind,
	"PutIsWhole":      directoryWhole,
	"Rename":          directoryRename,
	"NameTaken":       directoryTaken,
	"InOrderOfName":   directoryOrder,
	"Remove":          directoryRemove,
	"AppsApart":       directoryApart,
	"OddNames":        directoryOdd,
}

const directoryApp = "shop"

func account(id session.UserID, name string) session.Account {
	return session.Account{ID: id, Username: name, Password: "hash of " + name, Active: true}
}

func (f *fixture) wantAccount(want session.Account) {
	f.Helper()
	got, err := f.Directory.Find(f.ctx, directoryApp, want.Username)
	f.ok(err, "Find "+want.Username)
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		f.Errorf("Find: got %s, want %s", a, b)
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
		f.ok(f.Directory.Put(f.ctx, directoryApp, a), "Put "+a.Username)
	}
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
		err := f.Directory.Put(f.ctx, directoryApp, account(id, "adam"))
		f.fails(err, session.UserExists, "")
	}
	f.wantAccount(a)
	f.wantAccount(b)
	f.wantNames("adam", "berta")
	f.write(a, b)
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
	f.fails(f.Directory.Remove(f.ctx, directoryApp, session.NumberID(3)), session.UserUnknown, "")
	f.ok(f.Directory.Remove(f.ctx, directoryApp, session.NumberID(1)), "Remove")
	f.fails(f.Directory.Remove(f.ctx, directoryApp, session.NumberID(1)), session.UserUnknown, "")
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
	f.fails(f.Directory.Remove(f.ctx, "other", session.NumberID(1)), session.UserUnknown, "")
	f.ok(f.Directory.Put(f.ctx, "other", account(session.NumberID(2), "adam")), "Put")
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
