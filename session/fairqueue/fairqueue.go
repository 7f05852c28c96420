// Package fairqueue makes logins wait for something of which only a few can use a part at a
// time: the threads that hash passwords, or the requests to a user source. The waiting is
// fair between apps and, within an app, between the networks of its clients, so that no
// number of logins of one of them makes those of another fail.
//
// # Order
//
// A login enters a [Queue], which gives it a [Place]; then it may look for its user; then it
// waits for its turn; then it leaves. Turns go round the apps that have logins waiting, for
// each app round its networks, and within a network in the order in which the logins began
// to wait. A login that needs more slots than are free is not overtaken: otherwise it might
// never get them. A turn counts the same for cheap and for costly hashes.
//
// # Bounds
//
// The logins that have a place but no slots are bounded in the bytes that they hold, and so
// in number, because each of them counts as Options.Bytes/Options.Places bytes at least. If
// there is no room for a newcomer, the newest logins of the app that has most lose their
// places, and of its networks the one that has most; but only if that is more than what the
// newcomer's app has together with the newcomer. Otherwise the same applies to the networks
// of the newcomer's own app. Otherwise the newcomer gets no place. Both fail with
// [session.Busy]. So a login never fails because of another app or network that has no more
// places than its own.
package fairqueue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

// Defaults of [Options].
const (
	// DefaultPlaces is far more than the logins that get a turn within DefaultWait: a
	// thread makes between 2 and 40 hashes in that time.
	DefaultPlaces = 1024

	// DefaultBytes lets each of DefaultPlaces logins hold 8 KiB. A waiting login holds
	// about as much whatever its client has sent: a goroutine and the request.
	DefaultBytes = 8 << 20

	// DefaultWait is about as long as a user waits without trying again.
	DefaultWait = 2 * time.Second
)

// Options configures a [Queue].
type Options struct {
	Slots int // in use at once; required

	// Places and Bytes bound the logins without slots. 0 means DefaultPlaces and DefaultBytes.
	Places, Bytes int

	Wait   time.Duration // how long a login waits for its turn; 0 means DefaultWait
	Reason string        // what there are too many of, for the log
}

// Client is what a login belongs to. Logins whose network is not known are one network.
type Client struct{ App, Network string }

// Queue is a fair and bounded queue. It is safe for concurrent use, and starts no goroutine.
type Queue struct {
	slots, bytes, least int // the options, and the bytes that a login counts as at least
	wait                time.Duration
	busy                *session.Error

	mu   sync.Mutex
	free int   // slots
	all  group // its parts are the apps, and theirs the networks
}

// New returns an empty queue.
func New(o Options) *Queue {
	q := &Queue{slots: max(o.Slots, 1), bytes: o.Bytes, wait: o.Wait, busy: session.Fail(session.Busy, errors.New(o.Reason))}
	if q.bytes <= 0 {
		q.bytes = DefaultBytes
	}
	if o.Places <= 0 {
		o.Places = DefaultPlaces
	}
	if q.wait <= 0 {
		q.wait = DefaultWait
	}
	q.least, q.free = max(q.bytes/o.Places, 1), q.slots
	return q
}

// state is what has become of a [Place].
type state int

const (
	entered state = iota // the login may look for its user
	waiting              // in line
	granted              // it has slots
	lost                 // to a login of another app or network
	left
)

// Place is the place of one login in a [Queue].
type Place struct {
	queue  *Queue
	cancel context.CancelFunc
	groups [3]*group     // all, the app and the network
	bytes  int           // that the login counts as
	turn   chan struct{} // closed when the state becomes granted or lost

	// Guarded by queue.mu.
	state state
	slots int // that it waits for or has
}

