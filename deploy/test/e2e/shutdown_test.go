package e2e

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

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// slowSource is a user source. It does not answer a request with the name "slow" before
// release is called.
type slowSource struct {
	*httptest.Server
	asked   chan struct{} // receives a value for each slow request
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

// slowURL returns the source's URL for a gateway whose logins are to be slow.
func (s *slowSource) slowURL() string { return "http://slow:x@" + s.Listener.Addr().String() }

// TestShutdownLetsRequestsFinish checks that after SIGTERM a gateway is not ready at once,
// answers new requests during SHUTDOWN_DELAY, and then finishes the request in flight.
// Another gateway on the same Redis is not affected.
func TestShutdownLetsRequestsFinish(t *testing.T) {
	t.Parallel()
	source, server := newSlowSource(t), redistest.Standalone(t)
	slow := gatewaytest.Start(t, server.URL, gatewaytest.Settings{
		"APP_USERS": source.slowURL(), "SHUTDOWN_DELAY": "1s", "SHUTDOWN_GRACE": "5s",
	})
	other := gatewaytest.Start(t, server.URL, gatewaytest.Settings{"APP_USERS": source.URL})
	inFlight := make(chan gatewaytest.Response, 1)
	go func() { inFlight <- slow.Client().Login(t.Context(), 0, "LONG", "in flight") }()
	<-source.asked

	slow.Terminate()
	gatewaytest.WaitUntil(t, 700*time.Millisecond, "the gateway is not ready", func() bool { return readiness(slow, "").Status == http.StatusServiceUnavailable })
	for _, query := range []string{"", "?exclude=redis"} {
		if resp := readiness(slow, query); resp.Status != http.StatusServiceUnavailable || resp.Code != "not_ready" {
			t.Errorf("/readyz%s: got status %d, body %s; want not_ready", query, resp.Status, resp.Body)
		}
	}
	requireStatus(t, http.StatusUnauthorized, slow.Client().Verify(t.Context(), "x"), "new request within SHUTDOWN_DELAY")
	gatewaytest.WaitUntil(t, 3*time.Second, "connections are refused", func() bool {
		return errors.Is(slow.Client().Verify(t.Context(), "x").Err, syscall.ECONNREFUSED)
	})
	select {
	case <-slow.Exited():
		t.Fatal("the process exited with a request in flight")
	case <-time.After(300 * time.Millisecond):
	}
	requireStatus(t, http.StatusOK, readiness(other, ""), "readiness of the other gateway")
	login := requireStatus(t, http.StatusOK, other.Client().Login(t.Context(), 0, "LONG", "elsewhere"), "login at the other gateway")

	source.release()
	requireStatus(t, http.StatusOK, <-inFlight, "login in flight")
	if code := slow.ExitCode(); code != 0 {
		t.Errorf("got exit code %d, want 0\n%s", code, slow.Log())
	}
	ids, _ := other.Client().List(t.Context(), login.Access)
	if len(ids["Long"]) != 2 {
		t.Errorf("list: got the sessions %q, want those of both logins", ids["Long"])
	}
}

// TestShutdownAnswersPartialRequest checks that a request of which only the first bytes
// have arrived counts as a request in flight.
func TestShutdownAnswersPartialRequest(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, "", nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /api/session/verify/ HTTP/1.1\r\nHost: gateway\r\n")
	must(t, err)
	time.Sleep(100 * time.Millisecond)
	g.Terminate()
	time.Sleep(200 * time.Millisecond)
	_, err = io.WriteString(conn, "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"token\":\"x\"}")
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("the request got no response: %v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !resp.Close {
		t.Errorf("got status %s and close %t, want 401 and true", resp.Status, resp.Close)
	}
	if code := g.ExitCode(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

// TestShutdownGraceIsBounded checks that a request that never finishes does not keep the
// process alive beyond SHUTDOWN_GRACE. The exit code reports the lost request.
func TestShutdownGraceIsBounded(t *testing.T) {
	t.Parallel()
	source := newSlowSource(t)
	g := gatewaytest.Start(t, redistest.Standalone(t).URL, gatewaytest.Settings{
		"APP_USERS": source.slowURL(), "SHUTDOWN_GRACE": "300ms",
	})
	go g.Client().Login(t.Context(), 0, "LONG", "never answered")
	<-source.asked
	g.Terminate()
	select {
	case <-g.Exited():
		if g.ExitCode() == 0 {
			t.Error("got exit code 0 after a lost request")
		}
	case <-time.After(3 * time.Second):
		t.Error("the process is still running, long after SHUTDOWN_GRACE")
	}
}

// TestReadinessWithoutRedis checks that /readyz reports that Redis is down, unless the
// query excludes Redis, and that the log has the cause.
func TestReadinessWithoutRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := gatewaytest.Start(t, server.URL, nil)
	server.Kill()
	requireStatus(t, http.StatusServiceUnavailable, readiness(g, ""), "readiness")
	requireStatus(t, http.StatusOK, readiness(g, "?exclude=redis"), "readiness with exclude=redis")
	requireStatus(t, http.StatusBadRequest, readiness(g, "?exclude=reddis"), "readiness with an unknown value of exclude")
	gatewaytest.WaitUntil(t, 5*time.Second, "the log has the cause", func() bool {
		_, line, found := strings.Cut(g.Log(), `level=WARN msg="not ready" error=`)
		cause, _, _ := strings.Cut(line, "\n")
		return found && strings.Contains(cause, server.Addr)
	})
}

// readiness requests /readyz. query is empty or begins with "?".
func readiness(g *gatewaytest.Gateway, query string) gatewaytest.Response {
	c := gatewaytest.NewClient(g.AdminURL)
	defer c.HTTP.CloseIdleConnections()
	req, err := http.NewRequest(http.MethodGet, g.AdminURL+"/readyz"+query, nil)
	if err != nil {
		return gatewaytest.Response{Err: err}
	}
	return c.Do(req)
}

// TestShutdownLosesNoRequest stops one of two gateways under load. The clients keep their
// connections and never pause. A refused connection is not a lost request: nothing was
// sent, and the client goes on at the other gateway, as a balancer does.
func TestShutdownLosesNoRequest(t *testing.T) {
	for _, kind := range listenerKinds(t) {
		t.Run(kind.name, func(t *testing.T) {
			server := redistest.Standalone(t)
			settings := gatewaytest.Settings{"SHUTDOWN_DELAY": "1s"}
			stopUnderLoad(t, [2]listening{kind.start(t, server.URL, settings), kind.start(t, server.URL, settings)})
		})
	}
}

// stopUnderLoad stops the first of two gateways while clients refresh there.
func stopUnderLoad(t *testing.T, gateways [2]listening) {
	t.Helper()
	const clients = 8
	var wg sync.WaitGroup
	var stop atomic.Bool
	var answered, moved atomic.Int64
	for i := range clients {
		login := requireStatus(t, http.StatusOK, gateways[0].client().Login(t.Context(), i, "LONG", "loop"), "login")
		wg.Go(func() {
			at := 0
			c := gateways[at].client()
			for !stop.Load() {
				resp := c.Refresh(t.Context(), "LONG", login.Refresh)
				if isRefused(resp.Err) && at == 0 {
					at, c = 1, gateways[1].client()
					moved.Add(1)
					continue
				}
				if resp.Status != http.StatusOK {
					t.Errorf("refresh: got status %d, body %s, error %v; want status 200", resp.Status, resp.Body, resp.Err)
					return
				}
				login.Refresh = resp.Refresh
				answered.Add(1)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	gateways[0].Terminate()
	if code := gateways[0].ExitCode(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	time.Sleep(300 * time.Millisecond)
	stop.Store(true)
	wg.Wait()
	if moved.Load() != clients {
		t.Errorf("%d clients went on at the other gateway, want %d", moved.Load(), clients)
	}
	t.Logf("%d requests", answered.Load())
}

// isRefused reports whether err means that the connection was refused, so that nothing
// was sent. A Unix socket may also be gone.
func isRefused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && (errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT))
}
