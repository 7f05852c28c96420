package api_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"tokengate/api"
	"tokengate/api/listen"
	"tokengate/api/wiretest"
	"tokengate/session"
)

// TestLogLines checks that the log lines have the user, the client's address and the
// result, and no secrets.
func TestLogLines(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	const from = "X-Forwarded-For: 198.51.100.7" // httptest's peer is 192.0.2.1
	login := `{"username":"bob","password":"bob-pw-1","secret_key":"` + wiretest.Secret + `","session":"SHORT","info":"x"}`
	var first struct{ Refresh, Access string }
	decode(t, g.do("POST", "/api/session/login/", login, from, "X-Request-Id: r1"), &first)
	g.do("POST", "/api/session/login/", login, from)
	g.do("POST", "/api/session/login/", login, from, "X-Request-Id: r3")
	g.do("POST", "/api/session/login/", strings.Replace(login, "bob-pw-1", "bob-pw-2", 1), from, "X-Request-Id: r4")
	refresh, access, _ := g.login(t)
	var second, third struct{ Refresh string }
	decode(t, g.do("POST", "/api/session/refresh/", refreshBody(refresh), from, "X-Request-Id: r5"), &second)
	decode(t, g.do("POST", "/api/session/refresh/", refreshBody(second.Refresh), from), &third)
	g.do("POST", "/api/session/refresh/", refreshBody(refresh), from, "X-Request-Id: r6")
	g.do("GET", "/api/session/login/?token="+access, "", from)

	for request, want := range map[string][]string{
		"r1": {"msg=login", "step=login", "code=ok", "app=wire", "user=2", "session=", "type=SHORT", "client=198.51.100.7"},
		"r3": {"msg=eviction", "user=2", "cause=evicted", "by=", "client=198.51.100.7"},
		"r4": {"msg=refusal", "step=login", "code=invalid_credentials", "app=wire", "client=198.51.100.7"},
		"r5": {"msg=request", "endpoint=refresh", "code=ok", "status=200", "took=", "app=wire", "user=1", "session=", "client=198.51.100.7"},
		"r6": {"msg=replay", "step=refresh", "code=replayed", "user=1", "session=", "client=198.51.100.7"},
	} {
		if !hasLine(g.log.String(), append(want, "request="+request)...) {
			t.Errorf("no line of request %s contains %v", request, want)
		}
	}
	if !hasLine(g.log.String(), "request=r6", "msg=revocation", "cause=replay") {
		t.Error("the revocation has no line")
	}
	for _, secret := range []string{wiretest.Secret, "bob-pw", "alice-pw", first.Refresh, first.Access, refresh, access, second.Refresh, third.Refresh} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("the log contains the secret %s", secret)
		}
	}
	if t.Failed() {
		t.Log(g.log.String())
	}
}

// TestRepeatFromAnotherNetwork checks that a repeat from another network than that of the
// refresh that spent the token has a line of its own, and that retries are counted and, when
// there are too many, refused.
func TestRepeatFromAnotherNetwork(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	refresh, _, id := g.login(t)
	send := func(request, from string) *httptest.ResponseRecorder {
		return g.do("POST", "/api/session/refresh/", refreshBody(refresh), "X-Forwarded-For: "+from, "X-Request-Id: "+request)
	}
	send("spends", "198.51.100.7")
	send("same", "198.51.100.7")
	send("moved", "203.0.113.9")
	log := g.log.String()
	if !hasLine(log, "level=WARN", `msg="repeat from another network"`, "request=moved", "code=retried", "app=wire", "user=1", "session="+id, "client=203.0.113.9") {
		t.Errorf("the repeat from another network has no line:\n%s", log)
	}
	if n := strings.Count(log, "another network"); n != 1 {
		t.Errorf("%d lines say that a repeat came from another network, want 1:\n%s", n, log)
	}
	for range session.MaxRepeats - 2 {
		send("same", "198.51.100.7")
	}
	refused := send("refused", "198.51.100.7")
	expect(t, refused, 429, `{"detail":"This refresh token was repeated too often. Use the newest one.","code":"throttled"}`)
	if got := refused.Header().Get("Retry-After"); got != "1" {
		t.Errorf("got Retry-After %q, want 1", got)
	}
	metrics := do(g.admin, "GET", "/metrics", "").Body.String()
	for _, line := range []string{`code="retried",step="refresh"} 50`, `code="throttled",step="refresh"} 1`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no line with %s", line)
		}
	}
}

