package resilience

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestGatewaysKilled kills each gateway in turn, then all at once, while clients use them.
func TestGatewaysKilled(t *testing.T) {
	t.Parallel()
	gateways := startGateways(t, 3, redistest.Standalone(t).URL, withBound(revocationBound))
	tr := startTraffic(t, &traffic{gateways: clientsOf(gateways), bound: revocationBound})
	tr.runPhase("before", 500*time.Millisecond, usualResults(succeeded))
	tr.enter("broken")
	for _, g := range gateways {
		g.Kill()
		time.Sleep(150 * time.Millisecond)
		g.Restart()
	}
	tr.expect(usualResults(succeeded + "?" + responseLost))
	for _, g := range gateways {
		g.Kill()
	}
	tr.expect(usualResults(succeeded + " " + responseLost))
	start := time.Now()
	for _, g := range gateways {
		g.Restart()
	}
	tr.waitRecovered(recoveryLimit)
	t.Logf("all three gateways worked again %s after the last was killed", time.Since(start).Round(time.Millisecond))
	tr.enter("recovering")
	time.Sleep(100 * time.Millisecond)
	tr.runPhase("after", 500*time.Millisecond, usualResults(succeeded))
	tr.stopAndCheck()
}

// TestInstancesAreStateless kills and restarts every process between any two steps of a replay. The new
// processes must answer as the old ones would have.
func TestInstancesAreStateless(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	gateways := startGateways(t, 2, redistest.Standalone(t).URL, unlimitedSettings)
	restartAll := func() (a, b *gatewaytest.Client) {
		for _, g := range gateways {
			g.Kill()
		}
		for _, g := range gateways {
			g.Restart()
		}
		return gateways[0].Client(), gateways[1].Client()
	}
	a, _ := restartAll()
	tokens := []string{a.Login(ctx, 0, "LONG", "client").Refresh}
	var access string
	for range 3 {
		_, b := restartAll()
		next := b.Refresh(ctx, "LONG", tokens[len(tokens)-1])
		tokens, access = append(tokens, next.Refresh), next.Access
	}
	a, _ = restartAll()
	if retry := a.Refresh(ctx, "LONG", tokens[2]); retry.Refresh != tokens[3] || retry.Refresh == "" {
		t.Fatalf("retry: got status %d and another token than the first time", retry.Status)
	}
	_, b := restartAll()
	if replay := b.Refresh(ctx, "LONG", tokens[1]); replay.Status != 401 || replay.Cause != "replay" {
		t.Fatalf("replay: got %d %s, want 401 with the cause replay", replay.Status, replay.Body)
	}
	a, b = restartAll()
	if newest := a.Refresh(ctx, "LONG", tokens[3]); newest.Status != 401 || newest.Code != "ended" || newest.Cause != "replay" {
		t.Errorf("newest token: got %d %s, want 401 with the code ended and the cause replay", newest.Status, newest.Body)
	}
	if got := b.Authz(ctx, access); got.Status != 401 {
		t.Errorf("a new process answered %d to an access token of the revoked session, want 401", got.Status)
	}
}

const haproxyConfig = `
global
  maxconn 2000
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 15s
  retries 3
  retry-on conn-failure
  option redispatch 1
frontend gateways
  bind %s
  default_backend gateways
backend gateways
  balance roundrobin
  option httpchk GET /readyz?exclude=redis
  default-server inter 100ms fall 1 rise 1
`

// startHAProxy starts a balancer in front of gateways and returns its URL.
func startHAProxy(t *testing.T, gateways []*gatewaytest.Gateway) string {
	t.Helper()
	addr := freeport.Address(t)
	text := fmt.Sprintf(haproxyConfig, addr)
	for i, g := range gateways {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(g.AdminURL, "http://"))
		text += fmt.Sprintf("  server g%d %s check port %s\n", i, strings.TrimPrefix(g.URL, "http://"), port)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-f", path)
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs haproxy: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	client := gatewaytest.NewClient("http://" + addr)
	gatewaytest.WaitUntil(t, 5*time.Second, "the balancer answers", func() bool {
		return client.Authz(context.Background(), "x").Status == http.StatusUnauthorized
	})
	return "http://" + addr
}

// TestRollingRestart restarts three gateways behind a balancer, one after the other: no request may fail.
// Then it kills one: requests may get 502, 503 or no answer, but no valid session may be rejected.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	gateways := startGateways(t, 3, redistest.Standalone(t).URL,
		merge(withBound(revocationBound), gatewaytest.Settings{"SHUTDOWN_DELAY": "400ms"}))
	client := gatewaytest.NewClient(startHAProxy(t, gateways))
	tr := startTraffic(t, &traffic{gateways: []*gatewaytest.Client{client}, bound: revocationBound})
	time.Sleep(500 * time.Millisecond)
	tr.enter("rolling")
	for _, g := range gateways {
		g.Stop()
		g.Restart()
		time.Sleep(300 * time.Millisecond)
	}
	tr.expect(allResults(succeeded))
	tr.enter("killed")
	gateways[0].Kill()
	time.Sleep(500 * time.Millisecond)
	gateways[0].Restart()
	tr.waitRecovered(recoveryLimit)
	tr.expect(allResults("200?502 503 lost"))
	tr.runPhase("after", 500*time.Millisecond, allResults(succeeded))
	tr.stopAndCheck()
}

// allResults returns the same expected results for all endpoints, without requests with revoked sessions.
func allResults(results string) map[string]string {
	want := usualResults(results)
	want["destroy"], want["logout"] = results, results
	return want
}
