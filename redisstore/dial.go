package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// reloadInterval limits how long a Cluster's client goes on dialling a master that is
// down. The client asks for the new owner of a slot when it repeats a command, and
// otherwise once per interval. It never repeats a step, so steps depend on the interval.
const reloadInterval = time.Second

// connect returns the client, and the pipeline in front of it if there is one. The
// client dials on first use.
func (s servers) connect() (redis.UniversalClient, *redis.AutoPipeliner, error) {
	s.Dialer = s.dial
	var client interface {
		redis.UniversalClient
		AsyncAutoPipelineWithOptions(*redis.AutoPipelineOptions) (*redis.AutoPipeliner, error)
	}
	switch s.topology {
	case cluster:
		o := s.Cluster()
		o.DisableRoutingPolicies = true // a script goes to the slot of its first key, and no other command needs a policy
		o.ClusterStateReloadInterval = reloadInterval
		client = redis.NewClusterClient(o)
	case sentinel:
		client = redis.NewFailoverClient(s.Failover())
	default:
		client = redis.NewClient(s.Simple())
	}
	if !s.autoPipeline {
		return client, nil, nil
	}
	pipeline, err := client.AsyncAutoPipelineWithOptions(redis.DefaultBlockingAutoPipelineOptions())
	return client, pipeline, err
}

// keepAlive has the values of the client's own dialer. With them, a peer that no longer
// answers is detected on an idle connection within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dial connects like the client's own dialer (Go sets TCP_NODELAY by default), with one
// difference: closing the connection discards the data that was not sent yet.
//
// A step that got no reply in time is given up by closing its connection. Without the
// difference, the kernel would try to send the step for up to a quarter of an hour, and
// Redis would run it when the network is back. By then the user's client has asked
// another instance, so a late refresh would count as a replay, and a late login would
// create a second session.
//
// The price: if the network fails, the server does not learn that the connection was
// closed, and keeps it until the server's own tcp-keepalive ends it, after 5 minutes by
// default. A step that has reached the server before the close still runs.
func (s *servers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: s.DialTimeout, KeepAliveConfig: keepAlive}
	var dialer interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = plain
	if s.TLSConfig != nil {
		dialer = &tls.Dialer{NetDialer: plain, Config: s.TLSConfig}
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	transport := conn
	if encrypted, ok := conn.(*tls.Conn); ok {
		transport = encrypted.NetConn()
	}
	if tcp, ok := transport.(*net.TCPConn); ok { // a Unix socket has no network that could fail
		_ = tcp.SetLinger(0) // fails only if the connection is closed already, and then its first use fails too
	}
	return conn, nil
}
