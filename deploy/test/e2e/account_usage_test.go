package e2e

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

var noSuchUser = regexp.MustCompile(`(?i)(no such|unknown) user|no user\b|user .*(not found|does not exist)`)

// TestA9FlagsAnywhere checks that flags are accepted before and after other arguments.
func TestA9FlagsAnywhere(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	for i, args := range [][]string{
		{"user", "add", "NAME", "--app", "shop"}, {"user", "--app", "shop", "add", "NAME"}, {"user", "add", "--app", "shop", "NAME"},
		{"user", "add", "--app=shop", "NAME"}, {"user", "add", "NAME", "-app", "shop"}, {"user", "add", "NAME", "-app=shop", "--claims", `{"n":1}`},
		{"user", "add", "--claims", `{"n":1}`, "NAME", "--app", "shop", "--id", "id-NAME"}, {"user", "--app=shop", "add", "--id=id-NAME", "NAME"},
	} {
		name := "bob" + string(rune('a'+i))
		with := func(args []string) []string {
			return strings.Split(strings.ReplaceAll(strings.Join(args, "\n"), "NAME", name), "\n")
		}
		id := strings.TrimSpace(c.as(0, oldPassword, with(args)...))
		s := newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG")
		if got := claimsOf(t, s.access)["user_id"]; got != id {
			t.Errorf("%q: got the output %q, and a session of the user id %v", args, id, got)
		}
		c.as(0, newPassword, "user", "passwd", name, "--app", "shop")
		requireStatus(t, http.StatusUnauthorized, s.tryRefresh(), "refresh after passwd")
		s = newClientSession(t, c.client, c.login(name, newPassword, "LONG"), "LONG")
		c.as(0, "", "user", "--app", "shop", "disable", name)
		requireStatus(t, http.StatusUnauthorized, s.tryRefresh(), "refresh after disable")
		c.as(0, "", "user", "enable", name, "--app=shop")
		s = newClientSession(t, c.client, c.login(name, newPassword, "LONG"), "LONG")
		c.as(0, "", "user", "remove", name, "--app", "shop")
		requireStatus(t, http.StatusUnauthorized, s.tryRefresh(), "refresh after remove")
		requireStatus(t, http.StatusBadRequest, c.login(name, newPassword, "LONG"), "login after remove")
	}
	if list := c.as(0, "", "user", "--app", "shop", "list"); strings.Contains(list, "bob") {
		t.Errorf("user list: got the output %s, want no user", list)
	}
	c.as(0, oldPassword, "user", "add", "boba", "--app", "shop") // the name is free again
	requireStatus(t, http.StatusOK, c.login("boba", oldPassword, "LONG"), "login of a new user with the name of a removed one")
}

// TestA2RemovedUser checks that the sessions of a removed redis: user do not become those of the
// next user with the same id.
func TestA2RemovedUser(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "8")
	s := newClientSession(t, c.client, c.login("alice", oldPassword, "LONG"), "LONG")
	c.run("", "user", "remove", "alice")
	s.checkEnded("account", "refresh after remove")
	s.authzUntilRejected("after remove")
	for _, name := range []string{"carol", "alice"} {
		c.run(oldPassword, "user", "add", name, "--id", "8")
		next := newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG")
		s.checkEnded("account", "refresh after the id was given to "+name)
		next.checkLive("session of " + name)
		c.run("", "user", "remove", name)
		next.checkEnded("account", "refresh of a removed user")
	}
}

// TestA3DisabledRedisUser checks that the sessions of a disabled redis: user stay ended, with
// their cause, when the user is enabled again.
func TestA3DisabledRedisUser(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "8")
	used, idle := newClientSession(t, c.client, c.login("alice", oldPassword, "LONG"), "LONG"), newClientSession(t, c.client, c.login("alice", oldPassword, "SHORT"), "SHORT")
	c.run("", "user", "disable", "alice")
	used.checkEnded("account", "refresh of a disabled user")
	used.authzUntilRejected("disabled user")
	c.run("", "user", "enable", "alice")
	used.checkEnded("account", "refresh after the user is enabled again")
	idle.checkEnded("account", "refresh of an idle session after the user is enabled again")
	newClientSession(t, c.client, c.login("alice", oldPassword, "LONG"), "LONG").checkLive("session of after the user is enabled again")
}

