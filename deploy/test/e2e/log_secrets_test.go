package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestNoSecretIsLogged causes every kind of log line at the lowest level, with good and
// bad requests and without Redis. Then it searches the log for secrets.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			l := newLogTest(t, format)
			l.sendGoodRequests()
			l.sendBadRequests()
			l.sendDeviceTokens()
			l.sendWithoutRedis()
			l.gateway.Stop()
			log := l.gateway.Log()
			for name, secret := range l.secrets {
				if strings.Contains(log, secret) || strings.Contains(log, url.QueryEscape(secret)) {
					t.Errorf("the log contains %s", name)
				}
			}
			l.checkRequestLines(log)
		})
	}
}

// logTest is a gateway together with the secrets that were sent to it or came from it.
type logTest struct {
	*testing.T
	gateway *gatewaytest.Gateway
	server  *redistest.Server
	client  *gatewaytest.Client
	secrets map[string]string    // name → secret
	ids     []string             // X-Request-Id of each response
	session gatewaytest.Response // login of a session that is live
	device  string               // Device-Token of a login
}

const redisPassword = "redis-password-0123456789"

func newLogTest(t *testing.T, format string) *logTest {
	t.Helper()
	server := redistest.Standalone(t)
	server.Do("ACL", "SETUSER", "gate", "on", ">"+redisPassword, "allkeys", "allchannels", "allcommands")
	l := &logTest{T: t, server: server, secrets: map[string]string{
		"the app's secret": gatewaytest.Secret, "the admin token": gatewaytest.AdminToken, "the signing key": gatewaytest.SigningKey,
		"the password": gatewaytest.Password, "Redis's password": redisPassword, "a wrong password": "wrong-password-1",
		"a wrong secret": "wrong-secret-1", "a wrong admin token": "wrong-admin-token-1",
		"a token in a query": "token-in-a-query-1", "a token of another scheme": "basic-token-1", "junk in a body": "junk-in-a-body-1",
		"a user's name": gatewaytest.Username(0), "an unknown name": "name-of-no-user-1", "a part of a device token": "device-token-1",
	}}
	l.gateway = gatewaytest.Start(t, "redis://gate:"+redisPassword+"@"+server.Addr, gatewaytest.Settings{
		"LOG_LEVEL": "debug", "LOG_FORMAT": format, "APP_LOGIN_ATTEMPTS": "20", "APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2",
	})
	l.client = l.gateway.Client()
	l.client.HTTP.Transport = idRecorder{l, l.client.HTTP.Transport}
	return l
}

// idRecorder is an [http.RoundTripper] that records the request IDs of responses.
type idRecorder struct {
	l *logTest
	http.RoundTripper
}

func (r idRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.RoundTripper.RoundTrip(req)
	if err == nil {
		r.l.ids = append(r.l.ids, resp.Header.Get("X-Request-Id"))
	}
	return resp, err
}

// addTokens adds the claims and signatures of the tokens in resp to the secrets. A
// token's header is not secret, and too short to search for.
func (l *logTest) addTokens(resp gatewaytest.Response) gatewaytest.Response {
	for _, token := range []string{resp.Refresh, resp.Access, resp.Header.Get("Device-Token")} {
		for i, part := range strings.Split(token, ".") {
			if i > 0 && token != "" {
				l.secrets[fmt.Sprintf("part %d of token %d", i, len(l.secrets))] = part
			}
		}
	}
	return resp
}

