package e2e

import (
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestManySessionsRevoked checks destroyAllOther and the revocation by an operator for a user
// with many sessions: every instance rejects the access tokens of those that were revoked, also
// one that starts afterwards, and accepts that of the kept session without asking Redis.
func TestManySessionsRevoked(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	settings := gatewaytest.Settings{"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false"}
	gateways := startTwoGateways(t, server, settings)
	ctx, at, elsewhere := t.Context(), gateways[0].Client(), gateways[1].Client()
	revoked := requireStatus(t, http.StatusOK, at.Login(ctx, 0, "LONG", "x"), "login")
	kept := requireStatus(t, http.StatusOK, at.Login(ctx, 0, "LONG", "x"), "login")
	other := requireStatus(t, http.StatusOK, at.Login(ctx, 1, "LONG", "x"), "login of another user")
	createSessions(t, server, session.Owner{App: gatewaytest.App, User: "1"}, 1000)
	for _, c := range []*gatewaytest.Client{at, elsewhere} {
		poll(t, "the gateway relies on its list", func() bool { return authzAsksNothing(t, server, c, revoked.Access) })
	}

	requireStatus(t, http.StatusOK, at.DestroyOthers(ctx, kept.Access, kept.Refresh, "ALL"), "destroyAllOther")
	requireStatus(t, http.StatusUnauthorized, at.Authz(ctx, revoked.Access), "authz of a revoked session where it was revoked")
	poll(t, "the other instance rejects a revoked session", func() bool {
		return elsewhere.Authz(ctx, revoked.Access).Status == http.StatusUnauthorized
	})
	third := gatewaytest.Start(t, server.URL, settings)
	for _, c := range []*gatewaytest.Client{at, elsewhere, third.Client()} {
		for name, access := range map[string]string{"the kept session": kept.Access, "another user": other.Access} {
			poll(t, "the gateway relies on its list for "+name, func() bool { return authzAsksNothing(t, server, c, access) })
		}
		requireStatus(t, http.StatusUnauthorized, c.Authz(ctx, revoked.Access), "authz of a revoked session")
	}
	if ids, resp := at.List(ctx, kept.Access); resp.Status != http.StatusOK || len(ids["Long"]) != 1 || ids["Long"][0] != kept.SessionID {
		t.Errorf("got the list %v, %s, want the kept session", ids, resp.Body)
	}

	createSessions(t, server, session.Owner{App: gatewaytest.App, User: "1"}, 1000)
	resp := sendAdmin(t, gateways[1], http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/users/1/sessions")
	if want := `{"ended":[],"count":1001}`; resp.Status != http.StatusOK || string(resp.Body) != want {
		t.Errorf("got %d %s, want %s", resp.Status, resp.Body, want)
	}
	poll(t, "the other instance rejects the session that was kept before", func() bool {
		return at.Authz(ctx, kept.Access).Status == http.StatusUnauthorized
	})
}

// createSessions creates n sessions of a user directly in Redis.
func createSessions(t *testing.T, server *redistest.Server, owner session.Owner, n int) {
	t.Helper()
	o := redisstore.Defaults()
	o.URL = server.URL
	store, err := redisstore.New(o)
	must(t, err)
	defer store.Close()
	for range n {
		_, err := store.Create(t.Context(), session.CreateStep{
			Owner: owner, Policy: session.Policy{Lifetime: time.Hour, AbsoluteLifetime: time.Hour},
			Session: session.Session{ID: session.NewID(), Type: session.Long},
		})
		must(t, err)
	}
}

// authzAsksNothing reports whether the authz of a valid token runs no script on Redis.
func authzAsksNothing(t *testing.T, server *redistest.Server, c *gatewaytest.Client, access string) bool {
	t.Helper()
	before := commandCalls(t, server, "evalsha")
	requireStatus(t, http.StatusOK, c.Authz(t.Context(), access), "authz")
	return commandCalls(t, server, "evalsha") == before
}
