package gatewaytest

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
)

// PrintWalkthrough starts the program with sessions in memory, on two free ports unless
// settings say otherwise, and with no other settings, until the test is done. It returns what the program prints, up
// to the last command of the walk-through.
func PrintWalkthrough(tb testing.TB, binary string, settings ...string) (printed string) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, binary)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append([]string{"TOKENGATE_LISTEN=" + freeport.Address(tb), "TOKENGATE_ADMIN_LISTEN=" + freeport.Address(tb), "TOKENGATE_SHUTDOWN_DELAY=0s"}, settings...)
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		tb.Fatal(err)
	}
	tb.Cleanup(func() { cancel(); _ = cmd.Wait() })
	defer time.AfterFunc(10*time.Second, cancel).Stop()
	inLast := false
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		printed += lines.Text() + "\n"
		inLast = inLast || strings.Contains(lines.Text(), "/api/session/list/")
		if inLast && !strings.HasSuffix(lines.Text(), `\`) {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return printed
		}
	}
	tb.Fatalf("the program did not print the list command:\n%s", printed)
	return ""
}

// WalkthroughCommands returns the commands for login, refresh and list in what the program
// has printed, each with its continuation lines.
func WalkthroughCommands(tb testing.TB, printed string) (login, refresh, list string) {
	tb.Helper()
	var commands []string
	lines := strings.Split(printed, "\n")
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
	if len(commands) != 3 {
		tb.Fatalf("got %d commands, want 3: login, refresh and list\n%s", len(commands), strings.Join(commands, "\n--\n"))
	}
	return commands[0], commands[1], commands[2]
}

// RunShell runs commands in one shell, one after the other, and returns what each prints.
func RunShell(tb testing.TB, shell string, commands ...string) (printed []string) {
	tb.Helper()
	cmd := exec.Command(shell, "-c", strings.Join(commands, "\necho ----\n"))
	cmd.Dir = tb.TempDir()
	output, err := cmd.Output()
	printed = strings.Split(string(output), "----\n")
	if err != nil || len(printed) != len(commands) {
		tb.Fatalf("%v\n%q\n%s", err, commands, output)
	}
	return printed
}
