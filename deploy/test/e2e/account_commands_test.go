package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// newAccountCommands is like newCommandTest, with more settings of the app for the gateway and
// for the commands, each NAME=value.
func newAccountCommands(t *testing.T, settings ...string) *commandTest {
	t.Helper()
	server := redistest.Standalone(t)
	gateway := gatewaytest.Settings{"APP_USERS": "redis:"}
	env := newCommandEnv(server.URL)
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		gateway["APP_"+name] = value
		env = env.with(appPrefix + setting)
	}
	return &commandTest{T: t, env: env, client: startShop(t, server.URL, gateway).Client()}
}

// as runs a command with exactly these arguments.
func (c *commandTest) as(want int, stdin string, args ...string) (output string) {
	c.Helper()
	code, output := c.env.run(c.T, stdin, args...)
	if code != want {
		c.Errorf("tokengate %s: got exit code %d, output %s; want %d", strings.Join(args, " "), code, output, want)
	}
	return output
}

// splitOutput runs a command, which must succeed, and returns its two outputs.
func (c *commandTest) splitOutput(stdin string, args ...string) (stdout, stderr string) {
	c.Helper()
	cmd := exec.Command(gatewaytest.Binary(c.T), args...)
	var out, err bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.env, strings.NewReader(stdin), &out, &err
	if failed := cmd.Run(); failed != nil {
		c.Fatalf("tokengate %s: %v\n%s%s", strings.Join(args, " "), failed, &out, &err)
	}
	return out.String(), err.String()
}

// impossiblePasswords are passwords that a user could not log in with, or that are too short.
var impossiblePasswords = map[string]string{
	"spaces":               strings.Repeat(" ", 12),
	"tabs":                 "\t\t\t\t\t\t\t\t\t",
	"Unicode spaces":       strings.Repeat("\u3000\u00a0\u2003", 4),
	"NUL":                  "long\x00password",
	"NUL at the end":       "longpassword\x00",
	"arrow key":            "password\x1b[A",
	"delete":               "password\x7f",
	"line end within":      "pass\nword-1",
	"byte order mark":      "\ufeffpassword-1",
	"invisible":            strings.Repeat("\u200b", 9),
	"Latin-1":              "caf\xe9-password",
	"half of a character":  "password-\xe2\x82",
	"1025 bytes":           strings.Repeat("p", 1025),
	"1026 bytes":           strings.Repeat("é", 513),
	"70 KiB":               strings.Repeat("p", 70<<10),
	"7 characters":         "1234567",
	"7 characters, longer": "密码密码密码密",
}

// possiblePasswords are passwords at the limits.
var possiblePasswords = map[string]string{
	"8 characters":           "12345678",
	"8 characters, longer":   "密码密码密码密码",
	"1024 bytes":             strings.Repeat("p", 1024),
	"spaces within":          "correct horse battery",
	"spaces around":          "  correct horse  ",
	"quotes and backslashes": `"\'${x}` + "`",
}

// TestA6PasswordsThatCanBeTyped checks which passwords the commands accept, and that a refused
// one changes nothing.
func TestA6PasswordsThatCanBeTyped(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	c.run(oldPassword, "user", "add", "alice", "--id", "42")
	s := newClientSession(t, c.client, c.login("alice", oldPassword, "LONG"), "LONG")
	for what, password := range impossiblePasswords {
		for _, args := range [][]string{{"user", "add", "bob"}, {"user", "passwd", "alice"}} {
			for _, newline := range []string{"", "\n"} {
				if code, output := c.try(password+newline, args[0], args[1], args[2:]...); code != 1 || !strings.Contains(output, "password") {
					t.Errorf("%s, %q: got exit code %d, output %.200s; want 1 and an error about the password", what, args, code, output)
				}
			}
		}
		if resp := c.login("bob", password, "LONG"); resp.Status != http.StatusBadRequest && resp.Status != http.StatusRequestEntityTooLarge {
			t.Errorf("login with the password %s: got status %d, body %s; want 400", what, resp.Status, resp.Body)
		}
	}
	if list := c.run("", "user", "list"); strings.Contains(list, "bob") {
		t.Errorf("user list: got the output %s, want no user bob", list)
	}
	s.checkLive("after refused passwords")
	requireStatus(t, http.StatusOK, c.login("alice", oldPassword, "SHORT"), "login with the password of before")
	for what, password := range possiblePasswords {
		c.run(password, "user", "passwd", "alice")
		requireStatus(t, http.StatusOK, c.login("alice", password, "LONG"), "login with a password of "+what)
		name := "user-" + strings.NewReplacer(" ", "-", ",", "").Replace(what)
		c.run(password+"\n", "user", "add", name)
		requireStatus(t, http.StatusOK, c.login(name, password, "LONG"), "login of a new user with a password of "+what)
	}
}

