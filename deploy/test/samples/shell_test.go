package samples

import (
	"encoding/json"
	"maps"
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

// notRun matches a command that a document names and that takes too long to run here:
// tests, the benchmark and the program itself.
var notRun = regexp.MustCompile(`^(\.ci/test|deploy/bench|go run|go test)( |$)`)

// shell runs the shell samples of one document, in order, in one directory.
type shell struct {
	t       *testing.T
	dir     string
	env     []string
	address *strings.Replacer // of what stands for a gateway, a secret or a password
}

// newShell starts a gateway with the app shop, whose users are in Redis.
func newShell(t *testing.T) *shell {
	t.Helper()
	redisURL := redistest.Standalone(t).URL
	g := gatewaytest.Start(t, redisURL, gatewaytest.Settings{"APP_USERS": "redis:"})
	s := &shell{t: t, dir: copyTestdata(t, "shell")}
	must(t, os.Symlink(gatewaytest.Binary(t), filepath.Join(s.dir, "tokengate")))
	s.env = []string{
		"PATH=" + s.dir + ":/usr/bin:/bin", "PASSWORD=" + gatewaytest.Password, "NEW_PASSWORD=another-password",
		"SECRET_KEY=" + gatewaytest.Secret, "ADMIN_TOKEN=" + gatewaytest.AdminToken,
		"TOKENGATE_REDIS_URL=" + redisURL, "TOKENGATE_APPS=shop", "TOKENGATE_APP_SHOP_USERS=redis:",
		"TOKENGATE_APP_SHOP_SECRET_KEY=" + gatewaytest.Secret, "TOKENGATE_APP_SHOP_SIGNING_KEY=" + gatewaytest.SigningKey,
	}
	s.address = strings.NewReplacer("http://127.0.0.1:8000", g.URL, "http://127.0.0.1:9000", g.AdminURL,
		`"secret_key":"…"`, `"secret_key":"`+gatewaytest.Secret+`"`, `"password":"…"`, `"password":"`+gatewaytest.Password+`"`)
	s.run(`printf '%s' "$PASSWORD" | tokengate user add --app shop demo`)
	return s
}

// run runs a script and returns its standard output. The test stops if a command fails or
// a response of curl is an error.
func (s *shell) run(script string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "bash", "-euo", "pipefail", "-c", "curl() { command curl --fail-with-body \"$@\"; }\n"+s.address.Replace(script))
	var stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = s.dir, s.env, &stderr
	output, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%v\n%s\n%s%s", err, script, output, stderr.String())
	}
	return string(output)
}

// TestShellSamples runs the shell samples of each document against a gateway. A JSON
// block after a sample shows what the sample prints.
func TestShellSamples(t *testing.T) {
	for _, document := range documents(t) {
		all := blocks(t, document)
		if !slices.ContainsFunc(all, func(b block) bool { return b.language == "sh" }) {
			continue
		}
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			s := newShell(t)
			for n, b := range all {
				if b.file != "" {
					must(t, os.WriteFile(filepath.Join(s.dir, b.file), []byte(b.text), 0o600))
				}
				if b.language != "sh" {
					continue
				}
				printed := s.block(b)
				if n+1 < len(all) && all[n+1].isAnswer(b) && printed != "" {
					checkAnswer(t, all[n+1], printed)
				}
			}
		})
	}
}

// isAnswer reports whether b is a JSON block right after a sample: there is at most an
// empty line between them.
func (b block) isAnswer(sample block) bool {
	end := sample.line + strings.Count(sample.text, "\n")
	const between = 3 // the fence that closes the sample, the empty line, and the fence that opens b
	return b.language == "json" && b.file == "" && b.line <= end+between
}

// block checks a shell sample and runs it, unless it is not to be run.
func (s *shell) block(b block) (printed string) {
	s.t.Helper()
	if output, err := exec.CommandContext(s.t.Context(), "bash", "-n", "-c", b.text).CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", b, err, output)
	}
	if !runnable(s.t, b) {
		return ""
	}
	return s.run(b.text)
}

// runnable reports whether a sample is to be run. Of one that is not, it checks that the
// files exist.
func runnable(t *testing.T, b block) bool {
	t.Helper()
	for line := range strings.Lines(b.text) {
		if !notRun.MatchString(strings.TrimSuffix(line, "\n")) {
			return true
		}
		for word := range strings.FieldsSeq(line) {
			if !strings.HasPrefix(word, "./") && !strings.HasPrefix(word, ".ci/") && !strings.HasPrefix(word, "deploy/") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, word)); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		}
	}
	return false
}

// checkAnswer checks that a JSON block has the members of the answer that it shows.
func checkAnswer(t *testing.T, b block, printed string) {
	t.Helper()
	var shown, got map[string]any
	if err := json.Unmarshal([]byte(b.text), &shown); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	if err := json.Unmarshal([]byte(printed), &got); err != nil {
		t.Fatalf("%s: the sample before it prints %s: %v", b, printed, err)
	}
	if want := slices.Sorted(maps.Keys(got)); !slices.Equal(slices.Sorted(maps.Keys(shown)), want) {
		t.Errorf("%s: got the members %q, want those that the sample before it prints: %q", b, slices.Sorted(maps.Keys(shown)), want)
	}
}
