// Package redistest starts real Redis servers for tests: standalone, behind
// Sentinel, and as a Cluster. They listen on free loopback ports, keep nothing
// on disk but in the test's own directory, and are gone when the test ends. A
// machine without redis-server fails the test.
package redistest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"tokengate/deploy/ports"
)

// Server is one redis-server process.
type Server struct {
	Addr string // 127.0.0.1:PORT
	URL  string // redis://Addr

	tb    testing.TB
	flags []string
	dir   string
	cmd   *exec.Cmd
}

const (
	host      = "127.0.0.1"
	startTime = 20 * time.Second // how long a server may take to be as it should
)

// Standalone starts a server without persistence. args are further options as
// on redis-server's command line: "--maxmemory", "2mb".
func Standalone(tb testing.TB, args ...string) *Server {
	tb.Helper()
	s := prepare(tb)
	s.flags = append(s.flags, args...)
	s.launch()
	return s
}

// prepare makes a server that is not started yet.
func prepare(tb testing.TB) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	addr := ports.Address(tb)
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

func (s *Server) launch() {
	s.tb.Helper()
	s.cmd = exec.Command("redis-server", s.flags...)
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatalf("redis-server is needed for this test: %v", err)
	}
	s.until("answers", func() bool { return s.Do("PING") == "PONG" })
}

// until waits for a server to be as it should.
func (s *Server) until(what string, reached func() bool) {
	s.tb.Helper()
	for deadline := time.Now().Add(startTime); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.tb.Fatalf("waited in vain until redis-server %s %s; its log: %s", s.Addr, what, log)
		}
	}
}

// Kill ends the process as a crash does. It may be called twice.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Stop ends the process in good order.
func (s *Server) Stop() {
	if s.cmd != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(os.Interrupt)
		_ = s.cmd.Wait()
	}
}

// Restart starts the server again on its port, without what it held.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Kill()
	s.launch()
}
