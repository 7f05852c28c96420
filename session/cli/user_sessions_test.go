package cli

import (
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/users"
)

// TestListShowsUsersOfOneApp checks the list of an app, also after an import that renames
// and disables a user, and that another app's users don't appear.
func TestListShowsUsersOfOneApp(t *testing.T) {
	store := memstore.New(memstore.Options{})
	shop, bank := newUserFixture("shop", store), newUserFixture("bank", store)
	shop.must(t, "pw", "add zoe -id 9")
	shop.must(t, "pw", "add alice -id 7")
	bank.must(t, "pw", "add alice -id 8")
	checkList(t, shop, "7 alice true 9 zoe true")
	shop.must(t, `[{"id": 7, "username": "alicia", "password": "!", "is_active": false}]`, "import -")
	checkList(t, shop, "7 alicia false 9 zoe true")
	checkList(t, bank, "8 alice true")
}

// checkList checks the words that list prints below the heading.
func checkList(t *testing.T, f *userFixture, want string) {
	t.Helper()
	if got := strings.Join(strings.Fields(f.must(t, "", "list")), " "); got != "ID USERNAME ACTIVE "+want {
		t.Errorf("%s: list prints %q, want %q", f.app, got, want)
	}
}

// TestConcurrentChangesAreKept checks that of two commands that change one user at the
// same time neither undoes the other's change.
func TestConcurrentChangesAreKept(t *testing.T) {
	for _, c := range []struct {
		line, other string
		afterFind   bool // the other command runs after the first read of the user, not while the password is typed
		active      bool // wanted state
	}{
		{"passwd alice", "disable alice", false, false},
		{"passwd alice", "disable alice", true, false},
		{"enable alice", "passwd alice", true, true},
		{"disable alice", "passwd alice", true, false},
	} {
		shop := newShop()
		other := newUserFixture("shop", shop.store)
		shop.must(t, "pw", "add alice -id 7")
		before := shop.account("alice")
		interrupt := func() { other.must(t, "other-pw", c.other) }
		shop.in = strings.NewReader("new-pw\n")
		if c.afterFind {
			shop.users.afterFind = interrupt
		} else {
			shop.in = readerFunc(func(b []byte) (int, error) {
				interrupt()
				return copy(b, "new-pw\n"), nil
			})
		}
		if err := shop.runArgs(t, strings.Fields(c.line)...); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		after := shop.account("alice")
		if changed := after.Password != before.Password; after.Active != c.active || !changed {
			t.Errorf("%+v: got active %t, password changed %t, want %t and true", c, after.Active, changed, c.active)
		}
	}
}

// TestAccountChangesRevokeSessions checks that a new password and a disabled account
// revoke the user's sessions, also by an import that renames the user, and only in their
// own app. Enabling or renaming a user revokes nothing.
func TestAccountChangesRevokeSessions(t *testing.T) {
	for _, c := range []struct {
		line, input string
		revokes     bool
	}{
		{"passwd alice", "new-pw\n", true},
		{"disable alice", "", true},
		{"enable alice", "", false},
		{"import -", `[{"id": 7, "username": "alice", "password": "HASH"}]`, false},
		{"import -", `[{"id": 7, "username": "alicia", "password": "HASH"}]`, false},
		{"import -", `[{"id": 7, "username": "alicia", "password": "HASH", "is_active": false}]`, true},
		{"import -", `[{"id": 7, "username": "alicia", "password": "!"}]`, true},
		{"import -", `[{"id": 8, "username": "alicia", "password": "!"}]`, false},
	} {
		store := memstore.New(memstore.Options{})
		shop, bank := newUserFixture("shop", store), newUserFixture("bank", store)
		for _, f := range []*userFixture{shop, bank} {
			f.must(t, "pw", "add alice -id 7")
			if err := f.createSession(t, session.NumberID(7), ""); err != nil {
				t.Fatal(err)
			}
		}
		shop.must(t, strings.ReplaceAll(c.input, "HASH", shop.account("alice").Password), c.line)
		tombstones, err := store.Tombstones(t.Context(), session.Owner{App: "shop", User: "7"})
		if revoked := len(tombstones) == 1 && tombstones[0].Cause == session.CauseAccount; err != nil || revoked != c.revokes {
			t.Errorf("%+v: got the tombstones %+v, %v; want one with cause account: %t", c, tombstones, err, c.revokes)
		}
		if tombstones, _ := store.Tombstones(t.Context(), session.Owner{App: "bank", User: "7"}); len(tombstones) > 0 {
			t.Errorf("%+v: the session of the other app was revoked", c)
		}
	}
}

// TestLoginDuringAccountChange checks that a login gets no session if the password is
// changed or the account is disabled after the user was read.
func TestLoginDuringAccountChange(t *testing.T) {
	for line, want := range map[string]session.Code{
		"passwd alice": session.UserUnknown, "disable alice": session.UserInactive, "list": session.OK,
	} {
		for _, recheck := range []users.Recheck{{}, {Set: true, Off: true}} {
			shop := newShop()
			other := newUserFixture("shop", shop.store)
			shop.must(t, "pw", "add alice -id 7")
			shop.users.afterFind = func() { other.must(t, "new-pw", line) }
			user, err := shop.openSource(t, recheck).Check(t.Context(), "alice", "pw")
			if err != nil {
				t.Fatal(err)
			}
			if err := shop.createSession(t, user.ID, user.Hash); session.CodeOf(err) != want {
				t.Errorf("%s: got %v, want %s", line, err, want)
			}
		}
	}
}
