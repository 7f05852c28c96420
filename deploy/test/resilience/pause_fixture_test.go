package resilience

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// pauseBed is one Redis and two gateways, directly and behind two balancers. All of them can be stopped.
type pauseBed struct {
	*testing.T
	server    *redistest.Server
	front     *gatewaytest.Proxy // between the first gateway and Redis
	gateways  [2]*gatewaytest.Gateway
	balancers [2]*balancer // each in front of both gateways; nil if there are none
	urls      [2]string    // of the gateways, or of the balancers if there are any
}

// oneSessionSettings let a user have one session, which a further login evicts.
var oneSessionSettings = gatewaytest.Settings{"LOG_LEVEL": "error", "APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "1"}

// startPauseBed starts the parts for a number of users, and the balancers only if balanced is set.
func startPauseBed(t *testing.T, balanced bool, users int) *pauseBed {
	t.Helper()
	settings := merge(oneSessionSettings, gatewaytest.Settings{"APP_USERS": userFile(t, users), "TRUSTED_PROXIES": "127.0.0.1/32"})
	b := &pauseBed{T: t, server: redistest.Standalone(t)}
	b.front = gatewaytest.NewProxy(t, b.server.Addr)
	b.gateways[0] = gatewaytest.Start(t, "redis://"+b.front.Addr, settings)
	b.gateways[1] = gatewaytest.Start(t, b.server.URL, settings)
	for i, g := range b.gateways {
		b.urls[i] = g.URL
		if balanced {
			b.balancers[i] = startBalancer(t, b.gateways[:])
			b.urls[i] = b.balancers[i].URL
		}
	}
	return b
}

// requests returns how many requests the first gateway has answered and how many it has in hand.
func (b *pauseBed) requests() (answered, inHand int) {
	b.Helper()
	for series, value := range readMetrics(b.T, b.gateways[0]) {
		switch {
		case strings.HasPrefix(series, "tokengate_requests_total{"):
			answered += int(value)
		case series == "tokengate_requests_in_flight":
			inHand = int(value)
		}
	}
	return answered, inHand
}

// balancer is one HAProxy process with the configuration that the documents recommend.
type balancer struct {
	URL string
	cmd *exec.Cmd
}

func (b *balancer) Suspend(t *testing.T) { gatewaytest.Suspend(t, b.cmd.Process.Pid) }

func (b *balancer) Resume() { _ = b.cmd.Process.Signal(syscall.SIGCONT) }

// absentGateway is the address of a gateway that is down.
const absentGateway = "127.0.0.1:1"

// startBalancer starts a balancer in front of up to three gateways.
func startBalancer(t *testing.T, gateways []*gatewaytest.Gateway) *balancer {
	t.Helper()
	addr := freeport.Address(t)
	b := &balancer{"http://" + addr, exec.Command("haproxy", "-db", "-f", "../../haproxy/haproxy.cfg")}
	b.cmd.Env = append(os.Environ(), "LISTEN="+addr)
	for i := range 3 {
		public, admin := absentGateway, absentGateway
		if i < len(gateways) {
			public, admin = strings.TrimPrefix(gateways[i].URL, "http://"), strings.TrimPrefix(gateways[i].AdminURL, "http://")
		}
		_, port, _ := net.SplitHostPort(admin)
		b.cmd.Env = append(b.cmd.Env, fmt.Sprintf("GATEWAY_%d=%s", i+1, public), fmt.Sprintf("ADMIN_%d=%s", i+1, port))
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatalf("this test needs haproxy: %v", err)
	}
	t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	})
	client := gatewaytest.NewClient(b.URL)
	gatewaytest.WaitUntil(t, 10*time.Second, "the balancer answers", func() bool {
		return client.Authz(t.Context(), "x").Status == http.StatusUnauthorized
	})
	return b
}
