// Package redistest starts real Redis servers for tests: standalone, behind
// Sentinel, and as a Cluster. They listen on free loopback ports, write only to a
// temporary directory, and stop when the test ends. If the machine has no
// redis-server, the test fails.
package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
)

// Server is one redis-server process.
type Server struct {
	Addr string // 127.0.0.1:PORT
	URL  string // redis://Addr

	tb    testing.TB
	flags []string
	env   []string // nil means the test's
	dir   string
	cmd   *exec.Cmd
}

const (
	host        = "127.0.0.1"
	waitTimeout = 20 * time.Second // longest wait for a server to reach a state, or to reply
)

// Standalone starts a server without persistence. args are further options as
// on redis-server's command line: "--maxmemory", "2mb".
func Standalone(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return Start(tb, Options{Args: args})
}

// Options configure a server.
type Options struct {
	File string   // configuration file, of which the server gets a copy that it may rewrite; empty means none, and no persistence
	Args []string // further options as on redis-server's command line, which take precedence
	Env  []string // environment variables besides the test's
}

// Start starts a server.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := prepare(tb)
	if o.File != "" {
		text, err := os.ReadFile(o.File)
		if err != nil {
			tb.Fatal(err)
		}
		file := filepath.Join(s.dir, filepath.Base(o.File))
		if err := os.WriteFile(file, text, 0o600); err != nil {
			tb.Fatal(err)
		}
		s.flags = append([]string{file}, slices.Concat(s.flags[:networkFlags], s.flags[networkFlags+persistenceFlags:])...)
	}
	s.flags = append(s.flags, o.Args...)
	s.env = append(os.Environ(), o.Env...)
	s.launch()
	return s
}

// The flags that prepare sets begin with these numbers of flags of two kinds.
const (
	networkFlags     = 6
	persistenceFlags = 4
)

// prepare returns a server that is not started yet. It stops when the test ends.
func prepare(tb testing.TB) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	addr := freeport.Address(tb)
	_, port, _ := net.SplitHostPort(addr)
	s := &Server{Addr: addr, URL: "redis://" + addr, tb: tb, dir: dir}
	s.flags = []string{
		"--port", port, "--bind", host, "--dir", dir,
		"--save", "", "--appendonly", "no", "--logfile", filepath.Join(dir, "log"),
	}
	tb.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	return s
}

// launch starts the process and waits until it answers.
func (s *Server) launch() {
	s.tb.Helper()
	s.cmd = exec.Command("redis-server", s.flags...)
	s.cmd.Env = s.env
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatalf("this test needs redis-server: %v", err)
	}
	s.waitUntil("answers", func() bool { return s.Do("PING") == "PONG" })
}

// waitUntil waits for a condition. The text what, after the server's name, describes it.
func (s *Server) waitUntil(what string, reached func() bool) {
	s.tb.Helper()
	for deadline := time.Now().Add(waitTimeout); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.tb.Fatalf("timed out waiting until redis-server %s %s; its log: %s", s.Addr, what, log)
		}
	}
}

// Kill kills the process, as a crash would. It may be called twice.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Stop shuts the process down in an orderly way.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(os.Interrupt)
		_ = s.cmd.Wait()
	}
}

// Suspend stops the process from running, with its connections open. Resume continues it.
func (s *Server) Suspend() { s.signal(syscall.SIGSTOP) }

// Resume continues a process that Suspend has stopped.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// Restart kills the process and starts it again on the same port. Its data is lost unless
// an option of Standalone made it persistent.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.launch()
}