// TestRequestLogLevels checks the level of requests' log lines. A 5xx is an error, unless
// the client has disconnected. Frequent requests, such as those of a balancer, are logged at
// debug level, unless they fail with a 5xx. A failed readiness check has a line of its own.
func TestRequestLogLevels(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Ready = func(context.Context) error { return errors.New("redis: not yet reached") }
	}})
	refresh, access, _ := g.login(t)
	const path = "/api/session/refresh/"
	g.do("POST", path, refreshBody(refresh), "X-Request-Id: accepted")
	g.do("POST", path, refreshBody("garbage"), "X-Request-Id: rejected")
	g.doDisconnected("POST", path, refreshBody("garbage"), "X-Request-Id: disconnected-rejected")
	for _, code := range []session.Code{session.Internal, session.Unavailable} {
		g.store.failure.Store(session.Fail(code, errors.New("row 17")))
		g.do("POST", path, refreshBody(refresh), "X-Request-Id: "+string(code))
		g.doDisconnected("POST", path, refreshBody(refresh), "X-Request-Id: disconnected-"+string(code))
	}
	g.do("GET", "/apps/wire/authz", "", "Authorization: JWT "+access, "X-Request-Id: authz")
	do(g.admin, "GET", "/healthz", "", "X-Request-Id: healthz")
	do(g.admin, "GET", "/readyz", "", "X-Request-Id: readyz-failed")

	for request, want := range map[string][]string{
		"accepted":                 {"level=INFO", "status=200", "code=ok"},
		"rejected":                 {"level=INFO", "status=401", "code=unknown"},
		"disconnected-rejected":    {"level=INFO", "status=401", "code=unknown"},
		"internal":                 {"level=ERROR", "status=500", "code=internal", "row 17"},
		"disconnected-internal":    {"level=INFO", "status=500", "code=client_gone"},
		"unavailable":              {"level=ERROR", "status=503", "code=unavailable", "row 17"},
		"disconnected-unavailable": {"level=INFO", "status=503", "code=client_gone"},
		"authz":                    {"level=DEBUG", "status=200", "code=ok"},
		"healthz":                  {"level=DEBUG", "status=200", "code=ok"},
		"readyz-failed":            {"level=DEBUG", "status=503", "code=not_ready"},
	} {
		if !hasLine(g.log.String(), append(want, "msg=request", "request="+request)...) {
			t.Errorf("no line of request %s contains %v", request, want)
		}
	}
	if t.Failed() {
		t.Log(g.log.String())
	}
}

