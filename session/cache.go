package session

import "sync"

// Cache is a map of limited size that drops entries that have not been used for a
// while. It has two halves. When the younger half is full, it becomes the older
// one, and what was the older one is dropped. An entry that is read moves to the
// younger half. A Cache is safe for concurrent use. Create one with [NewCache].
type Cache[V any] struct {
	half int // the maximum size of each half

	mu         sync.RWMutex
	young, old map[string]V
}

// NewCache returns a Cache of at most limit entries, but at least two.
func NewCache[V any](limit int) *Cache[V] {
	return &Cache[V]{half: max(1, limit/2), young: map[string]V{}}
}

// Get returns the value of key, and whether there is one.
func (c *Cache[V]) Get(key string) (V, bool) {
	c.mu.RLock()
	v, young := c.young[key]
	old := false
	if !young {
		_, old = c.old[key]
	}
	c.mu.RUnlock()
	if old {
		return c.promote(key)
	}
	return v, young
}

// promote moves an entry to the younger half. Meanwhile another goroutine may have
// put a newer value there, or the entry may have been dropped.
func (c *Cache[V]) promote(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[key]
	if !ok {
		if v, ok = c.old[key]; ok {
			c.add(key, v)
		}
	}
	return v, ok
}

// Put sets the value of key.
func (c *Cache[V]) Put(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(key, v)
}

func (c *Cache[V]) add(key string, v V) {
	if _, exists := c.young[key]; !exists && len(c.young) >= c.half {
		c.old, c.young = c.young, map[string]V{}
	}
	c.young[key] = v
}
