// Package redistest starts real Redis servers for tests: standalone, behind
// Sentinel, and as a Cluster. They listen on free loopback ports, keep nothing
// on disk but in the test's own directory, and are gone when the test ends. A
// machine without redis-server fails the test.
package redistest

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
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

// startTime is how long a server may take to answer.
const startTime = 10 * time.Second

// Standalone starts a server without persistence. args are further options as
// on redis-server's command line: "--maxmemory", "2mb".
func Standalone(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return start(tb, freePort(tb), args...)
}

func start(tb testing.TB, port int, args ...string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		tb.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s := &Server{Addr: addr, URL: "redis://" + addr, tb: tb, dir: dir}
	s.flags = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir,
		"--save", "", "--appendonly", "no", "--logfile", filepath.Join(dir, "log"),
	}, args...)
	s.launch()
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
	deadline := time.Now().Add(startTime)
	for s.Do("PING") != "+PONG" {
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			s.tb.Fatalf("redis-server %s does not answer; its log: %s", s.Addr, log)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Kill ends the process as a crash does. It may be called twice.
func (s *Server) Kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Stop ends the process in good order.
func (s *Server) Stop() {
	if s.cmd.ProcessState == nil {
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

// Do sends one command on a connection of its own and gives the first line of
// the answer, with RESP's mark ("+PONG", ":1"), or of a bulk string its text;
// empty when the server is out of reach.
func (s *Server) Do(args ...string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(startTime))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := conn.Write([]byte(b.String())); err != nil {
		return ""
	}
	return readReply(bufio.NewReader(conn))
}

func readReply(r *bufio.Reader) string {
	line, err := r.ReadString('\n')
	if err != nil {
		return ""
	}
	line = strings.TrimSuffix(line, "\r\n")
	size, isBulk := strings.CutPrefix(line, "$")
	n, err := strconv.Atoi(size)
	if !isBulk || err != nil || n < 0 {
		return line
	}
	text := make([]byte, n)
	for read := 0; read < n; {
		m, err := r.Read(text[read:])
		if err != nil {
			return ""
		}
		read += m
	}
	return string(text)
}

// freePort finds a port that was free a moment ago.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
