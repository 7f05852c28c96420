package fairqueue

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestTurns checks the order of the turns. Each login of the list arrives while all slots are
// taken; then the logins before it leave one by one.
func TestTurns(t *testing.T) {
	for name, c := range map[string]struct {
		arrive []string
		want   string
	}{
		"one network is first come, first served": {
			[]string{"a1x", "a1y", "a1z"}, "a1x, a1y, a1z",
		},
		"apps take turns": {
			[]string{"a1u", "a1v", "a1w", "a1x", "b1y", "c1z"}, "a1u, b1y, c1z, a1v, a1w, a1x",
		},
		"an app that returns comes after the others": {
			[]string{"a1x", "b1x", "c1x", "a1y", "c1y"}, "a1x, b1x, c1x, a1y, c1y",
		},
		"networks of an app take turns": {
			[]string{"a1u", "a1v", "a1w", "a2x", "a2y", "a3z"}, "a1u, a2x, a3z, a1v, a2y, a1w",
		},
		"an app with many networks has no more turns": {
			[]string{"a1x", "a2x", "a3x", "a4x", "b1x", "b1y", "b1z"}, "a1x, b1x, a2x, b1y, a3x, b1z, a4x",
		},
		"networks of two apps are not the same": {
			[]string{"a1x", "a1y", "b1x", "b2x", "a2x", "b1y"}, "a1x, b1x, a2x, b2x, a1y, b1y",
		},
		"an unknown network is one network": {
			[]string{"a-x", "a-y", "a-z", "a1x"}, "a-x, a1x, a-y, a-z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
				f.login("x1-")
				f.want("a free slot", "x1-")
				f.login(c.arrive...)
				f.want("no free slot", "")
				f.leave("x1-")
				f.serveAll(c.want)
			})
		})
	}
}

// TestTurnsWhileLoginsArrive checks that a login that arrives later takes its turn in the
// round that goes on.
func TestTurnsWhileLoginsArrive(t *testing.T) {
	run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
		f.login("x1-", "a1p", "a1q", "a1r", "b1p", "b1q")
		f.want("first", "x1-")
		f.leave("x1-")
		f.want("turn of a", "a1p")
		f.login("c1p") // after b, which is next, and after a, whose next turn follows it
		f.leave("a1p")
		f.want("turn of b", "b1p")
		f.login("a2p")
		f.leave("b1p")
		f.want("turn of a", "a1q")
		f.leave("a1q")
		f.want("turn of c", "c1p")
		f.leave("c1p")
		f.serveAll("b1q, a2p, a1r")
	})
	run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
		f.login("x1-", "a1p", "a1q", "b1p")
		f.forget()
		f.leave("x1-", "a1p", "b1p")
		f.want("turns", "a1p, b1p, a1q")
		f.login("b1q", "a1r") // a has the slot, and no login in line
		f.leave("a1q")
		f.serveAll("b1q, a1r")
	})
}

// TestOrderIsThatOfWaiting checks that within a network the login that begins to wait first
// has the first turn, not the one that entered first: its user has not been found yet.
func TestOrderIsThatOfWaiting(t *testing.T) {
	run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
		f.login("x1-")
		f.enter(0, "a1x", "a1y", "b1x")
		f.wait(1, "b1x", "a1y", "a1x")
		f.forget()
		f.leave("x1-")
		f.serveAll("b1x, a1y, a1x")
	})
}

// TestWideLogins checks that a login that needs several slots waits for them, that no other
// overtakes it, and that one that needs more than there are gets all.
func TestWideLogins(t *testing.T) {
	run(t, Options{Slots: 3, Wait: long}, func(f *fixture) {
		f.login("a1u", "a1v")
		f.enter(0, "b1w", "a1x", "c1y", "c1z", "d1z")
		f.wait(2, "b1w")
		f.wait(1, "a1x", "c1y")
		f.wait(9, "c1z")
		f.wait(-1, "d1z")
		f.want("one slot is free, and it is the turn of a wide login", "a1u, a1v")
		f.leave("a1u")
		f.want("two slots are free", "b1w")
		f.leave("a1v")
		f.want("one slot is free", "a1x")
		f.leave("a1x")
		f.want("one slot is free", "c1y")
		f.leave("b1w")
		f.want("two slots are free", "d1z")
		f.leave("c1y")
		f.want("two slots are free, and it is the turn of a login that needs all", "")
		f.leave("d1z")
		f.want("all slots are free", "c1z")
		if f.queue.free != 0 {
			t.Errorf("a login that needs more slots than there are left %d free, want 0", f.queue.free)
		}
	})
}