// sendGoodRequests makes every step succeed. It also causes evictions and a replay.
func (l *logTest) sendGoodRequests() {
	ctx, c := l.Context(), l.client
	login := func(sessionType string) gatewaytest.Response {
		return l.addTokens(requireStatus(l.T, http.StatusOK, c.Login(ctx, 0, sessionType, "phone"), "login"))
	}
	first, second, third := login("LONG"), login("LONG"), login("LONG")
	short, other := login("SHORT"), login("SHORT")
	next := l.addTokens(requireStatus(l.T, http.StatusOK, c.Refresh(ctx, "LONG", third.Refresh), "refresh"))
	l.addTokens(requireStatus(l.T, http.StatusOK, c.Refresh(ctx, "LONG", third.Refresh), "retried refresh"))
	last := l.addTokens(requireStatus(l.T, http.StatusOK, c.Refresh(ctx, "LONG", next.Refresh), "refresh"))
	_, list := c.List(ctx, last.Access)
	requireStatus(l.T, http.StatusOK, list, "list")
	requireStatus(l.T, http.StatusOK, c.Verify(ctx, last.Access), "verify")
	requireStatus(l.T, http.StatusOK, c.Authz(ctx, last.Access), "authz")
	requireStatus(l.T, http.StatusOK, c.Destroy(ctx, last.Access, second.SessionID), "destroy")
	requireStatus(l.T, http.StatusOK, c.Logout(ctx, short.Refresh), "logout")
	requireStatus(l.T, http.StatusOK, c.DestroyOthers(ctx, last.Access, last.Refresh, "SHORT"), "destroy all others")
	checkUnauthorized(l.T, c.Refresh(ctx, "LONG", first.Refresh), "ended", "evicted", "refresh of an evicted session")
	checkUnauthorized(l.T, c.Refresh(ctx, "SHORT", other.Refresh), "ended", "others", "refresh of a destroyed session")
	checkUnauthorized(l.T, c.Refresh(ctx, "LONG", third.Refresh), "replayed", "replay", "replay")
	l.session = login("LONG")
	requireStatus(l.T, http.StatusUnauthorized, c.Refresh(ctx, "SHORT", login("LONG").Refresh), "refresh as another session type")
}

// sendBadRequests sends requests of careless and hostile clients, with secrets in the
// wrong places.
func (l *logTest) sendBadRequests() {
	ctx, c, access, refresh := l.Context(), l.client, l.session.Access, l.session.Refresh
	l.secrets["the signature of a tampered token"] = tamper(access)[strings.LastIndexByte(access, '.')+1:]
	login := func(username, password, secret string) {
		c.Post(ctx, "/api/session/login/", "", map[string]string{"username": username, "password": password, "secret_key": secret, "session": "LONG", "info": "x"})
	}
	login("user0", "wrong-password-1", gatewaytest.Secret)
	login("user0", gatewaytest.Password, "wrong-secret-1")
	login(gatewaytest.Password, "user0", gatewaytest.Secret)
	c.Post(ctx, "/api/session/login/", access, "junk-in-a-body-1")
	c.Post(ctx, "/api/session/login/", access, map[string]any{"junk-in-a-body-1": 1})
	login("user0", strings.Repeat(gatewaytest.Password, 8000), gatewaytest.Secret)
	c.Refresh(ctx, "LONG", tamper(refresh))
	c.Refresh(ctx, "LONG", access)
	c.Refresh(ctx, refresh, gatewaytest.Password)
	c.Logout(ctx, gatewaytest.SigningKey)
	c.Verify(ctx, tamper(access))
	c.Authz(ctx, tamper(access))
	c.Destroy(ctx, access, refresh)
	c.Destroy(ctx, refresh, access)
	c.DestroyOthers(ctx, access, access, refresh)
	c.Post(ctx, "/api/session/refresh/"+refresh, "", nil)
	c.Post(ctx, "/api/session/refresh/?token=token-in-a-query-1", "", nil)
	for _, value := range []string{"Basic basic-token-1", "Bearer", "JWT basic-token-1 " + access, "basic-token-1"} {
		l.send(http.MethodPost, l.gateway.URL+"/api/session/list/", "Authorization", value)
	}
	l.send(http.MethodDelete, l.gateway.URL+"/api/session/login/?password="+gatewaytest.Password, "X-Request-Id", "not fit for a log\t")
	l.send(http.MethodGet, l.gateway.URL+"/apps/"+access+"/authz", "Authorization", "Bearer "+access)
	list := l.gateway.AdminURL + "/admin/apps/" + gatewaytest.App + "/users/1/sessions"
	l.send(http.MethodGet, list, "Authorization", "Bearer wrong-admin-token-1")
	l.send(http.MethodGet, list, "Authorization", "Bearer "+gatewaytest.AdminToken)
	l.send(http.MethodGet, l.gateway.AdminURL+"/nothing/"+access, "Cookie", "basic-token-1")
}

