package memstore_test

import (
	"sync"
	"testing"
	"time"

	"tokengate/session/memstore"
	"tokengate/session/storetest"
)

// clock stands still, or goes on by step at each look.
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
		h := storetest.Harness{Store: s, Ledger: s, Directory: s, Feed: s, Advance: c.advance}
		if step == 0 {
			h.Clock = c.read
		}
		return h
	}
}

func TestStore(t *testing.T) { storetest.Run(t, open(0)) }

// TestStoreRunning has a clock that no two steps share a moment of.
func TestStoreRunning(t *testing.T) { storetest.Run(t, open(time.Microsecond)) }

// TestDifferential can only tell that the comparison accepts what is right.
func TestDifferential(t *testing.T) { storetest.Differential(t, open(0)) }
