package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/redisstore/redistest"
	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/config/configtest"
)

// --- helpers ---

const (
	appSecret     = "web-secret-0123456789abcdef"
	appSigningKey = "web-signing-key-0123456789abcdef0123456789abcdef"
	appPrefix     = "TOKENGATE_APP_WEB_"
)

// testEnv returns an environment with the app "web", whose user alice is in a file. lines
// change it as withLines does.
func testEnv(t *testing.T, lines ...string) []string {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "alice-pw", []byte("web"), 1, sha256.Size)
	must(t, err)
	hash := "pbkdf2_sha256$1$web$" + base64.StdEncoding.EncodeToString(key)
	users := writeFile(t, fmt.Sprintf(`[{"id": 7, "username": "alice", "password": %q}]`, hash))
	return withLines([]string{
		"TOKENGATE_APPS=web", appPrefix + "SECRET_KEY=" + appSecret, appPrefix + "SIGNING_KEY=" + appSigningKey,
		appPrefix + "USERS=file:" + users, "TOKENGATE_SHUTDOWN_DELAY=0s",
	}, lines...)
}

// withLines returns env with the variables that lines set. A line without "=" removes a
// variable.
func withLines(env []string, lines ...string) []string {
	for _, line := range lines {
		name, _, set := strings.Cut(line, "=")
		env = slices.DeleteFunc(slices.Clone(env), func(old string) bool { return strings.HasPrefix(old, name+"=") })
		if set {
			env = append(env, line)
		}
	}
	return env
}