// TestA9ShowAndHash checks "user show" and "user hash".
func TestA9ShowAndHash(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "42", "--claims", `{"role":"admin"}`)
	shown := c.as(0, "", "user", "show", "alice", "--app", "shop")
	for _, want := range []string{"42", "alice"} {
		if !strings.Contains(shown, want) {
			t.Errorf("user show: got the output %s, want %s in it", shown, want)
		}
	}
	if strings.Contains(shown, "$") || strings.Contains(shown, oldPassword) {
		t.Errorf("user show: the output %s contains the hash", shown)
	}
	c.run("", "user", "disable", "alice")
	if again := c.as(0, "", "user", "--app=shop", "show", "alice"); again == shown {
		t.Errorf("user show: got the same output for an active and a disabled user: %s", shown)
	}

	for _, password := range []string{oldPassword, oldPassword + "\n", "密码密码密码密码"} {
		hash := strings.TrimSpace(c.as(0, password, "user", "hash", "--app", "shop"))
		if !strings.Contains(hash, "argon2id") || strings.Contains(hash, "\n") || strings.Contains(hash, oldPassword) {
			t.Errorf("user hash: got the output %q, want a hash", hash)
		}
		source := &fileSource{t, writeFile(t, "users.json", nil)}
		source.set(account{ID: 1, Username: "bob", Password: hash, Active: true})
		login(t, startWithSource(t, source, nil).Client(), "bob", strings.TrimSpace(password), "LONG").checkLive("login with a hash of user hash")
	}
	for what, password := range impossiblePasswords {
		if code, output := c.env.run(t, password, "user", "hash", "--app", "shop"); code == 0 {
			t.Errorf("user hash with a password of %s: got exit code 0, output %s; want an error", what, output)
		}
	}
}

// TestA9UnknownUsers checks that each command that names a user fails clearly if there is none.
func TestA9UnknownUsers(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "42")
	s := newClientSession(t, c.client, c.login("alice", oldPassword, "LONG"), "LONG")
	for _, args := range [][]string{
		{"user", "passwd", "bob"}, {"user", "disable", "bob"}, {"user", "enable", "bob"}, {"user", "remove", "bob"}, {"user", "show", "bob"},
		{"user", "remove", "Alice"}, {"user", "show", "42x"}, {"sessions", "end", "--name", "bob"}, {"sessions", "list", "--name", "bob"},
		{"sessions", "end", "--user", "alice"}, {"sessions", "list", "--user", "alice"}, {"sessions", "end", "--user", "43"}, {"sessions", "end", "--name", "42"},
	} {
		if output := c.as(1, newPassword, append(args, "--app", "shop")...); !noSuchUser.MatchString(output) || strings.Contains(output, "0 ended") {
			t.Errorf("%q: got the output %q, want an error about the user", args, output)
		}
	}
	s.checkLive("after commands about unknown users")
}

// TestA9SessionsByNameOrID checks "sessions list" and "sessions end" with both ways to name a
// user.
func TestA9SessionsByNameOrID(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "42")
	c.run(oldPassword, "user", "add", "bob", "--id", "text-id")
	c.run(oldPassword, "user", "add", "7", "--id", "43") // a name that looks like an id
	for name, id := range map[string]string{"alice": "42", "bob": "text-id", "7": "43"} {
		for _, args := range [][]string{
			{"end", "--name", name, "--app", "shop"}, {"end", "--app=shop", "--name=" + name}, {"--app", "shop", "end", "--name", name},
			{"end", "--user", id, "--app", "shop"}, {"--user=" + id, "end", "--app", "shop"},
		} {
			first, second := newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG"), newClientSession(t, c.client, c.login(name, oldPassword, "SHORT"), "SHORT")
			for _, by := range [][]string{{"--name", name}, {"--user", id}} {
				if list := c.as(0, "", append([]string{"sessions", "list", "--app", "shop"}, by...)...); !strings.Contains(list, first.id) || !strings.Contains(list, second.id) {
					t.Errorf("sessions list %q: got the output %s, want both sessions", by, list)
				}
			}
			if output := c.as(0, "", append([]string{"sessions"}, args...)...); !strings.HasSuffix(output, "2 ended\n") {
				t.Errorf("sessions %q: got the output %q, want 2 ended", args, output)
			}
			first.checkEnded("operator", "refresh after sessions end")
			second.checkEnded("operator", "refresh after sessions end")
		}
		kept, ended := newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG"), newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG")
		c.as(0, "", "sessions", "end", "--name", name, "--session", ended.id, "--app", "shop")
		ended.checkEnded("operator", "refresh after the end of one session")
		kept.checkLive("another session of the user")
	}
}

