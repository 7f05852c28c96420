package wholetest

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestNoSecretIsLogged drives everything that a log line can come from, at the
// lowest level, well and badly, and then looks for what must not be there.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newLogFlow(t, format)
			f.well()
			f.badly()
			f.withoutRedis()
			f.gateway.Stop()
			log := f.gateway.Log()
			for what, secret := range f.secrets {
				if strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret)) {
					t.Errorf("the log holds %s", what)
				}
			}
			f.oneLineEach(log)
		})
	}
}

// logFlow is a gateway, what was sent to it and what its log must not hold.
type logFlow struct {
	*testing.T
	gateway *rig.Gateway
	server  *redistest.Server
	secrets map[string]string // what it is → the text
	client  *rig.Client
	ids     []string // X-Request-Id of every answer
	tokens  rig.Answer
}

const redisPassword = "redis-password-0123456789"

func newLogFlow(t *testing.T, format string) *logFlow {
	t.Helper()
	server := redistest.Standalone(t)
	server.Do("ACL", "SETUSER", "gate", "on", ">"+redisPassword, "allkeys", "allchannels", "allcommands")
	f := &logFlow{T: t, server: server, secrets: map[string]string{
		"the app's secret, which is the admin token": rig.Secret, "the signing key": rig.SigningKey,
		"the password": rig.Password, "Redis's password": redisPassword, "a wrong password": "wrong-password-1",
		"a wrong secret": "wrong-secret-1", "a wrong admin token": "wrong-admin-token-1", "a token in a path": "token-in-a-path-1",
		"a token in a query": "token-in-a-query-1", "a scheme's token": "basic-token-1", "a body's junk": "junk-in-a-body-1",
	}}
	f.gateway = rig.Start(t, "redis://gate:"+redisPassword+"@"+server.Addr, rig.Settings{
		"LOG_LEVEL": "debug", "LOG_FORMAT": format, "APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2",
	})
	f.client = f.gateway.Client()
	f.client.HTTP.Transport = noted{f, f.client.HTTP.Transport}
	return f
}

// noted is an http.RoundTripper that keeps the ids and the tokens of answers.
type noted struct {
	f *logFlow
	http.RoundTripper
}

func (n noted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(req)
	if err == nil {
		n.f.ids = append(n.f.ids, resp.Header.Get("X-Request-Id"))
	}
	return resp, err
}

func (f *logFlow) keep(a rig.Answer) rig.Answer {
	for _, token := range []string{a.Refresh, a.Access} {
		for i, part := range strings.Split(token, ".") {
			if i > 0 && token != "" { // the header is no secret, and too short to look for
				f.secrets[fmt.Sprintf("part %d of token %d", i, len(f.secrets))] = part
			}
		}
	}
	return a
}

// well makes every step succeed, evictions and a replay included.
func (f *logFlow) well() {
	ctx, c := f.Context(), f.client
	login := func(sessionType string) rig.Answer {
		return f.keep(want(f.T, http.StatusOK, c.Login(ctx, 0, sessionType, "phone"), "login"))
	}
	first, second, third := login("LONG"), login("LONG"), login("LONG")
	short, other := login("SHORT"), login("SHORT")
	next := f.keep(want(f.T, http.StatusOK, c.Refresh(ctx, "LONG", third.Refresh), "refresh"))
	f.keep(want(f.T, http.StatusOK, c.Refresh(ctx, "LONG", third.Refresh), "retried refresh"))
	last := f.keep(want(f.T, http.StatusOK, c.Refresh(ctx, "LONG", next.Refresh), "refresh"))
	_, a := c.List(ctx, last.Access)
	want(f.T, http.StatusOK, a, "list")
	want(f.T, http.StatusOK, c.Verify(ctx, last.Access), "verify")
	want(f.T, http.StatusOK, c.Authz(ctx, last.Access), "authz")
	want(f.T, http.StatusOK, c.Destroy(ctx, last.Access, second.SessionID), "destroy")
	want(f.T, http.StatusOK, c.Logout(ctx, short.Refresh), "logout")
	want(f.T, http.StatusOK, c.DestroyOthers(ctx, last.Access, last.Refresh, "SHORT"), "destroy all others")
	refused(f.T, c.Refresh(ctx, "LONG", first.Refresh), "ended", "evicted", "refresh of an evicted session")
	refused(f.T, c.Refresh(ctx, "SHORT", other.Refresh), "ended", "others", "refresh of a destroyed session")
	refused(f.T, c.Refresh(ctx, "LONG", third.Refresh), "replayed", "replay", "replay")
	f.tokens = login("LONG")
	want(f.T, http.StatusUnauthorized, c.Refresh(ctx, "SHORT", login("LONG").Refresh), "refresh as another type")
}

