package session

import (
	"sync"
	"time"
)

// RevocationList holds, in the memory of an instance, the revoked sessions whose
// access tokens may not have expired yet. It implements [Sink], so that a [Feed]
// can fill it, and an [Engine] adds its own revocations. It answers without I/O,
// and reports when it may be incomplete. It is safe for concurrent use.
type RevocationList struct {
	bound time.Duration
	now   func() time.Time
	start time.Time // when the list was created

	mu        sync.RWMutex
	retention time.Duration // see NewRevocationList
	covered   time.Duration // the retention with which the list is complete: less than retention until the next CaughtUp
	revoked   map[ID]revokedEntry
	notBefore map[string]time.Time // by app: the moment before which its sessions are revoked
	many      map[Owner]manyEntry  // revocations of a user's sessions that do not name them
	caughtUp  time.Time            // the list is complete up to this time; zero until a feed has caught up
	unread    map[string]bool      // the apps that no feed has caught up with yet; see MarkUnread
	nextPurge time.Time            // when entries that are no longer needed are deleted next
	report    uint32               // number of the feed's present report; see Restart
	restarted bool                 // the feed has not caught up since it began the report
}

// revokedEntry is a revoked session. There is one for every session that was
// revoked within the retention, so it is kept small.
type revokedEntry struct {
	until  int64  // milliseconds of RevocationList.at
	cause  Cause  // one of a few constants, so it shares their memory
	report uint32 // the last report that had it
}

// manyEntry is the revocation of any of a user's sessions but one.
type manyEntry struct {
	at    int64 // Unix milliseconds of the store
	until int64 // milliseconds of RevocationList.at
	keep  ID
}

// NewRevocationList returns an empty list. It keeps each revocation for retention,
// which must be the longest lifetime of an access token plus the leeway. It counts as
// fresh as long as the time up to which it is complete is at most bound ago. now is
// this instance's clock; nil means time.Now.
func NewRevocationList(retention, bound time.Duration, now func() time.Time) *RevocationList {
	if now == nil {
		now = time.Now
	}
	return &RevocationList{
		retention: retention, covered: retention, bound: bound, now: now, start: now(),
		revoked: map[ID]revokedEntry{}, notBefore: map[string]time.Time{}, many: map[Owner]manyEntry{},
	}
}

// at returns a time of this instance in milliseconds since the start. It follows the monotonic
// clock, so that no revocation is deleted early when the other clock is set forward.
func (r *RevocationList) at(t time.Time) int64 { return t.Sub(r.start).Milliseconds() }

// MarkUnread makes the list incomplete for some apps until the next CaughtUp, because the feed has
// not read their revocations yet. Call it between two calls of [Feed].Follow, before an
// engine with these apps uses the list.
func (r *RevocationList) MarkUnread(apps ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unread == nil { // otherwise some apps have not been read yet since an earlier call
		r.unread = map[string]bool{}
	}
	for _, app := range apps {
		r.unread[app] = true
	}
}

// ExtendRetention keeps revocations for at least the given time from now on. Until the next
// CaughtUp the list decides nothing about tokens that live longer than it kept them before:
// another instance may already have issued such tokens, and this one has deleted revocations
// that concern them. Call it between two calls of [Feed].Follow.
func (r *RevocationList) ExtendRetention(retention time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if retention <= r.retention {
		return
	}
	for id, entry := range r.revoked {
		entry.until += (retention - r.retention).Milliseconds()
		r.revoked[id] = entry
	}
	for owner, entry := range r.many {
		entry.until += (retention - r.retention).Milliseconds()
		r.many[owner] = entry
	}
	r.retention = retention
}

// clockTolerance is how much longer than the retention an access token may live without a
// query of the store: a token lives longer by the difference of the clocks where it was
// issued. A revocation is kept for twice as much longer, because the clocks may also differ
// where the token is checked.
const clockTolerance = time.Minute

// RevocationMargin is how much longer than the longest lifetime of an access token a
// revocation is kept.
const RevocationMargin = 2 * clockTolerance

