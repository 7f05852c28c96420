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
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/ports"
	"tokengate/redisstore/redistest"
)

// --- running the program within the test ---

const (
	labSecret  = "lab-secret-0123456789abcdef"
	labSigning = "lab-signing-key-0123456789abcdef0123456789abcdef"
	labApp     = "TOKENGATE_APP_LAB_"
)

// lab is an environment with one app, its users in a file.
func lab(t *testing.T, lines ...string) []string {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, "alice-pw", []byte("lab"), 1, sha256.Size)
	must(t, err)
	hash := "pbkdf2_sha256$1$lab$" + base64.StdEncoding.EncodeToString(key)
	users := writeFile(t, fmt.Sprintf(`[{"id": 7, "username": "alice", "password": %q}]`, hash))
	return with([]string{
		"TOKENGATE_APPS=lab", labApp + "SECRET_KEY=" + labSecret, labApp + "SIGNING_KEY=" + labSigning,
		labApp + "USERS=file:" + users, "TOKENGATE_SHUTDOWN_DELAY=0s",
	}, lines...)
}

// with sets variables in an environment; a line without "=" removes one.
func with(env []string, lines ...string) []string {
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

// tokengate runs a command. out is all that it would print, its error included.
func tokengate(t *testing.T, env []string, stdin string, args ...string) (out string, err error) {
	t.Helper()
	var b bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = run(ctx, args, env, stdio{strings.NewReader(stdin), &b, &b, ""})
	if err != nil {
		fmt.Fprintln(&b, err)
	}
	return b.String(), err
}

// succeed runs a command that must succeed.
func succeed(t *testing.T, env []string, stdin string, args ...string) (out string) {
	t.Helper()
	out, err := tokengate(t, env, stdin, args...)
	if err != nil {
		t.Fatalf("%q: %s", args, out)
	}
	return out
}

// fail runs a command that must fail and say each of texts.
func fail(t *testing.T, env []string, args []string, texts ...string) (out string) {
	t.Helper()
	out, err := tokengate(t, env, "", args...)
	if err == nil {
		t.Errorf("%q succeeds: %s", args, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("%q does not say %q: %s", args, text, out)
		}
	}
	return out
}

// --- the house ---

// thirdParty is who may import what is not the standard library's nor ours.
var thirdParty = map[string][]string{
	"tokengate":                    {"github.com/prometheus/client_golang"},
	"tokengate/api":                {"github.com/go-chi/chi", "github.com/prometheus/client_golang"},
	"tokengate/api/wiretest":       {"github.com/rogpeppe/go-internal"},
	"tokengate/redisstore":         {"github.com/redis/go-redis"},
	"tokengate/session/credential": {"github.com/jackc/pgx", "golang.org/x"},
	"tokengate/session/storetest":  {"github.com/anishathalye/porcupine"},
	"tokengate/session/token":      {"github.com/lestrrat-go/jwx"},
}

// own is who may import which packages of the module beside tokengate/session,
// which all but those in loners may.
var own = map[string][]string{
	"tokengate": {
		"tokengate/api", "tokengate/redisstore", "tokengate/session/credential", "tokengate/session/memstore",
		"tokengate/session/settings", "tokengate/session/token",
	},
	"tokengate/redisstore":           {"tokengate/lua"},
	"tokengate/session/storetest":    {"tokengate/session/memstore"}, // the model that other stores are held against
	"tokengate/redisstore/redistest": {"tokengate/deploy/ports"},
	"tokengate/deploy/rig":           {"tokengate/deploy/ports"},
}

var loners = []string{"tokengate/session", "tokengate/lua", "tokengate/deploy/ports", "tokengate/deploy/rig", "tokengate/redisstore/redistest", "tokengate/api/wiretest"}

// TestImportStar: adapters import the engine and never each other. What stands
// under deploy is for tests and measurements and may import more, but nothing
// that is shipped imports it, nor any other package that is for tests.
func TestImportStar(t *testing.T) {
	for name, imports := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		if strings.HasPrefix(name, "tokengate/deploy/") && !slices.Contains(loners, name) {
			continue
		}
		for _, imported := range imports {
			allowed := imported == "tokengate/session" && !slices.Contains(loners, name) || slices.Contains(own[name], imported)
			for _, module := range thirdParty[name] {
				allowed = allowed || strings.HasPrefix(imported+"/", module+"/")
			}
			if !allowed && !standard(imported) {
				t.Errorf("%s imports %s", name, imported)
			}
		}
	}
	for dep := range goList(t, "-deps", ".") {
		if base := path.Base(dep); strings.HasPrefix(dep, "tokengate/deploy") || base == "testing" ||
			strings.HasPrefix(dep, "tokengate/") && strings.HasSuffix(base, "test") {
			t.Errorf("the program holds %s", dep)
		}
	}
}

