package session

import "sync"

// Recent is a map that forgets: of two generations, the older is dropped when
// the younger has half of what may be held. What is used stays. It is safe for
// concurrent use; make one with NewRecent.
type Recent[V any] struct {
	half int

	mu         sync.RWMutex
	young, old map[string]V
}

// NewRecent makes a Recent of at most limit entries, and at least two.
func NewRecent[V any](limit int) *Recent[V] {
	return &Recent[V]{half: max(1, limit/2), young: map[string]V{}}
}

// Get gives what is held under key.
func (r *Recent[V]) Get(key string) (V, bool) {
	r.mu.RLock()
	v, young := r.young[key]
	old := false
	if !young {
		_, old = r.old[key]
	}
	r.mu.RUnlock()
	if old {
		return r.keep(key)
	}
	return v, young
}

// keep takes an entry over from the older generation. By now there may be a
// newer one in its place, or none.
func (r *Recent[V]) keep(key string) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.young[key]
	if !ok {
		if v, ok = r.old[key]; ok {
			r.add(key, v)
		}
	}
	return v, ok
}

// Put holds v under key.
func (r *Recent[V]) Put(key string, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(key, v)
}

func (r *Recent[V]) add(key string, v V) {
	if _, there := r.young[key]; !there && len(r.young) >= r.half {
		r.old, r.young = r.young, map[string]V{}
	}
	r.young[key] = v
}