// Enter gives a login a place. bytes is what the login holds while it waits. The login must
// call Leave in the end. The context that Enter returns is done then, and also when the place
// is lost; it is for what the login does before Wait. Enter fails with [session.Busy] if the
// queue is full.
func (q *Queue) Enter(ctx context.Context, c Client, bytes int) (context.Context, *Place, error) {
	p := &Place{queue: q, bytes: max(bytes, q.least), turn: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.makeRoom(c, p.bytes) {
		return ctx, nil, q.busy
	}
	ctx, p.cancel = context.WithCancel(ctx)
	app := q.all.part(c.App, true)
	p.groups = [...]*group{&q.all, app, app.part(c.Network, true)}
	for _, g := range p.groups {
		g.bytes += p.bytes
	}
	network := p.groups[2]
	network.places = append(network.places, p)
	return ctx, p, nil
}

// makeRoom takes places away until bytes are free for a newcomer, and reports whether they
// are. At each step the group that loses has more than that of the newcomer, which therefore
// gets its place whenever another login has lost one.
func (q *Queue) makeRoom(c Client, bytes int) bool {
	fits := func() bool { return q.all.bytes+bytes <= q.bytes }
	within := &q.all
	for _, name := range []string{c.App, c.Network} {
		if fits() {
			return true
		}
		most, own := within.largest(), within.part(name, false)
		if most != nil && own.size()+bytes < most.bytes {
			for !fits() {
				q.remove(within.newest(), lost)
			}
			return true
		}
		if own == nil {
			return false
		}
		within = own
	}
	return fits()
}

// Err returns an error with the code Busy if the place was lost, otherwise nil. A login whose
// search for its user fails asks it first: the reason may be that its context was done.
func (p *Place) Err() error {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	if p.state == lost {
		return p.queue.busy
	}
	return nil
}

// Wait waits until it is the login's turn and so many slots are free; more than the queue has
// means all of them. They are the login's until it leaves. Wait is called once. It fails with
// [session.Busy] if the queue's longest wait is over or the place was lost, and with
// [session.Unavailable] if ctx is done.
func (p *Place) Wait(ctx context.Context, slots int) error {
	p.line(ctx, slots)
	timer := time.NewTimer(p.queue.wait)
	defer timer.Stop()
	select {
	case <-p.turn:
	case <-ctx.Done():
	case <-timer.C:
	}
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	switch {
	case p.state == lost:
		return p.queue.busy
	case ctx.Err() != nil:
		p.queue.remove(p, left)
		return session.Fail(session.Unavailable, ctx.Err())
	case p.state == granted: // perhaps just when the wait was over
		return nil
	}
	p.queue.remove(p, left)
	return p.queue.busy
}

// line puts the place into its network's line, unless the wait is over already.
func (p *Place) line(ctx context.Context, slots int) {
	q := p.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.state != entered || ctx.Err() != nil {
		return
	}
	all, app, network := p.groups[0], p.groups[1], p.groups[2]
	p.state, p.slots = waiting, min(max(slots, 1), q.slots)
	network.line = append(network.line, p)
	app.join(network)
	all.join(app)
	q.serve()
}

// Leave gives up the place and the slots. Further calls have no effect.
func (p *Place) Leave() {
	p.queue.mu.Lock()
	defer p.queue.mu.Unlock()
	p.queue.remove(p, left)
}

// remove takes a place out of the queue, and gives its slots and its turn to others.
func (q *Queue) remove(p *Place, next state) {
	switch p.state {
	case entered, waiting:
		q.take(p, false)
	case granted:
		q.free += p.slots
	case lost, left:
		return
	}
	p.state = next
	p.cancel()
	if next == lost {
		close(p.turn)
	}
	q.serve()
}

// serve gives slots to the logins whose turn it is, as long as there are enough.
func (q *Queue) serve() {
	for {
		p := q.all.first()
		if p == nil || p.slots > q.free {
			return
		}
		q.take(p, true)
		q.free -= p.slots
		p.state = granted
		close(p.turn)
	}
}

// take removes a place without slots from its groups. If it was its turn, its network's and
// its app's next turns come after those of the others.
func (q *Queue) take(p *Place, turn bool) {
	all, app, network := p.groups[0], p.groups[1], p.groups[2]
	network.places, network.line = without(network.places, p), without(network.line, p)
	if p.state == waiting {
		app.pass(network, turn, len(network.line) > 0)
		all.pass(app, turn, len(app.turns) > 0)
	}
	for _, g := range p.groups {
		g.bytes -= p.bytes
	}
	if network.bytes == 0 {
		app.parts = without(app.parts, network)
	}
	if app.bytes == 0 {
		all.parts = without(all.parts, app)
	}
}

// TryAcquire takes slots that no login waits for, without waiting, and reports whether there
// were enough. The caller gives them back by Release.
func (q *Queue) TryAcquire(slots int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all.first() != nil || slots > q.free {
		return false
	}
	q.free -= slots
	return true
}

// Release gives back what TryAcquire has taken.
func (q *Queue) Release(slots int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free += slots
	q.serve()
}

// without returns s without x, which occurs once at most.
func without[T comparable](s []T, x T) []T {
	if i := slices.Index(s, x); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}