// badly sends what careless and hostile clients send, secrets in wrong places.
func (f *logFlow) badly() {
	ctx, c, access, refresh := f.Context(), f.client, f.tokens.Access, f.tokens.Refresh
	f.secrets["a tampered token's end"] = tamper(access)[strings.LastIndexByte(access, '.')+1:]
	body := func(username, password, secret string) map[string]string {
		return map[string]string{"username": username, "password": password, "secret_key": secret, "session": "LONG", "info": "x"}
	}
	c.Post(ctx, "/api/session/login/", "", body("user0", "wrong-password-1", rig.Secret))
	c.Post(ctx, "/api/session/login/", "", body("user0", rig.Password, "wrong-secret-1"))
	c.Post(ctx, "/api/session/login/", "", body(rig.Password, "user0", rig.Secret))
	c.Post(ctx, "/api/session/login/", access, "junk-in-a-body-1")
	c.Post(ctx, "/api/session/login/", access, map[string]any{"junk-in-a-body-1": 1})
	c.Post(ctx, "/api/session/login/", "", body("user0", strings.Repeat(rig.Password, 8000), rig.Secret))
	c.Refresh(ctx, "LONG", tamper(refresh))
	c.Refresh(ctx, "LONG", access)
	c.Refresh(ctx, refresh, rig.Password)
	c.Logout(ctx, rig.SigningKey)
	c.Verify(ctx, tamper(access))
	c.Authz(ctx, tamper(access))
	c.Destroy(ctx, access, refresh)
	c.Destroy(ctx, refresh, access)
	c.DestroyOthers(ctx, access, access, refresh)
	c.Post(ctx, "/api/session/refresh/token-in-a-path-1", "", nil)
	c.Post(ctx, "/api/session/refresh/?token=token-in-a-query-1", "", nil)
	for _, header := range []string{"Basic basic-token-1", "Bearer", "JWT basic-token-1 " + access, "basic-token-1"} {
		f.ask(http.MethodPost, f.gateway.URL+"/api/session/list/", "Authorization", header)
	}
	f.ask(http.MethodDelete, f.gateway.URL+"/api/session/login/?password="+rig.Password, "X-Request-Id", "not fit for a log\t")
	f.ask(http.MethodGet, f.gateway.URL+"/apps/token-in-a-path-1/authz", "Authorization", "Bearer "+access)
	f.ask(http.MethodGet, f.gateway.AdminURL+"/admin/apps/lab/users/1/sessions", "Authorization", "Bearer wrong-admin-token-1")
	f.ask(http.MethodGet, f.gateway.AdminURL+"/admin/apps/lab/users/1/sessions", "Authorization", "Bearer "+rig.Secret)
	f.ask(http.MethodGet, f.gateway.AdminURL+"/nothing/token-in-a-path-1", "Cookie", "basic-token-1")
}

func (f *logFlow) ask(method, address, header, value string) {
	f.Helper()
	req, err := http.NewRequest(method, address, nil)
	must(f.T, err)
	req.Header.Set(header, value)
	if a := f.client.Do(req); a.Err != nil {
		f.Error(a.Err)
	}
}

// withoutRedis makes each step fail for want of Redis, in two ways.
func (f *logFlow) withoutRedis() {
	ctx, c := f.Context(), f.client
	each := func() {
		for _, a := range []rig.Answer{
			c.Login(ctx, 0, "LONG", "x"), c.Refresh(ctx, "LONG", f.tokens.Refresh), c.Destroy(ctx, f.tokens.Access, f.tokens.SessionID),
			c.DestroyOthers(ctx, f.tokens.Access, f.tokens.Refresh, "ALL"), c.Logout(ctx, f.tokens.Refresh),
		} {
			want(f.T, http.StatusServiceUnavailable, a, "a step without Redis")
		}
	}
	f.server.Do("ACL", "SETUSER", "gate", ">another-password", "<"+redisPassword)
	f.server.Do("CLIENT", "KILL", "USER", "gate")
	each()
	f.server.Kill()
	each()
	time.Sleep(50 * time.Millisecond) // the feed notices, too
}

// oneLineEach: every answer had an id, and the log has one line for it.
func (f *logFlow) oneLineEach(log string) {
	f.Helper()
	line := regexp.MustCompile(`(?:msg=|"msg":")request\b.*\brequest(?:=|":")([^\s"]+)`)
	lines := map[string]int{}
	for _, m := range line.FindAllStringSubmatch(log, -1) {
		lines[m[1]]++
	}
	if len(f.ids) < 50 {
		f.Errorf("%d answers: what is this test about?", len(f.ids))
	}
	for _, id := range f.ids {
		if id == "" || lines[id] != 1 {
			f.Errorf("request %q has %d lines", id, lines[id])
		}
	}
}
