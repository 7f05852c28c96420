package wholetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"tokengate/deploy/ports"
	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// desk is an operator at the command line, with a gateway that serves the same
// app's users from Redis.
type desk struct {
	*testing.T
	server  *redistest.Server
	program program
	gateway *rig.Gateway
	client  *rig.Client
	out     strings.Builder // all that was printed
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	server := redistest.Standalone(t)
	g := rig.Start(t, server.URL, rig.Settings{"APP_USERS": "redis:"})
	return &desk{T: t, server: server, program: commandsOver(server.URL), gateway: g, client: g.Client()}
}

// run runs "user" or "sessions" for the app; it must succeed.
func (d *desk) run(stdin, command, verb string, args ...string) string {
	d.Helper()
	code, out := d.try(stdin, command, verb, args...)
	if code != 0 {
		d.Fatalf("%s %s %q: exit code %d, %s", command, verb, args, code, out)
	}
	return out
}

func (d *desk) try(stdin, command, verb string, args ...string) (code int, out string) {
	d.Helper()
	code, out = d.program.run(d.T, stdin, append([]string{command, verb, "--app", rig.App}, args...)...)
	d.out.WriteString(out)
	return code, out
}

// refuse runs a command that must fail and say text.
func (d *desk) refuse(text, stdin, command, verb string, args ...string) {
	d.Helper()
	if code, out := d.try(stdin, command, verb, args...); code == 0 || !strings.Contains(out, text) {
		d.Errorf("%s %s %q: exit code %d, %s; want %q", command, verb, args, code, out, text)
	}
}

func (d *desk) login(username, password, sessionType string) rig.Answer {
	d.Helper()
	return d.client.Post(d.Context(), "/api/session/login/", "", map[string]string{
		"username": username, "password": password, "secret_key": rig.Secret, "session": sessionType, "info": "a phone",
	})
}

// TestUserCommands takes a user through all that can happen to one.
func TestUserCommands(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if id := d.run("first-password\n", "user", "add", "alice", "--id", "42", "--claims", `{"role":"admin"}`); id != "42\n" {
		t.Errorf("user add prints %q, want the id", id)
	}
	first := want(t, http.StatusOK, d.login("alice", "first-password", "LONG"), "login after add")
	if claims := claimsOf(t, first.Access); claims["user_id"] != 42.0 || claims["role"] != "admin" {
		t.Errorf("the access token says %v", claims)
	}
	d.refuse("there is a user of this name", "x\n", "user", "add", "alice")
	d.refuse("the password is empty", "", "user", "add", "bob")
	d.refuse("-claims is not a JSON object", "x\n", "user", "add", "bob", "--claims", "[1]")

	d.run("second-password", "user", "passwd", "alice")
	refused(t, d.client.Refresh(t.Context(), "LONG", first.Refresh), "ended", "account", "refresh after passwd")
	want(t, http.StatusBadRequest, d.login("alice", "first-password", "LONG"), "login with the old password")
	second := want(t, http.StatusOK, d.login("alice", "second-password", "SHORT"), "login with the new one")

	d.run("", "user", "disable", "alice")
	refused(t, d.client.Refresh(t.Context(), "SHORT", second.Refresh), "user_inactive", "", "refresh after disable")
	if a := want(t, http.StatusBadRequest, d.login("alice", "second-password", "LONG"), "login after disable"); a.Code != "invalid_credentials" {
		t.Errorf("a disabled user's login says %q", a.Code)
	}
	d.run("", "user", "enable", "alice")
	refused(t, d.client.Refresh(t.Context(), "SHORT", second.Refresh), "ended", "account", "refresh after enable")
	want(t, http.StatusOK, d.login("alice", "second-password", "LONG"), "login after enable")

	made := strings.TrimSpace(d.run("bob-password\n", "user", "add", "bob"))
	bob := want(t, http.StatusOK, d.login("bob", "bob-password", "LONG"), "login of a user with a made-up id")
	if claims := claimsOf(t, bob.Access); claims["user_id"] != made || made == "" {
		t.Errorf("the access token says %v, user add %q", claims, made)
	}
	list := d.run("", "user", "list")
	if !regexp.MustCompile(`(?m)^42 +alice +true$`).MatchString(list) || !strings.Contains(list, made+" ") {
		t.Errorf("user list prints\n%s", list)
	}
	for _, verb := range []string{"passwd", "disable", "enable"} {
		d.refuse("there is no user of this name", "x\n", "user", verb, "nobody")
	}
	d.refuse("give one of", "x\n", "user", "elevate", "alice")
	for _, password := range []string{"first-password", "second-password", "bob-password", "$argon2"} {
		if strings.Contains(d.out.String(), password) {
			t.Errorf("%s is printed", password)
		}
	}
}

