package memstore

import (
	"container/list"
	"context"
	"sync"
	"time"

	"tokengate/session"
)

// Limiter implements [session.Limiter] in this process's memory. Each method frees the
// memory of a few budgets whose attempts are all available again.
type Limiter struct {
	now func() time.Time

	mu         sync.Mutex
	budgets    map[budgetKey]*budget
	purgeOrder *list.List // of *budget: all of them, in the order in which purge checks them
	refusals   map[refusalSlice]map[session.Refusals]int
}

var _ session.Limiter = (*Limiter)(nil)

// Limiter returns the limiter of the logins whose sessions the store keeps.
func (s *Store) Limiter() *Limiter { return s.limiter }

func newLimiter(now func() time.Time) *Limiter {
	return &Limiter{
		now: now, budgets: map[budgetKey]*budget{}, purgeOrder: list.New(),
		refusals: map[refusalSlice]map[session.Refusals]int{},
	}
}

type budgetKey struct {
	app   string
	limit session.Limit
	key   string // of the account, the device or the network
}

// budget is what is left of the attempts of an account, a device or a network. The zero
// value is a new one.
type budget struct {
	budgetKey
	failures session.Failures // of an account or a device
	full     time.Time        // of a network: when all attempts will have come back
	element  *list.Element    // in purgeOrder
}

// until returns the time from which on all attempts of the budget are available again.
func (b *budget) until() time.Time {
	if b.limit == session.LimitNetwork {
		return b.full
	}
	return b.failures.Until
}

// refusalSlice is one slice of time of an app's refusals.
type refusalSlice struct {
	app    string
	number int64
}

// sliceOf returns the number of the slice of time that a moment is in.
func sliceOf(t time.Time) int64 { return t.Unix() / int64(session.RefusalSlice/time.Second) }

func keyOf(a session.Attempt) budgetKey {
	limit, key := a.Budget()
	return budgetKey{a.App, limit, key}
}

// begin starts a method. No other one runs until end is called.
func (l *Limiter) begin() (now time.Time, end func()) {
	l.mu.Lock()
	now = l.now().UTC().Truncate(time.Microsecond)
	l.purge(now)
	return now, l.mu.Unlock
}

// purge frees the memory of a few budgets, and of the refusals that no slice covers.
func (l *Limiter) purge(now time.Time) {
	for range min(purgeBatch, l.purgeOrder.Len()) {
		b := l.purgeOrder.Front().Value.(*budget)
		l.purgeOrder.MoveToBack(b.element)
		if !now.Before(b.until()) {
			l.remove(b)
		}
	}
	for s := range l.refusals {
		if s.number <= sliceOf(now)-session.RefusalSlices {
			delete(l.refusals, s)
		}
	}
}

func (l *Limiter) remove(b *budget) {
	l.purgeOrder.Remove(b.element)
	delete(l.budgets, b.budgetKey)
}

// get returns the budget with a key, or a new one that is not kept.
func (l *Limiter) get(key budgetKey) *budget {
	if b := l.budgets[key]; b != nil {
		return b
	}
	return &budget{budgetKey: key}
}

// keep keeps a budget that get has returned.
func (l *Limiter) keep(b *budget) {
	if b.element == nil {
		b.element = l.purgeOrder.PushBack(b)
		l.budgets[b.budgetKey] = b
	}
}

// Reserve implements [session.Limiter].
func (l *Limiter) Reserve(_ context.Context, a session.Attempt) error {
	now, end := l.begin()
	defer end()
	row := l.get(keyOf(a))
	failures, wait := a.Failures.Reserve(row.failures, now)
	refused := l.refuse(nil, row, wait, now)
	network := l.get(budgetKey{a.App, session.LimitNetwork, a.Network})
	var full time.Time
	if a.Network != "" {
		full, wait = a.NetworkLimit.Reserve(network.full, now)
		refused = l.refuse(refused, network, wait, now)
	}
	if refused != nil {
		return refused
	}
	row.failures = failures
	l.keep(row)
	if a.Network != "" {
		network.full = full
		l.keep(network)
	}
	return nil
}

// refuse counts a refusal if wait is not zero. It returns the error of a budget, or that of
// another one, which may be nil, if it is the later one.
func (l *Limiter) refuse(other *session.Error, b *budget, wait time.Duration, now time.Time) *session.Error {
	if wait <= 0 {
		return other
	}
	slice := refusalSlice{b.app, sliceOf(now)}
	if l.refusals[slice] == nil {
		l.refusals[slice] = map[session.Refusals]int{}
	}
	l.refusals[slice][session.Refusals{Limit: b.limit, Key: b.key}]++
	if other != nil && other.RetryAfter >= wait {
		return other
	}
	return &session.Error{Code: session.Throttled, RetryAfter: wait, Limit: b.limit}
}

// Succeed implements [session.Limiter].
func (l *Limiter) Succeed(_ context.Context, a session.Attempt) error {
	_, end := l.begin()
	defer end()
	l.forget(keyOf(a))
	l.releaseNetwork(a)
	return nil
}

// Release implements [session.Limiter].
func (l *Limiter) Release(_ context.Context, a session.Attempt) error {
	_, end := l.begin()
	defer end()
	if b := l.budgets[keyOf(a)]; b != nil {
		b.failures = a.Failures.Release(b.failures)
	}
	l.releaseNetwork(a)
	return nil
}

// Forget implements [session.Limiter].
func (l *Limiter) Forget(_ context.Context, app, account string) error {
	_, end := l.begin()
	defer end()
	l.forget(budgetKey{app, session.LimitAccount, account})
	return nil
}

// forget removes a budget, if it is kept.
func (l *Limiter) forget(key budgetKey) {
	if b := l.budgets[key]; b != nil {
		l.remove(b)
	}
}

// releaseNetwork gives an attempt back to its network.
func (l *Limiter) releaseNetwork(a session.Attempt) {
	if b := l.budgets[budgetKey{a.App, session.LimitNetwork, a.Network}]; b != nil {
		b.full = a.NetworkLimit.Release(b.full)
	}
}

// Refusals implements [session.Limiter].
func (l *Limiter) Refusals(_ context.Context, app string) ([]session.Refusals, error) {
	now, end := l.begin()
	defer end()
	counts := map[session.Refusals]int{}
	last := sliceOf(now)
	for slice := last - session.RefusalSlices + 1; slice <= last; slice++ {
		for r, n := range l.refusals[refusalSlice{app, slice}] {
			counts[r] += n
		}
	}
	return session.MostRefused(counts), nil
}
