package redisstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestAbandonedStepIsNotSent checks that a step that timed out while the network was
// down is not sent when the network is back. By then the user's client may have asked
// another instance.
func TestAbandonedStepIsNotSent(t *testing.T) {
	single, replicated := redistest.Standalone(t), redistest.Sentinel(t)
	node, toCluster := proxiedCluster(t)
	cert, key := certificate(t)
	_, tlsPort, _ := net.SplitHostPort(freeport.Address(t))
	encrypted := redistest.Standalone(t, "--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	toSingle, toTLS := newProxy(t, single.Addr), newProxy(t, "127.0.0.1:"+tlsPort)
	toPrimary := newProxy(t, replicated.Primary.Addr) // whose address the Sentinel gives to clients
	h, port, _ := net.SplitHostPort(toPrimary.addr)
	replicated.Sentinel.Do("SENTINEL", "MONITOR", "proxied", h, port, "1")
	for name, c := range map[string]struct {
		proxy  *proxy
		url    string
		direct string // URL without the proxy
	}{
		"standalone":  {toSingle, "redis://" + toSingle.addr + "?", single.URL},
		"no pipeline": {toSingle, "redis://" + toSingle.addr + "?auto_pipeline=false&", single.URL},
		"tls":         {toTLS, "rediss://" + toTLS.addr + "?ca_cert=" + cert + "&", encrypted.URL},
		"cluster":     {toCluster, "redis+cluster://" + toCluster.addr + "?", "redis+cluster://" + node.Addr},
		"sentinel":    {toPrimary, "redis+sentinel://" + replicated.Sentinel.Addr + "/proxied?", replicated.Primary.URL},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := open(t, c.url+"read_timeout=300ms"), session.Owner{App: "shop", User: name}
			login(t, s, o, policy)
			abandoned := createStep(o, policy)
			abandoned.Session.Info = strings.Repeat("x", 512<<10) // more than the buffers between client and proxy hold
			c.proxy.frozen.Store(true)
			if _, err := s.Create(ctx, abandoned); session.CodeOf(err) != session.Unavailable {
				t.Fatalf("login while the network is down: got %v, want %s", err, session.Unavailable)
			}
			c.proxy.frozen.Store(false)
			time.Sleep(300 * time.Millisecond) // the abandoned step would arrive
			listed, err := open(t, c.direct).List(ctx, session.ListStep{Owner: o, Types: session.Types})
			if err != nil || len(listed.Sessions) != 1 {
				t.Errorf("got %d sessions, %v; want 1", len(listed.Sessions), err)
			}
		})
	}
}
