package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/pgbouncer"
	"tokengate/redisstore/redistest"
)

// TestPgBouncer checks that logins and refreshes of several gateways succeed through PgBouncer
// with transaction pooling, where each query may use another of its few connections.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	const n = 120
	source := startPostgres(t)
	var accounts []account
	for i := range n {
		accounts = append(accounts, newAccount(t, i+1, fmt.Sprintf("user%d", i), oldPassword))
	}
	source.set(accounts...)
	settings := gatewaytest.Settings{
		"APP_USERS":        pgbouncer.Start(t, source.url, "default_pool_size = 4") + "&pool_max_conns=8",
		"APP_RECHECK_USER": "0s",
	}
	server := redistest.Standalone(t)
	gateways := startTwoGateways(t, server, settings)
	logins := sendConcurrently(n, func(i int) gatewaytest.Response {
		return tryLogin(t, gateways[i%2].Client(), accounts[i].Username, oldPassword, "LONG")
	})
	sessions := make([]*clientSession, n)
	for i, resp := range logins {
		sessions[i] = newClientSession(t, gateways[(i+1)%2].Client(), resp, "LONG")
	}
	for range 2 {
		for i, resp := range sendConcurrently(n, func(i int) gatewaytest.Response { return sessions[i].tryRefresh() }) {
			requireStatus(t, http.StatusOK, resp, "refresh of "+accounts[i].Username)
		}
	}
	source.set(append(accounts[1:], accounts[0].disabled())...)
	sessions[0].checkEnded("account", "refresh of a disabled user")
	sessions[1].checkLive("refresh of another user")
}
