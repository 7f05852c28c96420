package rig

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

// Faults is how a Proxy treats what passes through it. The zero value passes
// everything on at once.
type Faults struct {
	Delay, Jitter time.Duration // each answer waits for Delay, plus up to Jitter
	Lose          float64       // share of answers that are dropped, with their connection
	Refuse        bool          // new connections are closed at once
	Stall         bool          // nothing passes, and nobody is told
	Only          string        // Delay, Lose and Stall are for connections that have sent these bytes; empty: all
}

// Proxy is a TCP proxy on loopback between a client and a server, which loses
// and delays answers as it is told. One read from the server counts as one
// answer, which holds for small ones.
type Proxy struct {
	Addr string // 127.0.0.1:PORT

	listener net.Listener
	target   atomic.Pointer[string]
	faults   atomic.Pointer[Faults]
	answers  atomic.Int64
	lost     atomic.Int64

	mu    sync.Mutex
	links map[*link]bool
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	named          atomic.Bool // has sent Faults.Only
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}

// NewProxy starts a Proxy in front of target, HOST:PORT. It ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{Addr: listener.Addr().String(), listener: listener, links: map[*link]bool{}}
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

// Retarget sends new connections to another server; Cut ends the old ones.
func (p *Proxy) Retarget(target string) { p.target.Store(&target) }

// Set changes what happens to connections, those that are open included.
func (p *Proxy) Set(f Faults) { p.faults.Store(&f) }

// Cut closes every connection.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.close()
	}
}

// Answers is how many answers have come from the server, and how many of them
// were dropped.
func (p *Proxy) Answers() (all, lost int64) { return p.answers.Load(), p.lost.Load() }

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.join(client)
	}
}

func (p *Proxy) join(client net.Conn) {
	if p.faults.Load().Refuse {
		_ = client.Close()
		return
	}
	server, err := net.Dial("tcp", *p.target.Load())
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	go p.pump(l, server, client, p.asks)
	p.pump(l, client, server, p.answersTo)
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pump moves bytes one way until either end is closed.
func (p *Proxy) pump(l *link, to io.Writer, from io.Reader, pass func(l *link, b []byte) bool) {
	defer l.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !pass(l, buf[:n]) {
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

// asks lets what a client sends pass.
func (p *Proxy) asks(l *link, b []byte) bool {
	if only := p.faults.Load().Only; only != "" && bytes.Contains(b, []byte(only)) {
		l.named.Store(true)
	}
	p.wait(l)
	return true
}

// answersTo says whether what a server sends passes, and when.
func (p *Proxy) answersTo(l *link, _ []byte) bool {
	p.answers.Add(1)
	p.wait(l)
	f := p.faults.Load()
	if !f.hits(l) {
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

const stallStep = 2 * time.Millisecond

// wait holds a connection up for as long as it is stalled.
func (p *Proxy) wait(l *link) {
	for f := p.faults.Load(); f.Stall && f.hits(l); f = p.faults.Load() {
		time.Sleep(stallStep)
	}
}

func (f *Faults) hits(l *link) bool { return f.Only == "" || l.named.Load() }
