package redisstore

import (
	"maps"
	"sync"
	"time"
)

// refusedNetworks remembers which networks of apps have used up their attempts, by what this
// instance was told. It decides nothing: it only says in which order budgets are asked.
type refusedNetworks struct {
	mu    sync.Mutex
	until map[networkOfApp]time.Time // when the network has an attempt again
}

type networkOfApp struct{ app, network string }

// maxRefusedNetworks bounds the memory. If there are more, all are forgotten.
const maxRefusedNetworks = 10_000

// has reports whether a network was refused and has had no attempt since. It counts as refused
// for a little longer: the attempt that comes back is probably taken by another login.
func (r *refusedNetworks) has(n networkOfApp, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	until, refused := r.until[n]
	return refused && now.Before(until.Add(refusalMargin))
}

const refusalMargin = 10 * time.Second

// add remembers that a network has an attempt again after a wait.
func (r *refusedNetworks) add(n networkOfApp, now time.Time, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.until) >= maxRefusedNetworks {
		maps.DeleteFunc(r.until, func(_ networkOfApp, until time.Time) bool { return !now.Before(until.Add(refusalMargin)) })
		if len(r.until) >= maxRefusedNetworks {
			clear(r.until)
		}
	}
	r.until[n] = now.Add(wait)
}
