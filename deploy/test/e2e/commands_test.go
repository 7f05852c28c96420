package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// commandTest runs commands as an operator does, beside a gateway that serves the same
// app. The app's users are in Redis.
type commandTest struct {
	*testing.T
	env    commandEnv
	client *gatewaytest.Client
	output strings.Builder // of all commands
}

func newCommandTest(t *testing.T) *commandTest {
	t.Helper()
	server := redistest.Standalone(t)
	g := gatewaytest.Start(t, server.URL, gatewaytest.Settings{"APP_USERS": "redis:"})
	return &commandTest{T: t, env: newCommandEnv(server.URL), client: g.Client()}
}

// run runs "user" or "sessions" for the app. The command must succeed.
func (c *commandTest) run(stdin, command, subcommand string, args ...string) string {
	c.Helper()
	code, output := c.try(stdin, command, subcommand, args...)
	if code != 0 {
		c.Fatalf("%s %s %q: got exit code %d, output %s; want 0", command, subcommand, args, code, output)
	}
	return output
}

// try runs a command that may fail.
func (c *commandTest) try(stdin, command, subcommand string, args ...string) (code int, output string) {
	c.Helper()
	code, output = c.env.run(c.T, stdin, append([]string{command, subcommand, "--app", gatewaytest.App}, args...)...)
	c.output.WriteString(output)
	return code, output
}

// fail runs a command that must fail with a message that contains text.
func (c *commandTest) fail(text, stdin, command, subcommand string, args ...string) {
	c.Helper()
	if code, output := c.try(stdin, command, subcommand, args...); code == 0 || !strings.Contains(output, text) {
		c.Errorf("%s %s %q: got exit code %d, output %s; want the error %q", command, subcommand, args, code, output, text)
	}
}

func (c *commandTest) login(username, password, sessionType string) gatewaytest.Response {
	c.Helper()
	return c.client.Post(c.Context(), "/api/session/login/", "", map[string]string{
		"username": username, "password": password, "secret_key": gatewaytest.Secret, "session": sessionType, "info": "a phone",
	})
}

// TestUserCommands checks the effects of the user commands on logins and sessions, and
// that no command prints a password or a hash.
func TestUserCommands(t *testing.T) {
	t.Parallel()
	c := newCommandTest(t)
	if id := c.run("first-password\n", "user", "add", "alice", "--id", "42", "--claims", `{"role":"admin"}`); id != "42\n" {
		t.Errorf("user add: got the output %q, want the id", id)
	}
	first := requireStatus(t, http.StatusOK, c.login("alice", "first-password", "LONG"), "login after add")
	if claims := claimsOf(t, first.Access); claims["user_id"] != 42.0 || claims["role"] != "admin" {
		t.Errorf("the access token has the claims %v, want user_id 42 and role admin", claims)
	}
	c.fail(`user "alice" exists already`, "x\n", "user", "add", "alice")
	c.fail("the password is empty", "", "user", "add", "bob")
	c.fail("--claims is not a JSON object", "x\n", "user", "add", "bob", "--claims", "[1]")
	c.fail("give at least 8 characters", "seven77\n", "user", "passwd", "alice")

	c.run("second-password", "user", "passwd", "alice")
	checkUnauthorized(t, c.client.Refresh(t.Context(), "LONG", first.Refresh), "ended", "account", "refresh after passwd")
	requireStatus(t, http.StatusBadRequest, c.login("alice", "first-password", "LONG"), "login with the old password")
	second := requireStatus(t, http.StatusOK, c.login("alice", "second-password", "SHORT"), "login with the new password")

	c.run("", "user", "disable", "alice")
	checkUnauthorized(t, c.client.Refresh(t.Context(), "SHORT", second.Refresh), "ended", "account", "refresh after disable")
	resp := requireStatus(t, http.StatusBadRequest, c.login("alice", "second-password", "LONG"), "login after disable")
	if resp.Code != "invalid_credentials" {
		t.Errorf("login of a disabled user: got code %q, want invalid_credentials", resp.Code)
	}
	c.run("", "user", "enable", "alice")
	checkUnauthorized(t, c.client.Refresh(t.Context(), "SHORT", second.Refresh), "ended", "account", "refresh after enable")
	requireStatus(t, http.StatusOK, c.login("alice", "second-password", "LONG"), "login after enable")

	generated := strings.TrimSpace(c.run("bob-password\n", "user", "add", "bob"))
	bob := requireStatus(t, http.StatusOK, c.login("bob", "bob-password", "LONG"), "login of a user with a generated id")
	if claims := claimsOf(t, bob.Access); claims["user_id"] != generated || generated == "" {
		t.Errorf("the access token has the claims %v, want the user_id %q that user add printed", claims, generated)
	}
	list := c.run("", "user", "list")
	if !regexp.MustCompile(`(?m)^42 +alice +true$`).MatchString(list) || !strings.Contains(list, generated+" ") {
		t.Errorf("user list: got the output\n%s\nwant the active user alice with the id 42, and the id %s", list, generated)
	}
	for _, subcommand := range []string{"passwd", "disable", "enable", "remove", "show"} {
		c.fail(`no such user "carol"`, "x\n", "user", subcommand, "carol")
	}
	c.fail(`unknown command "user elevate"`, "x\n", "user", "elevate", "alice")
	shown := c.run("", "user", "show", "alice")
	if !regexp.MustCompile(`(?m)^password +argon2id 19456 2 1\nsessions +1$`).MatchString(shown) {
		t.Errorf("user show: got the output\n%s\nwant the kind of the hash and 1 session", shown)
	}
	c.run("", "user", "remove", "bob")
	requireStatus(t, http.StatusUnauthorized, c.client.Refresh(t.Context(), "LONG", bob.Refresh), "refresh after remove")
	requireStatus(t, http.StatusBadRequest, c.login("bob", "bob-password", "LONG"), "login after remove")
	if id := c.run("carol-password", "user", "add", "carol", "--integer-id"); id != "43\n" {
		t.Errorf("user add --integer-id: got the output %q, want the number after 42", id)
	}
	for _, secret := range []string{"first-password", "second-password", "bob-password", "$argon2"} {
		if strings.Contains(c.output.String(), secret) {
			t.Errorf("a command printed %s", secret)
		}
	}
}