// sendDeviceTokens sends device tokens, good and bad ones, and in the wrong places. At the end,
// the limits of two accounts and of a device have refused logins.
func (l *logTest) sendDeviceTokens() {
	l.Helper()
	l.device = requireStatus(l.T, http.StatusOK, l.client.Login(l.Context(), 0, "LONG", "phone"), "login").Header.Get("Device-Token")
	if l.device == "" {
		l.Fatal("login: the answer has no Device-Token")
	}
	l.secrets["a device token"] = l.device
	for _, device := range []string{l.device, tamper(l.device), l.session.Access, "device-token-1", strings.Repeat("device-token-1", 1000)} {
		a := attempt{device: device, username: gatewaytest.Username(0)}
		l.addTokens(requireStatus(l.T, http.StatusOK, sendAttempt(l.client.HTTP, l.client.URL, a, ""), "login with a device token"))
	}
	l.client.Refresh(l.Context(), "LONG", l.device)
	l.client.Verify(l.Context(), l.device)
	l.client.Authz(l.Context(), l.device)
	l.send(http.MethodGet, l.gateway.URL+"/apps/"+l.device+"/authz", "Device-Token", l.device)
	for _, a := range []attempt{{username: gatewaytest.Username(0)}, {username: "name-of-no-user-1"}, {username: gatewaytest.Username(0), device: l.device}} {
		a.password = "wrong-password-1"
		for status := 0; status != http.StatusTooManyRequests; {
			resp := sendAttempt(l.client.HTTP, l.client.URL, a, "")
			if status = resp.Status; status != http.StatusTooManyRequests {
				requireStatus(l.T, http.StatusBadRequest, resp, "login with a wrong password")
			}
		}
	}
}

// send sends a request with one header.
func (l *logTest) send(method, address, header, value string) {
	l.Helper()
	req, err := http.NewRequest(method, address, nil)
	must(l.T, err)
	req.Header.Set(header, value)
	if resp := l.client.Do(req); resp.Err != nil {
		l.Error(resp.Err)
	}
}

// sendWithoutRedis makes each step fail in two ways: Redis first rejects the gateway's
// password and then is down.
func (l *logTest) sendWithoutRedis() {
	ctx, c := l.Context(), l.client
	sendAll := func() {
		for _, resp := range []gatewaytest.Response{
			c.Login(ctx, 0, "LONG", "x"), c.Refresh(ctx, "LONG", l.session.Refresh), c.Destroy(ctx, l.session.Access, l.session.SessionID),
			c.DestroyOthers(ctx, l.session.Access, l.session.Refresh, "ALL"), c.Logout(ctx, l.session.Refresh),
		} {
			requireStatus(l.T, http.StatusServiceUnavailable, resp, "a step without Redis")
		}
	}
	l.server.Do("ACL", "SETUSER", "gate", ">another-password", "<"+redisPassword)
	l.server.Do("CLIENT", "KILL", "USER", "gate")
	sendAll()
	l.server.Kill()
	sendAll()
	time.Sleep(50 * time.Millisecond) // time for the revocation feed to log its own error
}

// checkRequestLines checks that every response had an ID, and that the log has one line
// with it.
func (l *logTest) checkRequestLines(log string) {
	l.Helper()
	requestLine := regexp.MustCompile(`(?:msg=|"msg":")request\b.*\brequest(?:=|":")([^\s"]+)`)
	lines := map[string]int{}
	for _, m := range requestLine.FindAllStringSubmatch(log, -1) {
		lines[m[1]]++
	}
	if len(l.ids) < 50 {
		l.Errorf("got %d responses, want at least 50", len(l.ids))
	}
	for _, id := range l.ids {
		if id == "" || lines[id] != 1 {
			l.Errorf("request %q: got %d log lines, want 1", id, lines[id])
		}
	}
}
