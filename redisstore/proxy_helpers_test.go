package redisstore_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
)

// proxy is a TCP proxy between clients and a server that can simulate network faults.
type proxy struct {
	addr   string
	server atomic.Pointer[string] // its address
	lose   atomic.Int32           // discard as many of the server's next replies, and close their connections; the server has run the commands
	frozen atomic.Bool            // pass nothing on, and keep connections open
	hold   atomic.Bool            // pass nothing on from the client that sends something next, and keep its connection open
	delay  atomic.Int64           // of each piece of data, in ns

	mu         sync.Mutex
	fromClient strings.Builder // everything that clients have sent
}

// received returns everything that clients have sent.
func (p *proxy) received() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fromClient.String()
}

// newProxy starts a proxy to a server. It stops when the test ends.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	p.server.Store(&server)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); p.frozen.Store(false); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client, stop) })
		}
	})
	return p
}

// proxiedCluster starts a Cluster of one node that gives clients the address of a proxy. Redis 6.2
// announces the port that it was started with, so the proxy listens first.
func proxiedCluster(t *testing.T) (*redistest.Server, *proxy) {
	t.Helper()
	p := newProxy(t, "")
	_, port, _ := net.SplitHostPort(p.addr)
	node := redistest.Cluster(t, 1, "--cluster-announce-port", port).Nodes[0]
	p.server.Store(&node.Addr)
	return node, p
}

// serve connects one client with the server, until either closes the connection or the
// test ends.
func (p *proxy) serve(client net.Conn, stop <-chan struct{}) {
	defer client.Close()
	upstream, err := net.Dial("tcp", *p.server.Load())
	if err != nil {
		return
	}
	defer upstream.Close()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-stop: // also for clients that never close, such as a Sentinel
			_ = upstream.Close()
		case <-done:
		}
	}()
	go func() {
		p.copy(upstream, io.TeeReader(client, p), func() bool {
			if p.hold.CompareAndSwap(true, false) {
				<-stop
				return true
			}
			return false
		})
		_ = upstream.Close()
	}()
	p.copy(client, upstream, func() bool {
		if p.lose.Load() <= 0 {
			return false
		}
		return p.lose.Add(-1) >= 0
	})
}

// Write records what a client has sent.
func (p *proxy) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fromClient.Write(data)
}

// copy copies data one way until either connection is closed, or lose returns true.
func (p *proxy) copy(to io.Writer, from io.Reader, lose func() bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		time.Sleep(time.Duration(p.delay.Load()))
		for p.frozen.Load() {
			time.Sleep(time.Millisecond)
		}
		if err != nil || lose() {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}
