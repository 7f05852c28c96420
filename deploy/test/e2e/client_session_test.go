package e2e

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

const (
	adminToken = "test-admin-token-0123456789abcdef"

	patience     = 30 * time.Second // longest wait for an effect on a loaded machine
	pollInterval = 25 * time.Millisecond
)

// startShop starts a gateway whose admin token is no other secret.
func startShop(tb testing.TB, redisURL string, settings gatewaytest.Settings) *gatewaytest.Gateway {
	tb.Helper()
	all := gatewaytest.Settings{"ADMIN_TOKEN": adminToken}
	maps.Copy(all, settings)
	return gatewaytest.Start(tb, redisURL, all)
}

// poll calls holds until it returns true. After patience it stops the test.
func poll(tb testing.TB, condition string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(pollInterval) {
		if time.Now().After(deadline) {
			tb.Fatalf("timed out after %s, waiting until %s", patience, condition)
		}
	}
}

// sendAsAdmin sends a request to the admin API of a gateway that startShop started.
func sendAsAdmin(tb testing.TB, g *gatewaytest.Gateway, method, path string) gatewaytest.Response {
	tb.Helper()
	return sendWithHeader(tb, gatewaytest.NewClient(g.AdminURL), method, path, "Authorization", "Bearer "+adminToken)
}

// sendWithHeader sends a request with one header and an empty body.
func sendWithHeader(tb testing.TB, c *gatewaytest.Client, method, path, header, value string) gatewaytest.Response {
	tb.Helper()
	req, err := http.NewRequest(method, c.URL+path, nil)
	must(tb, err)
	req.Header.Set(header, value)
	return c.Do(req)
}

// clientSession is a session as its client knows it. It keeps the newest tokens.
type clientSession struct {
	t           *testing.T
	c           *gatewaytest.Client
	sessionType string // LONG or SHORT
	id          string
	refresh     string
	access      string
}

// tryLogin sends a login of a user of gatewaytest.App.
func tryLogin(t *testing.T, c *gatewaytest.Client, username, password, sessionType string) gatewaytest.Response {
	t.Helper()
	return c.Post(t.Context(), "/api/session/login/", "", map[string]string{
		"username": username, "password": password, "secret_key": gatewaytest.Secret, "session": sessionType, "info": "a phone",
	})
}

// login logs in a user of gatewaytest.App.
func login(t *testing.T, c *gatewaytest.Client, username, password, sessionType string) *clientSession {
	t.Helper()
	return newClientSession(t, c, tryLogin(t, c, username, password, sessionType), sessionType)
}

// newClientSession returns the session that a login created.
func newClientSession(t *testing.T, c *gatewaytest.Client, resp gatewaytest.Response, sessionType string) *clientSession {
	t.Helper()
	requireStatus(t, http.StatusOK, resp, "login")
	return &clientSession{t, c, sessionType, resp.SessionID, resp.Refresh, resp.Access}
}

// loginWhenPossible logs in as soon as the gateway accepts the password.
func loginWhenPossible(t *testing.T, c *gatewaytest.Client, username, password, sessionType string) *clientSession {
	t.Helper()
	var resp gatewaytest.Response
	poll(t, "the login of "+username+" is accepted", func() bool {
		resp = tryLogin(t, c, username, password, sessionType)
		return resp.Status == http.StatusOK
	})
	return newClientSession(t, c, resp, sessionType)
}

// tryRefresh refreshes the session and keeps the new tokens.
func (s *clientSession) tryRefresh() gatewaytest.Response {
	s.t.Helper()
	resp := s.c.Refresh(s.t.Context(), s.sessionType, s.refresh)
	if resp.Status == http.StatusOK {
		s.access = resp.Access
		if resp.Refresh != "" {
			s.refresh = resp.Refresh
		}
	}
	return resp
}

// checkLive checks that the session can be refreshed, that its user sees it in the list, and
// that its access token is accepted.
func (s *clientSession) checkLive(step string) {
	s.t.Helper()
	requireStatus(s.t, http.StatusOK, s.tryRefresh(), step+": refresh")
	ids, list := s.c.List(s.t.Context(), s.access)
	requireStatus(s.t, http.StatusOK, list, step+": list")
	if name := s.sessionType[:1] + strings.ToLower(s.sessionType[1:]); !slices.Contains(ids[name], s.id) {
		s.t.Errorf("%s: list: got the sessions %v, want %s among the %s ones", step, ids, s.id, name)
	}
	requireStatus(s.t, http.StatusOK, s.c.Authz(s.t.Context(), s.access), step+": authz")
}

// checkEnded checks that a refresh is rejected with the cause, also when it is repeated.
func (s *clientSession) checkEnded(cause, step string) {
	s.t.Helper()
	for range 2 {
		s.checkCause(s.tryRefresh(), cause, step)
	}
}

// checkCause checks that resp is a 401 with the cause.
func (s *clientSession) checkCause(resp gatewaytest.Response, cause, step string) {
	s.t.Helper()
	requireStatus(s.t, http.StatusUnauthorized, resp, step)
	if resp.Cause != cause {
		s.t.Errorf("%s: got the cause %q in %s, want %q", step, resp.Cause, resp.Body, cause)
	}
}

// refreshUntil refreshes the session until the status is want. Until then the refreshes must
// succeed.
func (s *clientSession) refreshUntil(want int, step string) gatewaytest.Response {
	s.t.Helper()
	var resp gatewaytest.Response
	poll(s.t, step, func() bool {
		resp = s.tryRefresh()
		if resp.Status != want && resp.Status != http.StatusOK {
			s.t.Fatalf("%s: got status %d, body %s, error %v; want status 200 and then %d", step, resp.Status, resp.Body, resp.Err, want)
		}
		return resp.Status == want
	})
	return resp
}

// refreshUntilEnded refreshes the session until it has ended with the cause.
func (s *clientSession) refreshUntilEnded(cause, step string) {
	s.t.Helper()
	s.checkCause(s.refreshUntil(http.StatusUnauthorized, step), cause, step)
	s.checkEnded(cause, step+", once more")
}

// authzUntilRejected sends the access token until it is rejected.
func (s *clientSession) authzUntilRejected(step string) {
	s.t.Helper()
	poll(s.t, step+": authz rejects the access token", func() bool {
		return s.c.Authz(s.t.Context(), s.access).Status == http.StatusUnauthorized
	})
}