// TestRequestLinesNameMethodAndPath checks the method, the path and the trace id in the lines
// of requests and of steps, and the endpoint of OPTIONS.
func TestRequestLinesNameMethodAndPath(t *testing.T) {
	g := newGateway(t, options{})
	const trace = "0af7651916cd43dd8448eb211c80319c"
	_, access, _ := g.login(t)
	send := func(id, method, path, body string, headers ...string) {
		g.do(method, path, body, append(headers, "X-Request-Id: "+id)...)
	}
	send("traced", "POST", "/api/session/login/?next=query-1", `{"username":"bob","password":"x","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"x"}`,
		"Traceparent: 00-"+trace+"-b7ad6b7169203331-01")
	send("untraced", "POST", "/api/session/refresh/", "", "Traceparent: 00-"+trace+"-b7ad6b7169203331")
	send("lost", "GET", "/no/such%0Apath?token="+access, "")
	send("token-in-path", "POST", "/api/session/refresh/"+access+access, "")
	send("preflight", "OPTIONS", "/api/session/refresh/", "")
	send("preflight-rejected", "OPTIONS", "/api/session/list/", "")
	send("authz", "OPTIONS", "/apps/wire/authz", "", "Authorization: JWT "+access)
	send("not-options", "OPTIONS", "/apps/wire/jwks.json", "")

	log := g.log.String()
	for request, want := range map[string][]string{
		"traced":             {"msg=refusal", "trace=" + trace},
		"untraced":           {"msg=request", "endpoint=refresh", "method=POST", "path=/api/session/refresh/ "},
		"lost":               {"msg=request", "endpoint=none", "method=GET", `path="/no/such\npath"`, "status=404"},
		"token-in-path":      {"msg=request", "endpoint=none", "path=/api/session/refresh/" + access[:8] + "… "},
		"preflight":          {"msg=request", "endpoint=options", "method=OPTIONS", "path=/api/session/refresh/ ", "code=ok"},
		"preflight-rejected": {"msg=request", "endpoint=options", "path=/api/session/list/ ", "status=401"},
		"authz":              {"msg=request", "endpoint=authz", "method=OPTIONS", "path=/apps/wire/authz ", "code=ok"},
		"not-options":        {"msg=request", "endpoint=jwks", "status=405"},
	} {
		if !hasLine(log, append(want, "request="+request)...) {
			t.Errorf("no line of request %s contains %q", request, want)
		}
	}
	if !hasLine(log, "msg=request", "request=traced", "trace="+trace, "path=/api/session/login/ ") || hasLine(log, "request=untraced", "trace=") {
		t.Error("want the trace id in the request's line if the header is valid")
	}
	if strings.Contains(log, "query-1") || strings.Contains(log, access) {
		t.Error("the log contains a query or a token")
	}
	metrics := do(g.admin, "GET", "/metrics", "").Body.String()
	for line, want := range map[string]bool{
		`tokengate_requests_total{code="ok",endpoint="options"} 1`:                true,
		`tokengate_requests_total{code="not_authenticated",endpoint="options"} 1`: true,
		`tokengate_requests_total{code="ok",endpoint="refresh"}`:                  false,
	} {
		if strings.Contains(metrics, line) != want {
			t.Errorf("metrics: want the line %s: %t", line, want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

// TestReadinessIsLogged checks that a failed readiness check has a line with its cause, not
// at every check, and that the next success has one too. A stop has no such lines.
func TestReadinessIsLogged(t *testing.T) {
	var cause, draining atomic.Pointer[error]
	load := func(p *atomic.Pointer[error]) error {
		if err := p.Load(); err != nil {
			return *err
		}
		return nil
	}
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Ready = api.LogReadiness(o.Logger, func(context.Context) error { return load(&cause) })
		o.Draining = func() error { return load(&draining) }
	}})
	down := errors.New("no route to redis")
	for _, results := range [][]*error{{nil, nil}, {&down, &down, &down}, {nil, nil}, {&down}, {nil}} {
		for _, result := range results {
			cause.Store(result)
			do(g.admin, "GET", "/readyz", "")
		}
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	cause.Store(&down)
	g.admin.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/readyz", nil).WithContext(gone)) // the prober gives up
	draining.Store(&listen.ErrDraining)
	do(g.admin, "GET", "/readyz", "")
	log := g.log.String()
	if n := strings.Count(log, `msg="not ready"`); n != 1 || !hasLine(log, "level=WARN", `msg="not ready"`, `error="no route to redis"`) {
		t.Errorf("got %d lines that the instance is not ready, want one, with the cause\n%s", n, log)
	}
	if n := strings.Count(log, `msg="ready again"`); n != 1 || !hasLine(log, "level=INFO", `msg="ready again"`) {
		t.Errorf("got %d lines that the instance is ready again, want one\n%s", n, log)
	}
}

// hasLine reports whether one line of the log contains all parts.
func hasLine(log string, parts ...string) bool {
	for line := range strings.Lines(log) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}
