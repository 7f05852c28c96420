package credential

import (
	"context"
	"encoding/json"
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

// app is an upstream whose one user is alice, with the password "open sesame".
type app struct {
	*httptest.Server
	asked, connections atomic.Int64
}

func startApp(t *testing.T) *app {
	a := &app{}
	a.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		var q map[string]string
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || len(q) != 2 {
			t.Errorf("%s %v: %v", r.Method, r.Header, err)
		}
		if q["username"] != "alice" || q["password"] != "open sesame" {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"detail":"no"}`)
			return
		}
		_, _ = io.WriteString(w, `{"user_id": 42, "claims": {"role": "admin"}, "more": true}`)
	}))
	a.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			a.connections.Add(1)
		}
	}
	a.Start()
	t.Cleanup(a.Close)
	return a
}

func openAt(t *testing.T, address string, o Options) *Source {
	t.Helper()
	o.DecoyKey = testKey
	source, err := Open(t.Context(), address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	return source
}

func TestUpstream(t *testing.T) {
	a := startApp(t)
	source := openAt(t, a.URL+"/verify", Options{})
	user, err := source.Check(t.Context(), "alice", "open sesame")
	if err != nil || user.ID != session.NumberID(42) || string(user.Claims) != `{"role":"admin"}` {
		t.Errorf("alice is %v %s, %v", user.ID, user.Claims, err)
	}
	for name, password := range map[string]string{"alice": "wrong", "bob": "open sesame"} {
		_, err := source.Check(t.Context(), name, password)
		wantCode(t, err, session.InvalidCredentials)
	}
	if n := a.asked.Load(); n != 3 {
		t.Errorf("3 logins, %d questions", n)
	}
	if _, err := source.Check(t.Context(), "alice", "\topen sesame "); err != nil {
		t.Errorf("with outer space: %v", err)
	}
	if err := source.Recheck(t.Context(), session.NumberID(99)); err != nil {
		t.Errorf("a recheck can't be asked: %v", err)
	}
	if n := a.connections.Load(); n != 1 {
		t.Errorf("5 questions over %d connections", n)
	}
}

// answering is an upstream that always answers the same.
func answering(t *testing.T, status int, body string) *Source {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return openAt(t, server.URL, Options{})
}

func TestUpstreamAnswers(t *testing.T) {
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
		{429, ``, session.Unavailable},
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
		{200, `{"user_id": 1, "x": "` + strings.Repeat("x", maxAnswer) + `"}`, session.Unavailable},
		{200, `{"user_id": 1}` + strings.Repeat(" ", maxAnswer), session.Unavailable},
		{200, `{"user_id": 1, "x": "` + strings.Repeat("x", maxAnswer-100) + `"}`, session.OK},
	} {
		user, err := answering(t, c.status, c.body).Check(t.Context(), "alice", "secret")
		if got := session.CodeOf(err); got != c.want || (got == session.OK) == user.ID.IsZero() {
			t.Errorf("%d %.60s: %s (%v), want %s", c.status, c.body, got, err, c.want)
		}
	}
	if _, err := answering(t, 200, `{"user_id": 7, "claims": {"n": "`+"\xff"+`"}}`).Check(t.Context(), "alice", "secret"); !strings.Contains(err.Error(), "user 7: claims is not valid UTF-8") {
		t.Errorf("the log is told %v", err)
	}
	if user, _ := answering(t, 200, `{"user_id": "42"}`).Check(t.Context(), "alice", "x"); user.ID != session.TextID("42") {
		t.Errorf("a string does not stay one: %v", user.ID)
	}
}

// A password goes to the address that the operator gave, not where that sends it.
func TestUpstreamFollowsNoRedirect(t *testing.T) {
	a := startApp(t)
	for _, status := range []int{301, 302, 307, 308} {
		from := httptest.NewServer(http.RedirectHandler(a.URL, status))
		for _, o := range []Options{{}, {HTTP: &http.Client{}}} {
			_, err := openAt(t, from.URL, o).Check(t.Context(), "alice", "open sesame")
			wantCode(t, err, session.Unavailable)
		}
		from.Close()
	}
	if n := a.asked.Load(); n != 0 {
		t.Errorf("asked %d times elsewhere", n)
	}
}

func TestUpstreamCredentials(t *testing.T) {
	var user, password string
	var in bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, in = r.BasicAuth()
		w.WriteHeader(http.StatusTeapot)
	}))
	address := strings.Replace(server.URL, "http://", "http://gate:s%2Fcr%40t@", 1) + "/verify?key=k3y"
	source := openAt(t, address, Options{})
	_, err := source.Check(t.Context(), "alice", "open sesame")
	if user != "gate" || password != "s/cr@t" || !in {
		t.Errorf("Basic auth of %q:%q (%v)", user, password, in)
	}
	server.Close()
	_, gone := source.Check(t.Context(), "alice", "open sesame")
	for _, err := range []error{err, gone, source.Reach(t.Context())} {
		wantCode(t, err, session.Unavailable)
		for _, secret := range []string{"gate", "cr@t", "s%2F", "k3y", "sesame", "alice"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q shows %q", err, secret)
			}
		}
	}
}

// stuck is an upstream that answers no question before the test is over, or
// begins an answer and never ends it.
func stuck(t *testing.T, begin bool) string {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if begin {
			_, _ = io.WriteString(w, `{"user_id": `)
			_ = http.NewResponseController(w).Flush()
		}
		<-over
	}))
	t.Cleanup(func() { close(over); server.Close() })
	return server.URL
}

func TestUpstreamTimesOut(t *testing.T) {
	for _, begin := range []bool{false, true} {
		source := openAt(t, stuck(t, begin), Options{Timeout: 50 * time.Millisecond})
		start := time.Now()
		_, err := source.Check(t.Context(), "alice", "open sesame")
		wantCode(t, err, session.Unavailable)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, err = openAt(t, stuck(t, begin), Options{}).Check(ctx, "alice", "open sesame")
		wantCode(t, err, session.Unavailable)
		cancel()
	}
	wantCode(t, openAt(t, stuck(t, false), Options{Timeout: 10 * time.Millisecond}).Reach(t.Context()), session.Unavailable)
}

// An answer without end is not read to its time-out.
func TestUpstreamAnswersWithoutEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, maxAnswer))
		}
	}))
	defer server.Close()
	start := time.Now()
	_, err := openAt(t, server.URL, Options{Timeout: time.Minute}).Check(t.Context(), "alice", "open sesame")
	wantCode(t, err, session.Unavailable)
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

// An upstream that closes idle connections, as they all do, costs no login.
func TestUpstreamClosesIdleConnections(t *testing.T) {
	a := startApp(t)
	source := openAt(t, a.URL, Options{})
	for i := range 50 {
		if _, err := source.Check(t.Context(), "alice", "open sesame"); err != nil {
			t.Fatalf("login %d: %v", i, err)
		}
		a.CloseClientConnections()
	}
}

func TestUpstreamReach(t *testing.T) {
	if err := answering(t, http.StatusMethodNotAllowed, "").Reach(t.Context()); err != nil {
		t.Errorf("it is there: %v", err)
	}
	wantCode(t, openAt(t, "http://127.0.0.1:1/", Options{}).Reach(t.Context()), session.Unavailable)
}
