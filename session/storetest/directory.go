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
	"finds accounts by username and ID":            directoryFindAccount,
	"PutAccount replaces every field":              directoryPutReplacesAll,
	"PutAccount renames":                           directoryRename,
	"a username belongs to one account":            directoryUsernameTaken,
	"PutAccount of a new user replaces no account": directoryPutNew,
	"PutAccount fails if the account has changed":  directoryPutChanged,
	"one of many concurrent PutAccounts succeeds":  directoryConcurrentPuts,
	"Accounts are ordered by username":             directoryAccountsOrder,
	"RemoveAccount":                                directoryRemove,
	"apps have separate users":                     directoryApps,
	"credentials":                                  directoryCredential,
	"NextID":                                       directoryNextID,
	"unusual usernames":                            directoryUnusualUsernames,
}

const directoryApp = "shop"

func newAccount(id session.UserID, username string) session.Account {
	return session.Account{ID: id, Username: username, Password: "hash of " + username, Active: true}
}

// wantAccount checks that an account is found by username and by ID.
func (f *fixture) wantAccount(want session.Account) {
	f.Helper()
	found, err := f.Directory.FindAccount(f.ctx, directoryApp, want.Username)
	f.noError(err, "FindAccount "+want.Username)
	read, err := f.Directory.Account(f.ctx, directoryApp, want.ID)
	f.noError(err, "Account "+want.ID.String())
	b, _ := json.Marshal(want)
	for _, got := range []session.Account{found, read} {
		if a, _ := json.Marshal(got); string(a) != string(b) || got.Credential != want.Credential {
			f.Errorf("got %s with the credential %x, want %s with %x", a, got.Credential, b, want.Credential)
		}
	}
}

func (f *fixture) wantNoAccount(username string) {
	f.Helper()
	_, err := f.Directory.FindAccount(f.ctx, directoryApp, username)
	f.wantError(err, session.UserUnknown, "")
}

// mustPut writes accounts, each in place of the one that has its ID.
func (f *fixture) mustPut(accounts ...session.Account) {
	f.Helper()
	for _, a := range accounts {
		f.noError(f.replaceAccount(directoryApp, a), "PutAccount "+a.Username)
	}
}

// replaceAccount reads the account that has the ID of a, if any, and replaces it by a.
func (f *fixture) replaceAccount(app string, a session.Account) error {
	was, err := f.Directory.Account(f.ctx, app, a.ID)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return err
	}
	return f.putAccount(app, a, was)
}

// putAccount calls PutAccount and checks that it reports no durability, since the harness
// does not ask for any.
func (f *fixture) putAccount(app string, a, was session.Account) error {
	f.Helper()
	durability, err := f.Directory.PutAccount(f.ctx, app, a, was)
	if durability != session.NotRequested {
		f.Errorf("PutAccount: got durability %q, want none", durability)
	}
	return err
}

// removeAccount calls RemoveAccount and checks that it reports no durability.
func (f *fixture) removeAccount(app string, id session.UserID) error {
	f.Helper()
	durability, err := f.Directory.RemoveAccount(f.ctx, app, id)
	if durability != session.NotRequested {
		f.Errorf("RemoveAccount: got durability %q, want none", durability)
	}
	return err
}

// usernames returns the usernames that Accounts lists.
func (f *fixture) usernames() []string {
	f.Helper()
	all, err := f.Directory.Accounts(f.ctx, directoryApp)
	f.noError(err, "Accounts")
	out := []string{}
	for _, a := range all {
		out = append(out, a.Username)
	}
	return out
}

func (f *fixture) wantUsernames(want ...string) {
	f.Helper()
	if got := f.usernames(); !slices.Equal(got, want) {
		f.Fatalf("Accounts: got %q, want %q", got, want)
	}
}

// directoryFindAccount checks that accounts are read as they were written: the ID with its
// JSON type, the claims byte for byte. Usernames are case-sensitive and not trimmed.
func directoryFindAccount(f *fixture) {
	f.wantNoAccount("zoë")
	_, err := f.Directory.Account(f.ctx, directoryApp, session.NumberID(-7))
	f.wantError(err, session.UserUnknown, "")
	f.wantUsernames()
	number, text := newAccount(session.NumberID(-7), "zoë"), newAccount(session.TextID("7"), "adam")
	number.Claims = json.RawMessage(`{"role":"ädmin","n":[1,2.5e3],"deep":{"a":null}}`)
	text.Active = false
	f.mustPut(number, text)
	f.wantAccount(number)
	f.wantAccount(text)
	f.wantNoAccount("Zoë")
	f.wantNoAccount("zoë ")
}

