package listen

import (
	"crypto/tls"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// trackedConn is a connection with its last state, and whether its client waits for an
// answer. A connection is at work while a request is that has been read to the end of its
// body. Otherwise it waits for its client, and the pool may close it. Requests change two
// atomic numbers and take no lock.
type trackedConn struct {
	stream
	pool     *pool
	client   *client      // that has it; nil if the peer stands for many clients
	state    atomic.Int32 // an http.ConnState
	working  atomic.Int32 // requests at work; below zero once the pool has decided to close the connection
	since    atomic.Int64 // when the connection began to wait, on the pool's clock
	answered atomic.Int64 // when the last request ended, on the pool's clock; 0 if there was none
}

// stream is a [net.TCPConn] or a [net.UnixConn].
type stream interface {
	net.Conn
	CloseWrite() error
}

type connKey struct{}

// tracked returns the connection of a server's connection, or nil if it is none of a
// listener.
func tracked(c net.Conn) *trackedConn {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	conn, _ := c.(*trackedConn)
	return conn
}

// connectionOf returns the connection of a request, or nil if no listener has accepted it.
func connectionOf(r *http.Request) *trackedConn {
	c, _ := r.Context().Value(connKey{}).(*trackedConn)
	return c
}

// Close implements [net.Conn]. The pool forgets the connection when its descriptor is free.
func (c *trackedConn) Close() error {
	err := c.stream.Close()
	c.pool.remove(c)
	return err
}

// beginStream counts a request of HTTP/2, of which a connection may have several. It reports
// whether the listener and the client have no more of them than they may have connections:
// each takes as much memory.
func (c *trackedConn) beginStream() bool {
	ok := c.pool.streams.Add(1) <= int64(c.pool.most)
	if c.client != nil {
		ok = c.client.streams.Add(1) <= int64(c.pool.mostOfClient) && ok
	}
	return ok
}

// endStream is called after each beginStream.
func (c *trackedConn) endStream() {
	c.pool.streams.Add(-1)
	if c.client != nil {
		c.client.streams.Add(-1)
	}
}

// begin counts a request. It returns false if the pool is closing the connection: then the
// request must not be worked on, because no answer would arrive.
func (c *trackedConn) begin() bool { return c.working.Add(1) > 0 }

// end is called after each request that begin has counted.
func (c *trackedConn) end() {
	now := int64(c.pool.now())
	c.answered.Store(now)
	c.since.Store(now) // before the number, so that the pool never sees an old time
	c.working.Add(-1)
}

// Rest calls a function that reads the body of a request, or that holds its answer back.
// Meanwhile the request is not at work, and has not been since a time: a slow client, or one
// that guesses passwords, must not keep a connection that others need. If no listener of
// [Servers] has accepted the request, as in tests of a handler, Rest only calls the function.
// It reports whether the connection is still open: if not, the request must not be worked on,
// because no answer would arrive.
func Rest(r *http.Request, since time.Time, wait func()) (open bool) {
	if c := connectionOf(r); c != nil {
		return c.rest(since, wait)
	}
	wait()
	return true
}

func (c *trackedConn) rest(since time.Time, wait func()) (open bool) {
	c.since.Store(int64(since.Sub(c.pool.started)))
	c.working.Add(-1)
	wait()
	return c.working.Add(1) > 0
}

// flushTime is how long an answer may take to leave after its handler has returned. After
// that, a connection waits for a client that does not read.
const flushTime = time.Second

// waits reports whether the connection waits for its client.
func (c *trackedConn) waits(now time.Duration) bool {
	if c.working.Load() != 0 {
		return false
	}
	answered := time.Duration(c.answered.Load())
	return http.ConnState(c.state.Load()) != http.StateActive || answered == 0 || now-answered >= flushTime
}

// closing is a number of requests at work that no further requests make positive.
const closing = math.MinInt32 / 2

// claim reports whether the connection may be closed because it still waits as it did since
// the given time. No request on it is worked on from then on.
func (c *trackedConn) claim(since, now time.Duration) bool {
	return time.Duration(c.since.Load()) == since && c.waits(now) && c.working.CompareAndSwap(0, closing)
}

// peer returns the address of the other end. It is invalid on a Unix socket.
func (c *trackedConn) peer() netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
