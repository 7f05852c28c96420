package cli

import (
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/password"
)

func TestUserCommandsChangeAccounts(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame\r\nand no more", `user add alice --app shop --id 7 --claims {"role":"admin"}`)
	if a := c.account("alice"); a.ID != session.NumberID(7) || string(a.Claims) != `{"role":"admin"}` || !c.accepts("alice", "open sesame") {
		t.Errorf("add alice: got %+v, want id 7, the role admin and the password that was given", a)
	}
	printed := c.must("s3same open", "user add bob --app shop")
	if id := c.account("bob").ID; printed != id.String()+"\n" || !session.ID(id.String()).Valid() {
		t.Errorf("add bob: got the id %v and printed %q, want a new id, printed", id, printed)
	}
	for i, how := range []string{"alice", "--name alice", "--user 7"} {
		changed := "changed password" + strings.Repeat("!", i)
		c.must(changed+"\n", "user passwd --app shop "+how)
		if c.accepts("alice", "open sesame") || !c.accepts("alice", changed) {
			t.Errorf("after passwd %s, the old password is accepted or the new one is not", how)
		}
		c.must("", "user disable --app shop "+how)
		if c.accepts("alice", changed) {
			t.Errorf("a user disabled by %s can log in", how)
		}
		c.must("", "user enable --app shop "+how)
		if !c.accepts("alice", changed) {
			t.Errorf("a user enabled by %s can't log in", how)
		}
	}
	if out := c.must("", "user list --app shop"); words(out) != "ID USERNAME ACTIVE 7 alice true "+printed[:len(printed)-1]+" bob true" {
		t.Errorf("list: got\n%s\nwant alice and bob", out)
	}
	c.must("", "user remove bob --app shop")
	c.must("", "user remove --user 7 --app shop")
	if out := c.must("", "user list --app shop"); words(out) != "ID USERNAME ACTIVE" {
		t.Errorf("list after both users were removed: got\n%s", out)
	}
}

func TestUserAddWithIntegerID(t *testing.T) {
	c := newCLITest(t)
	for i, want := range []string{"1\n", "2\n"} {
		if out := c.must("first password", "user add --integer-id --app shop user"+strings.Repeat("x", i)); out != want {
			t.Errorf("got the id %q, want %q", out, want)
		}
	}
	c.must("", "user remove userx --app shop")
	if out := c.must("first password", "user add userx --app shop --integer-id"); out != "3\n" || c.account("userx").ID != session.NumberID(3) {
		t.Errorf("after a removal: got the id %q, want 3", out)
	}
	for _, id := range []string{"007", "+7", "-07", "9223372036854775808", "99999999999999999999999"} {
		c.mustFail("first password", "user add carl --app shop --id="+id, "--id: the id looks like a number")
	}
	c.must("first password", "user add dora --app shop --id 555-1234")
	c.mustFail("first password", "user add carl --app shop --integer-id --id 9", "give --id or --integer-id, not both")
	for _, part := range []string{"random text", "simplejwt accepts only integer ids"} {
		if out := c.must("", "user add --help"); !strings.Contains(words(out), part) {
			t.Errorf("user add --help: got\n%s\nwant %q", out, part)
		}
	}
}

func TestUserShow(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", `user add alice --app shop --id 7 --claims {"role":"admin"}`)
	c.mustLogin("shop", "7", 2)
	const want = `id 7 username alice active true claims {"role":"admin"} password argon2id 19456 2 1 sessions 2`
	if out := c.must("", "user show alice --app shop"); words(out) != want {
		t.Errorf("got\n%s\nwant %s", out, want)
	}
	c.must(userFile(`{"id": 8, "username": "b\u001b[2Jb", "password": "!x"}`), "user import - --app shop")
	out := c.must("", "user show --user 8 --app shop")
	if got := words(out); got != `id 8 username "b\x1b[2Jb" active true claims {} password can't be used: the password is marked as unusable sessions 0` {
		t.Errorf("got %s, want the name quoted and no usable password", got)
	}
	if out := c.must("", "user list --app shop"); strings.Contains(out, "\x1b") {
		t.Errorf("list prints a control character: %q", out)
	}
}

// TestUserHash checks that the hash can be used in a user file, and that no settings are
// needed.
func TestUserHash(t *testing.T) {
	c := newCLITest(t)
	env := c.env
	c.env = nil
	out := c.must("open sesame\n", "user hash")
	hash, err := password.ParseHash(strings.TrimSuffix(out, "\n"))
	if err != nil || !strings.HasPrefix(hash.Kind(), "argon2id") {
		t.Errorf("got %q, %v; want a hash", out, err)
	}
	c.mustFail("seven77\n", "user hash", "give at least 8 characters")
	c.mustFail("", "user hash", "empty")
	c.env = append(env, "TOKENGATE_APP_SHOP_PASSWORD_MIN_LENGTH=12")
	c.mustFail("open sesame\n", "user hash --app shop", "give at least 12 characters")
	c.mustFail("open sesame\n", "user hash --app nosuch", `no such app "nosuch"`)
	c.must("open sesame\n", "user hash --app bank")
	c.must(userFile(`{"id": 1, "username": "alice", "password": %q}`, strings.TrimSpace(out)), "user import - --app shop")
	if !c.accepts("alice", "open sesame") {
		t.Error("the password of the hash is not accepted")
	}
}

