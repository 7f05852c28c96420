package e2e

import (
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestEveryTopology calls every endpoint over each way to reach Redis.
func TestEveryTopology(t *testing.T) {
	for name, start := range map[string]func(*testing.T) (redisURL string){
		"standalone": func(t *testing.T) string { return redistest.Standalone(t).URL },
		"database":   func(t *testing.T) string { return redistest.Standalone(t).URL + "/3" },
		"socket": func(t *testing.T) string {
			socket := filepath.Join(t.TempDir(), "redis.sock")
			redistest.Standalone(t, "--unixsocket", socket)
			return "unix://" + socket
		},
		"password": func(t *testing.T) string {
			server := redistest.Standalone(t)
			server.Do("CONFIG", "SET", "requirepass", "p@ss/word")
			return "redis://:" + url.QueryEscape("p@ss/word") + "@" + server.Addr
		},
		"no pipeline": func(t *testing.T) string { return redistest.Standalone(t).URL + "?auto_pipeline=false&pool_size=4" },
		"sentinel":    func(t *testing.T) string { return redistest.Sentinel(t).URL },
		"cluster":     func(t *testing.T) string { return redistest.Cluster(t, 3).URL },
		"tls":         func(t *testing.T) string { return startTLSServer(t, newAuthority(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			callEveryEndpoint(t, gatewaytest.Start(t, start(t), nil))
		})
	}
}

// callEveryEndpoint calls each endpoint once with success and, for revoked sessions, once
// with a rejection. It does so for six users, whose keys are on different nodes of a
// Cluster.
func callEveryEndpoint(t *testing.T, g *gatewaytest.Gateway) {
	t.Helper()
	ctx, c := t.Context(), g.Client()
	for user := range 6 {
		first := requireStatus(t, http.StatusOK, c.Login(ctx, user, "LONG", "first"), "login")
		second := requireStatus(t, http.StatusOK, c.Login(ctx, user, "LONG", "second"), "login")
		third := requireStatus(t, http.StatusOK, c.Login(ctx, user, "SHORT", "third"), "login")
		fourth := requireStatus(t, http.StatusOK, c.Login(ctx, user, "SHORT", "fourth"), "login")
		first = requireStatus(t, http.StatusOK, c.Refresh(ctx, "LONG", first.Refresh), "refresh")
		requireStatus(t, http.StatusOK, c.Verify(ctx, first.Access), "verify")
		requireStatus(t, http.StatusOK, c.VerifyRefresh(ctx, first.Refresh), "verify of a refresh token")
		authz := requireStatus(t, http.StatusOK, c.Authz(ctx, first.Access), "authz")
		if got, want := authz.Header.Get("X-Auth-User"), strconv.Itoa(user+1); got != want {
			t.Errorf("authz: got X-Auth-User %q, want %q", got, want)
		}
		requireStatus(t, http.StatusOK, c.Destroy(ctx, first.Access, second.SessionID), "destroy")
		requireStatus(t, http.StatusOK, c.Logout(ctx, third.Refresh), "logout")
		ids, list := c.List(ctx, first.Access)
		if requireStatus(t, http.StatusOK, list, "list"); len(ids["Long"]) != 1 || len(ids["Short"]) != 1 {
			t.Errorf("list after destroy and logout: got the sessions %v, want one of each type", ids)
		}
		requireStatus(t, http.StatusOK, c.DestroyOthers(ctx, first.Access, first.Refresh, "ALL"), "destroy all others")
		checkUnauthorized(t, c.Refresh(ctx, "LONG", second.Refresh), "ended", "user", "refresh after destroy")
		checkUnauthorized(t, c.Refresh(ctx, "SHORT", third.Refresh), "ended", "logout", "refresh after logout")
		checkUnauthorized(t, c.Refresh(ctx, "SHORT", fourth.Refresh), "ended", "others", "refresh after destroy all others")
		for _, access := range []string{second.Access, third.Access, fourth.Access} {
			gatewaytest.WaitUntil(t, 2*time.Second, "the access token of a revoked session is rejected", func() bool {
				return c.Authz(ctx, access).Status == http.StatusUnauthorized
			})
			requireStatus(t, http.StatusUnauthorized, c.Verify(ctx, access), "verify of a revoked session's access token")
		}
	}
}
