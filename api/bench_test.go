package api_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/session"
)

// discardWriter is a ResponseWriter without costs, so that the counts are those of
// the gateway and not those of net/http.
type discardWriter struct {
	header http.Header
	status int
}

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *discardWriter) WriteHeader(status int)      { w.status = status }

// repeatedRequest is a request that can be sent many times without costs of its own.
type repeatedRequest struct {
	discardWriter
	*http.Request
	body    *strings.Reader
	content string
}

func newRepeatedRequest(t testing.TB, method, path, body string, headers ...string) *repeatedRequest {
	t.Helper()
	req, err := http.NewRequest(method, path, nil)
	must(t, err)
	req.RemoteAddr = "192.0.2.1:1234"
	req.ContentLength = int64(len(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	return &repeatedRequest{
		discardWriter: discardWriter{header: make(http.Header, 16)},
		Request:       req, body: strings.NewReader(body), content: body,
	}
}

func (r *repeatedRequest) serve(t testing.TB, handler http.Handler, status int) {
	r.body.Reset(r.content)
	r.Body = io.NopCloser(r.body)
	clear(r.header)
	handler.ServeHTTP(&r.discardWriter, r.Request)
	if r.status != status {
		t.Fatalf("got status %d, want %d", r.status, status)
	}
}

// benchmarkGateway returns a gateway that discards its log. Without rotation, one
// refresh token can be used for every run.
func benchmarkGateway(t testing.TB, rotate bool) *gateway {
	p := policies()
	for typ, policy := range p {
		policy.Rotate, policy.RetryWindow, policy.Max = rotate, 0, 5
		p[typ] = policy
	}
	return newGateway(t, options{policies: p, discardLog: true})
}

// TestAllocations limits the allocations of the handlers that are called most: 60
// for a refresh and 25 for a verification. The fake signer's share is about 12, for
// signing and verifying an access token; the real signer needs fewer.
func TestAllocations(t *testing.T) {
	g := benchmarkGateway(t, false)
	refresh, access, _ := g.login(t)
	for _, c := range []struct {
		name    string
		request *repeatedRequest
		limit   float64
	}{
		{"refresh", newRepeatedRequest(t, "POST", "/api/session/refresh/", refreshBody(refresh)), 60},
		{"authz", newRepeatedRequest(t, "GET", "/apps/wire/authz", "", "Authorization: Bearer "+access), 25},
	} {
		got := testing.AllocsPerRun(200, func() { c.request.serve(t, g.public, http.StatusOK) })
		t.Logf("%s: %.0f allocations", c.name, got)
		if got > c.limit {
			t.Errorf("%s: got %.0f allocations, want at most %.0f", c.name, got, c.limit)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	g := benchmarkGateway(b, true)
	r := newRepeatedRequest(b, "POST", "/api/session/login/",
		`{"username":"alice","password":"alice-pw-1","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"a phone"}`)
	runBenchmark(b, g, r, http.StatusOK)
}

func BenchmarkRefresh(b *testing.B) {
	g := benchmarkGateway(b, false)
	refresh, _, _ := g.login(b)
	runBenchmark(b, g, newRepeatedRequest(b, "POST", "/api/session/refresh/", refreshBody(refresh)), http.StatusOK)
}

func BenchmarkRefreshRejected(b *testing.B) {
	g := benchmarkGateway(b, false)
	runBenchmark(b, g, newRepeatedRequest(b, "POST", "/api/session/refresh/", refreshBody("garbage")), http.StatusUnauthorized)
}

func BenchmarkList(b *testing.B) {
	g := benchmarkGateway(b, false)
	_, access, _ := g.login(b)
	for range 4 {
		g.login(b)
	}
	runBenchmark(b, g, newRepeatedRequest(b, "POST", "/api/session/list/", `{"session":"ALL"}`, "Authorization: JWT "+access), http.StatusOK)
}

func BenchmarkDestroyUnknown(b *testing.B) {
	g := benchmarkGateway(b, false)
	_, access, _ := g.login(b)
	body := `{"session_id":"` + string(session.NewID()) + `"}`
	runBenchmark(b, g, newRepeatedRequest(b, "POST", "/api/session/destroy/", body, "Authorization: JWT "+access), http.StatusUnauthorized)
}

func BenchmarkDestroyOthers(b *testing.B) {
	g := benchmarkGateway(b, false)
	refresh, access, _ := g.login(b)
	r := newRepeatedRequest(b, "POST", "/api/session/destroyAllOther/", `{"session":"ALL","refresh":"`+refresh+`"}`, "Authorization: JWT "+access)
	runBenchmark(b, g, r, http.StatusOK)
}

func BenchmarkLogoutRejected(b *testing.B) {
	g := benchmarkGateway(b, false)
	r := newRepeatedRequest(b, "POST", "/api/session/logout/", `{"secret_key":"`+wiretest.Secret+`","refresh":"garbage"}`)
	runBenchmark(b, g, r, http.StatusUnauthorized)
}

func BenchmarkVerify(b *testing.B) {
	g := benchmarkGateway(b, false)
	_, access, _ := g.login(b)
	runBenchmark(b, g, newRepeatedRequest(b, "POST", "/api/session/verify/", `{"token":"`+access+`"}`), http.StatusOK)
}

func BenchmarkAuthz(b *testing.B) {
	g := benchmarkGateway(b, false)
	_, access, _ := g.login(b)
	runBenchmark(b, g, newRepeatedRequest(b, "GET", "/apps/wire/authz", "", "Authorization: Bearer "+access), http.StatusOK)
}

func BenchmarkJWKS(b *testing.B) {
	runBenchmark(b, benchmarkGateway(b, false), newRepeatedRequest(b, "GET", "/apps/wire/jwks.json", ""), http.StatusOK)
}

func runBenchmark(b *testing.B, g *gateway, r *repeatedRequest, status int) {
	b.ReportAllocs()
	for b.Loop() {
		r.serve(b, g.public, status)
	}
}
