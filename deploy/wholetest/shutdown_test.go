package wholetest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// slowSource is a user source that lets the user "slow" wait for release.
type slowSource struct {
	*httptest.Server
	asked   chan struct{}
	release func()
}

func newSlowSource(t *testing.T) *slowSource {
	t.Helper()
	released := make(chan struct{})
	s := &slowSource{asked: make(chan struct{}, 1), release: sync.OnceFunc(func() { close(released) })}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, _, _ := r.BasicAuth(); name == "slow" {
			s.asked <- struct{}{}
			<-released
		}
		_, _ = fmt.Fprint(w, `{"user_id": 7}`)
	}))
	t.Cleanup(func() { s.release(); s.Close() })
	return s
}

// TestTermLetsRequestsFinish: at SIGTERM readiness goes at once, new requests
// are answered until SHUTDOWN_DELAY is over, one in flight is not cut, and the
// other instance doesn't notice.
func TestTermLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	source, server := newSlowSource(t), redistest.Standalone(t)
	slow := rig.Start(t, server.URL, rig.Settings{
		"APP_USERS": "http://slow:x@" + source.Listener.Addr().String(), "SHUTDOWN_DELAY": "1s", "SHUTDOWN_GRACE": "5s",
	})
	other := rig.Start(t, server.URL, rig.Settings{"APP_USERS": source.URL})
	inFlight := make(chan rig.Answer, 1)
	go func() { inFlight <- slow.Client().Login(t.Context(), 0, "LONG", "in flight") }()
	<-source.asked

	slow.Term()
	eventually(t, 700*time.Millisecond, "readiness is gone", func() bool { return ready(slow, "").Status == http.StatusServiceUnavailable })
	for _, query := range []string{"", "?exclude=redis"} {
		if a := ready(slow, query); a.Status != http.StatusServiceUnavailable || a.Code != "not_ready" {
			t.Errorf("readiness%s says %d %s", query, a.Status, a.Body)
		}
	}
	want(t, http.StatusUnauthorized, slow.Client().Verify(t.Context(), "x"), "a new request within SHUTDOWN_DELAY")
	eventually(t, 3*time.Second, "no more connections are accepted", func() bool {
		return errors.Is(slow.Client().Verify(t.Context(), "x").Err, syscall.ECONNREFUSED)
	})
	select {
	case <-slow.Exited():
		t.Fatal("the process has ended with a request in flight")
	case <-time.After(300 * time.Millisecond):
	}
	want(t, http.StatusOK, ready(other, ""), "the other instance's readiness")
	login := want(t, http.StatusOK, other.Client().Login(t.Context(), 0, "LONG", "elsewhere"), "a login at the other instance")

	source.release()
	want(t, http.StatusOK, <-inFlight, "the login in flight")
	if code := slow.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, slow.Log())
	}
	ids, _ := other.Client().List(t.Context(), login.Access)
	if len(ids["Long"]) != 2 {
		t.Errorf("the user's sessions are %q, want both logins'", ids["Long"])
	}
}

// TestHalfSentRequestIsAnswered: a request counts from its first byte.
func TestHalfSentRequestIsAnswered(t *testing.T) {
	t.Parallel()
	g := rig.Start(t, "", nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /api/session/verify/ HTTP/1.1\r\nHost: gateway\r\n")
	must(t, err)
	time.Sleep(100 * time.Millisecond)
	g.Term()
	time.Sleep(200 * time.Millisecond)
	_, err = io.WriteString(conn, "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"token\":\"x\"}")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the request is cut: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !resp.Close {
		t.Errorf("it is answered %s; close the connection: %t", resp.Status, resp.Close)
	}
	if code := g.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestGraceIsBounded: a request that never ends doesn't keep the process.
func TestGraceIsBounded(t *testing.T) {
	t.Parallel()
	source := newSlowSource(t)
	g := rig.Start(t, redistest.Standalone(t).URL, rig.Settings{
		"APP_USERS": "http://slow:x@" + source.Listener.Addr().String(), "SHUTDOWN_GRACE": "300ms",
	})
	go g.Client().Login(t.Context(), 0, "LONG", "never")
	<-source.asked
	g.Term()
	select {
	case <-g.Exited():
		if g.ExitCode() == 0 {
			t.Error("a request was cut, and the exit code is 0")
		}
	case <-time.After(3 * time.Second):
		t.Error("the process goes on long after SHUTDOWN_GRACE")
	}
}

// TestReadinessWithoutRedis: who asks about Redis hears that it is away, and who
// leaves it out does not.
func TestReadinessWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := rig.Start(t, server.URL, nil)
	server.Kill()
	want(t, http.StatusServiceUnavailable, ready(g, ""), "readiness")
	want(t, http.StatusOK, ready(g, "?exclude=redis"), "readiness but for Redis")
	want(t, http.StatusBadRequest, ready(g, "?exclude=reddis"), "readiness but for something unknown")
}

// ready asks for readiness; query is empty or begins with "?".
func ready(g *rig.Gateway, query string) rig.Answer {
	c := rig.NewClient(g.AdminURL)
	defer c.HTTP.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, g.AdminURL+"/readyz"+query, nil)
	if err != nil {
		return rig.Answer{Err: err}
	}
	return c.Do(req)
}

// TestNoRequestIsCut: clients that keep their connections and never pause lose
// no request while one of two gateways stops. A refused connection is no loss:
// nothing was sent, and the next instance is asked, as a balancer would.
func TestNoRequestIsCut(t *testing.T) {
	const clients = 8
	gateways := pair(t, redistest.Standalone(t), rig.Settings{"SHUTDOWN_DELAY": "1s"})
	var wg sync.WaitGroup
	var stop atomic.Bool
	var answered, moved atomic.Int64
	for i := range clients {
		login := want(t, http.StatusOK, gateways[0].Client().Login(t.Context(), i, "LONG", "loop"), "login")
		wg.Go(func() {
			c := gateways[0].Client()
			for !stop.Load() {
				next := c.Refresh(t.Context(), "LONG", login.Refresh)
				if refusedDial(next.Err) && c.URL == gateways[0].URL {
					c = gateways[1].Client()
					moved.Add(1)
					continue
				}
				if next.Status != http.StatusOK {
					t.Errorf("a request is lost: %d %s %v", next.Status, next.Body, next.Err)
					return
				}
				login.Refresh = next.Refresh
				answered.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	gateways[0].Term()
	if code := gateways[0].ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if moved.Load() != clients {
		t.Errorf("%d of %d clients have moved on", moved.Load(), clients)
	}
	t.Logf("%d requests", answered.Load())
}

// refusedDial tells an error that came before anything was sent.
func refusedDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED)
}