// TestUserImport checks the import of a user file and of Django's dump, and that a file
// with an invalid entry changes nothing.
func TestUserImport(t *testing.T) {
	t.Parallel()
	c := newCommandTest(t)
	users := wireUsers(t)
	if output := c.run("", "user", "import", users); output != "5 users\n" {
		t.Errorf("user import: got the output %q, want 5 users", output)
	}
	requireStatus(t, http.StatusOK, c.login("alice", "alice-pw-1", "LONG"), "login after import")
	requireStatus(t, http.StatusBadRequest, c.login("carol", "carol-pw-1", "LONG"), "login of an inactive user")
	c.run("", "user", "import", users) // an import can be repeated
	invalid := `[{"id": 90, "username": "zoe", "password": "!"}, {"id": 91, "username": "yan", "password": ["hunter2"]}]`
	code, output := c.try(invalid, "user", "import", "-")
	if code == 0 || !strings.Contains(output, "entry 2") || strings.Contains(output, "hunter2") {
		t.Errorf("import of an invalid entry: got exit code %d, output %s; want an error that names entry 2 without the password", code, output)
	}
	c.fail(`imported 0 of 1 users; "alice" (id 92) failed: user_exists: the user with the id `, `[{"id": 92, "username": "alice", "password": "!"}]`, "user", "import", "-")
	latin1 := `[{"id": 90, "username": "zoe", "password": "!", "claims": {"n": "caf` + "\xe9" + `"}}]`
	c.fail("entry 1: user 90: claims is not valid UTF-8", latin1, "user", "import", "-")
	if strings.Contains(c.run("", "user", "list"), "zoe") {
		t.Error("a user was imported from an invalid file")
	}
	if output := c.run("", "user", "import", "../../../session/users/testdata/dumpdata-auth-user.json"); !strings.HasSuffix(output, " users\n") {
		t.Errorf("import of Django's dump: got the output %q, want a number of users", output)
	}
}

// TestCommandsWarnOfPendingChanges checks that commands which change users or revoke
// sessions print a warning if no replica has acknowledged the change.
func TestCommandsWarnOfPendingChanges(t *testing.T) {
	t.Parallel()
	c := newCommandTest(t)
	c.run("password\n", "user", "add", "alice", "--id", "42")
	requireStatus(t, http.StatusOK, c.login("alice", "password", "LONG"), "login")
	c.env = c.env.with("TOKENGATE_REDIS_WAIT_REPLICAS=1", "TOKENGATE_REDIS_WAIT_TIMEOUT=10ms")
	for _, args := range [][]string{{"sessions", "end", "--user", "42"}, {"user", "disable", "alice"}, {"user", "passwd", "alice"}, {"user", "add", "bob"}} {
		if output := c.run("password\n", args[0], args[1], args[2:]...); !strings.Contains("\n"+output, "\npending: ") {
			t.Errorf("%q: got the output %q, want a warning", args, output)
		}
	}
	if output := c.run("", "user", "list"); strings.Contains(output, "pending") {
		t.Errorf("user list: got the output %q, want no warning", output)
	}
}

