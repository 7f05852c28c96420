package session

import (
	"fmt"
	"time"
)

// Policy is what an app allows one session type. The names follow the seed's
// settings; durations below a second are refused.
type Policy struct {
	Lifetime         time.Duration // REFRESH_TOKEN_LIFETIME: until Expires when nothing extends it
	Rotate           bool          // ROTATE_REFRESH_TOKENS: each refresh spends the token
	ReuseDetection   bool          // REUSE_DETECTION: a replay ends the session; false: it is only refused
	RetryWindow      time.Duration // RETRY_WINDOW: the token just spent still gets the same successor; 0: never
	UpdateLastLogin  bool          // UPDATE_LAST_LOGIN: a refresh moves Updated
	Extend           bool          // EXTEND_SESSION: a refresh may move Expires
	ExtendEveryTime  bool          // EXTEND_SESSION_EVERY_TIME: each refresh does
	ExtendOnceAfter  time.Duration // EXTEND_SESSION_ONCE_AFTER_EACH: only with less than this left
	AbsoluteLifetime time.Duration // ABSOLUTE_LIFETIME: from Created to Absolute
	Limit            bool          // LIMIT_NUMBER_OF_AVAIL_SESSIONS: whether Max counts
	Max              int           // MAX_NUMBER_ACTIVE_SESSIONS: 0 lets nobody in
	DestroyOldest    bool          // DESTROY_OLDEST_ACTIVE_SESSION: at Max end the least recently updated
}

// The bounds that Validate holds a policy to.
const (
	MaxRetryWindow      = 300 * time.Second
	MaxAbsoluteLifetime = 400 * 24 * time.Hour
	MaxSessionsOfType   = 1000
)

// Validate names the first setting that is out of its bounds and what to do.
func (p Policy) Validate() error {
	switch {
	case p.Lifetime < time.Second:
		return fmt.Errorf("REFRESH_TOKEN_LIFETIME is %s: give at least 1s", p.Lifetime)
	case p.AbsoluteLifetime <= 0:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s: a session must end some day, give 1s to 400d", p.AbsoluteLifetime)
	case p.AbsoluteLifetime > MaxAbsoluteLifetime:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s: give 400d at most", p.AbsoluteLifetime)
	case p.AbsoluteLifetime < p.Lifetime:
		return fmt.Errorf("ABSOLUTE_LIFETIME is %s, shorter than REFRESH_TOKEN_LIFETIME (%s): raise it or lower the other", p.AbsoluteLifetime, p.Lifetime)
	case p.RetryWindow < 0 || p.RetryWindow > MaxRetryWindow:
		return fmt.Errorf("RETRY_WINDOW is %s: give 0s to 300s", p.RetryWindow)
	case p.Extend && !p.ExtendEveryTime && p.ExtendOnceAfter <= 0:
		return fmt.Errorf("EXTEND_SESSION_ONCE_AFTER_EACH is %s: give a positive duration, or EXTEND_SESSION_EVERY_TIME=true", p.ExtendOnceAfter)
	case p.Max < 0 || p.Max > MaxSessionsOfType:
		return fmt.Errorf("MAX_NUMBER_ACTIVE_SESSIONS is %d: give 0 to %d, or LIMIT_NUMBER_OF_AVAIL_SESSIONS=false", p.Max, MaxSessionsOfType)
	}
	return nil
}

// Start fills in the times and the generation of a session that begins now.
func (p Policy) Start(s Session, now time.Time) Session {
	s.Generation = 1
	s.Created = now.Truncate(time.Millisecond)
	s.Rotated = s.Created
	s.Updated = now.Truncate(time.Microsecond)
	s.Expires = wholeSecond(now.Add(p.Lifetime))
	s.Absolute = wholeSecond(now.Add(p.AbsoluteLifetime))
	return s
}

// Over tells whether s is past its time, and by which limit.
func Over(s Session, now time.Time) (Cause, bool) {
	switch {
	case !now.Before(s.Absolute):
		return CauseAbsolute, true
	case !now.Before(s.Expires):
		return CauseExpired, true
	}
	return "", false
}

// Presented is what a refresh token says of itself.
type Presented struct {
	Generation uint32
	Expires    time.Time // whole seconds
}

// Refresh is the state machine of one refresh of a session that is not over:
// what it becomes, and in which word. Only OK and Healed change it; Replayed
// asks the caller to end it. Redis runs the same rules in lua/refresh.lua.
func (p Policy) Refresh(s Session, with Presented, now time.Time) (Session, Code) {
	switch {
	case with.Generation+1 == s.Generation && now.Before(s.Rotated.Add(p.RetryWindow)):
		return s, Retried
	case with.Generation < s.Generation && p.ReuseDetection:
		return s, Replayed
	case with.Generation < s.Generation:
		return s, Spent
	case with.Generation > s.Generation && !now.Before(with.Expires):
		return s, Unknown // its own time is over, whatever the record has missed
	case with.Generation > s.Generation:
		s.Generation = with.Generation
		s.Expires = later(s.Expires, earlier(with.Expires, s.Absolute))
		return p.step(s, now), Healed
	case !with.Expires.Equal(s.Expires):
		return s, Unknown // well signed, yet not the token that this generation was given
	}
	return p.step(s, now), OK
}

// step rotates or extends s where that is due, and notes the use.
func (p Policy) step(s Session, now time.Time) Session {
	extend := p.Extend && s.Expires.Before(s.Absolute) &&
		(p.ExtendEveryTime || s.Expires.Before(now.Add(p.ExtendOnceAfter)))
	if extend {
		s.Expires = earlier(wholeSecond(now.Add(p.Lifetime)), s.Absolute)
	}
	if extend || p.Rotate {
		s.Generation++
		s.Rotated = now.Truncate(time.Millisecond)
	}
	if p.UpdateLastLogin {
		s.Updated = now.Truncate(time.Microsecond)
	}
	return s
}

// Surplus is how many of live sessions must end before one more may begin.
// ok is false where the login is to be refused instead.
func (p Policy) Surplus(live int) (n int, ok bool) {
	switch {
	case !p.Limit || live < p.Max:
		return 0, true
	case p.Max == 0 || !p.DestroyOldest:
		return 0, false
	}
	return live - p.Max + 1, true
}

// Free is the number of places left of a type with live sessions; unlimited
// is true where the policy counts none.
func (p Policy) Free(live int) (n int, unlimited bool) {
	return max(p.Max-live, 0), !p.Limit
}

// LessRecent orders sessions by which is evicted first: the least recently
// updated; of those the older, then the lower ID.
func LessRecent(a, b Session) int {
	if c := a.Updated.Compare(b.Updated); c != 0 {
		return c
	}
	if c := a.Created.Compare(b.Created); c != 0 {
		return c
	}
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
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