// TestWideLoginGivesUp checks that the next login gets its turn at once when one that waits
// for several slots gives up, or when its wait is over.
func TestWideLoginGivesUp(t *testing.T) {
	for how, giveUp := range map[string]func(f *fixture){
		"Leave":   func(f *fixture) { f.leave("b1w") },
		"context": func(f *fixture) { f.logins["b1w"].stop(); synctest.Wait() },
		"time":    func(f *fixture) { time.Sleep(time.Minute - time.Second); synctest.Wait() },
	} {
		t.Run(how, func(t *testing.T) {
			run(t, Options{Slots: 2, Wait: time.Minute}, func(f *fixture) {
				f.login("a1u")
				f.enter(0, "b1w")
				f.wait(2, "b1w")
				f.want("one slot is free", "a1u")
				time.Sleep(time.Second)
				f.login("b1x", "c1y")
				f.want("a wide login waits", "")
				giveUp(f)
				if got := f.forget(); !slices.Contains(got, "b1x") || slices.Contains(got, "c1y") {
					t.Errorf("got %q, want a turn of b1x", got)
				}
				f.leave("b1x")
				f.want("one slot is free", "c1y")
			})
		})
	}
}

// TestLoginsGiveUp checks that a login that gives up in line costs its app no turn.
func TestLoginsGiveUp(t *testing.T) {
	run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
		f.login("x1-", "a1x", "a2x", "a1y", "b1x", "b2x", "c1x", "a3x")
		f.forget()
		for _, name := range []string{"a1x", "b1x", "c1x"} {
			f.logins[name].stop()
			synctest.Wait()
		}
		f.want("contexts", "a1x unavailable, b1x unavailable, c1x unavailable")
		f.leave("x1-")
		f.serveAll("a1y, b2x, a2x, a3x")
	})
}

// TestWaitIsBounded checks when a wait ends, and that a later login is not affected.
func TestWaitIsBounded(t *testing.T) {
	run(t, Options{Slots: 1}, func(f *fixture) {
		f.login("a1x")
		f.enter(0, "a1y", "b1z")
		time.Sleep(time.Minute) // to look for its user
		start := time.Now()
		f.wait(1, "a1y")
		time.Sleep(time.Second)
		f.wait(1, "b1z")
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		f.want("before the end of the wait", "a1x")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		f.want("after "+time.Since(start).String(), "a1y busy")
		f.leave("a1x")
		f.want("a slot is free", "b1z")
	})
}

// TestContextIsDone checks that a login whose context is done gets no slots, even if some are
// free, and that its place is free at once.
func TestContextIsDone(t *testing.T) {
	run(t, Options{Slots: 1, Wait: long}, func(f *fixture) {
		f.enter(0, "a1x", "a1y")
		f.logins["a1x"].stop()
		f.wait(1, "a1x")
		f.want("a context that is done", "a1x unavailable")
		f.places("one login is left", "a1y")
		f.wait(1, "a1y")
		f.want("the slot is free", "a1y")
	})
}

// TestTryAcquire checks that it takes only slots that no login waits for.
func TestTryAcquire(t *testing.T) {
	run(t, Options{Slots: 3, Wait: long}, func(f *fixture) {
		q := f.queue
		if !q.TryAcquire(2) || q.TryAcquire(2) || !q.TryAcquire(1) || q.TryAcquire(1) {
			t.Error("with 3 slots, want 2 and 1 of them")
		}
		f.login("a1x")
		f.want("no slot is free", "")
		q.Release(1)
		synctest.Wait()
		f.want("after Release", "a1x")
		f.enter(0, "a1y")
		f.wait(3, "a1y")
		q.Release(2)
		synctest.Wait()
		if q.free != 2 || q.TryAcquire(1) {
			t.Errorf("got one of %d free slots, for which a wide login waits", q.free)
		}
		f.leave("a1x")
		f.want("all slots are free", "a1y")
	})
}
