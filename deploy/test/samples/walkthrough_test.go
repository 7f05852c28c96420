package samples

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// TestWalkthroughKeepsNewestToken runs the commands that the program prints when it starts
// without settings, in one shell. The refresh command must go on working when it is run
// again, also without a retry window and after an error.
func TestWalkthroughKeepsNewestToken(t *testing.T) {
	commands := printedCommands(t)
	if len(commands) != 3 {
		t.Fatalf("got %d commands, want login, refresh and list:\n%s", len(commands), strings.Join(commands, "\n\n"))
	}
	login, refresh, list := commands[0], commands[1], commands[2]
	invalid := strings.Replace(refresh, `"session":"LONG"`, `"session":"OTHER"`, 1)
	rejected := strings.Replace(login, `"username":"`, `"username":"no`, 1)
	steps := []string{rejected, refresh, login, refresh, refresh, invalid, refresh, login, refresh, list}
	for round, shell := range []string{"sh", "bash"} {
		printed := strings.Split(runIn(t, t.TempDir(), "", shell, "-c", strings.Join(steps, "\necho ----\n")), "----\n")
		if len(printed) != len(steps) {
			t.Fatalf("%s: got %d answers, want %d:\n%q", shell, len(printed), len(steps), printed)
		}
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
	for _, command := range printedCommands(t) {
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

// printedCommands starts the program without a retry window, and returns the commands that
// it prints: each begins after a line with its comment and ends at an empty line.
func printedCommands(t *testing.T) (commands []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), gatewaytest.Binary(t))
	cmd.Env = []string{
		"TOKENGATE_LISTEN=" + freeport.Address(t), "TOKENGATE_ADMIN_LISTEN=" + freeport.Address(t), "TOKENGATE_SHUTDOWN_DELAY=0s",
		"TOKENGATE_APP_DEMO_LONG_SESSION_RETRY_WINDOW=0s",
	}
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	defer time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	var command []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.Contains(line, "curl -s ") || len(command) > 0 && line != "":
			command = append(command, line)
		case len(command) > 0:
			commands, command = append(commands, strings.Join(command, "\n")), nil
			if strings.Contains(commands[len(commands)-1], "/api/session/list/") {
				go func() { _, _ = io.Copy(io.Discard, stdout) }()
				return commands
			}
		}
	}
	t.Fatal("the program did not print the list command")
	return nil
}
