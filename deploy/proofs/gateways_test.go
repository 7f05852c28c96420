package proofs

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

	"tokengate/deploy/ports"
	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// TestGatewaysKilled kills each gateway, then all at once, while devices go on.
func TestGatewaysKilled(t *testing.T) {
	t.Parallel()
	all := gateways(t, 3, redistest.Standalone(t).URL, with(unlimited, rig.Settings{"REVOCATION_BOUND": mapBound.String()}))
	tr := startTraffic(t, &traffic{gateways: clients(all), bound: mapBound})
	time.Sleep(500 * time.Millisecond)
	tr.enter("broken")
	for _, g := range all {
		g.Kill()
		time.Sleep(150 * time.Millisecond)
		g.Restart()
	}
	for _, g := range all {
		g.Kill()
	}
	start := time.Now()
	for _, g := range all {
		g.Restart()
	}
	tr.recovered(recoveryLimit)
	t.Logf("all three answered again %s after the last was killed", time.Since(start).Round(time.Millisecond))
	tr.enter("ends")
	time.Sleep(100 * time.Millisecond)
	tr.during("after", 500*time.Millisecond)
	tr.stop()
	for _, endpoint := range []string{"login", "refresh", "list", "authz"} {
		tr.expect("before", endpoint, good)
		tr.expect("broken", endpoint, "200 lost")
		tr.expect("after", endpoint, good)
	}
}

// TestNoInstanceDecides ends every process between any two steps of a replay:
// the next ones answer as if nothing had happened.
func TestNoInstanceDecides(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	all := gateways(t, 2, redistest.Standalone(t).URL, unlimited)
	renew := func() (a, b *rig.Client) {
		for _, g := range all {
			g.Kill()
		}
		for _, g := range all {
			g.Restart()
		}
		return all[0].Client(), all[1].Client()
	}
	a, _ := renew()
	tokens := []string{a.Login(ctx, 0, "LONG", "device").Refresh}
	var access string
	for range 3 {
		_, b := renew()
		next := b.Refresh(ctx, "LONG", tokens[len(tokens)-1])
		tokens, access = append(tokens, next.Refresh), next.Access
	}
	a, _ = renew()
	if again := a.Refresh(ctx, "LONG", tokens[2]); again.Refresh != tokens[3] || again.Refresh == "" {
		t.Fatalf("the retry got %d and another successor", again.Status)
	}
	_, b := renew()
	if replay := b.Refresh(ctx, "LONG", tokens[1]); replay.Status != 401 || replay.Cause != "replay" {
		t.Fatalf("the replay got %d %s", replay.Status, replay.Body)
	}
	a, b = renew()
	if newest := a.Refresh(ctx, "LONG", tokens[3]); newest.Status != 401 || newest.Code != "ended" || newest.Cause != "replay" {
		t.Errorf("the newest token got %d %s", newest.Status, newest.Body)
	}
	if passed := b.Authz(ctx, access); passed.Status != 401 {
		t.Errorf("a new process answered the ended session's access token %d", passed.Status)
	}
}

const balancer = `
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

// haproxy puts a balancer in front of gateways and gives its address.
func haproxy(t *testing.T, all []*rig.Gateway) string {
	t.Helper()
	addr := ports.Address(t)
	text := fmt.Sprintf(balancer, addr)
	for i, g := range all {
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(g.AdminURL, "http://"))
		text += fmt.Sprintf("  server g%d %s check port %s\n", i, strings.TrimPrefix(g.URL, "http://"), port)
	}
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-f", path)
	if err := cmd.Start(); err != nil {
		t.Fatalf("haproxy is needed for this test: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	client := rig.NewClient("http://" + addr)
	eventually(t, 5*time.Second, "the balancer answers", func() bool {
		return client.Authz(context.Background(), "x").Status == http.StatusUnauthorized
	})
	return "http://" + addr
}

// TestRollingRestart restarts three gateways one after the other behind a
// balancer: no request fails. Then one is killed: what fails is not answered,
// and nobody is signed out.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	all := gateways(t, 3, redistest.Standalone(t).URL, with(unlimited, rig.Settings{
		"REVOCATION_BOUND": mapBound.String(), "SHUTDOWN_DELAY": "400ms",
	}))
	client := rig.NewClient(haproxy(t, all))
	tr := startTraffic(t, &traffic{gateways: []*rig.Client{client}, bound: mapBound})
	time.Sleep(500 * time.Millisecond)
	tr.enter("rolling")
	for _, g := range all {
		g.Stop()
		g.Restart()
		time.Sleep(300 * time.Millisecond)
	}
	tr.enter("killed")
	all[0].Kill()
	time.Sleep(500 * time.Millisecond)
	all[0].Restart()
	tr.recovered(recoveryLimit)
	tr.during("after", 500*time.Millisecond)
	tr.stop()
	for _, endpoint := range []string{"login", "refresh", "list", "authz", "destroy", "logout"} {
		tr.expect("rolling", endpoint, good)
		tr.expect("killed", endpoint, "200?502 503 lost")
		tr.expect("after", endpoint, good)
	}
}
