package fairqueue

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
)

// fixture is a queue whose logins the test names: "a1x" is the login x of the network 1 of
// the app a. Every step of a test ends when all logins wait for something.
type fixture struct {
	*testing.T
	queue  *Queue
	logins map[string]*login

	mu       sync.Mutex // for waits that end at the same time
	outcomes []string   // of the waits, in order: "a1x" for a turn, "a1x busy" for a failure
}

type login struct {
	ctx     context.Context
	place   *Place
	stop    context.CancelFunc // ends the context of the wait
	entered error
}

// run runs a test on a queue, with a clock that moves on only when all logins wait.
func run(t *testing.T, o Options, test func(f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, queue: New(o), logins: map[string]*login{}}
		test(f)
		for _, l := range f.logins {
			l.stop()
		}
		synctest.Wait()
		for _, l := range f.logins {
			if l.place != nil {
				l.place.Leave()
			}
		}
		f.checkEmpty()
	})
}

// checkEmpty checks that nothing of any login is left.
func (f *fixture) checkEmpty() {
	f.Helper()
	q := f.queue
	if q.free != q.slots || q.all.bytes != 0 || len(q.all.parts) != 0 || len(q.all.turns) != 0 {
		f.Errorf("after all logins have left: got %d of %d slots free, %d bytes, %d apps and %d turns", q.free, q.slots, q.all.bytes, len(q.all.parts), len(q.all.turns))
	}
}

// enter lets logins with the same size enter.
func (f *fixture) enter(size int, names ...string) {
	f.Helper()
	for _, name := range names {
		l := &login{}
		var ctx context.Context
		ctx, l.stop = context.WithCancel(f.Context())
		l.ctx, l.place, l.entered = f.queue.Enter(ctx, Client{App: name[:1], Network: name[1:2]}, size)
		if l.entered != nil && session.CodeOf(l.entered) != session.Busy {
			f.Errorf("%s: got %v, want a place or busy", name, l.entered)
		}
		f.logins[name] = l
	}
}

// wait lets logins that have entered wait for slots.
func (f *fixture) wait(slots int, names ...string) {
	f.Helper()
	for _, name := range names {
		l := f.logins[name]
		go func() {
			outcome := name
			if err := l.place.Wait(l.ctx, slots); err != nil {
				outcome += " " + string(session.CodeOf(err))
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.outcomes = append(f.outcomes, outcome) // in turn: synctest.Wait follows each change
		}()
		synctest.Wait()
	}
}

// login lets logins enter and wait for one slot.
func (f *fixture) login(names ...string) {
	f.Helper()
	for _, name := range names {
		f.enter(0, name)
		f.wait(1, name)
	}
}

// leave lets logins leave, one after the other.
func (f *fixture) leave(names ...string) {
	for _, name := range names {
		f.logins[name].place.Leave()
		synctest.Wait()
	}
}

// serveAll lets each login that gets a turn leave, until no login gets one, and checks the
// outcomes.
func (f *fixture) serveAll(turns string) {
	f.Helper()
	var all []string
	for more := f.forget(); len(more) > 0; more = f.forget() {
		all = append(all, more...)
		for _, name := range more {
			if !strings.Contains(name, " ") {
				f.leave(name)
			}
		}
	}
	if got := strings.Join(all, ", "); got != turns {
		f.Errorf("got the turns %q, want %q", got, turns)
	}
}

// forget returns the outcomes since the last call.
func (f *fixture) forget() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.outcomes
	f.outcomes = nil
	return all
}

// want checks the outcomes since the last call.
func (f *fixture) want(what, outcomes string) {
	f.Helper()
	if got := strings.Join(f.forget(), ", "); got != outcomes {
		f.Errorf("%s: got %q, want %q", what, got, outcomes)
	}
}

// places checks which logins have a place without slots.
func (f *fixture) places(what, names string) {
	f.Helper()
	var got []string
	for name, l := range f.logins {
		if l.place == nil {
			continue
		}
		if s := l.place.state; s == entered || s == waiting {
			got = append(got, name)
		}
		if lost := l.place.state == lost; lost != (session.CodeOf(l.place.Err()) == session.Busy) || lost && l.ctx.Err() == nil {
			f.Errorf("%s: %s: the error of a place is %v and that of its context %v, lost is %v", what, name, l.place.Err(), l.ctx.Err(), lost)
		}
	}
	slices.Sort(got)
	if strings.Join(got, " ") != names {
		f.Errorf("%s: got the places of %v, want %s", what, got, names)
	}
}

// long is longer than any test waits.
const long = time.Hour
