package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// TestDemo builds the program, starts it without settings and runs the commands that it
// prints, as a new user does. The first login must succeed within a minute.
func TestDemo(t *testing.T) {
	start := time.Now()
	binary := filepath.Join(t.TempDir(), "tokengate")
	if output, err := exec.Command("go", "build", "-o", binary, "tokengate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	commands := curlCommands(startDemo(t, binary))
	if len(commands) != 3 {
		t.Fatalf("got %d commands, want 3: login, refresh and list\n%s", len(commands), strings.Join(commands, "\n--\n"))
	}

	var login, refreshed gatewaytest.Response
	answers := runShell(t, commands...)
	must(t, json.Unmarshal(answers[0], &login))
	if login.Refresh == "" || login.Access == "" || login.SessionID == "" {
		t.Errorf("login: got %+v, want two tokens and a session ID", login)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the first login succeeded after %s, want at most a minute", took)
	}
	must(t, json.Unmarshal(answers[1], &refreshed))
	if refreshed.Access == "" || refreshed.Refresh == "" || refreshed.Refresh == login.Refresh {
		t.Errorf("refresh: got %+v, want an access token and a new refresh token", refreshed)
	}
	var list map[string]struct {
		Sessions []struct {
			ID   string `json:"session_id"`
			Info string `json:"session_info"`
		}
	}
	must(t, json.Unmarshal(answers[2], &list))
	if long := list["Long"].Sessions; len(long) != 1 || long[0].ID != login.SessionID || long[0].Info != "my first device" {
		t.Errorf("list: got %+v, want only the session %s", list, login.SessionID)
	}
}

// TestDemoPrintsGeneratedValuesOnly sets the demo app's secret or its users. The program
// must print the generated value of the other, and placeholders for what is set.
func TestDemoPrintsGeneratedValuesOnly(t *testing.T) {
	binary := gatewaytest.Binary(t)
	for name, c := range map[string]struct {
		settings     []string
		placeholders []string // placeholder, value, placeholder, value...
	}{
		"secret": {[]string{"TOKENGATE_APP_DEMO_SECRET_KEY=my-own-secret"}, []string{"YOUR_SECRET_KEY", "my-own-secret"}},
		"users":  {[]string{"TOKENGATE_APP_DEMO_USERS=file:" + wireUsers(t)}, []string{"YOUR_USERNAME", "alice", "YOUR_PASSWORD", "alice-pw-1"}},
	} {
		lines := startDemo(t, binary, c.settings...)
		printed := strings.Join(lines, "\n")
		if !strings.Contains(printed, c.placeholders[0]+"\"") || strings.Contains(printed, "my-own-secret") || strings.Contains(printed, "alice-pw-1") {
			t.Fatalf("%s: the program printed\n%s\nwant the placeholder %s and no value of a setting", name, printed, c.placeholders[0])
		}
		var login gatewaytest.Response
		must(t, json.Unmarshal(runShell(t, strings.NewReplacer(c.placeholders...).Replace(curlCommands(lines)[0]))[0], &login))
		if login.Access == "" {
			t.Errorf("%s: login: got %+v, want an access token", name, login)
		}
	}
}

// startDemo starts the program on two free ports with no other settings than these. It
// returns the lines that the program prints, up to the last command.
func startDemo(t *testing.T, binary string, settings ...string) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(settings, "TOKENGATE_LISTEN="+freeport.Address(t), "TOKENGATE_ADMIN_LISTEN="+freeport.Address(t), "TOKENGATE_SHUTDOWN_DELAY=0s")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	timeout := time.AfterFunc(10*time.Second, cancel)
	defer timeout.Stop()
	scanner, inLast := bufio.NewScanner(stdout), false
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		inLast = inLast || strings.Contains(scanner.Text(), "/api/session/list/")
		if inLast && !strings.HasSuffix(scanner.Text(), `\`) {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return lines
		}
	}
	t.Fatalf("the program did not print the list command:\n%s", strings.Join(lines, "\n"))
	return nil
}

// curlCommands returns the curl commands in lines, each with its continuation lines.
func curlCommands(lines []string) (commands []string) {
	for i := 0; i < len(lines); i++ {
		if !strings.Contains(lines[i], "curl -s ") {
			continue
		}
		from := i
		for strings.HasSuffix(lines[i], `\`) && i+1 < len(lines) {
			i++
		}
		commands = append(commands, strings.Join(lines[from:i+1], "\n"))
	}
	return commands
}

// runShell runs commands in one shell, one after the other, and returns what each prints.
func runShell(t *testing.T, commands ...string) [][]byte {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", strings.Join(commands, "\necho ----\n"))
	cmd.Dir = t.TempDir()
	output, err := cmd.Output()
	printed := bytes.Split(output, []byte("----\n"))
	if err != nil || len(printed) != len(commands) {
		t.Fatalf("%v\n%q\n%s", err, commands, output)
	}
	return printed
}
