package artifacts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/session/config"
)

// deploy is the directory of the files that are tested.
const deploy = "../.."

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// gatewayEnv returns the environment of a gateway with the app shop, whose users are in
// Redis.
func gatewayEnv(redisURL string) []string {
	return []string{
		"TOKENGATE_REDIS_URL=" + redisURL, "TOKENGATE_APPS=shop", "TOKENGATE_APP_SHOP_USERS=redis:",
		"TOKENGATE_APP_SHOP_SECRET_KEY=" + gatewaytest.Secret, "TOKENGATE_APP_SHOP_SIGNING_KEY=" + gatewaytest.SigningKey,
	}
}

// read returns the text of a file in deploy.
func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deploy, path))
	must(t, err)
	return string(text)
}

// writeFile writes a file, in a new directory if it is missing.
func writeFile(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
}

// run runs a program that must succeed and returns its standard output.
func run(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s%s", cmd.Args, err, output, stderr.String())
	}
	return output
}

// decoder builds the program in testdata/decode beside the test binary, in a directory that
// is removed after the tests.
var decoder = sync.OnceValues(func() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(self), "decode")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir, build.Stderr = "testdata/decode", os.Stderr
	return path, build.Run()
})

// decode decodes a file or directory in deploy, and returns it as JSON in result. env has
// further variables.
func decode(t *testing.T, kind, path string, result any, env ...string) {
	t.Helper()
	program, err := decoder()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program, kind, filepath.Join(deploy, path))
	cmd.Env = append(os.Environ(), env...)
	must(t, json.Unmarshal(run(t, cmd), result))
}

// settingName matches the name of a setting.
var settingName = regexp.MustCompile(`TOKENGATE_[A-Z0-9_]+`)

// checkSettings checks that the program has each setting that a text names.
func checkSettings(t *testing.T, path, text string) {
	t.Helper()
	known := knownSettings(t)
	for _, name := range settingName.FindAllString(strings.ReplaceAll(text, "<NAME>", "SHOP"), -1) {
		if !known[name] && name != "TOKENGATE_APP_SHOP_" {
			t.Errorf("%s: unknown setting %s", path, name)
		}
	}
}

// checkAppSettings checks that each line of an app's file is a setting of an app.
func checkAppSettings(t *testing.T, path, text string) {
	t.Helper()
	known := knownSettings(t)
	for name := range variables(t, text) {
		if !known["TOKENGATE_APP_SHOP_"+name] {
			t.Errorf("%s: unknown setting %s", path, name)
		}
	}
}

// knownSettings returns the names of all settings of the process and of the app shop, with
// their _FILE forms.
func knownSettings(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for line := range strings.Lines(string(run(t, exec.CommandContext(t.Context(), gatewaytest.Binary(t), "env")))) {
		name, secret := strings.CutSuffix(strings.Replace(strings.Fields(line)[0], "<NAME>", "SHOP", 1), "*")
		known[name] = true
		known[name+"_FILE"] = secret
	}
	return known
}

// variables returns the variables of a file with lines NAME=value, as the program reads it.
func variables(t *testing.T, text string) map[string]string {
	t.Helper()
	lines, err := config.ParseEnvFile(text)
	must(t, err)
	found := map[string]string{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		found[name] = value
	}
	if len(found) == 0 {
		t.Error("found no variable")
	}
	return found
}