// TestPasswordsAreChecked checks that passwords which no login accepts, and short ones, change
// nothing, and that they are not printed.
func TestPasswordsAreChecked(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --app shop --id 7")
	before, live := c.account("alice"), c.mustLogin("shop", "7", 1)
	for text, want := range map[string]string{
		"": "empty", "\nsécret sesame": "empty", "     \t       \n": "white space", "sécret\x00 sesame": "NUL",
		"s\xe9cret sesame": "UTF-8", strings.Repeat("sécret", 70<<10/7): "1024 bytes", "sécret!": "give at least 8 characters",
	} {
		for _, line := range []string{"user passwd alice --app shop", "user add bob --app shop", "user hash"} {
			c.mustFail(text, line, want)
			if err := c.run(text, line); err == nil || strings.Contains(err.Error(), "sécret") || c.stderr.Len() > 0 {
				t.Errorf("%s: got the error %v and %q on standard error, want one without the password", line, err, &c.stderr)
			}
		}
	}
	if c.account("alice").CheckUnchanged(before) != nil || c.count() != 1 {
		t.Errorf("got %+v and %d users, want alice unchanged", c.account("alice"), c.count())
	}
	c.wantSessions("after passwords that were not accepted", "shop", "7", live...)
	c.env = append(c.env, "TOKENGATE_APP_SHOP_PASSWORD_MIN_LENGTH=3")
	c.must("s3s", "user passwd alice --app shop")
}

func TestNoSuchUserOrApp(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --app shop --id 7")
	for _, command := range []string{"passwd", "disable", "enable", "remove", "show"} {
		c.mustFail("open sesame", "user "+command+" carol --app shop", `no such user "carol"`, "`tokengate user list --app shop`")
		c.mustFail("open sesame", "user "+command+" --user 8 --app shop", `no such user: no user of shop has the id "8"`)
		c.mustFail("open sesame", "user "+command+" --user alice --app shop", `no such user: "alice" is the name of the user with the id 7: give --name alice or --user 7`)
		c.mustFail("open sesame", "user "+command+" alice --app bank", `no such user "alice"`)
		c.mustFail("open sesame", "user "+command+" alice --app nosuch", `no such app "nosuch": the settings have shop, bank, files`)
		c.mustFail("open sesame", "user "+command+" alice --app files", "TOKENGATE_APP_FILES_USERS is not redis:")
	}
	for _, line := range []string{"user list", "user add bob", "user import -", "sessions list --user 7", "sessions end --user 7", "sessions end --all"} {
		c.mustFail("open sesame", line+" --app nosuch", `no such app "nosuch"`)
	}
}

func TestUserAddRejects(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --app shop --id 7")
	before := c.account("alice")
	for line, want := range map[string]string{
		"bob --id caf\xe9":                 "--id: a user id is",
		"bob --claims []":                  "--claims is not a JSON object",
		"bob --claims {\"n\":\"caf\xe9\"}": "--claims is not valid UTF-8",
		"bob --claims " + `{"x":"` + strings.Repeat("x", session.MaxClaims+1-len(`{"x":""}`)) + `"}`: "--claims has 4097 bytes",
		"alice":      "user \"alice\" exists already: `tokengate user passwd` changes the password",
		"bob --id 7": `there is already a user with the id 7: "alice"`,
		"caf\xe9":    "username is not valid UTF-8",
		"a\x00b":     "a NUL",
	} {
		c.mustFail("open sesame", "user add --app shop "+line, want)
	}
	for _, name := range []string{"", " spaced ", "new\n"} {
		c.in = strings.NewReader("open sesame")
		if err := c.runArgs("user", "add", "--app", "shop", name); err == nil || !strings.Contains(err.Error(), "username") {
			t.Errorf("add %q: got %v, want an error about the username", name, err)
		}
	}
	c.in = readerFunc(func(b []byte) (int, error) { // another user gets the id while the password is typed
		carl := session.Account{ID: session.NumberID(8), Username: "bob", Password: "!"}
		_, err := c.store.Directory().PutAccount(t.Context(), "shop", carl, session.Account{})
		return copy(b, "open sesame\n"), err
	})
	if err := c.runArgs("user", "add", "bob", "--id", "9", "--app", "shop"); err == nil || err.Error() != `user "bob" exists already` {
		t.Errorf("add with a name that was taken while the password was typed: got %v", err)
	}
	if c.account("alice").CheckUnchanged(before) != nil || c.count() != 2 {
		t.Errorf("got %+v and %d users, want alice unchanged and bob", c.account("alice"), c.count())
	}
}