// Revoked implements [Sink]. The revocation is kept for a time from now on, not from
// its own time, which comes from the store's clock: that one may be far behind.
func (r *RevocationList) Revoked(e Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	until := r.at(r.now().Add(r.retention + RevocationMargin))
	switch {
	case e.ID == "" && e.User == "":
		if e.At.After(r.notBefore[e.App]) {
			r.notBefore[e.App] = e.At
		}
	case e.ID == "":
		r.many[e.Owner] = r.many[e.Owner].with(manyEntry{e.At.UnixMilli(), until, e.Keep})
	default:
		r.revoked[e.ID] = revokedEntry{max(until, r.revoked[e.ID].until), e.Cause, r.report}
	}
}

// Restart implements [Sink]. The next CaughtUp deletes the revocations that were not
// reported since: the store has lost them, and refreshes their sessions. Until then they
// stay. Those that only have the store queried stay for their time.
func (r *RevocationList) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report++
	r.restarted = true
}

// with returns the entry for both revocations. If they kept different sessions, at most one
// of these is live, and the clock does not show reliably which revocation was the later one.
func (m manyEntry) with(other manyEntry) manyEntry {
	if m != (manyEntry{}) && m.keep != other.keep {
		other.keep = ""
	}
	other.at, other.until = max(m.at, other.at), max(m.until, other.until)
	return other
}

// covers reports whether an access token may be of one of the sessions. The token's time is
// a whole second of the store's clock, or earlier, and that clock may have stepped back
// before the revocation.
func (m manyEntry) covers(t AccessToken) bool {
	return t.Session != m.keep && !t.Issued.After(time.UnixMilli(m.at).Add(clockTolerance))
}

// CaughtUp implements [Sink].
func (r *RevocationList) CaughtUp(asOf time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if asOf.After(r.caughtUp) {
		r.caughtUp = asOf
	}
	r.unread, r.covered = nil, r.retention
	if asOf.Before(r.nextPurge) && !r.restarted {
		return
	}
	r.nextPurge = asOf.Add(r.retention / 4)
	now := r.at(asOf)
	for id, entry := range r.revoked {
		if now > entry.until || r.restarted && entry.report != r.report {
			delete(r.revoked, id)
		}
	}
	r.restarted = false
	for owner, entry := range r.many {
		if now > entry.until {
			delete(r.many, owner)
		}
	}
}

// AccessToken holds the values of an access token that [RevocationList.Check] needs.
type AccessToken struct {
	App, User       string
	Session         ID
	Issued, Expires time.Time
}

// Check reports whether the session of an access token was revoked, and why. If
// fresh is false, the list cannot decide that, and the caller must query the store.
// fresh is false in these cases:
//
//   - The list is older than its bound, or was never complete.
//   - The app's revocations have not been read yet; see MarkUnread.
//   - The token lives longer than the list keeps revocations, because it was
//     issued before ACCESS_TOKEN_LIFETIME was lowered, or with clocks far apart.
//   - The token was issued before its app's not-before. The list keeps only the
//     latest one, but each bucket of users in Redis has its own.
//   - Many sessions of the token's user were revoked at once, not before the token was
//     issued, and its session was not the one that was kept. The list does not know whether
//     it was one of them.
func (r *RevocationList) Check(t AccessToken, now time.Time) (cause Cause, revoked, fresh bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if entry, revoked := r.revoked[t.Session]; revoked {
		return entry.cause, true, true
	}
	covered := !t.Expires.After(t.Issued.Add(r.covered+clockTolerance)) && !t.Issued.Before(r.notBefore[t.App])
	if len(r.many) > 0 {
		entry, found := r.many[Owner{t.App, t.User}]
		covered = covered && !(found && entry.covers(t))
	}
	return "", false, covered && !r.unread[t.App] && !r.caughtUp.IsZero() && now.Sub(r.caughtUp) <= r.bound
}

// Age returns the time from the moment up to which the list is complete until now.
// Before the list was ever complete, that is the time since the year 1, which is
// beyond the threshold of any alert.
func (r *RevocationList) Age(now time.Time) time.Duration {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return now.Sub(r.caughtUp)
}

// Size returns the number of revocations in the list.
func (r *RevocationList) Size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.revoked) + len(r.many)
}
