package listen

import (
	"context"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeStream is a connection from an address. It records whether it is closed.
type fakeStream struct {
	stream
	remote net.Addr
	closed bool
}

func (s *fakeStream) RemoteAddr() net.Addr { return s.remote }
func (s *fakeStream) Close() error         { s.closed = true; return nil }

// testPool is a pool whose connections have names, which begin with their address.
type testPool struct {
	*pool
	t     *testing.T
	conns map[string]*trackedConn
	order []string
}

func newTestPool(t *testing.T, most, mostOfClient int) *testPool {
	t.Helper()
	p := newPool(most, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, newMetrics().of("public"), slog.New(slog.NewTextHandler(io.Discard, nil)))
	p.mostOfClient = mostOfClient
	return &testPool{p, t, map[string]*trackedConn{}, nil}
}

// open opens a connection "ADDRESS/ANYTHING", or one on a Unix socket if the address is empty,
// that has been waiting since a number of seconds after the start. It reports whether the
// connection was accepted.
func (p *testPool) open(name string, since int) bool {
	p.t.Helper()
	address, _, _ := strings.Cut(name, "/")
	s := &fakeStream{remote: &net.UnixAddr{}}
	if address != "" {
		s.remote = &net.TCPAddr{IP: net.ParseIP(address)}
	}
	c := p.accept(s)
	if c == nil {
		return false
	}
	c.since.Store(int64(time.Duration(since) * time.Second))
	p.conns[name] = c
	p.order = append(p.order, name)
	return true
}

// closed returns the names of the connections that have been closed, in the order in which
// they were opened, and forgets them.
func (p *testPool) closed() (names []string) {
	for _, name := range p.order {
		if p.conns[name].stream.(*fakeStream).closed {
			names = append(names, name)
		}
	}
	p.order = slices.DeleteFunc(p.order, func(name string) bool { return slices.Contains(names, name) })
	return names
}

func (p *testPool) wantClosed(names ...string) {
	p.t.Helper()
	if got := p.closed(); !slices.Equal(got, names) {
		p.t.Errorf("got %q closed, want %q", got, names)
	}
}

// TestVictimOfClient checks that a client at its limit closes its own connection that has been
// waiting the longest, and no other client's.
func TestVictimOfClient(t *testing.T) {
	p := newTestPool(t, 100, 3)
	for i, name := range []string{"192.0.2.9/old", "192.0.2.1/a", "192.0.2.1/b", "192.0.2.1/c"} {
		p.open(name, -10*i)
	}
	p.wantClosed()
	p.open("192.0.2.1/d", 1)
	p.wantClosed("192.0.2.1/c")
	p.open("2001:db8::1/e", 2)
	p.open("2001:db8::2/f", 1) // of the same /64
	p.open("2001:db8::3/g", 3)
	p.open("2001:db8:0:1::1/h", 0)
	p.wantClosed()
	p.open("2001:db8::4/i", 4)
	p.wantClosed("2001:db8::2/f")
}

// TestPeersOfManyClientsHaveNoLimit checks that a trusted proxy and peers on a Unix socket may
// have all connections.
func TestPeersOfManyClientsHaveNoLimit(t *testing.T) {
	p := newTestPool(t, 40, 2)
	for i := range 20 {
		p.open("10.0.0.1/"+string(rune('a'+i)), i)
		p.open("/"+string(rune('a'+i)), i)
	}
	p.wantClosed()
	p.open("192.0.2.1/x", 50)
	p.open("192.0.2.1/y", 50)
	p.wantClosed("10.0.0.1/a", "/a")
}

// TestVictimOfListener checks the order at the limit of the listener: first the client that
// has most connections, as long as it has most, then the longest wait. A few connections more
// than others do not count.
func TestVictimOfListener(t *testing.T) {
	const many, fewer = fewConnections + 5, fewConnections + 2
	p := newTestPool(t, many+fewer+2, many+1)
	for i := range many {
		p.open("192.0.2.1/"+string(rune('a'+i)), 20+i)
	}
	for i := range fewer {
		p.open("192.0.2.2/"+string(rune('a'+i)), 10+i)
	}
	p.open("192.0.2.3/a", 5)
	p.open("10.0.0.1/a", 4)
	p.wantClosed()
	next := p.pool.open.longestWaiting(time.Hour, 100)
	var names []string
	for _, w := range next[:12] {
		for name, c := range p.conns {
			if c == w.conn {
				names = append(names, name)
			}
		}
	}
	want := []string{
		"192.0.2.1/a", "192.0.2.1/b", "192.0.2.1/c", // until both have as many
		"192.0.2.2/a", "192.0.2.1/d", "192.0.2.2/b", "192.0.2.1/e", // until both have few
		"10.0.0.1/a", "192.0.2.3/a", "192.0.2.2/c", "192.0.2.2/d", "192.0.2.2/e", // by time alone
	}
	if !slices.Equal(names, want) {
		t.Errorf("got the order\n%q, want\n%q", names, want)
	}
	p.open("192.0.2.4/a", 200)
	p.wantClosed("192.0.2.1/a")
}

// TestBusyConnectionsStay checks that a connection whose request is at work is never closed,
// that one whose request's body is read is, and that no request is begun on a closed one.
func TestBusyConnectionsStay(t *testing.T) {
	p := newTestPool(t, 3, 3)
	for i, name := range []string{"192.0.2.1/a", "192.0.2.2/b", "192.0.2.3/c"} {
		p.open(name, i)
		if !p.conns[name].begin() {
			t.Fatalf("%s can't begin", name)
		}
		p.conns[name].state.Store(int32(http.StateActive))
	}
	if p.open("192.0.2.4/d", 9) {
		t.Error("a connection was accepted, want it closed because all are at work")
	}
	p.wantClosed()
	second := p.conns["192.0.2.2/b"]
	second.rest(time.Now(), func() {
		if !p.open("192.0.2.4/d", 9) {
			t.Error("no connection was accepted, want the place of the one whose body is read")
		}
	})
	p.wantClosed("192.0.2.2/b")
	if second.begin() {
		t.Error("a request began on a closed connection")
	}
	second.end()
	first := p.conns["192.0.2.1/a"]
	first.end() // the answer is on its way
	if p.conns["192.0.2.4/d"].begin(); p.open("192.0.2.5/e", 9) {
		t.Error("a connection was accepted, want no answer lost")
	}
	p.wantClosed()
	first.state.Store(int32(http.StateIdle))
	if !p.open("192.0.2.5/e", 9) {
		t.Error("no connection was accepted, want the place of the idle one")
	}
	p.wantClosed("192.0.2.1/a")
}

// TestNoRequestBeginsOnClosedConnection checks that a request is not worked on if its connection
// is closed at that moment, because the client would not get the answer.
func TestNoRequestBeginsOnClosedConnection(t *testing.T) {
	p := newTestPool(t, 1, 1)
	p.open("192.0.2.1/a", 0)
	c := p.conns["192.0.2.1/a"]
	p.open("192.0.2.2/b", 1)
	p.wantClosed("192.0.2.1/a")
	worked := false
	h := new(Servers).trackRequests(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { worked = true }))
	r := httptest.NewRequest("GET", "/", nil)
	defer func() {
		if recover() != http.ErrAbortHandler || worked {
			t.Error("the request was worked on")
		}
	}()
	h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), connKey{}, c)))
}

