package credential

import "sync"

// recent is a map that forgets: of two generations, the older is dropped when
// the younger has half of what may be held. What is used stays.
type recent[V any] struct {
	half int

	mu         sync.Mutex
	young, old map[string]V
}

func newRecent[V any](limit int) *recent[V] {
	return &recent[V]{half: max(1, limit/2), young: map[string]V{}}
}

func (r *recent[V]) get(key string) (V, bool) {
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

func (r *recent[V]) put(key string, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(key, v)
}

func (r *recent[V]) add(key string, v V) {
	if _, there := r.young[key]; !there && len(r.young) >= r.half {
		r.old, r.young = r.young, map[string]V{}
	}
	r.young[key] = v
}
