package gatewaytest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Faults are the faults that a Proxy injects. The zero value injects none.
type Faults struct {
	Delay, Jitter time.Duration // each response is delayed by Delay plus a random part of Jitter
	Lose          float64       // fraction of the responses that are dropped, together with their connection
	Refuse        bool          // new connections are closed at once
	Stall         bool          // nothing is forwarded, and connections stay open
	OnlySending   string        // if not empty, Delay, Lose and Stall apply only to connections that have sent these bytes
}

// Proxy is a TCP proxy on loopback between a client and a server. It injects faults. One
// read from the server counts as one response, which is right for small responses.
type Proxy struct {
	Addr string // 127.0.0.1:PORT

	listener  net.Listener
	target    atomic.Pointer[string]
	faults    atomic.Pointer[Faults]
	responses atomic.Int64
	lost      atomic.Int64
	held      atomic.Int64

	mu          sync.Mutex
	connections map[*connection]bool
}

// connection is one connection through the proxy.
type connection struct {
	client, server net.Conn
	matched        atomic.Bool // the client has sent Faults.OnlySending
}

func (c *connection) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

// NewProxy starts a Proxy in front of target, HOST:PORT. It stops when the test ends.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), listener: listener, connections: map[*connection]bool{}}
	p.Retarget(target)
	p.Set(Faults{})
	go p.serve()
	tb.Cleanup(func() {
		_ = listener.Close()
		p.Set(Faults{})
		p.Cut()
	})
	return p
}

// Retarget sends new connections to another server. Cut closes the old ones.
func (p *Proxy) Retarget(target string) { p.target.Store(&target) }

// Set changes the faults, also of open connections.
func (p *Proxy) Set(f Faults) { p.faults.Store(&f) }

// Cut closes every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.connections {
		c.close()
	}
}

// Responses returns how many responses the server has sent, and how many of them were
// dropped.
func (p *Proxy) Responses() (all, lost int64) { return p.responses.Load(), p.lost.Load() }

// Held returns how many times bytes wait at present because a connection is stalled.
func (p *Proxy) Held() int { return int(p.held.Load()) }

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.connect(client)
	}
}

func (p *Proxy) connect(client net.Conn) {
	if p.faults.Load().Refuse {
		_ = client.Close()
		return
	}
	server, err := net.Dial("tcp", *p.target.Load())
	if err != nil {
		_ = client.Close()
		return
	}
	c := &connection{client: client, server: server}
	p.mu.Lock()
	p.connections[c] = true
	p.mu.Unlock()
	go p.pump(c, server, client, p.forwardRequest)
	p.pump(c, client, server, p.forwardResponse)
	p.mu.Lock()
	delete(p.connections, c)
	p.mu.Unlock()
}

// pump copies bytes in one direction until either end is closed or pass returns false.
func (p *Proxy) pump(c *connection, to io.Writer, from io.Reader, pass func(c *connection, b []byte) bool) {
	defer c.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !pass(c, buf[:n]) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// forwardRequest waits while the connection is stalled. It returns true: what a client
// sends is always forwarded.
func (p *Proxy) forwardRequest(c *connection, b []byte) bool {
	if only := p.faults.Load().OnlySending; only != "" && bytes.Contains(b, []byte(only)) {
		c.matched.Store(true)
	}
	p.wait(c)
	return true
}

// forwardResponse delays what a server sent, and reports whether to forward it.
func (p *Proxy) forwardResponse(c *connection, _ []byte) bool {
	p.responses.Add(1)
	p.wait(c)
	f := p.faults.Load()
	if !f.appliesTo(c) {
		return true
	}
	if f.Lose > 0 && rand.Float64() < f.Lose {
		p.lost.Add(1)
		return false
	}
	if d := f.Delay; d > 0 || f.Jitter > 0 {
		time.Sleep(d + rand.N(f.Jitter+1))
	}
	return true
}

const stallInterval = 2 * time.Millisecond

// wait waits until the connection is not stalled.
func (p *Proxy) wait(c *connection) {
	p.held.Add(1)
	defer p.held.Add(-1)
	for f := p.faults.Load(); f.Stall && f.appliesTo(c); f = p.faults.Load() {
		time.Sleep(stallInterval)
	}
}

func (f *Faults) appliesTo(c *connection) bool { return f.OnlySending == "" || c.matched.Load() }