// TestA6MinimumLength checks PASSWORD_MIN_LENGTH.
func TestA6MinimumLength(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, 4, 12, 64} {
		t.Run(strconv.Itoa(length), func(t *testing.T) {
			t.Parallel()
			c := newAccountCommands(t, fmt.Sprintf("PASSWORD_MIN_LENGTH=%d", length))
			long := strings.Repeat("é", length)
			c.run(long, "user", "add", "alice")
			requireStatus(t, http.StatusOK, c.login("alice", long, "LONG"), "login")
			c.fail("password", strings.Repeat("é", length-1), "user", "passwd", "alice")
			c.fail("password", strings.Repeat("é", length-1)+"\n", "user", "add", "bob")
			c.run(long+"x", "user", "passwd", "alice")
			requireStatus(t, http.StatusOK, c.login("alice", long+"x", "LONG"), "login")
		})
	}
}

// TestA6LongPasswordsAtLogin checks that a login with a password of more than 1024 bytes is a
// failed login as any other.
func TestA6LongPasswordsAtLogin(t *testing.T) {
	t.Parallel()
	c := startShop(t, redistest.Standalone(t).URL, nil).Client()
	wrong := requireStatus(t, http.StatusBadRequest, tryLogin(t, c, gatewaytest.Username(0), "wrong password", "LONG"), "login with a wrong password")
	for _, length := range []int{1024, 1025, 4096, 58 << 10} {
		for _, name := range []string{gatewaytest.Username(0), "unknown"} {
			resp := tryLogin(t, c, name, strings.Repeat("p", length), "LONG")
			if resp.Status != wrong.Status || !bytes.Equal(resp.Body, wrong.Body) {
				t.Errorf("%s, %d bytes: got status %d, body %s; want %d, %s", name, length, resp.Status, resp.Body, wrong.Status, wrong.Body)
			}
		}
	}
}

