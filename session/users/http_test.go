package users

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/session"
)

// upstream is an HTTP user source. Its only user is alice, with the password "open sesame".
type upstream struct {
	*httptest.Server
	requests, connections atomic.Int64
}

func startUpstream(t *testing.T) *upstream {
	u := &upstream{}
	u.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.requests.Add(1)
		var q map[string]string
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || len(q) != 2 {
			t.Errorf("got request %s %v (%v), want a POST of two JSON members", r.Method, r.Header, err)
		}
		if q["username"] != "alice" || q["password"] != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"detail":"no"}`)
			return
		}
		_, _ = io.WriteString(w, `{"user_id": 42, "claims": {"role": "admin"}, "more": true}`)
	}))
	u.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			u.connections.Add(1)
		}
	}
	u.Start()
	t.Cleanup(u.Close)
	return u
}

func openSource(t *testing.T, address string, o Options) *Source {
	t.Helper()
	o.DummyKey = testKey
	source, err := Open(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func TestHTTPSource(t *testing.T) {
	u := startUpstream(t)
	source := openSource(t, u.URL+"/verify", Options{})
	user, err := source.Check(t.Context(), presented("alice", "open sesame"), anyone)
	if err != nil || user.ID != session.NumberID(42) || string(user.Claims) != `{"role":"admin"}` {
		t.Errorf("got user %v with claims %s, %v, want user 42 with the role admin", user.ID, user.Claims, err)
	}
	for name, password := range map[string]string{"alice": "wrong", "bob": "open sesame"} {
		_, err := source.Check(t.Context(), presented(name, password), anyone)
		wantCode(t, err, session.InvalidCredentials)
	}
	if n := u.requests.Load(); n != 3 {
		t.Errorf("got %d requests for 3 logins, want 3", n)
	}
	if _, err := source.Check(t.Context(), presented("alice", "\topen sesame "), anyone); err != nil {
		t.Errorf("login with white space around the password: %v", err)
	}
	if err := recheck(t.Context(), session.NumberID(99), source); err != nil {
		t.Errorf("recheck: %v", err)
	}
	if n := u.connections.Load(); n != 1 {
		t.Errorf("got %d connections for 5 requests, want 1", n)
	}
}

// openResponding opens an HTTP source that always returns the same response.
func openResponding(t *testing.T, status int, body string) *Source {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return openSource(t, server.URL, Options{})
}

func TestHTTPResponses(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   session.Code
	}{
		{200, `{"user_id": 1}`, session.OK},
		{200, `{"user_id": "7f-a", "claims": null}`, session.OK},
		{200, `{"user_id": 1, "claims": {}}`, session.OK},
		{401, ``, session.InvalidCredentials},
		{403, `not JSON`, session.InvalidCredentials},
		{404, `{"user_id": 1}`, session.InvalidCredentials},
		{201, `{"user_id": 1}`, session.Unavailable},
		{204, ``, session.Unavailable},
		{304, ``, session.Unavailable},
		{400, `{"user_id": 1}`, session.Unavailable},
		{429, ``, session.Throttled},
		{500, `{"user_id": 1}`, session.Unavailable},
		{503, ``, session.Unavailable},
		{200, ``, session.Unavailable},
		{200, `{"user_id": 1`, session.Unavailable},
		{200, `{"user_id": 1} more`, session.Unavailable},
		{200, `[1]`, session.Unavailable},
		{200, `{}`, session.Unavailable},
		{200, `{"user_id": null}`, session.Unavailable},
		{200, `{"user_id": ""}`, session.Unavailable},
		{200, `{"user_id": true}`, session.Unavailable},
		{200, `{"user_id": 1.5}`, session.Unavailable},
		{200, `{"user_id": 1, "claims": "admin"}`, session.Unavailable},
		{200, `{"user_id": 1, "claims": [1]}`, session.Unavailable},
		{200, `{"user_id": "caf` + "\xe9" + `"}`, session.Unavailable},
		{200, `{"user_id": 1, "claims": {"n": "caf` + "\xe9" + `"}}`, session.Unavailable},
		{200, `{"user_id": 1, "claims": ` + claimsOf(session.MaxClaims+1) + `}`, session.Unavailable},
		{200, `{"user_id": 1, "claims": ` + claimsOf(session.MaxClaims) + `}`, session.OK},
		{200, `{"user_id": 1, "x": "` + strings.Repeat("x", maxResponse) + `"}`, session.Unavailable},
		{200, `{"user_id": 1}` + strings.Repeat(" ", maxResponse), session.Unavailable},
		{200, `{"user_id": 1, "x": "` + strings.Repeat("x", maxResponse-100) + `"}`, session.OK},
		{200, fmt.Sprintf("%-*s", 64<<10, `{"user_id": 1}`), session.OK}, // padded to exactly the maximum
		{200, fmt.Sprintf("%-*s", 64<<10+1, `{"user_id": 1}`), session.Unavailable},
	} {
		user, err := openResponding(t, c.status, c.body).Check(t.Context(), presented("alice", "secret"), anyone)
		if got := session.CodeOf(err); got != c.want || (got == session.OK) == user.ID.IsZero() {
			t.Errorf("%d %.60s: got %s (%v), want %s", c.status, c.body, got, err, c.want)
		}
	}
	if _, err := openResponding(t, 200, `{"user_id": 7, "claims": {"n": "`+"\xff"+`"}}`).Check(t.Context(), presented("alice", "secret"), anyone); !strings.Contains(err.Error(), "user 7: claims is not valid UTF-8") {
		t.Errorf("got error %v, want one with the user's id", err)
	}
	if user, _ := openResponding(t, 200, `{"user_id": "42"}`).Check(t.Context(), presented("alice", "x"), anyone); user.ID != session.TextID("42") {
		t.Errorf("got user %v, want the string 42", user.ID)
	}
}

// TestHTTPRedirectIsNotFollowed checks that a password is sent only to the address that the
// operator has set.
func TestHTTPRedirectIsNotFollowed(t *testing.T) {
	u := startUpstream(t)
	for _, status := range []int{301, 302, 307, 308} {
		from := httptest.NewServer(http.RedirectHandler(u.URL, status))
		for _, o := range []Options{{}, {HTTP: &http.Client{}}} {
			_, err := openSource(t, from.URL, o).Check(t.Context(), presented("alice", "open sesame"), anyone)
			wantCode(t, err, session.Unavailable)
		}
		from.Close()
	}
	if n := u.requests.Load(); n != 0 {
		t.Errorf("got %d requests at the redirect's target, want none", n)
	}
}

func TestHTTPBasicAuth(t *testing.T) {
	var user, password string
	var ok bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok = r.BasicAuth()
		w.WriteHeader(http.StatusTeapot)
	}))
	address := strings.Replace(server.URL, "http://", "http://gate:s%2Fcr%40t@", 1) + "/verify?key=k3y"
	source := openSource(t, address, Options{})
	_, err := source.Check(t.Context(), presented("alice", "open sesame"), anyone)
	if user != "gate" || password != "s/cr@t" || !ok {
		t.Errorf("got Basic auth %q:%q (%v), want that of the address", user, password, ok)
	}
	server.Close()
	_, closed := source.Check(t.Context(), presented("alice", "open sesame"), anyone)
	for _, err := range []error{err, closed, source.Ping(t.Context())} {
		wantCode(t, err, session.Unavailable)
		for _, secret := range []string{"gate", "cr@t", "s%2F", "k3y", "sesame", "alice"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q contains %q", err, secret)
			}
		}
	}
}

// startStalled starts a server that does not respond until the test ends, and returns its
// address. With partial, the server sends the first bytes of a response.
func startStalled(t *testing.T, partial bool) string {
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if partial {
			_, _ = io.WriteString(w, `{"user_id": `)
			_ = http.NewResponseController(w).Flush()
		}
		<-done
	}))
	t.Cleanup(func() { close(done); server.Close() })
	return server.URL
}

func TestHTTPTimeout(t *testing.T) {
	for _, partial := range []bool{false, true} {
		source := openSource(t, startStalled(t, partial), Options{Timeout: 50 * time.Millisecond})
		start := time.Now()
		_, err := source.Check(t.Context(), presented("alice", "open sesame"), anyone)
		wantCode(t, err, session.Unavailable)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the login took %s, want at most 5s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err = openSource(t, startStalled(t, partial), Options{}).Check(ctx, presented("alice", "open sesame"), anyone)
		wantCode(t, err, session.Unavailable)
		cancel()
	}
	wantCode(t, openSource(t, startStalled(t, false), Options{Timeout: 10 * time.Millisecond}).Ping(t.Context()), session.Unavailable)
}

// TestHTTPEndlessResponse checks that reading an endless response stops long before the
// timeout.
func TestHTTPEndlessResponse(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, maxResponse))
		}
	}))
	defer server.Close()
	start := time.Now()
	_, err := openSource(t, server.URL, Options{Timeout: time.Minute}).Check(t.Context(), presented("alice", "open sesame"), anyone)
	wantCode(t, err, session.Unavailable)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the login took %s, want at most 30s", took)
	}
}

// TestHTTPClosedIdleConnections checks that no login fails because the server has closed an
// idle connection, as all servers do.
func TestHTTPClosedIdleConnections(t *testing.T) {
	u := startUpstream(t)
	source := openSource(t, u.URL, Options{})
	for i := range 50 {
		if _, err := source.Check(t.Context(), presented("alice", "open sesame"), anyone); err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		u.CloseClientConnections()
	}
}

func TestHTTPPing(t *testing.T) {
	if err := openResponding(t, http.StatusMethodNotAllowed, "").Ping(t.Context()); err != nil {
		t.Errorf("ping of a running server: %v", err)
	}
	wantCode(t, openSource(t, "http://127.0.0.1:1/", Options{}).Ping(t.Context()), session.Unavailable)
}

// TestDisconnectedGuessIsAnswered checks that a login ends with the other program's answer
// although its client has disconnected: the guess was compared, so it must be counted. One
// that fails after another form of the password was refused counts as well.
func TestDisconnectedGuessIsAnswered(t *testing.T) {
	var requests atomic.Int32
	ctx, disconnect := context.WithCancel(t.Context())
	status := http.StatusUnauthorized
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		disconnect()
		if requests.Add(1) == 2 {
			w.WriteHeader(status)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	source := openSource(t, server.URL, Options{})
	_, err := source.Check(ctx, presented("alice", "wrong "), anyone)
	wantCode(t, err, session.InvalidCredentials)
	requests.Store(0)
	status = http.StatusInternalServerError
	_, err = source.Check(t.Context(), presented("alice", "wrong "), anyone)
	wantCode(t, err, session.Unavailable)
	if e, ok := errors.AsType[*session.Error](err); !ok || !e.Compared {
		t.Errorf("got %+v, want an error after a comparison", err)
	}
	requests.Store(1)
	_, err = source.Check(t.Context(), presented("alice", "wrong"), anyone)
	if e, ok := errors.AsType[*session.Error](err); !ok || e.Compared {
		t.Errorf("got %+v, want an error without a comparison", err)
	}
}
