package e2e

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestHealthCommand checks that "health" succeeds while the process answers, also without
// Redis, so that no container is taken for broken when Redis is down. It fails if the
// process is stopped or gone.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := gatewaytest.Start(t, server.URL, nil)
	env := commandEnv{"TOKENGATE_ADMIN_LISTEN=" + strings.TrimPrefix(g.AdminURL, "http://"), "TOKENGATE_REDIS_URL=" + server.URL}
	succeeds := func(when string) {
		t.Helper()
		gatewaytest.WaitUntil(t, 20*time.Second, "health succeeds "+when, func() bool {
			code, output := env.run(t, "", "health")
			return code == 0 && output == "ok\n"
		})
	}
	fails := func(when string) {
		t.Helper()
		if code, output := env.run(t, "", "health"); code != 1 || !strings.Contains(output, "no healthy gateway at TOKENGATE_ADMIN_LISTEN=") {
			t.Errorf("%s: got exit code %d, output %q; want 1 and the address", when, code, output)
		}
	}
	succeeds("while all is well")
	server.Kill()
	succeeds("without Redis")
	signal := func(s syscall.Signal) {
		t.Helper()
		must(t, syscall.Kill(g.PID(), s))
	}
	signal(syscall.SIGSTOP)
	fails("with a stopped process")
	signal(syscall.SIGCONT)
	succeeds("after the process continues")
	g.Kill()
	fails("without a process")
}

// TestHealthCommandWithoutAdminListener checks that "health" then asks the public listener,
// and that the gateway does not log the request.
func TestHealthCommandWithoutAdminListener(t *testing.T) {
	t.Parallel()
	env := commandEnv{"TOKENGATE_LISTEN=" + freeport.Address(t), "TOKENGATE_ADMIN_LISTEN=", "TOKENGATE_SHUTDOWN_DELAY=0s", "TOKENGATE_LOG_LEVEL=debug"}
	if code, output := env.run(t, "", "health"); code != 1 || !strings.Contains(output, "TOKENGATE_LISTEN") {
		t.Errorf("without a process: got exit code %d, output %q; want 1 and the name of the setting", code, output)
	}
	var log strings.Builder
	cmd := exec.Command(gatewaytest.Binary(t), "serve")
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &log, &log
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	gatewaytest.WaitUntil(t, 20*time.Second, "the gateway is healthy", func() bool {
		code, _ := env.run(t, "", "health")
		return code == 0
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	must(t, cmd.Wait())
	if text := log.String(); !strings.Contains(text, "listening") || strings.Contains(text, "request") {
		t.Errorf("got the log\n%s, want no request in it", text)
	}
}

// healthCommand matches the image's health command.
var healthCommand = regexp.MustCompile(`(?m)^HEALTHCHECK .*CMD \["/tokengate", "health"\]$`)

// TestImageChecksHealth checks that the image's health command does not depend on Redis.
func TestImageChecksHealth(t *testing.T) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	must(t, err)
	if !healthCommand.Match(dockerfile) {
		t.Error("the image's health command is not `tokengate health`")
	}
}
