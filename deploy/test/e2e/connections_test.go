package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestConnectionsOfOthersStarveNoClient opens more connections than the process may have
// files: idle ones, and such that send a header or a body slowly. Another client logs in and
// refreshes meanwhile, each time, on a connection that it keeps and on new ones. The admin
// listener answers.
func TestConnectionsOfOthersStarveNoClient(t *testing.T) {
	a := newAuthority(t)
	server := redistest.Standalone(t)
	cert, key := a.issue(t)
	for _, attack := range []pressure{
		{name: "idle, one address", start: idleRequest, one: true},
		{name: "idle", start: idleRequest},
		{name: "header, one address", start: halfHeader, drip: "x", one: true},
		{name: "header", start: halfHeader, drip: "x"},
		{name: "body, one address", start: halfBody, drip: " ", one: true},
		{name: "body", start: halfBody, drip: " "},
		{name: "idle, TLS", start: idleRequest, tls: true, protocol: "http/1.1"},
		{name: "body, HTTP2", start: http2HalfBody, drip: http2Data, tls: true, protocol: "h2"},
		{name: "idle, Unix socket", start: idleRequest, unix: true},
	} {
		t.Run(attack.name, func(t *testing.T) {
			var ca *authority
			settings := gatewaytest.Settings{"SHUTDOWN_GRACE": "100ms"}
			if attack.tls {
				ca = &a
				settings["TLS_CERT_FILE"], settings["TLS_KEY_FILE"] = cert, key
			}
			g, address := startWithFiles(t, 1024, attack.unix, server.URL, settings)
			began := time.Now()
			attack.run(t, address, ca)
			refreshOften(t, clientFrom(loopback(9, 9, 1), address, ca, true), clientFrom(loopback(9, 9, 2), address, ca, false))
			checkAdminListener(t, g)
			if got := metric(t, g, `tokengate_connections{listener="public"}`); got > 512 {
				t.Errorf("got %v connections, want at most 512", got)
			}
			if metric(t, g, `tokengate_connections_closed_total{listener="public"}`) < attackConnections-512 {
				t.Error("too few connections were closed: the attack was none")
			}
			if got := metric(t, g, `tokengate_connections_refused_total{listener="public"}`); got != 0 {
				t.Errorf("%v connections were refused, want none", got)
			}
			if got, most := len(linesOf(g.Log(), "level=WARN", "connections are at their limit")), 1+int(time.Since(began)/(10*time.Second)); got < 1 || got > most {
				t.Errorf("got %d lines about the limit, want 1 to %d", got, most)
			}
			if strings.Contains(g.Log(), "too many open files") {
				t.Error("the process had too many open files")
			}
		})
	}
}

// refreshOften logs in and refreshes 100 times on each of two clients.
func refreshOften(t *testing.T, kept, fresh *gatewaytest.Client) {
	t.Helper()
	defer kept.HTTP.CloseIdleConnections()
	clients := [2]*gatewaytest.Client{kept, fresh}
	var last [2]gatewaytest.Response
	for i, c := range clients {
		last[i] = requireStatus(t, http.StatusOK, c.Login(t.Context(), i, "LONG", "attacked"), "login")
	}
	for range 100 {
		for i, c := range clients {
			last[i] = requireStatus(t, http.StatusOK, c.Refresh(t.Context(), "LONG", last[i].Refresh), "refresh")
		}
	}
}

// checkAdminListener checks that health and metrics are answered on a new connection.
func checkAdminListener(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	c := gatewaytest.NewClient(g.AdminURL)
	defer c.HTTP.CloseIdleConnections()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		req, err := http.NewRequest(http.MethodGet, g.AdminURL+path, nil)
		must(t, err)
		requireStatus(t, http.StatusOK, c.Do(req), path)
	}
}

// TestBusyConnectionsAreKept fills the public listener of a process that may have few files
// with logins that wait for the user source. A new connection is closed at once, none at work
// is, and the admin listener has places of its own.
func TestBusyConnectionsAreKept(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"user_id":7}`)
	}))
	defer source.Close()
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	const files, most = 64, 16
	g, address := startWithFiles(t, files, false, redistest.Standalone(t).URL, gatewaytest.Settings{"APP_USERS": source.URL + "/verify"})
	answers := make(chan gatewaytest.Response, most)
	for i := range most {
		c := clientFrom(loopback(3, 3, byte(1+i/4)), address, nil, false) // four at each address
		go func() { answers <- c.Login(t.Context(), i, "LONG", "busy") }()
	}
	gatewaytest.WaitUntil(t, 20*time.Second, "all places are in use", func() bool {
		return metric(t, g, `tokengate_steps_total{[^}]*step="login"[^}]*}`) == 0 && metric(t, g, `tokengate_connections{listener="public"}`) == most &&
			metric(t, g, "tokengate_requests_in_flight") == most+1 // and that for the metrics
	})
	conn, err := dialFrom(loopback(4, 4, 4), address)(t.Context(), "", "")
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("a connection that is too many: got error %v, want its end", err)
	}
	checkAdminListener(t, g)
	if got := metric(t, g, `tokengate_connections_refused_total{listener="public"}`); got != 1 {
		t.Errorf("%v connections were refused, want 1", got)
	}
	free()
	for range most {
		requireStatus(t, http.StatusOK, <-answers, "login that was at work")
	}
	requireStatus(t, http.StatusOK, clientFrom(loopback(4, 4, 4), address, nil, false).Login(t.Context(), 1, "LONG", "after"), "login after the others")
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// TestTrustedProxyMayHaveAllConnections keeps as many connections from one address as the
// listener may have half of. A proxy keeps them all, and another peer only its share.
func TestTrustedProxyMayHaveAllConnections(t *testing.T) {
	t.Parallel()
	g, address := startWithFiles(t, 1024, false, "", gatewaytest.Settings{"TRUSTED_PROXIES": "127.5.0.0/16"})
	for _, c := range []struct {
		source net.IP
		open   float64 // connections, with those of the line before
		closed float64
	}{{loopback(5, 0, 1), 256, 0}, {loopback(6, 0, 1), 256 + 128, 128}} {
		for range 256 {
			conn, err := dialFrom(c.source, address)(t.Context(), "", "")
			must(t, err)
			defer conn.Close()
		}
		gatewaytest.WaitUntil(t, 20*time.Second, "all are accepted", func() bool {
			return metric(t, g, `tokengate_connections{listener="public"}`) == c.open && metric(t, g, `tokengate_connections_closed_total{listener="public"}`) == c.closed
		})
	}
}