// TestA9SessionsOfFileUsers checks "sessions end" with the users of a file.
func TestA9SessionsOfFileUsers(t *testing.T) {
	t.Parallel()
	server, source := redistest.Standalone(t), &fileSource{t, writeFile(t, "users.json", nil)}
	source.set(newAccount(t, 42, "alice", oldPassword), newAccount(t, 43, "bob", oldPassword))
	client := startWithSourceOn(t, server, source, nil).Client()
	c := &commandTest{T: t, env: newCommandEnv(server.URL, appPrefix+"USERS=file:"+source.path), client: client}
	alice, bob := login(t, client, "alice", oldPassword, "LONG"), login(t, client, "bob", oldPassword, "LONG")
	for _, args := range [][]string{{"--user", "alice"}, {"--user", "44"}} {
		if output := c.as(1, "", append([]string{"sessions", "end", "--app", "shop"}, args...)...); !noSuchUser.MatchString(output) {
			t.Errorf("sessions end %q: got the output %q, want an error about the user", args, output)
		}
	}
	alice.checkLive("after commands about unknown users")
	// A source that can't be asked for names may refuse the flag, with the reason.
	if code, output := c.env.run(t, "", "sessions", "end", "--app", "shop", "--name", "alice"); code == 0 {
		alice.checkEnded("operator", "refresh after sessions end by name")
	} else if code != 1 || !strings.Contains(output, "--name") {
		t.Errorf("sessions end by name: got exit code %d, output %s; want the end of the sessions or an error about --name", code, output)
	}
	bob.checkLive("session of another user")
	c.as(0, "", "sessions", "end", "--app", "shop", "--user", "43")
	bob.checkEnded("operator", "refresh after sessions end by id")
}

// TestA9Help checks that each command explains itself, without settings and without Redis.
func TestA9Help(t *testing.T) {
	t.Parallel()
	for _, command := range []string{
		"", "user", "user add", "user passwd", "user disable", "user enable", "user remove", "user show", "user list", "user import", "user hash",
		"sessions", "sessions list", "sessions end", "check", "health", "env", "serve", "version",
	} {
		for _, flag := range []string{"--help", "-h"} {
			code, output := commandEnv{}.run(t, "", append(strings.Fields(command), flag)...)
			if words := strings.Fields(command); code != 0 || !strings.Contains(strings.ToLower(output), "usage") || len(words) > 0 && !strings.Contains(output, words[len(words)-1]) {
				t.Errorf("tokengate %s %s: got exit code %d, output %q; want 0 and the usage", command, flag, code, output)
			}
		}
	}
	help := func(args ...string) string { _, output := commandEnv{}.run(t, "", args...); return output }
	for flag, output := range map[string]string{
		"--id": help("user", "add", "--help"), "--claims": help("user", "add", "--help"), "--integer-id": help("user", "add", "--help"),
		"--app": help("user", "remove", "--help"), "--name": help("sessions", "end", "--help"), "--session": help("sessions", "end", "--help"), "--user": help("sessions", "list", "--help"),
	} {
		if !strings.Contains(output, flag[1:]) {
			t.Errorf("got the help %q, want %s in it", output, flag)
		}
	}
	for _, args := range [][]string{{"user", "elevate"}, {"sessions", "prolong"}, {"user", "add"}, {"user", "add", "a", "b"}, {"user", "add", "a", "--colour", "red"}} {
		if code, output := newCommandEnv("").run(t, oldPassword, append(args, "--app", gatewaytest.App)...); code == 0 {
			t.Errorf("tokengate %q: got exit code 0, output %s; want an error", args, output)
		}
	}
}