func writeFile(t *testing.T, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// runCommand runs a command and returns everything that it prints, including its error.
func runCommand(t *testing.T, env []string, stdin string, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	configtest.Setenv(t, env...)
	err = run(ctx, args, cli.Stdio{In: strings.NewReader(stdin), Out: &b, Err: &b})
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String(), err
}

// mustSucceed runs a command that must succeed and returns what it prints.
func mustSucceed(t *testing.T, env []string, stdin string, args ...string) (out string) {
	t.Helper()
	out, err := runCommand(t, env, stdin, args...)
	if err != nil {
		t.Fatalf("%q: %s", args, out)
	}
	return out
}

// mustFail runs a command that must fail and print each of texts.
func mustFail(t *testing.T, env []string, args []string, texts ...string) (out string) {
	t.Helper()
	out, err := runCommand(t, env, "", args...)
	if err == nil {
		t.Errorf("%q: got no error, want one: %s", args, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%q: got %q, want %q", args, out, text)
		}
	}
	return out
}

// --- settings ---

// TestSettingsAreDocumented checks that the table in the documents is the output of
// `tokengate env --markdown`.
func TestSettingsAreDocumented(t *testing.T) {
	document, err := os.ReadFile("deploy/docs/settings.md")
	must(t, err)
	_, rest, opened := strings.Cut(string(document), "<!-- settings: made by `tokengate env --markdown` -->\n")
	table, _, closed := strings.Cut(rest, "<!-- /settings -->")
	if !opened || !closed {
		t.Fatal("settings.md has no marks around its table")
	}
	if printed := mustSucceed(t, nil, "", "env", "--markdown"); table != printed {
		present := func(line string) bool { return strings.Contains(table, line) }
		t.Errorf("settings.md differs from what `tokengate env --markdown` prints: put the output between the marks. It lacks\n%s",
			strings.Join(slices.DeleteFunc(strings.SplitAfter(printed, "\n"), present), ""))
	}
	plain := mustSucceed(t, nil, "", "env")
	for _, row := range config.AllRows() {
		if !strings.Contains(plain, "\n"+row.Name) && !strings.HasPrefix(plain, row.Name) {
			t.Errorf("`tokengate env` lacks %s", row.Name)
		}
	}
}

func TestUnknownSettingIsRejected(t *testing.T) {
	for line, near := range map[string]string{
		"TOKENGATE_LOGLEVEL=debug":                  "TOKENGATE_LOG_LEVEL",
		"TOKENGATE_REDIS_ULR=redis://x":             "TOKENGATE_REDIS_URL",
		appPrefix + "ACCES_TOKEN_LIFETIME=5m":       appPrefix + "ACCESS_TOKEN_LIFETIME",
		appPrefix + "LONG_SESSION_RETRY_WINDOWS=5s": appPrefix + "LONG_SESSION_RETRY_WINDOW",
		appPrefix + "SECRET_KEYFILE=/run/x":         appPrefix + "SECRET_KEY_FILE",
	} {
		name, value, _ := strings.Cut(line, "=")
		out := mustFail(t, testEnv(t, line), []string{"check"}, "unknown setting "+name, "did you mean "+near+"?")
		if strings.Contains(out, value) {
			t.Errorf("%s: the value is printed: %s", name, out)
		}
	}
	mustFail(t, testEnv(t, "TOKENGATE_APP_SHOP_SECRET_KEY=x"), []string{"check"}, "unknown setting TOKENGATE_APP_SHOP_SECRET_KEY")
	mustFail(t, testEnv(t, appPrefix+"SECRET_KEY", appPrefix+"SECRET_KYE=x"), []string{"check"},
		appPrefix+"SECRET_KEY is required", "unknown setting "+appPrefix+"SECRET_KYE; did you mean "+appPrefix+"SECRET_KEY?")
	mustFail(t, testEnv(t, "TOKENGATE_APPS", "TOKENGATE_APS=web", "TOKENGATE_REDIS_URL=redis://x"), []string{"check"},
		"TOKENGATE_APPS is required", "unknown setting TOKENGATE_APS; did you mean TOKENGATE_APPS?")
}

// TestInvalidValueIsNotPrinted gives every setting a value that could be a secret in the
// wrong place. Most settings reject it: the error must name the setting and not contain
// the value.
func TestInvalidValueIsNotPrinted(t *testing.T) {
	const value = "hunter2-is-a-secret"
	accepting := []string{
		"ADMIN_TOKEN", "REDIS_PREFIX", "SECRET_KEY", "ISSUER", "AUDIENCE",
		"USER_ID_CLAIM", "TOKEN_TYPE_CLAIM", "JTI_CLAIM", "AUTH_HEADER_TYPES", "AUTH_HEADER_NAME", "USERNAME_FIELD",
	}
	for _, row := range config.AllRows() {
		name := strings.Replace(row.Name, "<NAME>", "WEB", 1)
		out, err := runCommand(t, testEnv(t, name+"="+value), "", "check")
		short := strings.TrimPrefix(strings.TrimPrefix(name, appPrefix), config.Prefix)
		switch {
		case name == "TOKENGATE_APPS": // it is a valid app name, and that app's settings are missing
			if !strings.Contains(out, "TOKENGATE_APP_HUNTER2_IS_A_SECRET_SECRET_KEY is required") {
				t.Errorf("%s: got %s, want the error that the app's settings are required", name, out)
			}
		case slices.Contains(accepting, short):
			if err != nil {
				t.Errorf("%s: got the error %s, want none", name, out)
			}
		case err == nil:
			t.Errorf("%s: the value is accepted: reject it, or add the setting to accepting", name)
		case !strings.Contains(out, short):
			t.Errorf("%s: the error does not name the setting: %s", name, out)
		}
		if name != "TOKENGATE_APPS" && strings.Contains(out, value) {
			t.Errorf("%s: the value is printed: %s", name, out)
		}
	}
}

// TestSecretsFromFiles gives each secret in a file, then both directly and in a file, then
// in a file that doesn't exist.
func TestSecretsFromFiles(t *testing.T) {
	server := redistest.Standalone(t)
	private, public := ed25519Keys(t)
	values := map[string]string{
		"TOKENGATE_ADMIN_TOKEN": "x", "TOKENGATE_REDIS_URL": server.URL, appPrefix + "SECRET_KEY": appSecret,
		appPrefix + "SIGNING_KEY": appSigningKey, appPrefix + "REFRESH_KEY": "refresh-key-0123456789-0123456789-01234567", appPrefix + "USERS": "redis:", appPrefix + "VERIFYING_KEYS": public,
	}
	for _, row := range config.AllRows() {
		name := strings.Replace(row.Name, "<NAME>", "WEB", 1)
		value, known := values[name]
		if row.Secret != known {
			t.Errorf("%s: secret is %t, but the test has a value for it: %t", name, row.Secret, known)
		}
		if !row.Secret {
			continue
		}
		env := testEnv(t, "TOKENGATE_REDIS_URL="+server.URL, name, name+"_FILE="+writeFile(t, value+"\n"))
		if name == appPrefix+"VERIFYING_KEYS" {
			env = withLines(env, appPrefix+"ALGORITHM=EdDSA", appPrefix+"SIGNING_KEY="+private)
		}
		mustSucceed(t, env, "", "check")
		out := mustFail(t, withLines(env, name+"="+value), []string{"check"}, name+": is given twice", name+"_FILE")
		if strings.Contains(out, value) && value != "x" {
			t.Errorf("%s: the value is printed: %s", name, out)
		}
		out = mustFail(t, withLines(env, name+"_FILE=/hunter2/secret"), []string{"check"}, name+": _FILE can't be read")
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s: the value is printed: %s", name, out)
		}
	}
}

