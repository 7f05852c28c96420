package memstore_test

import (
	"sync"
	"testing"
	"time"

	"tokengate/session/memstore"
	"tokengate/session/storetest"
)

// clock advances by step at each read. With a step of zero it stands still.
type clock struct {
	mu   sync.Mutex
	now  time.Time
	step time.Duration
}

func newClock(step time.Duration) *clock {
	return &clock{now: time.Date(2031, 3, 30, 0, 59, 58, 999_123_000, time.UTC), step: step}
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(c.step)
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func open(step time.Duration) func(*testing.T) storetest.Harness {
	return func(*testing.T) storetest.Harness {
		c := newClock(step)
		s := memstore.New(memstore.Options{Now: c.read})
		h := storetest.Harness{Store: s, Directory: s.Directory(), Limiter: s.Limiter(), Feed: s, Advance: c.advance}
		if step == 0 {
			h.Clock = c.read
		}
		return h
	}
}

// TestStore runs the suite with a clock that stands still.
func TestStore(t *testing.T) { storetest.Run(t, open(0)) }

// TestStoreWithRunningClock runs the suite with a clock that gives no two steps the
// same time.
func TestStoreWithRunningClock(t *testing.T) { storetest.Run(t, open(time.Microsecond)) }

// TestDifferential compares the store with itself: it checks only that the comparison
// accepts a correct store.
func TestDifferential(t *testing.T) {
	storetest.Differential(t, open(0))
	storetest.DifferentialLimiter(t, open(0))
}