func directoryPutReplacesAll(f *fixture) {
	a := newAccount(session.NumberID(1), "zoë")
	a.Claims = json.RawMessage(`{"role":"admin"}`)
	f.mustPut(a)
	a.Claims, a.Password, a.Active = nil, "another hash", false
	f.mustPut(a)
	f.wantAccount(a)
	f.wantUsernames("zoë")
}

func directoryRename(f *fixture) {
	a := newAccount(session.NumberID(1), "zoë")
	f.mustPut(a)
	a.Username = "zoe"
	f.mustPut(a)
	f.wantAccount(a)
	f.wantNoAccount("zoë")
	f.wantUsernames("zoe")
	f.mustPut(newAccount(session.NumberID(2), "zoë"))
	f.wantUsernames("zoe", "zoë")
}

func directoryUsernameTaken(f *fixture) {
	a, b := newAccount(session.NumberID(1), "adam"), newAccount(session.NumberID(2), "berta")
	f.mustPut(a, b)
	for _, id := range []session.UserID{session.NumberID(2), session.NumberID(3), session.TextID("x")} {
		f.wantError(f.replaceAccount(directoryApp, newAccount(id, "adam")), session.UserExists, "")
	}
	f.wantAccount(a)
	f.wantAccount(b)
	f.wantUsernames("adam", "berta")
	f.mustPut(a, b)
}

// directoryPutNew checks that a new user gets no ID that is in use, under any username, and
// that the usernames of the failed attempts remain free.
func directoryPutNew(f *fixture) {
	a := newAccount(session.NumberID(1), "adam")
	f.mustPut(a)
	for _, other := range []session.Account{a, newAccount(a.ID, "berta"), newAccount(session.TextID("1"), "carl")} {
		err := f.putAccount(directoryApp, other, session.Account{})
		f.wantError(err, session.UserExists, "")
	}
	f.wantAccount(a)
	f.wantUsernames("adam")
	f.mustPut(newAccount(session.NumberID(2), "berta"), newAccount(session.NumberID(3), "carl"))
}

// directoryPutChanged checks that PutAccount fails and writes nothing if any field of the
// account differs from what the caller had read, or if the account was removed.
func directoryPutChanged(f *fixture) {
	a := newAccount(session.NumberID(1), "adam")
	a.Claims = json.RawMessage(`{"role":"admin"}`)
	f.mustPut(a)
	for field, edit := range map[string]func(*session.Account){
		"id":         func(a *session.Account) { a.ID = session.TextID("1") },
		"username":   func(a *session.Account) { a.Username = "eve" },
		"password":   func(a *session.Account) { a.Password = "another" },
		"active":     func(a *session.Account) { a.Active = false },
		"claims":     func(a *session.Account) { a.Claims = nil },
		"credential": func(a *session.Account) { a.Credential = session.Fingerprint{9} },
	} {
		changed, update := a, a
		edit(&changed)
		f.mustPut(changed)
		update.Password = "updated"
		if err := f.putAccount(directoryApp, update, a); session.CodeOf(err) != session.UserUnknown {
			f.Errorf("after a change of %s: got %v, want %s", field, err, session.UserUnknown)
		}
		f.wantAccount(changed)
		f.mustPut(a)
	}
	f.noError(f.removeAccount(directoryApp, a.ID), "RemoveAccount")
	f.wantError(f.putAccount(directoryApp, a, a), session.UserUnknown, "")
	f.wantNoAccount("adam")
}

// directoryCredential checks that a fingerprint is kept byte for byte, whether or not its
// bytes are printable, and that it can be removed.
func directoryCredential(f *fixture) {
	a := newAccount(session.NumberID(1), "adam")
	f.mustPut(a)
	f.wantAccount(a)
	for _, credential := range []session.Fingerprint{{1, 2, 3, 4}, {0, 0, 0, 1}, {0xff, 0x0a, 0x0d, 0}, {}, session.RandomFingerprint()} {
		a.Credential = credential
		f.mustPut(a)
		f.wantAccount(a)
		all, err := f.Directory.Accounts(f.ctx, directoryApp)
		if f.noError(err, "Accounts"); len(all) != 1 || all[0].Credential != credential {
			f.Errorf("Accounts: got %+v, want the credential %x", all, credential)
		}
	}
}

