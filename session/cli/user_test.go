package cli

import (
	"context"
	"strings"
	"testing"

	"tokengate/session"
)

func TestUserCommandsChangeAccounts(t *testing.T) {
	shop := newShop()
	shop.must(t, "open sesame\r\nand no more", `add alice -id 7 -claims {"role":"admin"}`)
	if a := shop.account("alice"); a.ID != session.NumberID(7) || string(a.Claims) != `{"role":"admin"}` || !shop.canLogIn(t, "alice", "open sesame") {
		t.Errorf("add alice: got %+v, want id 7, the role admin and the password that was given", a)
	}
	printed := shop.must(t, "s3same", "add bob")
	if id := shop.account("bob").ID; printed != id.String()+"\n" || !session.ID(id.String()).Valid() {
		t.Errorf("add bob: got the id %v and printed %q, want a new id, printed", id, printed)
	}
	shop.must(t, "changed\n", "passwd alice")
	if shop.canLogIn(t, "alice", "open sesame") || !shop.canLogIn(t, "alice", "changed") {
		t.Error("after passwd, the old password is accepted or the new one is not")
	}
	shop.must(t, "", "disable alice")
	if shop.canLogIn(t, "alice", "changed") {
		t.Error("a disabled user can log in")
	}
	shop.must(t, "", "enable alice")
	if !shop.canLogIn(t, "alice", "changed") {
		t.Error("an enabled user can't log in")
	}
	if got := strings.Join(shop.revoked, " "); got != "7 7" {
		t.Errorf("sessions were revoked of the users %q, want %q", got, "7 7")
	}
	if out := shop.must(t, "", "list"); !strings.Contains(out, "alice") || !strings.Contains(out, "bob") || strings.Contains(out, "argon2") {
		t.Errorf("list: got\n%s\nwant alice and bob without their hashes", out)
	}
}

// TestAddRejectsTakenID checks that an id belongs to one user. A user who lost their name
// when an earlier attempt failed may be added again.
func TestAddRejectsTakenID(t *testing.T) {
	shop := newShop()
	shop.must(t, "open sesame", "add alice -id 7")
	alice := shop.account("alice")
	if err := shop.runLine(t, "s3same", "add bob -id 7"); err == nil || !strings.Contains(err.Error(), `there is already a user with the id 7: "alice"`) {
		t.Errorf("add with another user's id: got %v, want the error that alice has it", err)
	}
	if got := shop.account("alice"); got.Password != alice.Password || shop.count() != 1 {
		t.Errorf("got %d users and alice %+v, want 1 user and alice unchanged", shop.count(), got)
	}
	shop.in = readerFunc(func(b []byte) (int, error) { // another user gets the id while the password is typed
		carl := session.Account{ID: session.NumberID(8), Username: "carl", Password: "!"}
		_, err := shop.users.PutAccount(t.Context(), "shop", carl, session.Account{})
		return copy(b, "s3same\n"), err
	})
	if err := shop.runArgs(t, "add", "bob", "-id", "8"); err == nil || !strings.Contains(err.Error(), "in the meantime") {
		t.Errorf("add with an id that was taken in the meantime: got %v, want an error that says so", err)
	}
	shop.users.hiddenName = "alice"
	shop.must(t, "changed", "add alice -id 7")
	shop.users.hiddenName = ""
	if !shop.canLogIn(t, "alice", "changed") || shop.count() != 2 {
		t.Errorf("after adding alice again: got %+v and %d users, want 2", shop.account("alice"), shop.count())
	}
}