// TestUserImport takes Django's dump and a user file, and checks before it writes.
func TestUserImport(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	users := wireUsers(t)
	if out := d.run("", "user", "import", users); out != "5 users\n" {
		t.Errorf("import prints %q", out)
	}
	want(t, http.StatusOK, d.login("alice", "alice-pw-1", "LONG"), "login after import")
	want(t, http.StatusBadRequest, d.login("carol", "carol-pw-1", "LONG"), "login of an inactive user")
	d.run("", "user", "import", users) // again: no harm
	half := `[{"id": 90, "username": "zoe", "password": "!"}, {"id": 91, "username": "yan", "password": "hunter2"}]`
	code, out := d.try(half, "user", "import", "-")
	if code == 0 || !strings.Contains(out, "entry 2") || strings.Contains(out, "hunter2") {
		t.Errorf("a file with a fault: exit code %d, %s", code, out)
	}
	d.refuse(`0 of 1 users are in; "alice" (id 92) is not: user_exists: the user with the id `, `[{"id": 92, "username": "alice", "password": "!"}]`, "user", "import", "-")
	latin1 := `[{"id": 90, "username": "zoe", "password": "!", "claims": {"n": "caf` + "\xe9" + `"}}]`
	d.refuse("entry 1: user 90: claims is not valid UTF-8", latin1, "user", "import", "-")
	if strings.Contains(d.run("", "user", "list"), "zoe") {
		t.Error("half of a file is imported")
	}
	if out := d.run("", "user", "import", "../../session/credential/testdata/dumpdata-auth-user.json"); !strings.HasSuffix(out, " users\n") {
		t.Errorf("import of a dump prints %q", out)
	}
}

// TestPendingIsTold: who changes users or ends sessions hears that no replica has it.
func TestPendingIsTold(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("password\n", "user", "add", "alice", "--id", "42")
	want(t, http.StatusOK, d.login("alice", "password", "LONG"), "login")
	d.program = append(d.program, "TOKENGATE_REDIS_WAIT_REPLICAS=1", "TOKENGATE_REDIS_WAIT_TIMEOUT=10ms")
	for _, args := range [][]string{{"sessions", "end", "--user", "42"}, {"user", "disable", "alice"}, {"user", "passwd", "alice"}, {"user", "add", "bob"}} {
		if out := d.run("password\n", args[0], args[1], args[2:]...); !strings.Contains("\n"+out, "\npending: ") {
			t.Errorf("%q prints %q", args, out)
		}
	}
	if out := d.run("", "user", "list"); strings.Contains(out, "pending") {
		t.Errorf("a list prints %q", out)
	}
}

