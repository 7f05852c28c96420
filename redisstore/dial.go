package redisstore

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// reloadInterval limits how long a Cluster's client goes on dialling a master that is
// down. The client asks for the new owner of a slot when it repeats a command, and
// otherwise once per interval. It never repeats a step, so steps depend on the interval.
const reloadInterval = time.Second

// credentials are the Redis user and the password.
type credentials struct{ username, password string }

// connect returns the client, and the pipelines in front of it if there are any. The
// client dials on first use, with the credentials at that time.
func (s servers) connect(current *atomic.Pointer[credentials], logger *slog.Logger) (client redis.UniversalClient, p *pipelines, err error) {
	d, err := newDialer(s, logger)
	if err != nil {
		return nil, nil, err
	}
	s.Dialer = d.dial
	s.CredentialsProviderContext = func(context.Context) (username, password string, err error) {
		c := current.Load()
		return c.username, c.password, nil
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
	if s.autoPipeline {
		p = &pipelines{}
	}
	return client, p, nil
}

// keepAlive has the values of the client's own dialer. With them, a peer that no longer
// answers is detected on an idle connection within a minute.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialer opens the connections of a client.
type dialer struct {
	net          net.Dialer
	tls          *tls.Config // without the certificates in files; nil means no TLS
	certificates certificateFiles
	lastGood     atomic.Pointer[tls.Config]
	unreadable   outage
}

func newDialer(s servers, logger *slog.Logger) (*dialer, error) {
	d := &dialer{
		net: net.Dialer{Timeout: s.DialTimeout, KeepAliveConfig: keepAlive}, tls: s.TLSConfig, certificates: s.certificates,
		unreadable: outage{
			logger: logger,
			failed: "the certificates for Redis can't be read, so new connections use those read before: correct the files",
			over:   "the certificates for Redis can be read again",
		},
	}
	if d.tls == nil {
		return d, nil
	}
	config, err := d.certificates.load(d.tls)
	d.lastGood.Store(config)
	return d, err
}

// tlsConfig reads the certificates. While that fails, it returns the last good ones: the
// files may be incomplete while they are being replaced.
func (d *dialer) tlsConfig() *tls.Config {
	config, err := d.certificates.load(d.tls)
	d.unreadable.report(err)
	if err != nil {
		return d.lastGood.Load()
	}
	d.lastGood.Store(config)
	return config
}

// dial connects like the client's own dialer (Go sets TCP_NODELAY by default), with two
// differences: the client can check an idle TLS connection (see tlsConn), and closing a
// connection discards the data that was not sent yet.
//
// A step that got no reply in time is given up by closing its connection. If the data were
// kept, the kernel would try to send the step for up to a quarter of an hour, and
// Redis would run it when the network is back. By then the user's client has asked
// another instance, so a late refresh would count as a replay, and a late login would
// create a second session.
//
// The price: if the network fails, the server does not learn that the connection was
// closed, and keeps it until the server's own tcp-keepalive ends it, after 5 minutes by
// default. A step that has reached the server before the close still runs.
func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if d.tls == nil {
		conn, err := d.net.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		discardOnClose(conn)
		return conn, nil
	}
	encrypted := tls.Dialer{NetDialer: &d.net, Config: d.tlsConfig()}
	conn, err := encrypted.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	secured := conn.(*tls.Conn) // as the documentation of DialContext says
	discardOnClose(secured.NetConn())
	return newTLSConn(secured), nil
}

func discardOnClose(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok { // a Unix socket has no network that could fail
		_ = tcp.SetLinger(0) // fails only if the connection is closed already, and then its first use fails too
	}
}
