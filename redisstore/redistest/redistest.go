// Package redistest starts real Redis servers for tests: standalone, behind
// Sentinel, and as a Cluster. They listen on free loopback ports, write only to a
// temporary directory, and stop when the test ends. If the machine has no
// redis-server, the test fails.
package redistest

import (
	"cmp"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
)

// Server is one redis-server process.
type Server struct {
	Addr string // 127.0.0.1:PORT, or that of Options
	URL  string // redis://Addr

	tb      testing.TB
	command Command
	flags   []string
	env     []string // besides the test's
	dir     string
	cmd     *exec.Cmd
}

// Command returns a command that has not started. exec.Command is one; others run the program
// on another host.
type Command func(name string, args ...string) *exec.Cmd

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
	File    string   // configuration file, of which the server gets a copy that it may rewrite; empty means none, and no persistence
	Text    string   // the text of such a file instead
	Args    []string // further options as on redis-server's command line, which take precedence
	Env     []string // environment variables besides the test's
	Command Command  // starts the server; nil means exec.Command
	Addr    string   // the server's address; empty means a free one of this host
}

// Start starts a server.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s := prepare(tb, cmp.Or(o.Addr, freeport.Address(tb)))
	if o.File != "" {
		text, err := os.ReadFile(o.File)
		if err != nil {
			tb.Fatal(err)
		}
		o.Text = string(text)
	}
	if o.Text == "" {
		s.flags = append(s.flags, "--save", "", "--appendonly", "no")
	} else {
		file := filepath.Join(s.dir, "server.conf")
		if err := os.WriteFile(file, []byte(o.Text), 0o600); err != nil {
			tb.Fatal(err)
		}
		s.flags = append([]string{file}, s.flags...)
	}
	if o.Command != nil {
		s.command = o.Command
		s.flags = append(s.flags, "--protected-mode", "no") // the test is on another host
	}
	s.flags, s.env = append(s.flags, o.Args...), o.Env
	s.launch()
	return s
}

// prepare returns a server that is not started yet. It stops when the test ends.
func prepare(tb testing.TB, addr string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	ip, port, _ := net.SplitHostPort(addr)
	s := &Server{Addr: addr, URL: "redis://" + addr, tb: tb, command: exec.Command, dir: dir}
	s.flags = []string{"--port", port, "--bind", ip, "--dir", dir, "--logfile", filepath.Join(dir, "log")}
	tb.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	return s
}

// launch starts the process and waits until it answers.
func (s *Server) launch() {
	s.tb.Helper()
	s.cmd = s.command("redis-server", s.flags...)
	s.cmd.Env = append(s.cmd.Environ(), s.env...)
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