// TestUserCommandWarnsOfPendingChange checks the warning for each step of a command that
// may be pending, also if a later step fails. The warning goes to standard error only,
// since programs read the output.
func TestUserCommandWarnsOfPendingChange(t *testing.T) {
	const two = `[{"id": 7, "username": "alice", "password": "!"}, {"id": 8, "username": "carl", "password": "!"}]`
	const pending, replicated = session.Pending, session.Replicated
	takenName := strings.ReplaceAll(two, "carl", "bob")
	for _, c := range []struct {
		line, input string
		puts        []session.Durability
		revocation  session.Durability
		warns       bool
	}{
		{"add carl", "pw", []session.Durability{pending}, "", true},
		{"add carl", "pw", []session.Durability{replicated}, "", false},
		{"passwd alice", "pw", []session.Durability{pending}, replicated, true},
		{"passwd alice", "pw", []session.Durability{replicated}, pending, true},
		{"disable alice", "", []session.Durability{pending}, "", true},
		{"disable alice", "", []session.Durability{replicated}, replicated, false},
		{"disable alice", "", nil, "", false},
		{"enable alice", "", []session.Durability{pending}, "", true},
		{"import -", two, []session.Durability{pending, replicated, replicated}, replicated, true},
		{"import -", two, []session.Durability{replicated, pending, replicated}, replicated, true},
		{"import -", two, []session.Durability{replicated, replicated, replicated}, pending, true},
		{"import -", two, []session.Durability{replicated, replicated, replicated}, replicated, false},
		{"import -", takenName, []session.Durability{pending, replicated}, replicated, true},
	} {
		shop := newShop()
		shop.must(t, "pw", "add alice -id 7")
		shop.must(t, "pw", "add bob -id 9")
		shop.users.durability, shop.revokeDurability = c.puts, c.revocation
		fails := c.input == takenName
		if err := shop.runLine(t, c.input, c.line); (err != nil) != fails {
			t.Errorf("%+v: got the error %v, want an error: %t", c, err, fails)
		}
		if warns := strings.HasPrefix(shop.stderr.String(), "pending: "); warns != c.warns || strings.Contains(shop.stdout.String(), "pending") {
			t.Errorf("%+v: got %q on standard error and %q on standard output, want a warning on standard error: %t", c, &shop.stderr, &shop.stdout, c.warns)
		}
	}
}

func TestUserCommandRejectsBadArguments(t *testing.T) {
	shop := newShop()
	shop.must(t, "open sesame", "add alice")
	before := shop.account("alice").Password
	for line, want := range map[string]string{
		"":                                    "give one of",
		"list alice":                          "give one of",
		"add":                                 "give one of",
		"add bob -id":                         "give one of",
		"add bob -password secret":            "give one of",
		"passwd alice secret":                 "give one of",
		"remove alice":                        "give one of",
		"add bob -id caf\xe9":                 "-id: a user id is",
		"add bob -claims []":                  "-claims is not a JSON object",
		"add bob -claims {\"n\":\"caf\xe9\"}": "-claims is not valid UTF-8",
		"add bob -claims " + `{"x":"` + strings.Repeat("x", session.MaxClaims+1-len(`{"x":""}`)) + `"}`: "-claims has 4097 bytes",
		"add bob":              "the password is empty",
		"add alice":            `user "alice" exists already: use passwd`,
		"passwd alice":         "the password is empty",
		"passwd unknown":       "the password is empty",
		"enable unknown":       `unknown user "unknown": see`,
		"disable unknown":      `unknown user "unknown": see`,
		"import /no/such/file": "no such file",
	} {
		if err := shop.runLine(t, "\n", line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", line, err, want)
		}
	}
	for name, want := range map[string]string{
		"": "username is empty", " spaced ": "white space around it", "new\n": "white space around it",
		"caf\xe9": "username is not valid UTF-8", "a\x00b": "a NUL",
	} {
		shop.in = strings.NewReader("open sesame")
		if err := shop.runArgs(t, "add", name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("add %q: got %v, want %q", name, err, want)
		}
	}
	if shop.count() != 1 || shop.account("alice").Password != before || shop.revoked != nil {
		t.Errorf("a rejected command changed something: %d users, sessions revoked of %v", shop.count(), shop.revoked)
	}
	if err := shop.runLine(t, "open sesame", "passwd unknown"); err == nil || !strings.Contains(err.Error(), `unknown user "unknown"`) {
		t.Errorf("passwd of an unknown user: got %v, want the error unknown user", err)
	}
}

func TestDisableReportsFailedRevocation(t *testing.T) {
	shop := newShop()
	shop.must(t, "open sesame", "add alice")
	shop.revoke = func(context.Context, session.UserID) (session.Durability, error) {
		return "", session.Fail(session.Unavailable, nil)
	}
	if err := shop.runLine(t, "", "disable alice"); err == nil || !strings.Contains(err.Error(), "run the command again") || shop.account("alice").Active {
		t.Errorf("got %v and %+v, want the advice to run the command again and a disabled account", err, shop.account("alice"))
	}
}