func TestEngineNeedsOnlyTheStandardLibrary(t *testing.T) {
	for dep := range goList(t, "-deps", "./session") {
		if !standard(dep) && dep != "tokengate/session" || dep == "net/http" {
			t.Errorf("the engine needs %s", dep)
		}
	}
}

func TestEngineHasAtMostFivePackages(t *testing.T) {
	found := goList(t, "./session/...")
	for name := range found {
		if strings.Count(name, "/") > 2 {
			t.Errorf("%s is too deep", name)
		}
	}
	if n := len(found) - 1; n > 5 {
		t.Errorf("%d packages under session/", n)
	}
}

// standard tells a package of the standard library: its first part has no dot.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && first != "tokengate"
}

// goList gives the words of each line that `go list` prints, by the first.
func goList(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
	must(t, err)
	lines := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		lines[words[0]] = words[1:]
	}
	if len(lines) == 0 {
		t.Fatalf("go list %q finds nothing", args)
	}
	return lines
}

// --- settings ---

func TestReadmeHasTheSettings(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	must(t, err)
	_, rest, opened := strings.Cut(string(readme), "<!-- settings: made by `tokengate env --markdown` -->\n")
	table, _, closed := strings.Cut(rest, "<!-- /settings -->")
	if !opened || !closed {
		t.Fatal("README has no marks around its table of settings")
	}
	if printed := succeed(t, nil, "", "env", "--markdown"); table != printed {
		t.Errorf("README's table of settings differs from what `tokengate env --markdown` prints: put that between the marks\n%s", printed)
	}
	plain := succeed(t, nil, "", "env")
	for _, row := range allSettings() {
		if !strings.Contains(plain, "\n"+row.Name) && !strings.HasPrefix(plain, row.Name) {
			t.Errorf("`tokengate env` lacks %s", row.Name)
		}
	}
}

func TestUnknownSettingsStopTheStart(t *testing.T) {
	for line, near := range map[string]string{
		"TOKENGATE_LOGLEVEL=debug":               "TOKENGATE_LOG_LEVEL",
		"TOKENGATE_REDIS_ULR=redis://x":          "TOKENGATE_REDIS_URL",
		labApp + "ACCES_TOKEN_LIFETIME=5m":       labApp + "ACCESS_TOKEN_LIFETIME",
		labApp + "LONG_SESSION_RETRY_WINDOWS=5s": labApp + "LONG_SESSION_RETRY_WINDOW",
		labApp + "SECRET_KEYFILE=/run/x":         labApp + "SECRET_KEY_FILE",
	} {
		name, value, _ := strings.Cut(line, "=")
		out := fail(t, lab(t, line), []string{"check"}, name+" is no setting", "did you mean "+near+"?")
		if strings.Contains(out, value) {
			t.Errorf("%s: the value is told: %s", name, out)
		}
	}
	fail(t, lab(t, "TOKENGATE_APP_SHOP_SECRET_KEY=x"), []string{"check"}, "TOKENGATE_APP_SHOP_SECRET_KEY is no setting")
	fail(t, lab(t, labApp+"SECRET_KEY", labApp+"SECRET_KYE=x"), []string{"check"},
		labApp+"SECRET_KEY is required", labApp+"SECRET_KYE is no setting; did you mean "+labApp+"SECRET_KEY?")
	fail(t, lab(t, "TOKENGATE_APPS", "TOKENGATE_APS=lab", "TOKENGATE_REDIS_URL=redis://x"), []string{"check"},
		"TOKENGATE_APPS is required", "TOKENGATE_APS is no setting; did you mean TOKENGATE_APPS?")
}

// TestBadValuesAreNamedAndNotTold gives every setting a value that may be a
// secret put into the wrong place. Most settings can't take it.
func TestBadValuesAreNamedAndNotTold(t *testing.T) {
	const value = "hunter2-is-a-secret"
	taken := []string{
		"LISTEN", "ADMIN_LISTEN", "ADMIN_TOKEN", "REDIS_PREFIX", "SECRET_KEY", "ISSUER", "AUDIENCE",
		"USER_ID_CLAIM", "TOKEN_TYPE_CLAIM", "JTI_CLAIM", "AUTH_HEADER_TYPES", "AUTH_HEADER_NAME",
	}
	for _, row := range allSettings() {
		name := strings.Replace(row.Name, "<NAME>", "LAB", 1)
		out, err := tokengate(t, lab(t, name+"="+value), "", "check")
		short := strings.TrimPrefix(strings.TrimPrefix(name, labApp), envPrefix)
		switch {
		case name == "TOKENGATE_APPS": // a name of an app, and then that app lacks everything
			if !strings.Contains(out, "TOKENGATE_APP_HUNTER2_IS_A_SECRET_SECRET_KEY is required") {
				t.Errorf("%s: %s", name, out)
			}
		case slices.Contains(taken, short):
			if err != nil {
				t.Errorf("%s: %s", name, out)
			}
		case err == nil:
			t.Errorf("%s takes anything", name)
		case !strings.Contains(out, short):
			t.Errorf("%s is not named: %s", name, out)
		}
		if name != "TOKENGATE_APPS" && strings.Contains(out, value) {
			t.Errorf("%s: the value is told: %s", name, out)
		}
	}
}