// TestSessionCommands checks that "sessions list" prints live sessions and the causes of
// revocations, and that "sessions end" revokes one session or all sessions of a user.
func TestSessionCommands(t *testing.T) {
	t.Parallel()
	c := newCommandTest(t)
	c.run("password\n", "user", "add", "alice", "--id", "42")
	login := func(sessionType string) gatewaytest.Response {
		return requireStatus(t, http.StatusOK, c.login("alice", "password", sessionType), "login")
	}
	first, second, third := login("SHORT"), login("SHORT"), login("SHORT") // the third evicts the first
	long, loggedOut := login("LONG"), login("LONG")
	requireStatus(t, http.StatusOK, c.client.Logout(t.Context(), loggedOut.Refresh), "logout")

	c.checkList(first.SessionID+` +evicted +\S+ +`+third.SessionID, loggedOut.SessionID+` +logout `, second.SessionID+` +SHORT .* "a phone"`, long.SessionID+` +LONG `)
	c.checkEnd("1 ended\n", "--session", second.SessionID)
	checkUnauthorized(t, c.client.Refresh(t.Context(), "SHORT", second.Refresh), "ended", "operator", "refresh after sessions end")
	c.checkList(second.SessionID + ` +operator +\S+ +cli`)
	c.fail("ended (operator)", "", "sessions", "end", "--user", "42", "--session", second.SessionID)
	// An id that begins with a hyphen is not a flag.
	c.fail(`user 42 has no session "-AAA`, "", "sessions", "end", "--user", "42", "--session", "-AAAAAAAAAAAAAAAAAAAAA")
	for _, args := range [][]string{{long.SessionID}, {"--session", ""}, {"--session=" + long.SessionID, "more"}, {"--all"}} {
		c.fail("usage: tokengate sessions", "", "sessions", "end", append([]string{"--user", "42"}, args...)...)
	}
	c.fail("no such user", "", "sessions", "end", "--user", "alice")
	c.checkEnd("2 ended\n")
	c.checkEnd("0 ended\n")
	checkUnauthorized(t, c.client.Refresh(t.Context(), "LONG", long.Refresh), "ended", "operator", "refresh after sessions end for all sessions")
	c.fail("usage: tokengate sessions", "", "sessions", "list")
	c.fail(`unknown command "sessions prolong"`, "", "sessions", "prolong", "--user", "42")
	named := login("LONG")
	if output := c.run("", "sessions", "end", "--name", "alice"); !strings.HasSuffix("\n"+output, "\n1 ended\n") {
		t.Errorf("sessions end --name: got the output %q, want 1 ended", output)
	}
	checkUnauthorized(t, c.client.Refresh(t.Context(), "LONG", named.Refresh), "ended", "operator", "refresh after sessions end --name")
	everything := login("LONG")
	c.fail("give one of --user, --name, --all", "", "sessions", "end")
	requireStatus(t, http.StatusOK, c.client.Refresh(t.Context(), "LONG", everything.Refresh), "refresh after a command that failed")
	c.run("", "sessions", "end", "--all")
	checkUnauthorized(t, c.client.Refresh(t.Context(), "LONG", everything.Refresh), "ended", "app", "refresh after sessions end --all")
}

// checkList checks that "sessions list" prints lines that begin with these regular
// expressions.
func (c *commandTest) checkList(lines ...string) {
	c.Helper()
	output := c.run("", "sessions", "list", "--user", "42")
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(output) {
			c.Errorf("sessions list: no line matches %s:\n%s", line, output)
		}
	}
}

// checkEnd checks the last line that "sessions end" prints.
func (c *commandTest) checkEnd(want string, args ...string) {
	c.Helper()
	output := c.run("", "sessions", "end", append([]string{"--user", "42"}, args...)...)
	if !strings.HasSuffix("\n"+output, "\n"+want) {
		c.Errorf("sessions end %q: got the output %q, want the last line %q", args, output, want)
	}
}

// TestCheckCommand checks that "check" reports invalid settings, servers that can't be
// reached, and a Redis configuration that loses sessions.
func TestCheckCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	locked := redistest.Standalone(t)
	locked.Do("CONFIG", "SET", "requirepass", "right")
	env := newCommandEnv(server.URL)
	if code, output := env.run(t, "", "check"); code != 0 || !strings.HasSuffix(output, "ok\n") {
		t.Errorf("valid settings: got exit code %d, output %s; want 0 and ok", code, output)
	}
	for name, c := range map[string]struct {
		env  commandEnv
		want []string // in the output
	}{
		"invalid setting":     {env.with(appPrefix + "LEEWAY=1d"), []string{appPrefix + "LEEWAY"}},
		"unknown option":      {newCommandEnv(server.URL + "?timeout=1s"), []string{"TOKENGATE_REDIS_URL", "unknown parameter"}},
		"wrong password":      {newCommandEnv("redis://:hunter2@" + locked.Addr), []string{"Redis can't be used"}},
		"user source is down": {env.with(appPrefix + "USERS=http://" + freeport.Address(t)), []string{appPrefix + "USERS", "connection refused"}},
		"Redis is down":       {newCommandEnv("redis://" + freeport.Address(t)), []string{"Redis can't be used", "connection refused"}},
	} {
		code, output := c.env.run(t, "", "check")
		if code == 0 || strings.Contains(output, "hunter2") {
			t.Errorf("%s: got exit code %d, output %s; want an error without the password", name, code, output)
		}
		for _, want := range c.want {
			if !strings.Contains(output, want) {
				t.Errorf("%s: got the output %s, want %q in it", name, output, want)
			}
		}
	}
	server.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if code, output := env.run(t, "", "check"); code != 0 || !strings.Contains(output, "maxmemory-policy is allkeys-lru") {
		t.Errorf("maxmemory-policy allkeys-lru: got exit code %d, output %s; want a warning", code, output)
	}
}

// claimsOf returns the claims of a token. It does not check the signature.
func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q, want a token", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	must(t, json.NewDecoder(bytes.NewReader(raw)).Decode(&claims))
	return claims
}
