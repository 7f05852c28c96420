package session

import (
	"cmp"
	"fmt"
	"time"
)

// Policy is what an app allows the sessions of one type. The names of settings
// follow the Django app's. A lifetime below a second is invalid.
type Policy struct {
	Lifetime         time.Duration // REFRESH_TOKEN_LIFETIME: how long a session lives if nothing extends it
	Rotate           bool          // ROTATE_REFRESH_TOKENS: each refresh spends the token
	ReuseDetection   bool          // REUSE_DETECTION: a replay revokes the session; if false, it is only rejected
	RetryWindow      time.Duration // RETRY_WINDOW: how long the token that was spent last gets the same successor; 0 means not at all
	UpdateLastLogin  bool          // UPDATE_LAST_LOGIN: a refresh sets Updated
	Extend           bool          // EXTEND_SESSION: a refresh may move Expires
	ExtendEveryTime  bool          // EXTEND_SESSION_EVERY_TIME: each refresh moves it
	ExtendOnceAfter  time.Duration // EXTEND_SESSION_ONCE_AFTER_EACH: a refresh moves it only if less than this is left
	AbsoluteLifetime time.Duration // ABSOLUTE_LIFETIME: from Created to Absolute
	Limit            bool          // LIMIT_NUMBER_OF_AVAIL_SESSIONS: whether Max applies
	Max              int           // MAX_NUMBER_ACTIVE_SESSIONS: 0 rejects every login
	DestroyOldest    bool          // DESTROY_OLDEST_ACTIVE_SESSION: at Max, evict the least recently updated session, or at MaxSessions the one that expires first; if false, reject the login
}

// Bounds of a policy that [Policy.Validate] checks.
const (
	MaxRetryWindow      = 300 * time.Second
	MaxAbsoluteLifetime = 400 * 24 * time.Hour
	MaxSessionsOfType   = 1000
)

// MaxSessions is how many sessions of a type a user may have under a policy without a
// maximum, so that no step's cost is without a bound. MaxEvicted is how many of them a login
// ends at most. A user may have more than MaxSessions from before a maximum was removed.
const (
	MaxSessions = 10_000
	MaxEvicted  = 500
)

// Validate returns an error that names the first setting out of its bounds and
// says what to do.
func (p Policy) Validate() error {
	switch {
	case p.Lifetime < time.Second:
		return fmt.Errorf("REFRESH_TOKEN_LIFETIME is %s: give at least 1s", p.Lifetime)
	case p.AbsoluteLifetime <= 0:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s: every session must expire, give 1s to 400d", p.AbsoluteLifetime)
	case p.AbsoluteLifetime > MaxAbsoluteLifetime:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s: give at most 400d", p.AbsoluteLifetime)
	case p.AbsoluteLifetime < p.Lifetime:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s, shorter than REFRESH_TOKEN_LIFETIME (%s): raise it or lower REFRESH_TOKEN_LIFETIME", p.AbsoluteLifetime, p.Lifetime)
	case p.RetryWindow < 0 || p.RetryWindow > MaxRetryWindow:
		return fmt.Errorf("RETRY_WINDOW is %s: give 0s to 300s", p.RetryWindow)
	case p.Extend && !p.ExtendEveryTime && p.ExtendOnceAfter <= 0:
		return fmt.Errorf("EXTEND_SESSION_ONCE_AFTER_EACH is %s: give a positive duration, or EXTEND_SESSION_EVERY_TIME=true", p.ExtendOnceAfter)
	case p.Max < 0 || p.Max > MaxSessionsOfType:
		return fmt.Errorf("MAX_NUMBER_ACTIVE_SESSIONS is %d: give 0 to %d, or LIMIT_NUMBER_OF_AVAIL_SESSIONS=false", p.Max, MaxSessionsOfType)
	}
	return nil
}

// Clamp returns s with the expiries that it has under p. They are never later than
// those of s: a lifetime that was shortened since the login applies to the session at
// once, and one that was lengthened does not.
func (p Policy) Clamp(s Session) Session {
	since := s.Created
	if p.Extend {
		since = s.Rotated
	}
	s.Absolute = earlier(s.Absolute, wholeSecond(s.Created.Add(p.AbsoluteLifetime)))
	s.Expires = earlier(earlier(s.Expires, s.Absolute), wholeSecond(since.Add(p.Lifetime)))
	return s
}

// Start returns s with the times and the generation of a session that is created
// at now.
func (p Policy) Start(s Session, now time.Time) Session {
	s.Generation = 1
	s.Created = now.Truncate(time.Millisecond)
	s.Rotated = s.Created
	s.Updated = now.Truncate(time.Microsecond)
	s.Expires = wholeSecond(s.Created.Add(p.Lifetime))
	s.Absolute = wholeSecond(s.Created.Add(p.AbsoluteLifetime))
	return s
}

// StartAfter is Start for a user whose sessions that count toward the maximum were updated
// at latest or before. If logins evict sessions, Updated is later than that even if the
// store's clock has stepped back: otherwise logins would evict one another, and the sessions
// from before that would stay.
func (p Policy) StartAfter(latest time.Time, s Session, now time.Time) Session {
	s = p.Start(s, now)
	if p.evicts() {
		s.Updated = later(s.Updated, latest.Add(time.Microsecond))
	}
	return s
}

// Presented is what a refresh token carries, besides the session that it names.
type Presented struct {
	Secret     Secret
	Generation uint32
	Expires    time.Time // whole seconds
}