// TestUnreadAnswerDoesNotKeepConnection checks that a client that does not read an answer
// keeps its connection for flushTime only.
func TestUnreadAnswerDoesNotKeepConnection(t *testing.T) {
	p := newTestPool(t, 1, 1)
	p.open("192.0.2.1/a", 0)
	c := p.conns["192.0.2.1/a"]
	c.state.Store(int32(http.StateActive))
	c.begin()
	c.end()
	answered := time.Duration(c.answered.Load())
	if c.waits(answered+flushTime-1) || !c.waits(answered+flushTime) {
		t.Errorf("the connection waits, want that from %s after the answer on", flushTime)
	}
}

// TestPoolForgetsClosedConnections checks that a place is free after a close, also if that is
// repeated, and that a client without connections takes no memory.
func TestPoolForgetsClosedConnections(t *testing.T) {
	p := newTestPool(t, 2, 1)
	p.open("192.0.2.1/a", 0)
	p.open("192.0.2.2/b", 0)
	for range 2 {
		_ = p.conns["192.0.2.1/a"].Close()
	}
	p.closed()
	p.open("192.0.2.3/c", 0)
	p.wantClosed()
	if len(p.clients) != 2 || len(p.pool.open.set) != 2 {
		t.Errorf("got %d clients and %d connections, want 2 and 2", len(p.clients), len(p.pool.open.set))
	}
}

func TestConnectionLimits(t *testing.T) {
	for _, c := range []struct {
		files              uint64
		public, admin, one int
	}{
		{1, 1, 1, 1}, {40, 10, 5, 4}, {64, 16, 8, 4}, {256, 64, 32, 16}, {1024, 512, 64, 128}, {4096, 2048, 64, 512},
		{65536, 4096, 64, 1024}, {math.MaxUint64, 4096, 64, 1024},
	} {
		public, admin := connectionLimits(c.files)
		if one := clientShare(public); public != c.public || admin != c.admin || one != c.one {
			t.Errorf("%d files: got %d public connections, %d admin connections, %d of one client; want %d, %d, %d", c.files, public, admin, one, c.public, c.admin, c.one)
		}
	}
}

// BenchmarkAcceptAtLimit measures a new connection that takes the place of another one.
func BenchmarkAcceptAtLimit(b *testing.B) {
	p := newPool(maxConnections, nil, newMetrics().of("public"), slog.New(slog.NewTextHandler(io.Discard, nil)))
	i := 0
	accept := func() {
		i++
		p.accept(&fakeStream{remote: &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))}})
	}
	for range maxConnections {
		accept()
	}
	b.ReportAllocs()
	for b.Loop() {
		accept()
	}
}

// TestStreamsAreBounded checks that a client has no more requests of HTTP/2 in progress than it
// may have connections, and that another one still has its own.
func TestStreamsAreBounded(t *testing.T) {
	p := &pool{most: 6, mostOfClient: 4}
	greedy, other, proxy := &client{network: "a"}, &client{network: "b"}, (*client)(nil)
	begin := func(c *client, want bool) {
		t.Helper()
		if got := (&trackedConn{pool: p, client: c}).beginStream(); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	for range 4 {
		begin(greedy, true)
	}
	begin(greedy, false)
	(&trackedConn{pool: p, client: greedy}).endStream()
	begin(other, true)
	begin(proxy, true)
	begin(proxy, false)
	for range 2 {
		(&trackedConn{pool: p, client: proxy}).endStream()
	}
	begin(other, true)
}
