package samples

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
)

// TestWalkthroughKeepsNewestToken runs the commands that the program prints when it starts
// without settings, in one shell. The refresh command must go on working when it is run
// again, also without a retry window and after an error.
func TestWalkthroughKeepsNewestToken(t *testing.T) {
	const noRetryWindow = "TOKENGATE_APP_DEMO_LONG_SESSION_RETRY_WINDOW=0s"
	login, refresh, list := gatewaytest.WalkthroughCommands(t, gatewaytest.PrintWalkthrough(t, gatewaytest.Binary(t), noRetryWindow))
	invalid := strings.Replace(refresh, `"session":"LONG"`, `"session":"OTHER"`, 1)
	rejected := strings.Replace(login, `"username":"`, `"username":"no`, 1)
	steps := []string{rejected, refresh, login, refresh, refresh, invalid, refresh, login, refresh, list}
	for round, shell := range []string{"sh", "bash"} {
		printed := gatewaytest.RunShell(t, shell, steps...)
		seen := map[string]bool{}
		for n, text := range printed[:len(steps)-1] {
			var answer map[string]any
			must(t, json.Unmarshal([]byte(text), &answer))
			token, refreshed := answer["refresh"].(string)
			if fails := n < 2 || steps[n] == invalid; refreshed == fails || seen[token] && !fails {
				t.Fatalf("%s, step %d: got %s, want new tokens: %t", shell, n, text, !fails)
			}
			seen[token] = true
		}
		if !strings.Contains(printed[1], "may not be blank") {
			t.Errorf("%s: a refresh after a failed login: got %s, want the error that the token is empty", shell, printed[1])
		}
		var listed map[string]struct{ Sessions []any }
		must(t, json.Unmarshal([]byte(printed[len(steps)-1]), &listed))
		if got, want := len(listed["Long"].Sessions), 2*(round+1); got != want {
			t.Errorf("%s: got %d sessions, want %d: one for each login", shell, got, want)
		}
	}
}

// generated matches the values that the program generates for each start.
var generated = regexp.MustCompile(`("(?:secret_key|password)":)"[A-Z0-9]+"|127\.0\.0\.1:\d+`)

// TestReadmeShowsTheWalkthrough checks that README shows the commands that the program prints.
func TestReadmeShowsTheWalkthrough(t *testing.T) {
	readme := readFile(t, filepath.Join(root, "README.md"))
	login, refresh, list := gatewaytest.WalkthroughCommands(t, gatewaytest.PrintWalkthrough(t, gatewaytest.Binary(t)))
	for _, command := range []string{login, refresh, list} {
		command = generated.ReplaceAllStringFunc(command, func(value string) string {
			if name, _, found := strings.Cut(value, `:"`); found {
				return name + `:"…"`
			}
			return "127.0.0.1:8000"
		})
		if !strings.Contains(readme, "\n"+command+"\n") {
			t.Errorf("README lacks the command that the program prints:\n%s", command)
		}
	}
}
