package samples

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestEveryBlockIsTested fails for a code block that no rule covers.
func TestEveryBlockIsTested(t *testing.T) {
	for _, document := range documents(t) {
		for _, b := range blocks(t, document) {
			t.Run(b.String(), func(t *testing.T) { checkBlock(t, b) })
		}
	}
}

// checkBlock applies the rule for a block. The rules that need more than the block have a
// test of their own.
func checkBlock(t *testing.T, b block) {
	_, verifies := verifierOf(b)
	switch {
	case verifies: // TestVerifiers
	case b.language == "sh": // TestShellSamples
	case b.language == "env": // TestSettingsSamples
	case b.language == "json":
		if !json.Valid([]byte(b.text)) {
			t.Error("not valid JSON")
		}
	case b.language == "text":
		if line := code.FindString(b.text); line != "" {
			t.Errorf("%q is code: give the block its language", line)
		}
	case strings.HasPrefix(b.text, "ACL SETUSER "):
		checkRedisCommand(t, b)
	default:
		t.Errorf("no rule covers a block of the language %q:\n%s", b.language, b.text)
	}
}

// code matches a line that could be run or read by a program.
var code = regexp.MustCompile(`(?mi)^\s*(\$ |curl |go |tokengate |printf |docker |import |from |def |func |const |let |select |update |insert |TOKENGATE_|[A-Z_]+=|[{\[]).*`)

// checkRedisCommand runs a command of redis-cli, with its continuation lines.
func checkRedisCommand(t *testing.T, b block) {
	command := strings.Fields(strings.ReplaceAll(b.text, "\\\n", " "))
	if reply := redistest.Standalone(t).Do(command...); reply != "OK" {
		t.Errorf("got the reply %s, want OK", reply)
	}
}

// settingName matches the name of a setting. One that ends in "_" is the beginning of a
// group of names.
var settingName = regexp.MustCompile(`TOKENGATE_[A-Z0-9_]*`)

// TestNamesOfSettings checks that no document names a setting that does not exist. Other
// names are the variables of tests.
func TestNamesOfSettings(t *testing.T) {
	known := settings(t)
	tests := testVariables(t)
	for _, document := range documents(t) {
		text := strings.ReplaceAll(readFile(t, filepath.Join(root, document)), "APP_<NAME>_", "APP_SHOP_")
		for _, name := range settingName.FindAllString(text, -1) {
			if !known[name] && !tests[name] && !begins(known, name) {
				t.Errorf("%s: unknown setting %s", document, name)
			}
		}
	}
}

// begins reports whether name is the beginning of a group of settings.
func begins(known map[string]bool, name string) bool {
	if !strings.HasSuffix(name, "_") {
		return false
	}
	for k := range known {
		if strings.HasPrefix(k, name) {
			return true
		}
	}
	return false
}

// settings returns the names of all settings of the process and of the apps shop and
// demo, as `tokengate env` prints them, with their _FILE forms.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for line := range strings.Lines(runIn(t, t.TempDir(), "", gatewaytest.Binary(t), "env")) {
		name := strings.Fields(line)[0]
		for _, app := range []string{"SHOP", "DEMO"} {
			full := strings.Replace(strings.TrimSuffix(name, "*"), "<NAME>", app, 1)
			known[full] = true
			if strings.HasSuffix(name, "*") {
				known[full+"_FILE"] = true
			}
		}
	}
	return known
}

// testVariable matches how a test reads a variable: with os.Getenv, or with the function
// RunSize of package gatewaytest.
var testVariable = regexp.MustCompile(`(?:Getenv\("TOKENGATE_|RunSize\(")(\w+)"`)

// testVariables returns the names of the variables that tests read.
func testVariables(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root, "deploy/test/*/*.go"))
	must(t, err)
	for _, path := range files {
		for _, read := range testVariable.FindAllStringSubmatch(readFile(t, path), -1) {
			names["TOKENGATE_"+read[1]] = true
		}
	}
	return names
}

// TestSettingsSamples checks each block of settings with `tokengate check`. What a block
// leaves out has the values of a working gateway; Redis and databases need not exist.
func TestSettingsSamples(t *testing.T) {
	for _, document := range documents(t) {
		for _, b := range blocks(t, document) {
			if b.language == "env" {
				check := checkSettings
				if strings.HasPrefix(b.text, appFile) {
					check = checkAppFile
				}
				t.Run(b.String(), func(t *testing.T) { t.Parallel(); check(t, b) })
			}
		}
	}
}

func checkSettings(t *testing.T, b block) {
	dir := t.TempDir()
	env := []string{
		"TOKENGATE_APPS=shop", "TOKENGATE_APP_SHOP_SECRET_KEY=" + gatewaytest.Secret, "TOKENGATE_APP_SHOP_SIGNING_KEY=" + gatewaytest.SigningKey,
		"TOKENGATE_APP_SHOP_USERS=file:" + filepath.Join(dir, "users.json"),
	}
	must(t, os.WriteFile(filepath.Join(dir, "users.json"), []byte(`[{"id":1,"username":"alice","password":"!"}]`), 0o600))
	for line := range strings.Lines(b.text) {
		name, value, isSetting := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		if !isSetting || !strings.HasPrefix(name, "TOKENGATE_") {
			t.Fatalf("%q is not a setting", line)
		}
		if base, ok := strings.CutSuffix(name, "_FILE"); ok {
			value = secretFile(t, dir, name, strings.Contains(b.text, "RS256"))
			env = without(env, base)
		}
		env = append(without(env, name), name+"="+value)
	}
	checkValid(t, dir, env)
}

// appFile begins a block that is an app's file in TOKENGATE_APPS_DIR.
const appFile = "# shop.env\n"

// checkAppFile checks a block that is an app's file.
func checkAppFile(t *testing.T, b block) {
	dir := t.TempDir()
	var text strings.Builder
	for line := range strings.Lines(b.text) {
		if name, _, _ := strings.Cut(line, "="); strings.HasSuffix(name, "_FILE") {
			line = name + "=" + secretFile(t, t.TempDir(), name, false) + "\n"
		}
		text.WriteString(line)
	}
	must(t, os.WriteFile(filepath.Join(dir, "shop.env"), []byte(text.String()), 0o600))
	checkValid(t, dir, []string{"TOKENGATE_APPS_DIR=" + dir, "TOKENGATE_REDIS_URL=redis://127.0.0.1:1"})
}

// checkValid checks that `tokengate check` finds the settings of an environment valid.
func checkValid(t *testing.T, dir string, env []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), gatewaytest.Binary(t), "check")
	cmd.Env, cmd.Dir = env, dir
	output, err := cmd.CombinedOutput()
	if err != nil && !strings.Contains(string(output), "the settings are valid, but") {
		t.Errorf("`tokengate check`: %v\n%s", err, output)
	}
}

// without returns env without a variable.
func without(env []string, name string) []string {
	return slices.DeleteFunc(env, func(line string) bool { return strings.HasPrefix(line, name+"=") })
}

// secretFile writes a secret of its own for the setting with a name, and returns the path.
func secretFile(t *testing.T, dir, name string, keyPair bool) string {
	t.Helper()
	secret := strings.ToLower(name) + "-0123456789abcdef0123456789abcdef"
	if keyPair && strings.Contains(name, "SIGNING") {
		var i issuer
		i.newKeyPair(t, "RS256")
		secret = i.signingKey
	}
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(secret), 0o600))
	return path
}