// Outcome returns what a refresh token of session s results in at now:
//
//   - [OK]: the token is the current one.
//   - [Healed]: the token's generation is above the record's, because the store
//     has lost a step. The record catches up.
//   - [Retried]: the token was spent last, within the retry window.
//   - [Replayed]: an older token, with reuse detection. The caller must revoke
//     the session.
//   - [Spent]: an older token, without reuse detection.
//   - [Expired]: the session has expired; [Policy.ExpiryCause] returns the cause.
//   - [Unknown]: the token has another secret than the session, or it is of the
//     session's generation but has another expiry, or it is of a higher generation
//     and has expired.
//
// Redis runs the same rules in lua/include/token_outcome.lua.
func (p Policy) Outcome(s Session, presented Presented, now time.Time) Code {
	_, expired := p.ExpiryCause(s, now)
	switch {
	case presented.Secret != s.Secret:
		return Unknown
	case expired:
		return Expired
	case presented.Generation+1 == s.Generation && now.Before(s.Rotated.Add(p.RetryWindow)):
		return Retried
	case presented.Generation < s.Generation && p.ReuseDetection:
		return Replayed
	case presented.Generation < s.Generation:
		return Spent
	case presented.Generation > s.Generation && !now.Before(presented.Expires):
		return Unknown // the token has expired, whatever steps the record has missed
	case presented.Generation > s.Generation:
		return Healed
	case !presented.Expires.Equal(s.Expires):
		return Unknown // the signature is valid, but this generation's token has another expiry
	}
	return OK
}

// Refresh returns what session s becomes when a refresh token is presented at now,
// and the token's [Policy.Outcome]. Only OK and Healed change s. Redis runs the same
// rules in lua/refresh.lua.
func (p Policy) Refresh(s Session, presented Presented, now time.Time) (Session, Code) {
	code := p.Outcome(s, presented, now)
	if code != OK && code != Healed {
		return s, code
	}
	s = p.Clamp(s)
	if code == Healed {
		s.Generation = presented.Generation
		latest := s.Created
		if p.Extend {
			latest = now // the lost step may have been an extension
		}
		lost := earlier(presented.Expires, wholeSecond(latest.Add(p.Lifetime)))
		s.Expires = later(s.Expires, earlier(lost, s.Absolute))
	}
	extend := p.Extend && s.Expires.Before(s.Absolute) &&
		(p.ExtendEveryTime || s.Expires.Before(now.Add(p.ExtendOnceAfter)))
	if extend {
		s.Expires = earlier(wholeSecond(now.Add(p.Lifetime)), s.Absolute)
	}
	// If the expiry has changed, the token that was presented no longer fits the record.
	if extend || p.Rotate || !s.Expires.Equal(presented.Expires) {
		s.Generation++
		s.Rotated = now.Truncate(time.Millisecond)
	}
	if p.UpdateLastLogin {
		s.Updated = later(now.Truncate(time.Microsecond), s.Updated.Add(time.Microsecond)) // never moves back
	}
	return s, code
}

// evicts reports whether a login at the maximum evicts sessions.
func (p Policy) evicts() bool { return p.Limit && p.DestroyOldest && p.Max > 0 }

// Surplus returns how many of an owner's live sessions of the type must be
// evicted before one more is created. ok is false if the login must be rejected
// instead. A policy without a maximum has the ceiling MaxSessions.
func (p Policy) Surplus(live int) (n int, ok bool) {
	switch {
	case !p.Limit && live < MaxSessions:
		return 0, true
	case !p.Limit:
		return min(live-MaxSessions+1, MaxEvicted), p.DestroyOldest
	case live < p.Max:
		return 0, true
	case !p.evicts():
		return 0, false
	}
	return live - p.Max + 1, true
}

// Free returns how many more sessions an owner with that many live sessions of
// the type may have. unlimited is true if the policy has no maximum; clients do not see
// MaxSessions.
func (p Policy) Free(live int) (n int, unlimited bool) {
	return max(p.Max-live, 0), !p.Limit
}

// ExpiryCause reports whether s has expired under p at now, as [ExpiryCause] does
// for the expiries of [Policy.Clamp].
func (p Policy) ExpiryCause(s Session, now time.Time) (cause Cause, expired bool) {
	return ExpiryCause(p.Clamp(s), now)
}

// ExpiryCause reports whether s has expired at now, and if so, at which limit:
// CauseExpired or CauseAbsolute.
func ExpiryCause(s Session, now time.Time) (cause Cause, expired bool) {
	switch {
	case !now.Before(s.Absolute):
		return CauseAbsolute, true
	case !now.Before(s.Expires):
		return CauseExpired, true
	}
	return "", false
}

// ByUpdated compares sessions in the order in which they are evicted: the least
// recently updated first, then the oldest, then the lowest ID.
func ByUpdated(a, b Session) int {
	return cmp.Or(a.Updated.Compare(b.Updated), ByCreated(a, b))
}

// ByCreated compares sessions in the order in which a list shows them: the oldest
// first, then the least recently updated, then the lowest ID. Stores keep Created in
// milliseconds, in which a user may log in twice; Updated, which begins as the same time in
// microseconds, tells which login came first.
func ByCreated(a, b Session) int {
	return cmp.Or(a.Created.Compare(b.Created), a.Updated.Compare(b.Updated), cmp.Compare(a.ID, b.ID))
}

// ByExpires compares sessions in the order in which those without a maximum are evicted: the
// one that expires first, by what is stored, and then the lowest ID.
func ByExpires(a, b Session) int {
	return cmp.Or(a.Expires.Compare(b.Expires), cmp.Compare(a.ID, b.ID))
}

func wholeSecond(t time.Time) time.Time { return t.Truncate(time.Second) }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