// directoryNextID checks that the numbers of an app rise, also above a given number and
// from concurrent calls, and that they end at the maximum.
func directoryNextID(f *fixture) {
	next := func(app string, above, want int64) {
		f.Helper()
		if got, err := f.Directory.NextID(f.ctx, app, above); err != nil || got != want {
			f.Errorf("NextID above %d: got %d, %v; want %d", above, got, err, want)
		}
	}
	next(directoryApp, -7, 1)
	next(directoryApp, 0, 2)
	next(directoryApp, 41, 42)
	next(directoryApp, 41, 43)
	next("other", 0, 1)
	const calls = 16
	ids := make([]int64, calls)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() { ids[i], _ = f.Directory.NextID(f.ctx, directoryApp, 0) })
	}
	all.Wait()
	slices.Sort(ids)
	if ids[0] != 44 || ids[calls-1] != 44+calls-1 || len(slices.Compact(ids)) != calls {
		f.Errorf("concurrent calls: got %d, want %d different numbers from 44", ids, calls)
	}
	_, err := f.Directory.NextID(f.ctx, directoryApp, session.MaxNextID)
	f.wantError(err, session.UserExists, "")
	next(directoryApp, session.MaxNextID-2, session.MaxNextID-1)
	next(directoryApp, 0, session.MaxNextID)
	for range 3 {
		_, err := f.Directory.NextID(f.ctx, directoryApp, 0)
		f.wantError(err, session.UserExists, "")
	}
}

// directoryConcurrentPuts checks that one of many concurrent changes of the same account
// succeeds: first of creating it, then of replacing it.
func directoryConcurrentPuts(f *fixture) {
	const puts = 16
	was := session.Account{}
	for round := range 5 {
		errs := make([]error, puts)
		var all sync.WaitGroup
		for i := range errs {
			a := newAccount(session.NumberID(1), "adam")
			a.Password = fmt.Sprint(round, " ", i)
			all.Go(func() { errs[i] = f.putAccount(directoryApp, a, was) })
		}
		all.Wait()
		failure := session.UserUnknown
		if round == 0 {
			failure = session.UserExists
		}
		var succeeded []int
		for i, err := range errs {
			if err == nil {
				succeeded = append(succeeded, i)
			} else if session.CodeOf(err) != failure {
				f.Errorf("PutAccount %d of round %d: got %v, want %s", i, round, err, failure)
			}
		}
		if len(succeeded) != 1 {
			f.Fatalf("round %d: %d PutAccounts succeeded, want 1", round, len(succeeded))
		}
		was = newAccount(session.NumberID(1), "adam")
		was.Password = fmt.Sprint(round, " ", succeeded[0])
		f.wantAccount(was)
	}
}

// directoryAccountsOrder checks that usernames are ordered by their bytes.
func directoryAccountsOrder(f *fixture) {
	names := []string{"b", "a", "B", "ä", "10", "9", "aa", "_", "~"}
	for i, name := range names {
		f.mustPut(newAccount(session.NumberID(int64(i)), name))
	}
	slices.Sort(names)
	f.wantUsernames(names...)
}

func directoryRemove(f *fixture) {
	f.mustPut(newAccount(session.NumberID(1), "adam"), newAccount(session.NumberID(2), "berta"))
	f.wantError(f.removeAccount(directoryApp, session.NumberID(3)), session.UserUnknown, "")
	f.noError(f.removeAccount(directoryApp, session.NumberID(1)), "RemoveAccount")
	f.wantError(f.removeAccount(directoryApp, session.NumberID(1)), session.UserUnknown, "")
	f.wantNoAccount("adam")
	f.wantUsernames("berta")
	f.mustPut(newAccount(session.NumberID(4), "adam"))
	f.wantUsernames("adam", "berta")
}

func directoryApps(f *fixture) {
	f.mustPut(newAccount(session.NumberID(1), "adam"))
	_, err := f.Directory.FindAccount(f.ctx, "other", "adam")
	f.wantError(err, session.UserUnknown, "")
	all, err := f.Directory.Accounts(f.ctx, "other")
	f.noError(err, "Accounts")
	if len(all) != 0 {
		f.Errorf("Accounts of the other app: got %v, want none", all)
	}
	f.wantError(f.removeAccount("other", session.NumberID(1)), session.UserUnknown, "")
	f.noError(f.replaceAccount("other", newAccount(session.NumberID(2), "adam")), "PutAccount")
	f.wantAccount(newAccount(session.NumberID(1), "adam"))
}

// directoryUnusualUsernames uses usernames that contain characters which a store may use as
// separators, or that are escaped or normalized forms of one another.
func directoryUnusualUsernames(f *fixture) {
	names := []string{
		"{", "}", ":", "a:b", "a|b", "%", "%3A", "%3a", "{shop:00}", "é", "e\u0301", "ユーザー", "a b", "a@b.example",
		strings.Repeat("n", 150), strings.Repeat(":", 150),
	}
	for i, name := range names {
		f.mustPut(newAccount(session.TextID(name), name))
		f.wantNoAccount(name + "x")
		if n := len(f.usernames()); n != i+1 {
			f.Fatalf("got %d users after adding %q, want %d", n, name, i+1)
		}
	}
	for _, name := range names {
		f.wantAccount(newAccount(session.TextID(name), name))
	}
}