// TestSessionCommands shows and ends a user's sessions, with their causes.
func TestSessionCommands(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.run("password\n", "user", "add", "alice", "--id", "42")
	login := func(sessionType string) rig.Answer {
		return want(t, http.StatusOK, d.login("alice", "password", sessionType), "login")
	}
	first, second, third := login("SHORT"), login("SHORT"), login("SHORT") // the first is evicted
	long, out := login("LONG"), login("LONG")
	want(t, http.StatusOK, d.client.Logout(t.Context(), out.Refresh), "logout")

	d.lists(first.SessionID+` +evicted +\S+ +`+third.SessionID, out.SessionID+` +logout `, second.SessionID+` +SHORT .* "a phone"`, long.SessionID+` +LONG `)
	if out := d.run("", "sessions", "end", "--user", "42", "--session", second.SessionID); !strings.HasSuffix("\n"+out, "\n1 ended\n") {
		t.Errorf("sessions end prints %q", out)
	}
	refused(t, d.client.Refresh(t.Context(), "SHORT", second.Refresh), "ended", "operator", "refresh after sessions end")
	d.lists(second.SessionID + ` +operator +\S+ +cli`)
	d.refuse("ended (operator)", "", "sessions", "end", "--user", "42", "--session", second.SessionID)
	d.refuse(`user 42 has no session "-AAA`, "", "sessions", "end", "--user", "42", "--session", "-AAAAAAAAAAAAAAAAAAAAA") // an ID, and no flag
	for _, slip := range [][]string{{long.SessionID}, {"--session", ""}, {"--session=" + long.SessionID, "more"}} {
		d.refuse("usage: tokengate sessions", "", "sessions", "end", append([]string{"--user", "42"}, slip...)...)
	}
	if out := d.run("", "sessions", "end", "--user", "42"); !strings.HasSuffix("\n"+out, "\n2 ended\n") {
		t.Errorf("sessions end for all prints %q", out)
	}
	if out := d.run("", "sessions", "end", "--user", "42"); !strings.HasSuffix("\n"+out, "\n0 ended\n") {
		t.Errorf("sessions end for none prints %q", out)
	}
	refused(t, d.client.Refresh(t.Context(), "LONG", long.Refresh), "ended", "operator", "refresh after sessions end for all")
	d.refuse("usage: tokengate sessions", "", "sessions", "list")
	d.refuse("usage: tokengate sessions", "", "sessions", "prolong", "--user", "42")
}

// lists holds what `sessions list` prints against expressions, one for a line.
func (d *desk) lists(lines ...string) {
	d.Helper()
	out := d.run("", "sessions", "list", "--user", "42")
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(out) {
			d.Errorf("sessions list has no line %s:\n%s", line, out)
		}
	}
}

// TestCheck: the settings and what they point at.
func TestCheck(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	locked := redistest.Standalone(t)
	locked.Do("CONFIG", "SET", "requirepass", "right")
	base := commandsOver(server.URL)
	if code, out := base.run(t, "", "check"); code != 0 || !strings.HasSuffix(out, "ok\n") {
		t.Errorf("all is well: exit code %d, %s", code, out)
	}
	for name, c := range map[string]struct {
		program
		says []string
	}{
		"bad settings":   {append(base[:len(base):len(base)], "TOKENGATE_APP_LAB_LEEWAY=1d"), []string{"TOKENGATE_APP_LAB_LEEWAY"}},
		"no such option": {commandsOver(server.URL + "?timeout=1s"), []string{"TOKENGATE_REDIS_URL", "unknown parameter"}},
		"wrong password": {commandsOver("redis://:hunter2@" + locked.Addr), []string{"Redis can't be reached"}},
		"no user source": {append(base[:len(base):len(base)], "TOKENGATE_APP_LAB_USERS=http://"+ports.Address(t)), []string{"TOKENGATE_APP_LAB_USERS", "connection refused"}},
		"Redis away":     {commandsOver("redis://" + ports.Address(t)), []string{"Redis can't be reached", "connection refused"}},
	} {
		code, out := c.run(t, "", "check")
		if code == 0 || strings.Contains(out, "hunter2") {
			t.Errorf("%s: exit code %d, %s", name, code, out)
		}
		for _, text := range c.says {
			if !strings.Contains(out, text) {
				t.Errorf("%s: it does not say %q: %s", name, text, out)
			}
		}
	}
	server.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	if code, out := base.run(t, "", "check"); code != 0 || !strings.Contains(out, "maxmemory-policy is allkeys-lru") {
		t.Errorf("a policy that loses sessions: exit code %d, %s", code, out)
	}
}

// claimsOf reads a token's claims without a look at its signature.
func claimsOf(t *testing.T, token string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("this is no token: %q", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	must(t, json.NewDecoder(bytes.NewReader(raw)).Decode(&claims))
	return claims
}