// ed25519Keys returns a key pair as PEM.
func ed25519Keys(t *testing.T) (private, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	pubDER, err := x509.MarshalPKIXPublicKey(pub)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pubDER}))
}

func TestInvalidSettingsAreRejected(t *testing.T) {
	for want, lines := range map[string][]string{
		"USERS is redis:": {appPrefix + "USERS=redis:"},
		appPrefix + "LONG_SESSION_ABSOLUTE_LIFETIME is 1h": {appPrefix + "LONG_SESSION_ABSOLUTE_LIFETIME=1h"},
		appPrefix + "SHORT_SESSION_MAX_NUMBER_ACTIVE":      {appPrefix + "SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS=1001"},
		appPrefix + "SIGNING_KEY":                          {appPrefix + "SIGNING_KEY=short"},
		"ACCESS_TOKEN_LIFETIME":                            {appPrefix + "ACCESS_TOKEN_LIFETIME=0s"},
		"take no negative duration":                        {"TOKENGATE_SHUTDOWN_GRACE=-1s"},
		"TOKENGATE_IDLE_TIMEOUT: give a positive":          {"TOKENGATE_IDLE_TIMEOUT=0s"},
		"TOKENGATE_TLS_KEY_FILE belong together":           {"TOKENGATE_TLS_CERT_FILE=" + writeFile(t, "")},
		"TOKENGATE_TLS_CERT_FILE can't be read":            {"TOKENGATE_TLS_CERT_FILE=/hunter2", "TOKENGATE_TLS_KEY_FILE=/hunter2"},
		"TOKENGATE_TLS_CERT_FILE and KEY_FILE: tls":        {"TOKENGATE_TLS_CERT_FILE=" + writeFile(t, "x"), "TOKENGATE_TLS_KEY_FILE=" + writeFile(t, "x")},
		"TOKENGATE_LISTEN is empty":                        {"TOKENGATE_LISTEN="},
		"TOKENGATE_LOG_FORMAT":                             {"TOKENGATE_LOG_FORMAT=xml"},
		"TOKEN_PROFILE=rfc9068 needs it":                   {appPrefix + "TOKEN_PROFILE=rfc9068"},
		"TOKENGATE_REDIS_WAIT_TIMEOUT":                     {"TOKENGATE_REDIS_URL=redis://x", "TOKENGATE_REDIS_WAIT_REPLICAS=1", "TOKENGATE_REDIS_WAIT_TIMEOUT=0s"},
		"SECRET_KEY is also that of app": {
			"TOKENGATE_APPS=web,twin", "TOKENGATE_APP_TWIN_SECRET_KEY=x," + appSecret,
			"TOKENGATE_APP_TWIN_SIGNING_KEY=" + appSigningKey, "TOKENGATE_APP_TWIN_USERS=file:" + writeFile(t, "[]"),
		},
	} {
		mustFail(t, testEnv(t, lines...), []string{"check"}, want)
	}
}

// --- commands ---

func TestVersionAndHelp(t *testing.T) {
	if out := mustSucceed(t, nil, "", "version"); !strings.HasPrefix(out, "tokengate ") || !strings.Contains(out, " go1.") {
		t.Errorf("version: got the output %q, want tokengate, its version and that of Go", out)
	}
	for _, name := range []string{"help", "-h", "--help"} {
		out := mustSucceed(t, nil, "", name)
		for _, command := range []string{"serve", "env", "check", "health", "user", "sessions", "version"} {
			if !strings.Contains(out, "\n  "+command+" ") {
				t.Errorf("%s does not list the command %s", name, command)
			}
		}
	}
}

