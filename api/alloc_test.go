package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/session"
)

// sink is a ResponseWriter that costs nothing, so that counts are the gateway's
// own and not net/http's.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// hot is one request that can be sent again and again without costs of its own.
type hot struct {
	sink
	*http.Request
	body    *strings.Reader
	content string
}

type closing struct{ *strings.Reader }

func (closing) Close() error { return nil }

func newHot(t testing.TB, method, path, body string, headers ...string) *hot {
	t.Helper()
	h := &hot{body: strings.NewReader(body), content: body}
	r, err := http.NewRequest(method, path, nil)
	must(t, err)
	r.RemoteAddr = "192.0.2.1:1234"
	r.ContentLength = int64(len(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	h.Request, h.header = r, make(http.Header, 16)
	return h
}

func (h *hot) serve(t testing.TB, handler http.Handler, status int) {
	h.body.Reset(h.content)
	h.Body = io.NopCloser(closing{h.body})
	clear(h.header)
	handler.ServeHTTP(&h.sink, h.Request)
	if h.status != status {
		t.Fatalf("status %d, want %d", h.status, status)
	}
}

// hotGateway writes its log to nowhere and does not rotate, so that one token
// does for every run.
func hotGateway(t testing.TB, rotate bool) *gateway {
	p := policies()
	for typ, policy := range p {
		policy.Rotate, policy.RetryWindow, policy.Max = rotate, 0, 5
		p[typ] = policy
	}
	return newGateway(t, options{policies: p, quiet: true})
}

// TestAllocations holds the hot handlers to their budgets: 60 for a refresh, 25
// for a verification. The signer here is a fake that itself takes about 12 for
// signing and checking an access token; a real one takes fewer.
func TestAllocations(t *testing.T) {
	g := hotGateway(t, false)
	refresh, access, _ := g.login(t)
	for _, c := range []struct {
		name   string
		hot    *hot
		budget float64
	}{
		{"refresh", newHot(t, "POST", "/api/session/refresh/", refreshBody(refresh)), 60},
		{"authz", newHot(t, "GET", "/apps/wire/authz", "", "Authorization: Bearer "+access), 25},
	} {
		got := testing.AllocsPerRun(200, func() { c.hot.serve(t, g.public, http.StatusOK) })
		t.Logf("%s: %.0f allocations", c.name, got)
		if got > c.budget {
			t.Errorf("%s: %.0f allocations, the budget is %.0f", c.name, got, c.budget)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	g := hotGateway(b, true)
	h := newHot(b, "POST", "/api/session/login/",
		`{"username":"alice","password":"alice-pw-1","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"a phone"}`)
	run(b, g, h, http.StatusOK)
}

func BenchmarkRefresh(b *testing.B) {
	g := hotGateway(b, false)
	refresh, _, _ := g.login(b)
	run(b, g, newHot(b, "POST", "/api/session/refresh/", refreshBody(refresh)), http.StatusOK)
}

func BenchmarkRefreshRefused(b *testing.B) {
	g := hotGateway(b, false)
	run(b, g, newHot(b, "POST", "/api/session/refresh/", refreshBody("garbage")), http.StatusUnauthorized)
}

func BenchmarkList(b *testing.B) {
	g := hotGateway(b, false)
	_, access, _ := g.login(b)
	for range 4 {
		g.login(b)
	}
	run(b, g, newHot(b, "POST", "/api/session/list/", `{"session":"ALL"}`, "Authorization: JWT "+access), http.StatusOK)
}

func BenchmarkDestroyNothing(b *testing.B) {
	g := hotGateway(b, false)
	_, access, _ := g.login(b)
	body := `{"session_id":"` + string(session.NewID()) + `"}`
	run(b, g, newHot(b, "POST", "/api/session/destroy/", body, "Authorization: JWT "+access), http.StatusUnauthorized)
}

func BenchmarkDestroyOthers(b *testing.B) {
	g := hotGateway(b, false)
	refresh, access, _ := g.login(b)
	h := newHot(b, "POST", "/api/session/destroyAllOther/", `{"session":"ALL","refresh":"`+refresh+`"}`, "Authorization: JWT "+access)
	run(b, g, h, http.StatusOK)
}

func BenchmarkLogoutRefused(b *testing.B) {
	g := hotGateway(b, false)
	h := newHot(b, "POST", "/api/session/logout/", `{"secret_key":"`+wiretest.Secret+`","refresh":"garbage"}`)
	run(b, g, h, http.StatusUnauthorized)
}

func BenchmarkVerify(b *testing.B) {
	g := hotGateway(b, false)
	_, access, _ := g.login(b)
	run(b, g, newHot(b, "POST", "/api/session/verify/", `{"token":"`+access+`"}`), http.StatusOK)
}

func BenchmarkAuthz(b *testing.B) {
	g := hotGateway(b, false)
	_, access, _ := g.login(b)
	run(b, g, newHot(b, "GET", "/apps/wire/authz", "", "Authorization: Bearer "+access), http.StatusOK)
}

func BenchmarkJWKS(b *testing.B) {
	run(b, hotGateway(b, false), newHot(b, "GET", "/apps/wire/jwks.json", ""), http.StatusOK)
}

func run(b *testing.B, g *gateway, h *hot, status int) {
	b.ReportAllocs()
	for b.Loop() {
		h.serve(b, g.public, status)
	}
}