// TestSecretsFromFiles gives each secret by its file, then twice, then by a file
// that isn't there.
func TestSecretsFromFiles(t *testing.T) {
	server := redistest.Standalone(t)
	private, public := ed25519Keys(t)
	values := map[string]string{
		"TOKENGATE_ADMIN_TOKEN": "x", "TOKENGATE_REDIS_URL": server.URL, labApp + "SECRET_KEY": labSecret,
		labApp + "SIGNING_KEY": labSigning, labApp + "USERS": "redis:", labApp + "VERIFYING_KEYS": public,
	}
	for _, row := range allSettings() {
		name := strings.Replace(row.Name, "<NAME>", "LAB", 1)
		value, known := values[name]
		if row.Secret != known {
			t.Errorf("%s: is it a secret? %t, and the test knows a value: %t", name, row.Secret, known)
		}
		if !row.Secret {
			continue
		}
		env := lab(t, "TOKENGATE_REDIS_URL="+server.URL, name, name+"_FILE="+writeFile(t, value+"\n"))
		if name == labApp+"VERIFYING_KEYS" {
			env = with(env, labApp+"ALGORITHM=EdDSA", labApp+"SIGNING_KEY="+private)
		}
		succeed(t, env, "", "check")
		out := fail(t, with(env, name+"="+value), []string{"check"}, name+": is given twice", name+"_FILE")
		if strings.Contains(out, value) && value != "x" {
			t.Errorf("%s: the value is told: %s", name, out)
		}
		out = fail(t, with(env, name+"_FILE=/hunter2/secret"), []string{"check"}, name+": _FILE can't be read")
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s: the value is told: %s", name, out)
		}
	}
}

// ed25519Keys gives a key pair as PEM.
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

func TestSettingsThatDontFitTogether(t *testing.T) {
	for want, lines := range map[string][]string{
		"USERS is redis:": {labApp + "USERS=redis:"},
		labApp + "LONG_SESSION_ABSOLUTE_LIFETIME is 1h": {labApp + "LONG_SESSION_ABSOLUTE_LIFETIME=1h"},
		labApp + "SHORT_SESSION_MAX_NUMBER_ACTIVE":      {labApp + "SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS=1001"},
		labApp + "SIGNING_KEY":                          {labApp + "SIGNING_KEY=short"},
		"ACCESS_TOKEN_LIFETIME":                         {labApp + "ACCESS_TOKEN_LIFETIME=0s"},
		"take no negative duration":                     {"TOKENGATE_SHUTDOWN_GRACE=-1s"},
		"TOKENGATE_LISTEN is empty":                     {"TOKENGATE_LISTEN="},
		"TOKENGATE_LOG_FORMAT":                          {"TOKENGATE_LOG_FORMAT=xml"},
		"TOKEN_PROFILE=rfc9068 needs it":                {labApp + "TOKEN_PROFILE=rfc9068"},
		"TOKENGATE_REDIS_WAIT_TIMEOUT":                  {"TOKENGATE_REDIS_URL=redis://x", "TOKENGATE_REDIS_WAIT_REPLICAS=1", "TOKENGATE_REDIS_WAIT_TIMEOUT=0s"},
		"SECRET_KEY is also that of app": {
			"TOKENGATE_APPS=lab,twin", "TOKENGATE_APP_TWIN_SECRET_KEY=x," + labSecret,
			"TOKENGATE_APP_TWIN_SIGNING_KEY=" + labSigning, "TOKENGATE_APP_TWIN_USERS=file:" + writeFile(t, "[]"),
		},
	} {
		fail(t, lab(t, lines...), []string{"check"}, want)
	}
}

// --- commands ---

