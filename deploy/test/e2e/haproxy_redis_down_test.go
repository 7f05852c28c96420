package e2e

import (
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestHAProxyForwardsAnswersWithoutRedis checks that while Redis stalls or is down, clients
// get the gateways' answers and not HAProxy's: 503 for requests that need Redis, and success
// for others.
func TestHAProxyForwardsAnswersWithoutRedis(t *testing.T) {
	redis := redistest.Standalone(t)
	b := startTestbed(t, redis.URL+"?read_timeout=500ms", gatewaytest.Settings{"REVOCATION_BOUND": "1m"})
	time.Sleep(recoveryTime)
	login := requireStatus(t, http.StatusOK, b.client.Login(t.Context(), 0, "LONG", "laptop"), "login")
	redis.Do("CLIENT", "PAUSE", "60000", "ALL")
	b.checkWithoutRedis(t, "Redis stalls", login)
	redis.Kill()
	b.checkWithoutRedis(t, "Redis is down", login)
	redis.Restart()
	time.Sleep(recoveryTime)
	if resp := b.client.Login(t.Context(), 0, "LONG", "laptop"); resp.Status != http.StatusOK {
		t.Errorf("login after Redis was restarted: got status %d, body %s; want status 200", resp.Status, resp.Body)
	}
}

// checkWithoutRedis sends so many requests that each gateway gets some. Before that, it
// waits until HAProxy would have noticed a gateway that is not ready: a health check may
// take 1 s.
func (b *testbed) checkWithoutRedis(t *testing.T, when string, login gatewaytest.Response) {
	t.Helper()
	time.Sleep(time.Second + recoveryTime)
	ctx := t.Context()
	for range 2 * len(b.gateways) {
		if resp := b.client.Refresh(ctx, "LONG", login.Refresh); resp.Status != http.StatusServiceUnavailable ||
			resp.Code != "unavailable" || resp.Header.Get("Retry-After") == "" || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: refresh: got status %d, header %v, body %s, error %v; want 503 unavailable with Retry-After, as JSON", when, resp.Status, resp.Header, resp.Body, resp.Err)
		}
		if resp := b.client.Authz(ctx, login.Access); resp.Status != http.StatusOK {
			t.Errorf("%s: forward authentication: got status %d, body %s, error %v; want status 200", when, resp.Status, resp.Body, resp.Err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.client.URL+"/apps/"+gatewaytest.App+"/jwks.json", nil)
		must(t, err)
		if resp := b.client.Do(req); resp.Status != http.StatusOK {
			t.Errorf("%s: jwks.json: got status %d, body %s, error %v; want status 200", when, resp.Status, resp.Body, resp.Err)
		}
	}
}
