package samples

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// TestWalkthroughKeepsNewestToken runs the commands that the program prints when it starts
// without settings. The refresh command must go on working when it is run again, also
// without a retry window and after an error.
func TestWalkthroughKeepsNewestToken(t *testing.T) {
	commands := printedCommands(t)
	if len(commands) != 3 {
		t.Fatalf("got %d commands, want login, refresh and list:\n%s", len(commands), strings.Join(commands, "\n\n"))
	}
	dir := t.TempDir()
	login, refresh, list := commands[0], commands[1], commands[2]
	seen := map[string]bool{}
	for n, command := range []string{login, refresh, refresh, strings.ReplaceAll(refresh, "LONG", "OTHER"), refresh, login, refresh} {
		var answer gatewaytest.Response
		must(t, json.Unmarshal([]byte(runIn(t, dir, "", "sh", "-c", command)), &answer))
		if fails := strings.Contains(command, "OTHER"); (answer.Access == "") != fails || seen[answer.Refresh] {
			t.Fatalf("step %d: got %+v, want new tokens: %t", n, answer, !fails)
		}
		seen[answer.Refresh] = true
	}
	var listed map[string]struct{ Sessions []any }
	must(t, json.Unmarshal([]byte(runIn(t, dir, "", "sh", "-c", list)), &listed))
	if len(listed["Long"].Sessions) != 2 {
		t.Errorf("list: got %v, want the sessions of both logins", listed)
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
		case strings.HasPrefix(line, "curl ") || len(command) > 0 && line != "":
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