// TestA7UnsupportedHashes imports users with hashes that no version of the program understands.
// They get an unusable password, a warning names their lines, and all others can log in.
func TestA7UnsupportedHashes(t *testing.T) {
	t.Parallel()
	good := quickHash(t, oldPassword, "salt")
	for name, hash := range map[string]string{
		"unsalted md5":          "5f4dcc3b5aa765d61d8327deb882cf99",
		"unsalted md5, named":   "md5$$5f4dcc3b5aa765d61d8327deb882cf99",
		"salted md5":            "md5$salt$67a1e09bb1f83f5007dc119c14d663aa",
		"salted sha1":           "sha1$salt$59b3e8d637cf97edbe2384cf59cb7453dfe30789",
		"unsalted sha1":         "sha1$$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
		"crypt":                 "crypt$$aaQSqAReePlq6",
		"unknown scheme":        "whirlpool$100$salt$5baa61e4c9b93f3f0682250b6cf8331b7ee68fd8",
		"sha512crypt of shadow": "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newAccountCommands(t)
			for format, dump := range map[string]string{
				"user file": `[{"id":1,"username":"ann","password":"` + good + `"},
{"id":2,"username":"ben","password":"` + hash + `"},
{"id":3,"username":"cyd","password":"` + good + `"}]`,
				"Django's dump": `[{"model":"auth.user","pk":11,"fields":{"username":"dan","is_active":true,"password":"` + good + `"}},
{"model":"auth.user","pk":12,"fields":{"username":"eve","is_active":true,"password":"` + hash + `"}},
{"model":"auth.user","pk":13,"fields":{"username":"fay","is_active":true,"password":"` + good + `"}}]`,
			} {
				stdout, stderr := c.splitOutput(dump, "user", "import", "--app", gatewaytest.App, "-")
				if !strings.HasPrefix(stdout, "3 users") {
					t.Errorf("%s: got the output %q, want 3 users", format, stdout)
				}
				if !regexp.MustCompile(`(line|entry) 2\b`).MatchString(stderr) || regexp.MustCompile(`(line|entry) [13]\b`).MatchString(stderr) {
					t.Errorf("%s: got the warnings %q, want one of line or entry 2", format, stderr)
				}
				if strings.Contains(stdout+stderr, hash) {
					t.Errorf("%s: the output %q%q contains a hash", format, stdout, stderr)
				}
			}
			list := c.run("", "user", "list")
			for name, status := range map[string]int{
				"ann": http.StatusOK, "ben": http.StatusBadRequest, "cyd": http.StatusOK, "dan": http.StatusOK, "eve": http.StatusBadRequest, "fay": http.StatusOK,
			} {
				requireStatus(t, status, c.login(name, oldPassword, "LONG"), "login of "+name)
				if !strings.Contains(list, name) {
					t.Errorf("user list: got the output %s, want %s in it", list, name)
				}
			}
			requireStatus(t, http.StatusBadRequest, c.login("ben", hash, "LONG"), "login with the hash as password")
			c.run(newPassword, "user", "passwd", "ben")
			requireStatus(t, http.StatusOK, c.login("ben", newPassword, "LONG"), "login after passwd")
		})
	}
}

// TestW8IntegerIDs checks that users of a redis: source get consecutive integers as ids on
// request, and that no id is given twice.
func TestW8IntegerIDs(t *testing.T) {
	t.Parallel()
	c := newAccountCommands(t)
	add := func(name string) int {
		t.Helper()
		output := strings.TrimSpace(c.run(oldPassword, "user", "add", name, "--integer-id"))
		id, err := strconv.Atoi(output)
		if err != nil || id < 1 {
			t.Errorf("user add --integer-id: got the output %q, want a positive integer", output)
		}
		return id
	}
	c.run(`[{"id":7,"username":"seven","password":"!"},{"id":"8","username":"eight","password":"!"}]`, "user", "import", "-")
	c.run(oldPassword, "user", "add", "three", "--id", "3")
	ids := []int{3, 7, 8}
	for i := range 12 {
		name := fmt.Sprintf("user%d", i)
		id := add(name)
		if slices.Contains(ids, id) {
			t.Errorf("user add --integer-id: got the id %d, which is one of %v", id, ids)
		}
		ids = append(ids, id)
		s := newClientSession(t, c.client, c.login(name, oldPassword, "LONG"), "LONG")
		s.checkUserID("user_id", strconv.Itoa(id), strconv.Itoa(id), "login of a numbered user")
		s.checkLive("numbered user")
	}
	c.run("", "user", "remove", "user11")
	if id := add("next"); slices.Contains(ids, id) {
		t.Errorf("user add --integer-id after a removal: got the id %d, which was given before", id)
	}
	results := make(chan string)
	for i := range 8 {
		go func() {
			_, output := c.env.run(t, oldPassword, "user", "add", fmt.Sprintf("concurrent%d", i), "--integer-id", "--app", gatewaytest.App)
			results <- strings.TrimSpace(output)
		}()
	}
	var concurrent []string
	for range 8 {
		id := <-results
		if _, err := strconv.Atoi(id); err != nil || slices.Contains(concurrent, id) {
			t.Errorf("concurrent user add --integer-id: got the output %q after %q, want another integer", id, concurrent)
		}
		concurrent = append(concurrent, id)
	}
	text := strings.TrimSpace(c.run(oldPassword, "user", "add", "random"))
	if _, err := strconv.Atoi(text); err == nil {
		t.Errorf("user add without --integer-id: got the id %s, want a random text", text)
	}
}
