package api_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
)

func refreshBody(token string) string {
	return `{"secret_key":"` + wiretest.Secret + `","session":"LONG","refresh":"` + token + `"}`
}

func expect(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status || (body != "*" && w.Body.String() != body) {
		t.Errorf("%d %s\nwant %d %s", w.Code, w.Body, status, body)
	}
}

func TestCannotTellIs503(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.fails.Store(session.Fail(session.Unavailable, errors.New("no route to 10.1.2.3")))
	w := g.ask("POST", "/api/session/refresh/", refreshBody(refresh))
	expect(t, w, 503, `{"detail":"This can't be told right now. Try again.","code":"unavailable"}`)
	if w.Header().Get("Retry-After") != "1" || w.Header().Get("WWW-Authenticate") != "" {
		t.Errorf("headers %v", w.Header())
	}
	if !strings.Contains(g.log.String(), "no route to 10.1.2.3") {
		t.Error("the log does not say why")
	}
	g.checker.outage.Store(true)
	w = g.ask("POST", "/api/session/login/", `{"username":"alice","password":"x","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"x"}`)
	expect(t, w, 503, `{"detail":"This can't be told right now. Try again.","code":"unavailable"}`)
}

func TestUnknownErrorsAreHidden(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.fails.Store(&session.Error{Code: "brand_new", Err: errors.New("row 17")})
	expect(t, g.ask("POST", "/api/session/refresh/", refreshBody(refresh)), 500, `{"detail":"Internal server error.","code":"internal"}`)
}

func TestPanicIsOne500(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.panics.Store(true)
	w := g.ask("POST", "/api/session/refresh/", refreshBody(refresh))
	expect(t, w, 500, `{"detail":"Internal server error.","code":"internal"}`)
	if w.Header().Get("X-Request-Id") == "" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", w.Header())
	}
	log := g.log.String()
	if !strings.Contains(log, "a defect") || !strings.Contains(log, "gateway_test.go") || !strings.Contains(log, "status=500") {
		t.Errorf("the log does not tell: %s", log)
	}
	g.store.panics.Store(false)
	expect(t, g.ask("POST", "/api/session/refresh/", refreshBody(refresh)), 200, "*")
}

func TestDurabilityIsTold(t *testing.T) {
	g := newGateway(t, options{})
	refresh, _, _ := g.login(t)
	g.store.durability.Store(session.Replicated)
	if w := g.ask("POST", "/api/session/refresh/", refreshBody(refresh)); w.Header().Get("Durability") != "replicated" {
		t.Errorf("headers %v", w.Header())
	}
}

func TestBodyLimits(t *testing.T) {
	g := newGateway(t, options{})
	server := httptest.NewServer(g.public)
	defer server.Close()
	post := func(body string, chunked bool) *http.Response {
		r, err := http.NewRequest("POST", server.URL+"/api/session/verify/", strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		if chunked {
			r.ContentLength = -1
		}
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	fits := `{"token":"` + strings.Repeat("x", 64<<10-12) + `"}`
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"at the limit", fits, 401},
		{"one byte over it", fits + " ", 413},
		{"far over it", fits + strings.Repeat(" ", 1<<20), 413},
		{"a bomb of brackets", strings.Repeat("[", 64<<10), 400},
		{"a bomb of closed brackets", strings.Repeat("[", 9999) + strings.Repeat("]", 9999), 400},
		{"a bomb inside an object", `{"x":` + strings.Repeat(`{"y":`, 10_000) + "1" + strings.Repeat("}", 10_001), 400},
	} {
		for _, chunked := range []bool{false, true} {
			if resp := post(c.body, chunked); resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s (chunked: %t): %d %v", c.name, chunked, resp.StatusCode, resp.Header)
			}
		}
	}
}

func TestInfoLimit(t *testing.T) {
	g := newGateway(t, options{})
	login := func(info string) *httptest.ResponseRecorder {
		return g.ask("POST", "/api/session/login/",
			`{"username":"alice","password":"alice-pw-1","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"`+info+`"}`)
	}
	expect(t, login(strings.Repeat("é", 2048)+" "), 200, "*")
	expect(t, login(strings.Repeat("é", 2048)+"x"), 400, `{"info":["Ensure this field has no more than 4096 bytes."],"code":"invalid"}`)
}