// TestAccountChangesRevokeSessions checks which commands revoke the user's sessions, and that
// they do so only in their own app.
func TestAccountChangesRevokeSessions(t *testing.T) {
	for _, test := range []struct {
		line, input string
		revokes     bool
	}{
		{"user passwd alice", "changed password\n", true},
		{"user disable alice", "", true},
		{"user remove alice", "", true},
		{"user enable alice", "", false},
		{"user show alice", "", false},
		{"user import -", userFile(`{"id": 7, "username": "alicia", "password": "HASH"}`), false},
		{"user import -", userFile(`{"id": 7, "username": "alicia", "password": "!"}`), true},
	} {
		c := newCLITest(t)
		for _, app := range []string{"shop", "bank"} {
			c.must("open sesame", "user add alice --id 7 --app "+app)
			c.mustLogin(app, "7", 2)
		}
		c.must(strings.ReplaceAll(test.input, "HASH", c.account("alice").Password), test.line+" --app shop")
		tombstones, err := c.store.Tombstones(t.Context(), session.Owner{App: "shop", User: "7"})
		if err != nil || len(tombstones) > 0 != test.revokes || len(c.sessions("shop", "7")) > 0 == test.revokes {
			t.Errorf("%+v: got the tombstones %+v, %v; want a revocation: %t", test, tombstones, err, test.revokes)
		}
		for _, tombstone := range tombstones {
			if tombstone.Cause != session.CauseAccount || tombstone.By != "cli" {
				t.Errorf("%+v: got the tombstone %+v, want the cause account, by cli", test, tombstone)
			}
		}
		if n := len(c.sessions("bank", "7")); n != 2 {
			t.Errorf("%+v: the user of the other app has %d sessions, want 2", test, n)
		}
	}
}

// TestLoginDuringAccountChange checks that a login gets no session if the password is changed,
// or the account is disabled or removed, after the password was compared.
func TestLoginDuringAccountChange(t *testing.T) {
	for line, want := range map[string]session.Code{
		"user passwd alice": session.UserUnknown, "user disable alice": session.UserInactive, "user remove alice": session.UserUnknown, "user list": session.OK,
	} {
		c := newCLITest(t)
		c.must("open sesame", "user add alice --id 7 --app shop")
		c.onFind = func() { c.must("changed password", line+" --app shop") }
		user, err := c.check("alice", "open sesame")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.login("shop", "7", &user.Credential); session.CodeOf(err) != want {
			t.Errorf("%s: got %v, want %s", line, err, want)
		}
	}
}

// TestPasswdKeepsConcurrentChange checks that a change which comes while the new password is
// typed is not undone.
func TestPasswdKeepsConcurrentChange(t *testing.T) {
	c := newCLITest(t)
	c.must("open sesame", "user add alice --id 7 --app shop")
	c.in = readerFunc(func(b []byte) (int, error) {
		c.must("", "user disable alice --app shop")
		return copy(b, "changed password\n"), nil
	})
	if err := c.runArgs("user", "passwd", "alice", "--app", "shop"); err != nil || c.account("alice").Active {
		t.Errorf("got %v and the user %+v, want them disabled", err, c.account("alice"))
	}
	c.must("", "user enable alice --app shop")
	if !c.accepts("alice", "changed password") {
		t.Error("the new password is not accepted")
	}
}

// TestPendingChangesWarn checks that commands which change something warn if replicas may not
// have it. The warning goes to standard error only, since programs read the output.
func TestPendingChangesWarn(t *testing.T) {
	for _, d := range []session.Durability{session.Pending, session.Replicated, session.NotRequested} {
		c := newCLITest(t)
		for _, line := range []string{
			"user add alice --id 7", "user passwd alice", "user disable alice", "user enable alice", "user import -",
			"sessions end --user 7", "sessions end --all", "user remove alice",
		} {
			c.durability = d
			input := "open sesame"
			if line == "user import -" {
				input = userFile(`{"id": 8, "username": "bob", "password": "!"}`)
			}
			c.must(input, line+" --app shop")
			if warns := strings.HasPrefix(c.stderr.String(), "pending: "); warns != (d == session.Pending) || strings.Contains(c.stdout.String(), "pending") {
				t.Errorf("%s with durability %q: got %q on standard error and %q on standard output", line, d, &c.stderr, &c.stdout)
			}
		}
		if c.must("", "user list --app shop"); c.stderr.Len() > 0 {
			t.Errorf("list: got %q on standard error, want nothing", &c.stderr)
		}
	}
	c := newCLITest(t)
	c.must("open sesame", "user add zoe --id 9 --app shop")
	c.durability = session.Pending
	c.mustFail(userFile(`{"id": 8, "username": "bob", "password": "!"}, {"id": 10, "username": "zoe", "password": "!"}`), "user import - --app shop", "imported 1 of 2 users")
	if !strings.HasPrefix(c.stderr.String(), "pending: ") {
		t.Errorf("an import that failed later: got %q on standard error, want a warning", &c.stderr)
	}
}
