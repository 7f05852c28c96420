// Package gatewaytest starts gateways as processes, as they run in production, and
// talks to them over HTTP. It is for tests; the shipped program does not contain it.
package gatewaytest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
)

// The app of a Gateway, unless Start is given other settings. Its user file has the
// users user0 to user63 with the ids 1 to 64, all with Password.
const (
	App        = "shop"
	Secret     = "test-secret-0123456789abcdef"
	AdminToken = "gatewaytest-admin-token-0123456789"
	SigningKey = "test-signing-key-0123456789abcdef0123456789abcdef"
	Password   = "test-password"
	Users      = 64
)

// PasswordHash is the hash of Password, with one round of PBKDF2 to keep logins fast.
const PasswordHash = "pbkdf2_sha256$1$test$gCyPtDG8EnFT4F3dbNpUj/lxkz8esfN8yZtbPDop6Zw="

// Username returns the name of the i-th user, counted from 0.
func Username(i int) string { return fmt.Sprintf("user%d", i) }

var build struct {
	sync.Once
	path string
	err  error
}

// Binary builds the gateway once per test process and returns its path. The variable
// TOKENGATE_BIN names another binary to use instead.
//
// The gateway is built beside the test binary. That is in a directory which `go test` makes
// for this run of this package and removes after it, also if the test panics or is killed.
// A binary made by `go test -c` leaves the gateway beside itself.
func Binary(tb testing.TB) string {
	tb.Helper()
	build.Do(func() {
		if build.path = os.Getenv("TOKENGATE_BIN"); build.path != "" {
			return
		}
		self, err := os.Executable()
		if err != nil {
			build.err = err
			return
		}
		build.path = filepath.Join(filepath.Dir(self), "tokengate")
		if out, err := exec.Command("go", "build", "-o", build.path, "tokengate").CombinedOutput(); err != nil {
			build.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if build.err != nil {
		tb.Fatal(build.err)
	}
	return build.path
}

// Gateway is one gateway process.
type Gateway struct {
	URL      string // of the public API, without a trailing slash
	AdminURL string

	tb      testing.TB
	command func(name string, args ...string) *exec.Cmd
	env     []string
	cmd     *exec.Cmd
	exited  chan struct{}
	log     buffer
}

// Settings are TOKENGATE_ variables without that prefix. "APP_" at the start of a name
// stands for the prefix of the first app that APPS names, or of App. A setting of another
// app has its full name, TOKENGATE_APP_….
type Settings map[string]string

// variable returns the environment variable of a setting.
func (s Settings) variable(name string) string {
	if strings.HasPrefix(name, "TOKENGATE_") {
		return name
	}
	if rest, ok := strings.CutPrefix(name, "APP_"); ok {
		app, _, _ := strings.Cut(s["APPS"], ",")
		name = "APP_" + strings.ToUpper(app) + "_" + rest
	}
	return "TOKENGATE_" + name
}

// Start runs `tokengate serve` on two free ports, waits until it is ready and stops it
// when the test ends. Sessions are kept in the Redis at redisURL, or in memory if it is
// empty. NAME_FILE in settings replaces the default of NAME, and an APPS that is empty
// leaves out the defaults of the app.
func Start(tb testing.TB, redisURL string, settings Settings) *Gateway {
	tb.Helper()
	return StartOn(tb, exec.Command, freeport.Address(tb), freeport.Address(tb), redisURL, settings)
}

// StartOn is like Start, but runs the process by another command, for example on another host, and listens on
// the addresses given.
func StartOn(tb testing.TB, command func(name string, args ...string) *exec.Cmd, listen, admin, redisURL string, settings Settings) *Gateway {
	tb.Helper()
	g := &Gateway{tb: tb, command: command}
	g.URL, g.AdminURL = "http://"+listen, "http://"+admin
	all := Settings{
		"LISTEN": listen, "ADMIN_LISTEN": admin, "ADMIN_TOKEN": AdminToken, "REDIS_URL": redisURL, "APPS": App,
		"SHUTDOWN_DELAY": "0s", "APP_SECRET_KEY": Secret, "APP_SIGNING_KEY": SigningKey, "APP_USERS": "file:" + UserFile(tb),
	}
	for name, value := range settings {
		delete(all, strings.TrimSuffix(name, "_FILE"))
		all[name] = value
	}
	if all["APPS"] == "" {
		maps.DeleteFunc(all, func(name, _ string) bool { return strings.HasPrefix(name, "APP_") })
	}
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "TOKENGATE_") {
			g.env = append(g.env, line)
		}
	}
	for name, value := range all {
		g.env = append(g.env, all.variable(name)+"="+value)
	}
	tb.Cleanup(g.Kill)
	g.Restart()
	return g
}

// Restart starts the process again after Kill or Stop, with the same ports and
// settings, and waits until it is ready.
func (g *Gateway) Restart() {
	g.tb.Helper()
	g.Launch()
	g.WaitReady(10 * time.Second)
}

// Launch starts the process and does not wait until it is ready.
func (g *Gateway) Launch() {
	g.tb.Helper()
	g.cmd = g.command(Binary(g.tb), "serve")
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr = g.env, &g.log, &g.log
	if err := g.cmd.Start(); err != nil {
		g.tb.Fatal(err)
	}
	g.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		_ = cmd.Wait()
		close(exited)
	}(g.cmd, g.exited)
}

