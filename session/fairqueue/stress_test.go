package fairqueue

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/session"
)

// TestQueueUnderLoad checks, with many logins at once, that no more slots are in use than there
// are, that each login ends, and that no slot and no place is lost.
func TestQueueUnderLoad(t *testing.T) {
	const slots, clients, rounds = 4, 64, 100
	q := New(Options{Slots: slots, Places: clients / 2, Wait: 20 * time.Millisecond})
	var inUse, turns, failures atomic.Int64
	use := func(n int64) {
		if now := inUse.Add(n); now > slots {
			t.Errorf("%d slots are in use, want at most %d", now, slots)
		}
		time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
		inUse.Add(-n)
	}
	one := func(app, network string) {
		if rand.IntN(20) == 0 && q.TryAcquire(1) {
			use(1)
			q.Release(1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(30_000))*time.Microsecond)
		defer cancel()
		ctx, p, err := q.Enter(ctx, Client{app, network}, rand.IntN(10_000))
		if err != nil {
			failures.Add(1)
			return
		}
		defer p.Leave()
		width := 1 + rand.IntN(slots+1)
		switch err := p.Wait(ctx, width); session.CodeOf(err) {
		case session.OK:
			turns.Add(1)
			use(int64(min(width, slots)))
		case session.Busy, session.Unavailable:
			failures.Add(1)
		default:
			t.Error(err)
		}
	}
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for range rounds {
				one(string(rune('a'+i%3)), string(rune('0'+i%5)))
			}
		})
	}
	wg.Wait()
	if turns.Load() == 0 || failures.Load() == 0 || turns.Load()+failures.Load() != clients*rounds {
		t.Errorf("got %d turns and %d failures, want some of each, and %d together", turns.Load(), failures.Load(), clients*rounds)
	}
	if q.free != slots || q.all.bytes != 0 || len(q.all.parts) != 0 || len(q.all.turns) != 0 {
		t.Errorf("after all logins have left: got %d of %d slots free, %d bytes, %d apps and %d turns", q.free, slots, q.all.bytes, len(q.all.parts), len(q.all.turns))
	}
}
