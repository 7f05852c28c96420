package redisstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/ports"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestNothingRunsLate: a step that was given up while the line was dead is not
// sent when the line is back, when its client has long asked somewhere else.
func TestNothingRunsLate(t *testing.T) {
	single, node, replicated := redistest.Standalone(t), redistest.Cluster(t, 1).Nodes[0], redistest.Sentinel(t)
	cert, key := certificate(t)
	_, tlsPort, _ := net.SplitHostPort(ports.Address(t))
	encrypted := redistest.Standalone(t, "--tls-port", tlsPort, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	viaSingle, viaTLS := newLink(t, single.Addr), newLink(t, "127.0.0.1:"+tlsPort)
	viaCluster, viaSentinel := newLink(t, node.Addr), newLink(t, replicated.Primary.Addr)
	_, port, _ := net.SplitHostPort(viaCluster.addr)
	node.Do("CONFIG", "SET", "cluster-announce-port", port)
	h, port, _ := net.SplitHostPort(viaSentinel.addr)
	replicated.Sentinel.Do("SENTINEL", "MONITOR", "far", h, port, "1")
	for name, c := range map[string]struct {
		via      *link
		url      string
		straight string
	}{
		"standalone": {viaSingle, "redis://" + viaSingle.addr + "?", single.URL},
		"pipelined":  {viaSingle, "redis://" + viaSingle.addr + "?auto_pipeline=true&", single.URL},
		"tls":        {viaTLS, "rediss://" + viaTLS.addr + "?ca_cert=" + cert + "&", encrypted.URL},
		"cluster":    {viaCluster, "redis+cluster://" + viaCluster.addr + "?", "redis+cluster://" + node.Addr},
		"sentinel":   {viaSentinel, "redis+sentinel://" + replicated.Sentinel.Addr + "/far?", replicated.Primary.URL},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := open(t, c.url+"read_timeout=300ms"), session.Owner{App: "shop", User: name}
			login(t, s, o, long)
			late := createStep(o, long)
			late.Session.Info = strings.Repeat("x", 512<<10) // more than the other end takes before it reads
			c.via.frozen.Store(true)
			if _, err := s.Create(ctx, late); session.CodeOf(err) != session.Unavailable {
				t.Fatalf("the line is dead, and a login gets %v", err)
			}
			c.via.frozen.Store(false)
			time.Sleep(300 * time.Millisecond) // for what is still to come
			list, err := open(t, c.straight).List(ctx, session.ListStep{Owner: o, Types: session.Types})
			if err != nil || len(list.Sessions) != 1 {
				t.Errorf("after one login %d sessions, %v", len(list.Sessions), err)
			}
		})
	}
}
