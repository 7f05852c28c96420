package wholetest

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/ports"
	"tokengate/deploy/rig"
)

// TestDemo does what a newcomer does: build, start with nothing set, paste the
// lines that are printed. The first login comes within a minute.
func TestDemo(t *testing.T) {
	start := time.Now()
	dir := t.TempDir()
	binary := filepath.Join(dir, "tokengate")
	if out, err := exec.Command("go", "build", "-o", binary, "tokengate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := startDemo(t, binary)
	commands := commandsIn(t, lines)
	if len(commands) != 3 {
		t.Fatalf("%d commands are printed, want 3: log in, refresh, list\n%s", len(commands), strings.Join(commands, "\n--\n"))
	}

	var login, refreshed rig.Answer
	shell(t, dir, commands[0], &login)
	if login.Refresh == "" || login.Access == "" || login.SessionID == "" {
		t.Errorf("the login gives %+v", login)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("the first login came after %s", took)
	}
	shell(t, dir, commands[1], &refreshed)
	if refreshed.Access == "" || refreshed.Refresh == "" || refreshed.Refresh == login.Refresh {
		t.Errorf("the refresh gives %+v", refreshed)
	}
	var list map[string]struct {
		Sessions []struct {
			ID   string `json:"session_id"`
			Info string `json:"session_info"`
		}
	}
	shell(t, dir, commands[2], &list)
	if long := list["Long"].Sessions; len(long) != 1 || long[0].ID != login.SessionID || long[0].Info != "my first device" {
		t.Errorf("the list gives %+v", list)
	}
}

// TestDemoWithOwnParts: whoever gives the demo app his own secret, or his own
// users, is told the other, which was made up, and not what he gave.
func TestDemoWithOwnParts(t *testing.T) {
	binary, dir := rig.Binary(t), t.TempDir()
	for name, c := range map[string]struct {
		lines []string
		fill  []string // what to put in the place of what
	}{
		"secret": {[]string{"TOKENGATE_APP_DEMO_SECRET_KEY=my-own-secret"}, []string{"YOUR_SECRET_KEY", "my-own-secret"}},
		"users":  {[]string{"TOKENGATE_APP_DEMO_USERS=file:" + wireUsers(t)}, []string{"YOUR_USERNAME", "alice", "YOUR_PASSWORD", "alice-pw-1"}},
	} {
		lines := startDemo(t, binary, c.lines...)
		printed := strings.Join(lines, "\n")
		if !strings.Contains(printed, c.fill[0]+"\"") || strings.Contains(printed, "my-own-secret") || strings.Contains(printed, "alice-pw-1") {
			t.Fatalf("%s: printed is\n%s", name, printed)
		}
		var login rig.Answer
		shell(t, dir, strings.NewReplacer(c.fill...).Replace(commandsIn(t, lines)[0]), &login)
		if login.Access == "" {
			t.Errorf("%s: the login gives %+v", name, login)
		}
	}
}

// startDemo starts the program with an environment that holds two free ports
// and lines, and gives what it prints up to the last command.
func startDemo(t *testing.T, binary string, env ...string) (lines []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(env, "TOKENGATE_LISTEN="+ports.Address(t), "TOKENGATE_ADMIN_LISTEN="+ports.Address(t), "TOKENGATE_SHUTDOWN_DELAY=0s")
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	stuck := time.AfterFunc(10*time.Second, cancel)
	defer stuck.Stop()
	scanner, lists := bufio.NewScanner(stdout), false
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		lists = lists || strings.Contains(scanner.Text(), "/api/session/list/")
		if lists && !strings.HasSuffix(scanner.Text(), `\`) {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return lines
		}
	}
	t.Fatalf("no command that lists is printed:\n%s", strings.Join(lines, "\n"))
	return nil
}

// commandsIn gives the curl commands, each with its continued lines.
func commandsIn(t *testing.T, lines []string) (commands []string) {
	t.Helper()
	for i := 0; i < len(lines); i++ {
		if !strings.HasPrefix(lines[i], "curl ") {
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

// shell runs a command as it stands and decodes the JSON that it prints.
func shell(t *testing.T, dir, command string, answer any) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, command, out)
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%v\n%s\n%s", err, command, out)
	}
}
