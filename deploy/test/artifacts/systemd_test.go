package artifacts

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
	"tokengate/session/config"
)

const unit = "systemd/tokengate.service"

// directive returns the values of a directive of the service, in order.
func directive(t *testing.T, name string) (values []string) {
	t.Helper()
	for _, found := range regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllStringSubmatch(read(t, unit), -1) {
		values = append(values, found[1])
	}
	if values == nil {
		t.Fatalf("%s has no %s", unit, name)
	}
	return values
}

// TestSystemdReadsService checks that systemd has no complaint about the service, and that it
// finds the service well protected.
func TestSystemdReadsService(t *testing.T) {
	text := read(t, unit)
	if text = strings.Replace(text, "\nExecStart=/usr/local/bin/tokengate ", "\nExecStart="+gatewaytest.Binary(t)+" ", 1); text == read(t, unit) {
		t.Fatal("the service does not start /usr/local/bin/tokengate")
	}
	path := filepath.Join(t.TempDir(), filepath.Base(unit))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	for _, args := range [][]string{{"verify", "--man=no", path}, {"security", "--offline=yes", "--threshold=20", path}} {
		output, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(output) > 0 {
			t.Errorf("systemd-analyze %q: %v\n%s", args, err, output)
		}
	}
}

// TestServiceStopsAfterGrace checks that systemd does not kill a gateway that still answers
// requests.
func TestServiceStopsAfterGrace(t *testing.T) {
	limit, err := time.ParseDuration(directive(t, "TimeoutStopSec")[0])
	must(t, err)
	if defaults := config.DefaultProcess(); limit <= defaults.ShutdownDelay.Value+defaults.ShutdownGrace.Value {
		t.Errorf("TimeoutStopSec is %s, want more than SHUTDOWN_DELAY and SHUTDOWN_GRACE", limit)
	}
}

// TestServiceNamesSettings checks the names of the settings in the examples.
func TestServiceNamesSettings(t *testing.T) {
	for _, path := range []string{unit, "systemd/tokengate.env"} {
		checkSettings(t, path, read(t, path))
	}
	checkAppSettings(t, "systemd/shop.env", read(t, "systemd/shop.env"))
	environment := variables(t, read(t, "systemd/tokengate.env"))
	if file := directive(t, "EnvironmentFile")[0]; filepath.Dir(environment["TOKENGATE_APPS_DIR"]) != filepath.Dir(file) {
		t.Errorf("the apps are in %s, want them beside %s", environment["TOKENGATE_APPS_DIR"], file)
	}
}

// Parts of strace's output: a call, and the address family of a socket.
var (
	tracedCall   = regexp.MustCompile(`(?m)^\d+ +(\w+)\(`)
	tracedSocket = regexp.MustCompile(`(?m)^\d+ +socket\((AF_\w+)`)
)

// TestServiceAllowsSystemCalls checks that the service allows each system call and address
// family of a gateway and of the process that checks its passwords, from the start to the
// stop.
func TestServiceAllowsSystemCalls(t *testing.T) {
	t.Parallel()
	trace := traceGateway(t)
	allowed := allowedCalls(t)
	made := map[string]bool{}
	for _, call := range tracedCall.FindAllStringSubmatch(trace, -1) {
		made[call[1]] = true
	}
	for call := range made {
		if !allowed[call] {
			t.Errorf("the gateway calls %s, which the service forbids", call)
		}
	}
	if !made["setpriority"] || !made["accept4"] || strings.Count(trace, " execve(") < 2 {
		t.Error("the trace lacks the process that checks passwords, or the listeners")
	}
	families := strings.Fields(directive(t, "RestrictAddressFamilies")[0])
	for _, socket := range tracedSocket.FindAllStringSubmatch(trace, -1) {
		if !slices.Contains(families, socket[1]) {
			t.Errorf("the gateway opens a socket of the family %s, which the service forbids", socket[1])
		}
	}
}

// traceGateway runs a gateway with strace, logs a user in, stops the gateway, and returns
// the trace.
func traceGateway(t *testing.T) string {
	t.Helper()
	listen, admin := freeport.Address(t), freeport.Address(t)
	env := append(gatewayEnv(redistest.Standalone(t).URL), "TOKENGATE_LISTEN="+listen, "TOKENGATE_ADMIN_LISTEN="+admin, "TOKENGATE_SHUTDOWN_DELAY=0s")
	add := exec.CommandContext(t.Context(), gatewaytest.Binary(t), "user", "add", "alice", "--app", "shop")
	add.Env, add.Stdin = env, strings.NewReader(gatewaytest.Password)
	run(t, add)

	path := filepath.Join(t.TempDir(), "trace")
	var log strings.Builder
	// With -D the process is the gateway, and strace is its grandchild.
	cmd := exec.CommandContext(t.Context(), "strace", "-D", "-f", "-q", "-o", path, gatewaytest.Binary(t), "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &log, &log
	must(t, cmd.Start())
	health := func() error {
		check := exec.CommandContext(t.Context(), gatewaytest.Binary(t), "health")
		check.Env = env
		return check.Run()
	}
	gatewaytest.WaitUntil(t, time.Minute, "the traced gateway is healthy", func() bool { return health() == nil })
	resp := gatewaytest.NewClient("http://"+listen).Post(t.Context(), "/api/session/login/", "", map[string]string{
		"username": "alice", "password": gatewaytest.Password, "secret_key": gatewaytest.Secret, "session": "LONG", "info": "test",
	})
	if resp.Status != http.StatusOK {
		t.Errorf("login: got status %d, body %s, error %v; want 200", resp.Status, resp.Body, resp.Err)
	}
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the traced gateway: %v\n%s", err, log.String())
	}
	text, exit := "", regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited with 0 \+\+\+$`, cmd.Process.Pid)) // a short number is followed by more spaces
	gatewaytest.WaitUntil(t, time.Minute, "the trace is complete", func() bool {
		raw, err := os.ReadFile(path)
		must(t, err)
		text = string(raw)
		return exit.MatchString(text)
	})
	return text
}

// allowedCalls returns the names of the system calls that the service allows. systemd
// itself adds those of @default.
func allowedCalls(t *testing.T) map[string]bool {
	t.Helper()
	groups, name := map[string][]string{}, ""
	for line := range strings.Lines(string(run(t, exec.CommandContext(t.Context(), "systemd-analyze", "syscall-filter", "--no-pager")))) {
		switch word := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			name = word
		case word != "" && !strings.HasPrefix(word, "#"):
			groups[name] = append(groups[name], word)
		}
	}
	allowed := map[string]bool{}
	var set func(names []string, value bool)
	set = func(names []string, value bool) {
		for _, name := range names {
			if members, isGroup := groups[name]; isGroup {
				set(members, value)
			} else {
				allowed[name] = value
			}
		}
	}
	set([]string{"@default"}, true)
	for _, filter := range directive(t, "SystemCallFilter") {
		names, forbids := strings.CutPrefix(filter, "~")
		set(strings.Fields(names), !forbids)
	}
	return allowed
}