func TestOddAccessTokens(t *testing.T) {
	g := newGateway(t, options{})
	const invalid = `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"`
	sign := func(user int64) string {
		token, _ := g.engine.App(wiretest.App).Signer.Sign(session.Claims{
			Kind: session.Access, User: session.NumberID(user), Issued: time.Now(), Expires: time.Now().Add(time.Minute),
		})
		return token
	}
	for token, want := range map[string]string{
		"no-exp": invalid + `Token has no 'exp' claim"}]}`, "no-jti": invalid + `Token has no id"}]}`, "no-type": invalid + `Token has no type"}]}`,
		"no-user": `{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`,
		sign(999): `{"detail":"User not found","code":"user_not_found"}`,
		sign(3):   `{"detail":"User is inactive","code":"user_inactive"}`,
	} {
		expect(t, g.ask("POST", "/api/session/list/", `{"session":"ALL"}`, "Authorization: JWT "+token), 401, want)
	}
	// A token without a session of ours, as another program with the key makes it, is good.
	w := g.ask("POST", "/api/session/list/", `{"session":"SHORT"}`, "Authorization: JWT "+sign(1))
	expect(t, w, 200, `{"Short":{"Available Sessions":"2","Sessions":[]}}`)
	w = g.ask("GET", "/apps/wire/authz", "", "Authorization: JWT "+sign(1))
	if w.Code != 200 || w.Header().Get("X-Auth-User") != "1" || len(w.Header().Values("X-Auth-Session")) != 1 || w.Header().Get("X-Auth-Session") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestAppsKeepTheirOwnHeaders has two apps on one gateway that take their
// tokens in different headers and schemes.
func TestAppsKeepTheirOwnHeaders(t *testing.T) {
	g := newGateway(t, options{apps: []string{"shop"}, change: func(o *api.Options) {
		o.Apps = map[string]api.App{"shop": {HeaderName: "HTTP_X_SHOP_TOKEN", HeaderTypes: []string{"Shop", "JWT"}}}
	}})
	_, wire, _ := g.login(t)
	w := g.ask("POST", "/api/session/login/", `{"username":"alice","password":"alice-pw-1","secret_key":"shop","session":"LONG","info":"x"}`)
	var shop struct{ Access string }
	decode(t, w, &shop)
	const missing = `{"detail":"Authentication credentials were not provided.","code":"not_authenticated"}`
	for _, c := range []struct {
		header    string
		status    int
		body      string
		challenge string
	}{
		{"Authorization: JWT " + wire, 200, "*", ""},
		{"X-Shop-Token: Shop " + shop.Access, 200, "*", ""},
		{"X-Shop-Token: JWT " + shop.Access, 200, "*", ""},
		{"Authorization: Shop " + shop.Access, 401, missing, `JWT realm="api"`},
		{"Authorization: JWT " + shop.Access, 401, missing, `Shop realm="api"`},
		{"X-Shop-Token: JWT " + wire, 401, missing, `JWT realm="api"`},
		{"X-Shop-Token: Bearer " + shop.Access, 401, missing, `JWT realm="api"`},
	} {
		w := g.ask("POST", "/api/session/list/", `{"session":"ALL"}`, c.header)
		expect(t, w, c.status, c.body)
		if got := w.Header().Get("WWW-Authenticate"); got != c.challenge {
			t.Errorf("%.30s: challenge %s, want %s", c.header, got, c.challenge)
		}
	}
	// What a proxy has put into another app's header is no reason to refuse a good token.
	ask := func(headers ...string) *httptest.ResponseRecorder {
		return g.ask("POST", "/api/session/list/", `{"session":"ALL"}`, headers...)
	}
	for _, others := range []string{"Bearer the-proxys", "Bearer", "Basic eDp5", "JWT " + shop.Access} {
		expect(t, ask("Authorization: "+others, "X-Shop-Token: Shop "+shop.Access), 200, "*")
	}
	expect(t, ask("Authorization: Basic eDp5", "X-Shop-Token: Shop x"), 401, `{"detail":"Given token not valid for any token type",`+
		`"code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid or expired"}]}`)
	expect(t, ask("Authorization: Bearer", "X-Shop-Token: Shop"), 401, `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`)
	expect(t, g.ask("GET", "/apps/shop/authz", "", "X-Shop-Token: Shop "+shop.Access), 200, "")
	expect(t, g.ask("GET", "/apps/shop/authz", "", "Authorization: JWT "+shop.Access), 401, missing)
	expect(t, g.ask("GET", "/apps/shop/authz", "", "X-Shop-Token: Shop "+wire), 401, "*")
	expect(t, g.ask("GET", "/apps/wire/authz", "", "Authorization: JWT "+shop.Access), 401, "*")
}

// anyone is a checker that can't say who may not.
type anyone struct{ session.Checker }

func (anyone) Recheck(context.Context, session.UserID) error { return nil }

// TestForwardAuthAsksTheSource: who may not log in any more may not pass.
func TestForwardAuthAsksTheSource(t *testing.T) {
	g := newGateway(t, options{})
	for user, want := range map[int64]int{1: 200, 3: 401, 999: 401} {
		token, _ := g.engine.App(wiretest.App).Signer.Sign(session.Claims{
			Kind: session.Access, User: session.NumberID(user), Issued: time.Now(), Expires: time.Now().Add(time.Minute),
		})
		if w := g.ask("GET", "/apps/wire/authz", "", "Authorization: JWT "+token); w.Code != want {
			t.Errorf("user %d: %d, want %d", user, w.Code, want)
		}
	}
}

func TestUserIDsInHeaders(t *testing.T) {
	g := newGateway(t, options{})
	app := g.engine.App(wiretest.App)
	app.Signer, app.Checker = textSigner{app.Signer}, anyone{app.Checker}
	for user, want := range map[string]string{"zoë@x": "zo%C3%AB@x", "a b": "a%20b", "a%20b": "a%2520b", "plain/id:1": "plain/id:1"} {
		w := g.ask("GET", "/apps/wire/authz", "", "Authorization: JWT "+strings.ReplaceAll(user, " ", "\u2000"))
		if got := w.Header().Get("X-Auth-User"); got != want {
			t.Errorf("%q came as %q", user, got)
		}
	}
}

// textSigner takes any token for the user whom it names.
type textSigner struct{ session.Signer }

func (textSigner) Verify(token string, kind session.Kind, now time.Time) (session.Claims, error) {
	user := session.TextID(strings.ReplaceAll(token, "\u2000", " "))
	return session.Claims{Kind: kind, User: user, Issued: now, Expires: now.Add(time.Minute)}, nil
}

func TestReadiness(t *testing.T) {
	var why, stopping error
	asked := 0
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Draining = func() error { return stopping }
		o.Ready = func(context.Context) error { asked++; return why }
	}})
	expect(t, ask(g.admin, "GET", "/readyz", ""), 200, `{"status":"ready"}`)
	why = errors.New("redis: not yet reached")
	w := ask(g.admin, "GET", "/readyz", "")
	expect(t, w, 503, `{"detail":"redis: not yet reached","code":"not_ready"}`)
	asked = 0
	expect(t, ask(g.admin, "GET", "/readyz?exclude=redis", ""), 200, `{"status":"ready"}`)
	if asked != 0 {
		t.Error("Redis is asked although it is excluded")
	}
	stopping = errors.New("shutting down")
	for _, path := range []string{"/readyz", "/readyz?exclude=redis"} {
		expect(t, ask(g.admin, "GET", path, ""), 503, `{"detail":"shutting down","code":"not_ready"}`)
	}
	expect(t, ask(g.admin, "GET", "/healthz", ""), 200, `{"status":"ok"}`)
}

