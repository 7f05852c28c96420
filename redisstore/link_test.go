package redisstore_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link passes bytes on between clients and a server, as badly as it is told to.
type link struct {
	addr   string
	losing atomic.Bool  // the server's next answer is lost: the connection ends instead, after the server has done what it was asked
	frozen atomic.Bool  // nothing passes, and nobody is told
	delay  atomic.Int64 // how long each piece is under way, in ns
}

func newLink(t *testing.T, server string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &link{addr: l.Addr().String()}
	var wg sync.WaitGroup
	over := make(chan struct{})
	t.Cleanup(func() { close(over); p.frozen.Store(false); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(client, server, over) })
		}
	})
	return p
}

func (p *link) serve(client net.Conn, server string, over <-chan struct{}) {
	defer client.Close()
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer upstream.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-over: // also for who would go on asking, as a Sentinel does
			_ = upstream.Close()
		case <-ended:
		}
	}()
	go func() {
		p.pass(upstream, client, func() bool { return false })
		_ = upstream.Close()
	}()
	p.pass(client, upstream, func() bool { return p.losing.CompareAndSwap(true, false) })
}

// pass moves bytes one way until either end is closed, or lose says so.
func (p *link) pass(to, from net.Conn, lose func() bool) {
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