func TestInvalidCommandLinesAreRejected(t *testing.T) {
	mustFail(t, nil, []string{"sevre"}, `unknown command "sevre"`, "usage: tokengate")
	mustFail(t, nil, []string{"env", "--html"}, "unknown flag --html", "usage: tokengate env")
	for _, args := range [][]string{{"serve", "--listen=:80"}, {"check", "web"}, {"version", "-v"}} {
		mustFail(t, testEnv(t, "TOKENGATE_LISTEN=nowhere"), args, args[0]+" takes no arguments; settings come from the environment, see `tokengate env`")
	}
	for _, args := range [][]string{{"user"}, {"user", "add", "alice"}, {"sessions"}, {"sessions", "list", "--user", "7"}, {"sessions", "list", "--nap"}} {
		mustFail(t, testEnv(t), args, "usage: tokengate "+args[0])
	}
	env := testEnv(t, "TOKENGATE_REDIS_URL=redis://127.0.0.1:1")
	mustFail(t, env, []string{"user", "list", "--app", "shop"}, `no such app "shop"`)
	mustFail(t, env, []string{"sessions", "list", "--app", "shop", "--user", "7"}, `no such app "shop"`)
}

// TestOperatorCommandsNeedSharedState checks that a command fails if it could act only on
// its own memory, or on users that no app uses. Otherwise the command would seem to have
// changed something.
func TestOperatorCommandsNeedSharedState(t *testing.T) {
	server := redistest.Standalone(t)
	for _, args := range [][]string{
		{"user", "add", "--app", "web", "bob"}, {"user", "list", "--app", "web"}, {"user", "disable", "--app", "web", "alice"},
		{"sessions", "list", "--app", "web", "--user", "7"}, {"sessions", "end", "--app", "web", "--user", "7"},
	} {
		mustFail(t, testEnv(t), args, "set TOKENGATE_REDIS_URL")
		mustFail(t, testEnv(t, appPrefix+"USERS=redis:"), args, "TOKENGATE_REDIS_URL is empty")
		env := testEnv(t, "TOKENGATE_REDIS_URL="+server.URL)
		if args[0] == "user" {
			mustFail(t, env, args, appPrefix+"USERS is not redis:")
		} else {
			mustSucceed(t, env, "", args...)
		}
	}
	for _, recheck := range []string{"", "off"} {
		env := testEnv(t, "TOKENGATE_REDIS_URL="+server.URL, appPrefix+"USERS=redis:", appPrefix+"RECHECK_USER="+recheck)
		mustSucceed(t, env, "bob's password", "user", "add", "--app", "web", "bob"+recheck)
	}
	mustFail(t, nil, []string{"sessions", "list", "--app", "demo", "--user", "1"}, "set TOKENGATE_REDIS_URL")
}

// TestRedisClientLogsAtDebug checks that the Redis client's message about a failed dial is
// logged at level debug only.
func TestRedisClientLogsAtDebug(t *testing.T) {
	for level, want := range map[string]bool{"debug": true, "info": false} {
		path := writeFile(t, "")
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // a file, because the client may still write after the command is done
		must(t, err)
		defer file.Close()
		env := testEnv(t, "TOKENGATE_REDIS_URL=redis://127.0.0.1:1", "TOKENGATE_LOG_LEVEL="+level)
		configtest.Setenv(t, env...)
		if run(t.Context(), []string{"check"}, cli.Stdio{In: strings.NewReader(""), Out: file, Err: file}) == nil {
			t.Error("check succeeds, but no Redis should listen there")
		}
		log, err := os.ReadFile(path)
		if must(t, err); strings.Contains(string(log), `msg="redis client"`) != want {
			t.Errorf("at level %s: got the log %s, want a line of the Redis client: %t", level, log, want)
		}
	}
}

// TestServeInMemory starts and stops the program as main does, with sessions in memory.
func TestServeInMemory(t *testing.T) {
	address := freeport.Address(t)
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	done := make(chan error, 1)
	env := testEnv(t, "TOKENGATE_LISTEN="+address, "TOKENGATE_ADMIN_LISTEN=")
	configtest.Setenv(t, env...)
	go func() { done <- run(ctx, nil, cli.Stdio{In: strings.NewReader(""), Out: &log, Err: &log}) }()
	body := fmt.Sprintf(`{"username":"alice","password":"alice-pw","secret_key":%q,"session":"LONG","info":"x"}`, appSecret)
	var resp *http.Response
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if resp, err = http.Post("http://"+address+"/api/session/login/", "application/json", strings.NewReader(body)); err == nil {
			break
		}
	}
	must(t, err)
	var tokens struct{ Access string }
	if err := errors.Join(json.NewDecoder(resp.Body).Decode(&tokens), resp.Body.Close()); err != nil || tokens.Access == "" {
		t.Errorf("login: got status %s, error %v, want an access token", resp.Status, err)
	}
	stop()
	must(t, <-done)
	if !strings.Contains(log.String(), "sessions are kept in memory") {
		t.Errorf("the log lacks the warning that sessions are in memory: %s", log.String())
	}
}
