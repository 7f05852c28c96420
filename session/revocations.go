package session

import (
	"sync"
	"time"
)

// Revocations is an instance's list of the ended sessions whose access tokens
// may still be alive: a Sink that a Feed fills. It answers without any I/O, and
// says so itself when it has not heard of the endings for too long to be asked.
// It is safe for concurrent use: an Engine tells it of its own endings, too.
type Revocations struct {
	keep  time.Duration // longest life of an access token after its session's end
	bound time.Duration // how long the list may be relied on without news

	mu       sync.RWMutex
	ended    map[ID]ended
	epochs   map[string]time.Time // app → moment before which its sessions are over
	caughtUp time.Time
	sweep    time.Time // when forgotten entries are next cleared out
}

// ended is what the list has of one session. The time is in Unix milliseconds,
// and the cause one of few constants, so that an entry takes no more than it has
// to: there is one for every session ended in the last minutes.
type ended struct {
	until int64
	cause Cause
}

// NewRevocations keeps each ending for keep, the longest access-token lifetime
// plus leeway, and calls itself stale when bound has passed without news.
func NewRevocations(keep, bound time.Duration) *Revocations {
	return &Revocations{keep: keep, bound: bound, ended: map[ID]ended{}, epochs: map[string]time.Time{}}
}

// clockSlack is how much longer an ending is kept, for where the store's clock,
// which dated it, is behind this instance's, which forgets it.
const clockSlack = time.Minute

// Ended is Sink's.
func (r *Revocations) Ended(e Ending) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.ID == "" {
		if e.At.After(r.epochs[e.App]) {
			r.epochs[e.App] = e.At
		}
		return
	}
	if until := e.At.Add(r.keep + clockSlack).UnixMilli(); until > r.ended[e.ID].until {
		r.ended[e.ID] = ended{until, e.Cause}
	}
}

// CaughtUp is Sink's.
func (r *Revocations) CaughtUp(asOf time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if asOf.After(r.caughtUp) {
		r.caughtUp = asOf
	}
	if asOf.Before(r.sweep) {
		return
	}
	r.sweep = asOf.Add(r.keep / 4)
	now := asOf.UnixMilli()
	for id, entry := range r.ended {
		if now > entry.until {
			delete(r.ended, id)
		}
	}
}

// Token is what Check needs to know of an access token.
type Token struct {
	App             string
	Session         ID
	Issued, Expires time.Time
}

// Check tells whether the session of an access token has ended, and by what.
// fresh is false when the list can't say, and the caller must ask the store:
// when the list is stale; when the token lives longer than endings are kept
// here, as one does that was issued before ACCESS_TOKEN_LIFETIME was shortened;
// and when it is older than its app's epoch, which each bucket dates by itself.
func (r *Revocations) Check(t Token, now time.Time) (cause Cause, ended, fresh bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if entry, ended := r.ended[t.Session]; ended {
		return entry.cause, true, true
	}
	known := !t.Expires.After(t.Issued.Add(r.keep)) && !t.Issued.Before(r.epochs[t.App])
	return "", false, known && !r.caughtUp.IsZero() && now.Sub(r.caughtUp) <= r.bound
}

// Age is how long ago, at now, the list was known to be complete. Before it
// ever was, that is since the year 1: an age that no alarm overlooks.
func (r *Revocations) Age(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return now.Sub(r.caughtUp)
}

// Size is how many endings the list holds.
func (r *Revocations) Size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.ended)
}