// WaitReady waits until /readyz answers 200. It stops the test if the process exits or
// limit is exceeded.
func (g *Gateway) WaitReady(limit time.Duration) {
	g.tb.Helper()
	deadline := time.Now().Add(limit)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, g.AdminURL+"/readyz", nil)
		resp, err := http.DefaultClient.Do(req)
		cancel()
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-g.exited:
			g.tb.Fatalf("the gateway has exited:\n%s", g.Log())
		case <-time.After(5 * time.Millisecond):
		}
	}
	g.tb.Fatalf("the gateway is not ready after %s:\n%s", limit, g.Log())
}

// Kill ends the process at once (SIGKILL). It does nothing if the process has exited.
func (g *Gateway) Kill() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		<-g.exited
	}
}

// Stop sends SIGTERM and waits until the process has exited.
func (g *Gateway) Stop() { g.Terminate(); <-g.exited }

// Terminate sends SIGTERM and does not wait.
func (g *Gateway) Terminate() { _ = g.cmd.Process.Signal(syscall.SIGTERM) }

// Hangup sends SIGHUP.
func (g *Gateway) Hangup() { _ = g.cmd.Process.Signal(syscall.SIGHUP) }

// Suspend stops the process from running, with its connections open. Resume continues it.
func (g *Gateway) Suspend() { Suspend(g.tb, g.PID()) }

// Resume continues a process that Suspend has stopped.
func (g *Gateway) Resume() { _ = g.cmd.Process.Signal(syscall.SIGCONT) }

// Suspend stops a process of the test, and waits until none of its threads runs.
func Suspend(tb testing.TB, pid int) {
	tb.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		tb.Fatal(err)
	}
	WaitUntil(tb, 10*time.Second, "the process has stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, thread := range threads {
			stat, _ := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return len(threads) > 0
	})
}

// Exited returns a channel that is closed when the process has exited.
func (g *Gateway) Exited() <-chan struct{} { return g.exited }

// ExitCode waits until the process has exited and returns its exit code, or -1 if a
// signal ended it.
func (g *Gateway) ExitCode() int {
	<-g.exited
	return g.cmd.ProcessState.ExitCode()
}

// PID returns the process's id.
func (g *Gateway) PID() int { return g.cmd.Process.Pid }

// Log returns what the process has printed so far.
func (g *Gateway) Log() string { return g.log.String() }

// UserFile writes the user file of the first app and returns its path.
func UserFile(tb testing.TB) string {
	tb.Helper()
	var b strings.Builder
	for i := range Users {
		fmt.Fprintf(&b, `%c{"id":%d,"username":%q,"password":%q,"is_active":true}`, "[,"[min(i, 1)], i+1, Username(i), PasswordHash)
	}
	path := filepath.Join(tb.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(b.String()+"]"), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// buffer is a bytes.Buffer that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
