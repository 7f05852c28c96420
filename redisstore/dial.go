package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// keepAlive is the client's own: a peer that is gone is noticed within a minute
// where nothing is asked of it.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3}

// dial connects as the client does by itself (TCP_NODELAY is Go's default), but
// for one thing: to close the connection throws away what was not sent yet. A
// step that got no answer in time is given up by closing its connection; the
// kernel would go on sending it for as long as a quarter of an hour, and Redis
// would run it when the line is back. By then its client has asked another
// instance: a late refresh would be taken for a replay, a late login would be a
// second session. The price: a server that the line keeps from hearing of the
// end has the connection until its own tcp-keepalive, 5 minutes by default,
// finds out. A step that has reached the server by then runs, as it always did.
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
	line := conn
	if encrypted, ok := conn.(*tls.Conn); ok {
		line = encrypted.NetConn()
	}
	if tcp, ok := line.(*net.TCPConn); ok { // a Unix socket has no line that could fail
		_ = tcp.SetLinger(0) // fails where the connection has ended already, which its first use will tell
	}
	return conn, nil
}
