package e2e

import (
	"net/http"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestRevokedBeforeTheAppIsKnown checks that an instance refuses the access token of a session
// that another instance revoked before it learned of the app: from the first request on, for
// as long as it can't read the app's revocations, and after that without asking Redis.
func TestRevokedBeforeTheAppIsKnown(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	first := startReloading(t, 1, server.URL, newAppsDir(t, "web", "mail"), nil)
	second := startReloading(t, 1, addRestrictedUser(t, server, "tg", neededCommands), newAppsDir(t, "web"), gatewaytest.Settings{"REVOCATION_BOUND": "10m"})
	ctx, a, b := t.Context(), first.client(first.gateways[0], "mail"), second.client(second.gateways[0], "mail")
	revoked := requireStatus(t, http.StatusOK, a.Login(ctx, 0, "LONG", "x"), "login")
	live := requireStatus(t, http.StatusOK, a.Login(ctx, 0, "LONG", "x"), "login")
	requireStatus(t, http.StatusOK, a.Logout(ctx, revoked.Refresh), "logout")
	web := requireStatus(t, http.StatusOK, second.client(second.gateways[0], "web").Login(ctx, 0, "LONG", "x"), "login to the other app")
	poll(t, "the second instance relies on its list", func() bool { return !asksRedis(t, second, "web", web.Access) })

	check := func(when string) {
		t.Helper()
		checkUnauthorized(t, b.Authz(ctx, revoked.Access), "token_not_valid", "logout", when+": authz with a token of a revoked session")
		requireStatus(t, http.StatusOK, b.Authz(ctx, live.Access), when+": authz with a token of a live session")
	}
	server.Do("ACL", "SETUSER", "tg", "-xrange")
	second.write("mail", nil)
	second.untilKnown("mail")
	check("without the revocations")
	if !asksRedis(t, second, "mail", live.Access) {
		t.Error("the revocations of a new app were not read, and Redis was not asked")
	}
	for _, app := range []string{"zoo", "bank"} {
		second.write(app, nil)
		second.untilKnown(app)
		check("after " + app + " was added too")
	}
	second.remove("zoo")
	second.untilUnknown("zoo")
	check("after another app was removed")
	server.Do("ACL", "SETUSER", "tg", "+xrange")
	poll(t, "the second instance relies on its list", func() bool { return !asksRedis(t, second, "mail", live.Access) })
	check("with the revocations")
}

// asksRedis reports whether the authz of a valid token asks Redis.
func asksRedis(t *testing.T, r *reloadTest, app, access string) bool {
	t.Helper()
	const live = `tokengate_scripts_total{.*script="live".*}`
	before := metric(t, r.gateways[0], live)
	requireStatus(t, http.StatusOK, r.client(r.gateways[0], app).Authz(t.Context(), access), "authz")
	return metric(t, r.gateways[0], live) > before
}
