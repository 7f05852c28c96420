package wholetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// want fails the test unless an answer has the status.
func want(tb testing.TB, status int, a rig.Answer, step string) rig.Answer {
	tb.Helper()
	if a.Status != status {
		tb.Fatalf("%s: %d %s (%v), want %d", step, a.Status, a.Body, a.Err, status)
	}
	return a
}

// refused fails the test unless an answer is a 401 with this code and cause.
func refused(tb testing.TB, a rig.Answer, code, cause, step string) {
	tb.Helper()
	want(tb, http.StatusUnauthorized, a, step)
	if a.Code != code || a.Cause != cause {
		tb.Errorf("%s: code %q, cause %q; want %q, %q", step, a.Code, a.Cause, code, cause)
	}
}

// rounds is how often to run a race.
func rounds(tb testing.TB, usual int) int {
	text := os.Getenv("TOKENGATE_ROUNDS")
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	must(tb, err)
	return n
}

// pair starts two gateways over the same Redis.
func pair(tb testing.TB, server *redistest.Server, settings rig.Settings) [2]*rig.Gateway {
	tb.Helper()
	return [2]*rig.Gateway{rig.Start(tb, server.URL, settings), rig.Start(tb, server.URL, settings)}
}

// together runs n calls of f at once and waits for all.
func together(n int, f func(i int) rig.Answer) []rig.Answer {
	answers, start, done := make([]rig.Answer, n), make(chan struct{}), make(chan struct{})
	for i := range n {
		go func() {
			<-start
			answers[i] = f(i)
			done <- struct{}{}
		}()
	}
	close(start)
	for range n {
		<-done
	}
	return answers
}

// operator asks the admin API.
func operator(tb testing.TB, g *rig.Gateway, method, path string) rig.Answer {
	tb.Helper()
	req, err := http.NewRequest(method, g.AdminURL+path, nil)
	must(tb, err)
	req.Header.Set("Authorization", "Bearer "+rig.Secret)
	return rig.NewClient(g.AdminURL).Do(req)
}

// eventually waits until it holds, and fails the test when it doesn't in time.
func eventually(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func writeFile(tb testing.TB, name string, content []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	must(tb, os.WriteFile(path, content, 0o600))
	return path
}

// redisConn speaks Redis's protocol beside the gateways, without their client.
type redisConn struct {
	tb   testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func dialRedis(tb testing.TB, server *redistest.Server) *redisConn {
	tb.Helper()
	conn, err := net.Dial("tcp", server.Addr)
	must(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return &redisConn{tb, conn, bufio.NewReader(conn)}
}

// do sends a command and gives its answer: int64, string, []any, error or nil.
func (c *redisConn) do(args ...string) any {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	_, err := io.WriteString(c.conn, b.String())
	if err != nil {
		return err
	}
	return c.reply()
}

func (c *redisConn) reply() any {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	mark, text := line[0], strings.TrimRight(line[1:], "\r\n")
	n, _ := strconv.ParseInt(text, 10, 64)
	switch {
	case mark == ':':
		return n
	case mark == '+':
		return text
	case mark == '-':
		return fmt.Errorf("redis: %s", text)
	case n < 0:
		return nil
	case mark == '$':
		b := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, b); err != nil {
			return err
		}
		return string(b[:n])
	}
	list := make([]any, n)
	for i := range list {
		list[i] = c.reply()
	}
	return list
}

// number is do for a command whose answer is a number.
func (c *redisConn) number(args ...string) int64 {
	c.tb.Helper()
	answer := c.do(args...)
	n, ok := answer.(int64)
	if !ok {
		c.tb.Errorf("%q: %v", args, answer)
	}
	return n
}

// keys gives the names of the keys that match a pattern.
func (c *redisConn) keys(pattern string) []string {
	c.tb.Helper()
	list, ok := c.do("KEYS", pattern).([]any)
	if !ok {
		c.tb.Fatalf("KEYS %s has no list", pattern)
	}
	names := make([]string, len(list))
	for i, name := range list {
		names[i], _ = name.(string)
	}
	return names
}

// calls is how often clients and scripts have run a command.
func (c *redisConn) calls(command string) int {
	c.tb.Helper()
	text, _ := c.do("INFO", "commandstats").(string)
	_, rest, found := strings.Cut(text, "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	count, _, _ := strings.Cut(rest, ",")
	n, err := strconv.Atoi(count)
	must(c.tb, err)
	return n
}

// program is the environment of the program's commands: the rig's app with its
// users in Redis.
type program []string

func commandsOver(redisURL string, settings ...string) program {
	p := program{
		"TOKENGATE_REDIS_URL=" + redisURL, "TOKENGATE_APPS=" + rig.App, "TOKENGATE_APP_LAB_USERS=redis:",
		"TOKENGATE_APP_LAB_SECRET_KEY=" + rig.Secret, "TOKENGATE_APP_LAB_SIGNING_KEY=" + rig.SigningKey,
	}
	return append(p, settings...)
}

// run runs a command and gives its exit code and all that it prints.
func (p program) run(tb testing.TB, stdin string, args ...string) (code int, out string) {
	tb.Helper()
	cmd := exec.Command(rig.Binary(tb), args...)
	cmd.Env, cmd.Stdin = p, strings.NewReader(stdin)
	text, err := cmd.CombinedOutput()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		tb.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}
