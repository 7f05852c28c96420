package listen

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// pool has the open connections of one listener. It bounds their number, and how many of them
// one client network has. At a bound a new connection takes the place of the one that has
// been waiting for its client the longest, so that idle and slow clients keep no other one
// out. Only if each connection is at work, the new one is closed: a client or a balancer then
// goes elsewhere at once, while in a queue it would wait for an instance that has no room.
type pool struct {
	most, mostOfClient int
	trusted            []netip.Prefix // networks of peers that stand for many clients
	metrics            listenerMetrics
	log                *slog.Logger
	logged             rate.Sometimes
	started            time.Time // of the pool's clock
	streams            atomic.Int64

	mu      sync.Mutex
	open    connections
	clients map[string]*client
}

// client is a client network with its connections.
type client struct {
	network string
	streams atomic.Int64
	connections
}

// connections is a set of connections.
type connections struct {
	set    map[*trackedConn]struct{}
	next   []waiting // those that are closed next, if they still wait
	chosen time.Duration
}

// waiting is a connection that waits for its client.
type waiting struct {
	conn  *trackedConn
	since time.Duration
	share int // connections of its client, without those that are closed before; see longestWaiting
}

func newPool(most int, trusted []netip.Prefix, metrics listenerMetrics, log *slog.Logger) *pool {
	metrics.most.Set(float64(most))
	return &pool{
		most: most, mostOfClient: clientShare(most), trusted: trusted, metrics: metrics, log: log,
		logged: rate.Sometimes{Interval: logInterval}, started: time.Now(),
		open: connections{set: map[*trackedConn]struct{}{}}, clients: map[string]*client{},
	}
}

// now returns the time on the pool's clock, which is never set.
func (p *pool) now() time.Duration { return time.Since(p.started) }

// accept returns a new connection, or nil if it has closed it because there is no room. Only
// one goroutine may call it.
func (p *pool) accept(s stream) *trackedConn {
	c := &trackedConn{stream: s, pool: p}
	now := p.now()
	c.since.Store(int64(now))
	network := ""
	if peer := c.peer(); !Trusts(p.trusted, peer) {
		network = Network(peer)
	}
	if !p.makeRoom(network, now) {
		p.metrics.refused.Inc()
		_ = s.Close()
		return nil
	}
	p.add(c, network)
	return c
}

func (p *pool) add(c *trackedConn, network string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if network != "" {
		if c.client = p.clients[network]; c.client == nil {
			c.client = &client{network: network, connections: connections{set: map[*trackedConn]struct{}{}}}
			p.clients[network] = c.client
		}
		c.client.set[c] = struct{}{}
	}
	p.open.set[c] = struct{}{}
	p.metrics.open.Set(float64(len(p.open.set)))
}

// remove forgets a connection that is closed. Further calls do nothing.
func (p *pool) remove(c *trackedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open.set, c)
	p.metrics.open.Set(float64(len(p.open.set)))
	if c.client == nil {
		return
	}
	if delete(c.client.set, c); len(c.client.set) == 0 {
		delete(p.clients, c.client.network)
	}
}

// makeRoom reports whether there is room for one more connection of a client network, which
// is empty for a peer that stands for many. At a bound it closes a connection that waits.
func (p *pool) makeRoom(network string, now time.Duration) bool {
	victim, full := p.victim(network, now)
	if victim != nil {
		p.metrics.closed.Inc()
		_ = victim.Close()
	}
	if full != "" {
		p.logged.Do(func() {
			p.log.Warn("connections are at their limit", "listener", p.metrics.listener, "limit", full, "client", network, "closed_waiting", victim != nil,
				"most", p.most, "most_of_client", p.mostOfClient)
		})
	}
	return full == "" || victim != nil
}

// victim returns the connection that must be closed before there is room, and which limit
// demands it, if one does. The victim is nil if each connection is at work.
func (p *pool) victim(network string, now time.Duration) (victim *trackedConn, full string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch c := p.clients[network]; {
	case c != nil && len(c.set) >= p.mostOfClient:
		return c.claimNext(now), "client"
	case len(p.open.set) >= p.most:
		return p.open.claimNext(now), "listener"
	}
	return nil, ""
}

// choiceAge is how long a choice of connections is used: by then others may wait longer, or
// clients may have fewer connections.
const choiceAge = 100 * time.Millisecond

// claimNext returns the connection that must be closed next, or nil if none waits. It chooses
// several at once, because a look at all of them for each new connection would cost more than
// the connection.
func (s *connections) claimNext(now time.Duration) *trackedConn {
	if now-s.chosen >= choiceAge {
		s.next = nil
	}
	for range maxChoices {
		for len(s.next) > 0 {
			w := s.next[0]
			s.next = s.next[1:]
			if _, open := s.set[w.conn]; open && w.conn.claim(w.since, now) {
				return w.conn
			}
		}
		if s.next, s.chosen = s.longestWaiting(now, 1+len(s.set)/32), now; len(s.next) == 0 {
			break
		}
	}
	return nil
}

// maxChoices is how often connections are chosen until one can be closed: requests may have
// arrived on all of those that were chosen before.
const maxChoices = 4

// fewConnections is the number of connections that a client may have without being taken for
// a larger one than others: a network of several users, each with a browser that opens up to
// six, must not lose connections in use to idle ones from many addresses.
const fewConnections = 32

// longestWaiting returns the connections that are closed first, up to a number of them: those
// of the client that has most connections, as long as it has most, and of these the one that
// has been waiting the longest. A connection of a peer that stands for many clients counts as
// a client of its own.
func (s *connections) longestWaiting(now time.Duration, number int) []waiting {
	var all []waiting
	for c := range s.set {
		if c.waits(now) {
			all = append(all, waiting{c, time.Duration(c.since.Load()), fewConnections})
		}
	}
	slices.SortFunc(all, func(a, b waiting) int { return cmp.Compare(a.since, b.since) })
	before := map[*client]int{} // connections that are closed before
	for i := range all {
		if c := all[i].conn.client; c != nil {
			all[i].share = max(fewConnections, len(c.set)-before[c])
			before[c]++
		}
	}
	slices.SortStableFunc(all, func(a, b waiting) int { return cmp.Compare(b.share, a.share) })
	return all[:min(number, len(all))]
}