func TestVersionHelpAndUnknownCommands(t *testing.T) {
	if out := succeed(t, nil, "", "version"); !strings.HasPrefix(out, "tokengate ") || !strings.Contains(out, " go1.") {
		t.Errorf("version: %q", out)
	}
	for _, name := range []string{"help", "-h", "--help"} {
		out := succeed(t, nil, "", name)
		for _, command := range []string{"serve", "env", "check", "user", "sessions", "version"} {
			if !strings.Contains(out, "\n  "+command+" ") {
				t.Errorf("%s does not tell of %s", name, command)
			}
		}
	}
	fail(t, nil, []string{"sevre"}, `"sevre" is no command`, "usage: tokengate")
	fail(t, nil, []string{"env", "--html"}, "usage: tokengate env")
	for _, args := range [][]string{{"serve", "--listen=:80"}, {"check", "lab"}, {"version", "-v"}} {
		fail(t, lab(t, "TOKENGATE_LISTEN=nowhere"), args, args[0]+" takes no arguments; settings come from the environment, see `tokengate env`")
	}
	for _, args := range [][]string{{"user"}, {"user", "add", "alice"}, {"sessions"}, {"sessions", "list", "--user", "7"}, {"sessions", "list", "--nap"}} {
		fail(t, lab(t), args, "usage: tokengate "+args[0])
	}
	redis := lab(t, "TOKENGATE_REDIS_URL=redis://127.0.0.1:1")
	fail(t, redis, []string{"user", "list", "--app", "shop"}, `no app "shop"`)
	fail(t, redis, []string{"sessions", "list", "--app", "shop", "--user", "7"}, `no app "shop"`)
}

// TestOperatorsActOnWhatThereIs: a command that would act on a memory of its own,
// or on users whom nobody asks for, must not seem to have done something.
func TestOperatorsActOnWhatThereIs(t *testing.T) {
	server := redistest.Standalone(t)
	for _, args := range [][]string{
		{"user", "add", "--app", "lab", "bob"}, {"user", "list", "--app", "lab"}, {"user", "disable", "--app", "lab", "alice"},
		{"sessions", "list", "--app", "lab", "--user", "7"}, {"sessions", "end", "--app", "lab", "--user", "7"},
	} {
		fail(t, lab(t), args, "set TOKENGATE_REDIS_URL")
		fail(t, lab(t, labApp+"USERS=redis:"), args, "TOKENGATE_REDIS_URL is empty")
		env := lab(t, "TOKENGATE_REDIS_URL="+server.URL)
		if args[0] == "user" {
			fail(t, env, args, labApp+"USERS is not redis:")
		} else {
			succeed(t, env, "", args...)
		}
	}
	for _, recheck := range []string{"", "off"} {
		env := lab(t, "TOKENGATE_REDIS_URL="+server.URL, labApp+"USERS=redis:", labApp+"RECHECK_USER="+recheck)
		succeed(t, env, "pw", "user", "add", "--app", "lab", "bob"+recheck)
	}
	fail(t, nil, []string{"sessions", "list", "--app", "demo", "--user", "1"}, "set TOKENGATE_REDIS_URL")
}

// TestDebugTellsOfTheClient: what the Redis client says of a dial that fails is
// in the log of who debugs, and of nobody else.
func TestDebugTellsOfTheClient(t *testing.T) {
	for level, want := range map[string]bool{"debug": true, "info": false} {
		path := writeFile(t, "")
		file, err := os.OpenFile(path, os.O_WRONLY, 0) // unlike a buffer, the client may write to it when all is done
		must(t, err)
		defer file.Close()
		env := lab(t, "TOKENGATE_REDIS_URL=redis://127.0.0.1:1", "TOKENGATE_LOG_LEVEL="+level)
		if run(t.Context(), []string{"check"}, env, stdio{strings.NewReader(""), file, file, ""}) == nil {
			t.Error("something listens there")
		}
		said, err := os.ReadFile(path)
		if must(t, err); strings.Contains(string(said), `msg="redis client"`) != want {
			t.Errorf("at %s: %s", level, said)
		}
	}
}

// TestServeInMemory starts and stops the program as main does, without a server
// beside it.
func TestServeInMemory(t *testing.T) {
	address := ports.Address(t)
	ctx, stop := context.WithCancel(t.Context())
	var log bytes.Buffer
	done := make(chan error, 1)
	env := lab(t, "TOKENGATE_LISTEN="+address, "TOKENGATE_ADMIN_LISTEN=")
	go func() { done <- run(ctx, nil, env, stdio{strings.NewReader(""), &log, &log, ""}) }()
	body := fmt.Sprintf(`{"username":"alice","password":"alice-pw","secret_key":%q,"session":"LONG","info":"x"}`, labSecret)
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
		t.Errorf("the login answers %s, %v", resp.Status, err)
	}
	stop()
	must(t, <-done)
	if !strings.Contains(log.String(), "sessions are kept in memory") {
		t.Errorf("the log does not say that sessions are in memory: %s", log.String())
	}
}
