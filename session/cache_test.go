package session

import (
	"strconv"
	"testing"
)

func TestCacheDropsUnusedEntries(t *testing.T) {
	const limit = 100
	c := NewCache[int](limit)
	for i := range 10_000 {
		c.Put(strconv.Itoa(i), i)
		if v, ok := c.Get("0"); !ok || v != 0 {
			t.Fatalf("after %d other entries: got %d, %v for an entry in constant use, want 0, true", i, v, ok)
		}
		if size := len(c.young) + len(c.old); size > limit {
			t.Fatalf("got %d entries, want at most %d", size, limit)
		}
	}
	if v, ok := c.Get("9999"); !ok || v != 9999 {
		t.Errorf("got %d, %v for the latest entry, want 9999, true", v, ok)
	}
	if _, ok := c.Get("5"); ok {
		t.Error("an unused entry was not dropped")
	}
}

// TestCacheKeepsEntriesInUse checks that entries in use are not dropped if they are fewer than
// half the limit, however many unused entries are added.
func TestCacheKeepsEntriesInUse(t *testing.T) {
	const limit = 100
	c := NewCache[int](limit)
	inUse := make([]string, limit/2-1)
	for i := range inUse {
		inUse[i] = "used" + strconv.Itoa(i)
		c.Put(inUse[i], i)
	}
	for round := range 10 * limit {
		c.Put(strconv.Itoa(round), round)
		for i, key := range inUse {
			if v, ok := c.Get(key); !ok || v != i {
				t.Fatalf("after %d other entries: got %d, %v for entry %d of %d in use, want %d, true", round+1, v, ok, i, len(inUse), i)
			}
		}
	}
}

// TestCacheHoldsLimit checks that a Cache drops no entry while it has no more than its limit,
// and half of them when one more is added. Replacing a value drops nothing.
func TestCacheHoldsLimit(t *testing.T) {
	for _, limit := range []int{2, 4, 100} {
		c := NewCache[int](limit)
		for i := range limit {
			c.Put(strconv.Itoa(i), i)
		}
		for range 3 {
			c.Put(strconv.Itoa(limit-1), -1) // in the younger half, which is full
		}
		if size := len(c.young) + len(c.old); size != limit {
			t.Errorf("limit %d: got %d of %d entries, want all", limit, size, limit)
		}
		c.Put("one more", 0)
		if size := len(c.young) + len(c.old); size != limit/2+1 {
			t.Errorf("limit %d: got %d entries after one more was added, want %d", limit, size, limit/2+1)
		}
	}
}