func TestAdminIsOffWithoutAToken(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.AdminToken = "" }})
	for _, header := range []string{"", "Authorization: Bearer ", "Authorization: Bearer x"} {
		w := ask(g.admin, "DELETE", "/admin/apps/wire/sessions", "", header)
		expect(t, w, 403, `{"detail":"The admin API is off: no ADMIN_TOKEN is set.","code":"admin_off"}`)
	}
}

func TestAdminFindsAwkwardUsers(t *testing.T) {
	g := newGateway(t, options{})
	owner := session.Owner{App: wiretest.App, User: "zoë/1 %2F@x"}
	_, err := g.store.Create(context.Background(), session.CreateStep{
		Owner: owner, Session: session.Session{ID: session.NewID(), Type: session.Long, Info: "odd"}, Policy: policies()[session.Long],
	})
	must(t, err)
	w := ask(g.admin, "GET", "/admin/apps/wire/users/zo%C3%AB%2F1%20%252F@x/sessions", "", "Authorization: Bearer "+wiretest.AdminToken)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"session_info":"odd"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestJWKS(t *testing.T) {
	const keys = `{"keys":[{"kty":"OKP"}]}`
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Apps = map[string]api.App{wiretest.App: {JWKS: func() []byte { return []byte(keys) }}}
	}})
	for range 2 { // what comes back must not have been changed by the first answer
		expect(t, g.ask("GET", "/apps/wire/jwks.json", ""), 200, keys)
		g.login(t)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	g := newGateway(t, options{})
	good := api.Options{}
	newGateway(t, options{change: func(o *api.Options) { good = *o }})
	for name, change := range map[string]func(*api.Options){
		"no engine":   func(o *api.Options) { o.Engine = nil },
		"no logger":   func(o *api.Options) { o.Logger = nil },
		"no metrics":  func(o *api.Options) { o.Metrics = nil },
		"unknown app": func(o *api.Options) { o.Apps = map[string]api.App{"nope": {}} },
		"bad header":  func(o *api.Options) { o.Apps = map[string]api.App{wiretest.App: {HeaderName: "a b"}} },
		"bad scheme":  func(o *api.Options) { o.Apps = map[string]api.App{wiretest.App: {HeaderTypes: []string{""}}} },
		"no network":  func(o *api.Options) { o.TrustedProxies = []netip.Prefix{{}} },
		"two words":   func(o *api.Options) { o.AdminToken = "hunter2 hunter2" },
		"a last tab":  func(o *api.Options) { o.AdminToken = "hunter2\t" },
	} {
		opts := good
		change(&opts)
		if _, err := api.New(opts); err == nil {
			t.Errorf("%s passed", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the token is told: %v", name, err)
		}
	}
	if _, err := api.NewMetrics(g.registry); err == nil {
		t.Error("the same metrics were registered twice")
	}
}

// TestTheLogTells holds the log against who, from where and what, and against
// secrets.
func TestTheLogTells(t *testing.T) {
	g := newGateway(t, options{change: func(o *api.Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }})
	const from = "X-Forwarded-For: 198.51.100.7" // httptest's peer is 192.0.2.1
	login := `{"username":"bob","password":"bob-pw-1","secret_key":"` + wiretest.Secret + `","session":"SHORT","info":"x"}`
	var first struct{ Refresh, Access string }
	decode(t, g.ask("POST", "/api/session/login/", login, from, "X-Request-Id: r1"), &first)
	g.ask("POST", "/api/session/login/", login, from)
	g.ask("POST", "/api/session/login/", login, from, "X-Request-Id: r3")
	g.ask("POST", "/api/session/login/", strings.Replace(login, "bob-pw-1", "bob-pw-2", 1), from, "X-Request-Id: r4")
	refresh, access, _ := g.login(t)
	var second, third struct{ Refresh string }
	decode(t, g.ask("POST", "/api/session/refresh/", refreshBody(refresh), from, "X-Request-Id: r5"), &second)
	decode(t, g.ask("POST", "/api/session/refresh/", refreshBody(second.Refresh), from), &third)
	g.ask("POST", "/api/session/refresh/", refreshBody(refresh), from, "X-Request-Id: r6")
	g.ask("GET", "/api/session/login/?token="+access, "", from)

	for request, want := range map[string][]string{
		"r1": {"msg=login", "step=login", "code=ok", "app=wire", "user=2", "session=", "type=SHORT", "client=198.51.100.7"},
		"r3": {"msg=eviction", "user=2", "cause=evicted", "by=", "client=198.51.100.7"},
		"r4": {"msg=refusal", "step=login", "code=invalid_credentials", "app=wire", "client=198.51.100.7"},
		"r5": {"msg=request", "endpoint=refresh", "code=ok", "status=200", "took=", "app=wire", "user=1", "session=", "client=198.51.100.7"},
		"r6": {"msg=replay", "step=refresh", "code=replayed", "user=1", "session=", "client=198.51.100.7"},
	} {
		if !hasLine(g.log.String(), append(want, "request="+request)...) {
			t.Errorf("no line of request %s has %v", request, want)
		}
	}
	if !hasLine(g.log.String(), "request=r6", "msg=ending", "cause=replay") {
		t.Error("no line tells of the ending")
	}
	for _, secret := range []string{wiretest.Secret, "bob-pw", "alice-pw", first.Refresh, first.Access, refresh, access, second.Refresh, third.Refresh} {
		if strings.Contains(g.log.String(), secret) {
			t.Errorf("the log shows %s", secret)
		}
	}
	if t.Failed() {
		t.Log(g.log.String())
	}
}

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

func TestMetrics(t *testing.T) {
	g := newGateway(t, options{})
	refresh, access, _ := g.login(t)
	g.login(t)
	_, _, id := g.login(t)
	ask(g.admin, "DELETE", "/admin/apps/wire/users/1/sessions/"+id, "", "Authorization: Bearer "+wiretest.AdminToken)
	for range 2 {
		g.ask("POST", "/api/session/refresh/", refreshBody(refresh))
	}
	g.ask("POST", "/api/session/refresh/", refreshBody("garbage"))
	g.ask("POST", "/api/session/destroyAllOther/", `{"session":"LONG","refresh":"`+refresh+`"}`, "Authorization: JWT "+access)
	g.ask("POST", "/api/session/logout/", `{"secret_key":"`+wiretest.Secret+`","refresh":"`+refresh+`"}`)
	g.ask("GET", "/nowhere", "")
	const want = `
# HELP tokengate_requests_in_flight Requests being answered.
# TYPE tokengate_requests_in_flight gauge
tokengate_requests_in_flight 0
# HELP tokengate_requests_total Requests answered, by endpoint and by the word that says how.
# TYPE tokengate_requests_total counter
tokengate_requests_total{code="not_found",endpoint="none"} 1
tokengate_requests_total{code="ok",endpoint="destroy_others"} 1
tokengate_requests_total{code="ok",endpoint="admin_end"} 1
tokengate_requests_total{code="ok",endpoint="login"} 3
tokengate_requests_total{code="ok",endpoint="logout"} 1
tokengate_requests_total{code="ok",endpoint="refresh"} 1
tokengate_requests_total{code="retried",endpoint="refresh"} 1
tokengate_requests_total{code="unknown",endpoint="refresh"} 1
# HELP tokengate_sessions_begun_total Sessions begun, by app and type.
# TYPE tokengate_sessions_begun_total counter
tokengate_sessions_begun_total{app="wire",type="LONG"} 3
# HELP tokengate_sessions_ended_total Sessions ended, by app, type (empty where the step did not ask for one) and cause.
# TYPE tokengate_sessions_ended_total counter
tokengate_sessions_ended_total{app="wire",cause="logout",type="LONG"} 1
tokengate_sessions_ended_total{app="wire",cause="operator",type=""} 1
tokengate_sessions_ended_total{app="wire",cause="others",type=""} 1
`
	names := []string{"tokengate_requests_in_flight", "tokengate_requests_total", "tokengate_sessions_begun_total", "tokengate_sessions_ended_total"}
	if err := testutil.GatherAndCompare(g.registry, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	served := ask(g.admin, "GET", "/metrics", "").Body.Bytes()
	if !bytes.Contains(served, []byte(`tokengate_request_seconds_count{endpoint="refresh"} 3`)) {
		t.Errorf("no histogram: %s", served)
	}
}
