package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

const day = 24 * time.Hour

// validPolicy returns a policy within its bounds.
func validPolicy() session.Policy {
	return session.Policy{
		Lifetime: time.Hour, AbsoluteLifetime: day, Rotate: true, ReuseDetection: true,
		RetryWindow: 30 * time.Second, UpdateLastLogin: true, ExtendOnceAfter: 10 * time.Minute,
		Limit: true, Max: 2, DestroyOldest: true,
	}
}

// policyWith returns validPolicy with a change.
func policyWith(change func(p *session.Policy)) session.Policy {
	p := validPolicy()
	change(&p)
	return p
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		policy session.Policy
		names  string // the setting in the error; empty means no error
	}{
		{validPolicy(), ""},
		{policyWith(func(p *session.Policy) { p.Lifetime = time.Second - 1 }), "REFRESH_TOKEN_LIFETIME"},
		{policyWith(func(p *session.Policy) { p.Lifetime = time.Second }), ""},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = 0 }), "ABSOLUTE_LIFETIME"},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = -day }), "ABSOLUTE_LIFETIME"},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = time.Hour - 1 }), "ABSOLUTE_LIFETIME"},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = time.Hour }), ""},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = 400 * day }), ""},
		{policyWith(func(p *session.Policy) { p.AbsoluteLifetime = 400*day + 1 }), "ABSOLUTE_LIFETIME"},
		{policyWith(func(p *session.Policy) { p.RetryWindow = -1 }), "RETRY_WINDOW"},
		{policyWith(func(p *session.Policy) { p.RetryWindow = 0 }), ""},
		{policyWith(func(p *session.Policy) { p.RetryWindow = 300 * time.Second }), ""},
		{policyWith(func(p *session.Policy) { p.RetryWindow = 300*time.Second + 1 }), "RETRY_WINDOW"},
		{policyWith(func(p *session.Policy) { p.Extend, p.ExtendOnceAfter = true, 0 }), "EXTEND_SESSION_ONCE_AFTER_EACH"},
		{policyWith(func(p *session.Policy) { p.Extend, p.ExtendEveryTime, p.ExtendOnceAfter = true, true, 0 }), ""},
		{policyWith(func(p *session.Policy) { p.ExtendOnceAfter = -1 }), ""},
		{policyWith(func(p *session.Policy) { p.Max = -1 }), "MAX_NUMBER_ACTIVE_SESSIONS"},
		{policyWith(func(p *session.Policy) { p.Max = 0 }), ""},
		{policyWith(func(p *session.Policy) { p.Max = 1000 }), ""},
		{policyWith(func(p *session.Policy) { p.Max = 1001 }), "MAX_NUMBER_ACTIVE_SESSIONS"},
	} {
		err := c.policy.Validate()
		if c.names == "" && err != nil || c.names != "" && (err == nil || !strings.HasPrefix(err.Error(), c.names+" is ")) {
			t.Errorf("%+v: got %v, want %q", c.policy, err, c.names)
		}
	}
}

// noon has a fraction down to the nanosecond.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 123_456_789, time.UTC)

func TestStart(t *testing.T) {
	in := session.Session{ID: "a", Type: session.Long, Info: "i", Claims: []byte("{}")}
	got := validPolicy().Start(in, noon)
	for _, c := range []struct {
		name      string
		got, want time.Time
	}{
		{"Created", got.Created, noon.Truncate(time.Millisecond)},
		{"Rotated", got.Rotated, noon.Truncate(time.Millisecond)},
		{"Updated", got.Updated, noon.Truncate(time.Microsecond)},
		{"Expires", got.Expires, time.Date(2030, 5, 6, 13, 0, 0, 0, time.UTC)},
		{"Absolute", got.Absolute, time.Date(2030, 5, 7, 12, 0, 0, 0, time.UTC)},
	} {
		if !c.got.Equal(c.want) {
			t.Errorf("%s: got %s, want %s", c.name, c.got, c.want)
		}
	}
	if got.Generation != 1 || got.ID != in.ID || got.Type != in.Type || got.Info != in.Info || string(got.Claims) != "{}" {
		t.Errorf("got %+v, want generation 1 and the values of %+v", got, in)
	}
}

// TestStartTruncatesSum checks that Expires is the time plus the lifetime, truncated
// to a whole second, and not the truncated time plus the lifetime.
func TestStartTruncatesSum(t *testing.T) {
	p := policyWith(func(p *session.Policy) { p.Lifetime = 1500 * time.Millisecond })
	got, want := p.Start(session.Session{}, noon.Add(600*time.Millisecond)).Expires, noon.Truncate(time.Second).Add(2*time.Second)
	if !got.Equal(want) {
		t.Errorf("Expires: got %s, want %s", got, want)
	}
}

func TestExpiryCause(t *testing.T) {
	s := session.Session{Expires: noon, Absolute: noon.Add(time.Hour)}
	both := session.Session{Expires: noon, Absolute: noon}
	for _, c := range []struct {
		s       session.Session
		now     time.Time
		cause   session.Cause
		expired bool
	}{
		{s, noon.Add(-1), "", false},
		{s, noon, session.CauseExpired, true},
		{s, noon.Add(time.Hour - 1), session.CauseExpired, true},
		{s, noon.Add(time.Hour), session.CauseAbsolute, true},
		{both, noon.Add(-1), "", false},
		{both, noon, session.CauseAbsolute, true},
	} {
		if cause, expired := session.ExpiryCause(c.s, c.now); cause != c.cause || expired != c.expired {
			t.Errorf("%s after noon: got %q, %v, want %q, %v", c.now.Sub(noon), cause, expired, c.cause, c.expired)
		}
	}
}

// rotatedSession returns a session of generation 3 that was created and rotated at noon,
// an hour before its expiry and two hours before its absolute expiry.
func rotatedSession() session.Session {
	rotated := noon.Truncate(time.Second)
	return session.Session{
		ID: "a", Type: session.Long, Generation: 3,
		Created: rotated, Rotated: rotated, Updated: rotated, Secret: session.Secret{7},
		Expires: rotated.Add(time.Hour), Absolute: rotated.Add(2 * time.Hour),
	}
}

func TestPolicyRefreshCode(t *testing.T) {
	s := rotatedSession()
	noDetection := func(p *session.Policy) { p.ReuseDetection = false }
	noWindow := func(p *session.Policy) { p.RetryWindow = 0 }
	unchanged := func(*session.Policy) {}
	for _, c := range []struct {
		name       string
		change     func(*session.Policy)
		generation uint32
		expires    time.Duration // of the token, after the record's
		after      time.Duration // the time since the rotation
		want       session.Code
	}{
		{"current", unchanged, 3, 0, time.Minute, session.OK},
		{"current, at once", unchanged, 3, 0, 0, session.OK},
		{"current, later expiry", unchanged, 3, time.Second, 0, session.Unknown},
		{"current, earlier expiry", unchanged, 3, -time.Second, 0, session.Unknown},
		{"spent last, at once", unchanged, 2, 0, 0, session.Retried},
		{"spent last, other expiry", unchanged, 2, -day, 0, session.Retried},
		{"spent last, just within the window", unchanged, 2, 0, 30*time.Second - 1, session.Retried},
		{"spent last, at the end of the window", unchanged, 2, 0, 30 * time.Second, session.Replayed},
		{"spent last, without a window", noWindow, 2, 0, 0, session.Replayed},
		{"spent last, after the clock went back", unchanged, 2, 0, -time.Minute, session.Retried},
		{"older, within the window", unchanged, 1, 0, 0, session.Replayed},
		{"generation 0, within the window", unchanged, 0, 0, 0, session.Replayed},
		{"spent last, within the window without detection", noDetection, 2, 0, 0, session.Retried},
		{"spent last, after the window without detection", noDetection, 2, 0, 30 * time.Second, session.Spent},
		{"older, without detection", noDetection, 1, 0, 0, session.Spent},
		{"ahead", unchanged, 4, 0, 0, session.Healed},
		{"far ahead, later expiry", unchanged, 400, day, 0, session.Healed},
		{"highest generation", noDetection, 1<<32 - 1, 0, 0, session.Healed},
	} {
		p := policyWith(c.change)
		got, code := p.Refresh(s, session.Presented{Secret: s.Secret, Generation: c.generation, Expires: s.Expires.Add(c.expires)}, s.Rotated.Add(c.after))
		if code != c.want {
			t.Errorf("%s: got %s, want %s", c.name, code, c.want)
		}
		if c.want != session.OK && c.want != session.Healed && !equal(got, s) {
			t.Errorf("%s: the session was changed to %+v", c.name, got)
		}
	}
}

func equal(a, b session.Session) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Info == b.Info && a.Generation == b.Generation &&
		a.Created.Equal(b.Created) && a.Updated.Equal(b.Updated) && a.Rotated.Equal(b.Rotated) &&
		a.Expires.Equal(b.Expires) && a.Absolute.Equal(b.Absolute)
}

// TestPolicyRefreshResult checks what a refresh with the current token changes.
func TestPolicyRefreshResult(t *testing.T) {
	s := rotatedSession()
	now := s.Expires.Add(-5*time.Minute + 123_456_789)
	extended := now.Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name                       string
		change                     func(*session.Policy)
		now                        time.Time
		generation                 uint32
		updated, rotated, extended bool
	}{
		{"nothing", func(p *session.Policy) { p.Rotate, p.UpdateLastLogin = false, false }, now, 3, false, false, false},
		{"update", func(p *session.Policy) { p.Rotate = false }, now, 3, true, false, false},
		{"rotate", func(p *session.Policy) { p.UpdateLastLogin = false }, now, 4, false, true, false},
		{"rotate and update", func(*session.Policy) {}, now, 4, true, true, false},
		{"extend", func(p *session.Policy) { p.Rotate, p.UpdateLastLogin, p.Extend = false, false, true }, now, 4, false, true, true},
		{"extend and rotate, one generation", func(p *session.Policy) { p.Extend = true }, now, 4, true, true, true},
		{"extension not due", func(p *session.Policy) { p.Rotate, p.Extend, p.ExtendOnceAfter = false, true, time.Minute }, now, 3, true, false, false},
		{"extension just not due", func(p *session.Policy) { p.Rotate, p.Extend = false, true }, s.Expires.Add(-10 * time.Minute), 3, true, false, false},
		{"extend every time", func(p *session.Policy) { p.Extend, p.ExtendEveryTime, p.ExtendOnceAfter = true, true, 0 }, now, 4, true, true, true},
		{"every time, but without extension", func(p *session.Policy) { p.ExtendEveryTime = true }, now, 4, true, true, false},
	} {
		got, code := policyWith(c.change).Refresh(s, session.Presented{Secret: s.Secret, Generation: 3, Expires: s.Expires}, c.now)
		want := s
		want.Generation = c.generation
		if c.updated {
			want.Updated = c.now.Truncate(time.Microsecond)
		}
		if c.rotated {
			want.Rotated = c.now.Truncate(time.Millisecond)
		}
		if c.extended {
			want.Expires = extended
		}
		if code != session.OK || !equal(got, want) {
			t.Errorf("%s: got %s %+v, want %s %+v", c.name, code, got, session.OK, want)
		}
	}
}

// TestUpdatedNeverMovesBack checks Updated if the clock has stepped back: a refresh moves it on
// from the session's own, and a login from the newest of the user's sessions if logins evict.
func TestUpdatedNeverMovesBack(t *testing.T) {
	s := rotatedSession()
	s.Updated = noon.Truncate(time.Microsecond)
	next := s.Updated.Add(time.Microsecond)
	for _, now := range []time.Time{s.Updated.Add(-time.Minute), s.Updated} {
		got, _ := validPolicy().Refresh(s, session.Presented{Secret: s.Secret, Generation: s.Generation, Expires: s.Expires}, now)
		if !got.Updated.Equal(next) {
			t.Errorf("a refresh at %s: got Updated %s, want %s", now, got.Updated, next)
		}
		for want, p := range map[time.Time]session.Policy{
			next: policyWith(func(p *session.Policy) { p.Limit, p.Max, p.DestroyOldest = true, 2, true }),
			now:  policyWith(func(p *session.Policy) { p.Limit, p.Max, p.DestroyOldest = true, 2, false }),
		} {
			if got := p.StartAfter(s.Updated, session.Session{}, now); !got.Updated.Equal(want) || !got.Created.Equal(now.Truncate(time.Millisecond)) {
				t.Errorf("a login at %s under %+v: got Updated %s, want %s", now, p, got.Updated, want)
			}
		}
	}
	p := policyWith(func(p *session.Policy) { p.Limit, p.Max, p.DestroyOldest = true, 2, true })
	if got := p.StartAfter(s.Updated, session.Session{}, s.Updated.Add(time.Hour)); !got.Updated.Equal(s.Updated.Add(time.Hour)) {
		t.Errorf("a login after the last update: got Updated %s, want the time of the login", got.Updated)
	}
}

func TestPolicyRefreshExtends(t *testing.T) {
	s := rotatedSession()
	for _, c := range []struct {
		name       string
		lifetime   time.Duration
		expires    time.Duration // of the session; all times are after its rotation
		now        time.Duration
		want       time.Duration
		generation uint32
	}{
		{"just due", time.Hour, time.Hour, 50*time.Minute + 1, 110 * time.Minute, 4},
		{"up to the absolute expiry", 3 * time.Hour, time.Hour, 55 * time.Minute, 2 * time.Hour, 4},
		{"already at the absolute expiry", 3 * time.Hour, 2 * time.Hour, 119 * time.Minute, 2 * time.Hour, 3},
		{"a second before the absolute expiry", 3 * time.Hour, 2*time.Hour - time.Second, 119 * time.Minute, 2 * time.Hour, 4},
		{"a lowered lifetime", 50 * time.Minute, time.Hour, 30 * time.Minute, 50 * time.Minute, 4},
		{"a lowered lifetime, extension due", 50 * time.Minute, time.Hour, 45 * time.Minute, 95 * time.Minute, 4},
	} {
		p := policyWith(func(p *session.Policy) { p.Rotate, p.Extend, p.Lifetime = false, true, c.lifetime })
		in := s
		in.Expires = s.Rotated.Add(c.expires)
		got, _ := p.Refresh(in, session.Presented{Secret: s.Secret, Generation: 3, Expires: in.Expires}, s.Rotated.Add(c.now))
		if !got.Expires.Equal(s.Rotated.Add(c.want)) || got.Generation != c.generation {
			t.Errorf("%s: got expiry %s, generation %d, want %s, %d",
				c.name, got.Expires.Sub(s.Rotated), got.Generation, c.want, c.generation)
		}
	}
}

func TestPolicyRefreshHeals(t *testing.T) {
	s := rotatedSession()
	extend := func(lifetime time.Duration) func(*session.Policy) {
		return func(p *session.Policy) { p.Extend, p.Lifetime = true, lifetime }
	}
	now := s.Rotated.Add(time.Minute)
	for _, c := range []struct {
		name       string
		change     func(*session.Policy)
		generation uint32
		expires    time.Duration // of the token, after the record's
		want       time.Duration // how much later the session expires
		next       uint32        // its generation
	}{
		{"a lost rotation", func(*session.Policy) {}, 4, 0, 0, 5},
		{"many lost rotations", func(*session.Policy) {}, 40, 0, 0, 41},
		{"a lost extension", extend(2 * time.Hour), 4, 30 * time.Minute, 30 * time.Minute, 5},
		{"never past what an extension can have set", extend(70 * time.Minute), 4, 30 * time.Minute, 11 * time.Minute, 5},
		{"never past the absolute expiry", extend(4 * time.Hour), 4, 3 * time.Hour, time.Hour, 5},
		{"not extended where no session is", func(*session.Policy) {}, 4, 30 * time.Minute, 0, 5},
		{"never shorter", func(*session.Policy) {}, 4, -30 * time.Minute, 0, 5},
		{"nothing due", func(p *session.Policy) { p.Rotate = false }, 4, 0, 0, 4},
		{"extension no longer due", func(p *session.Policy) {
			p.Rotate, p.Extend, p.ExtendOnceAfter, p.Lifetime = false, true, 61*time.Minute, 3*time.Hour
		}, 4, time.Hour, time.Hour, 4},
	} {
		got, code := policyWith(c.change).Refresh(s, session.Presented{Secret: s.Secret, Generation: c.generation, Expires: s.Expires.Add(c.expires)}, now)
		if code != session.Healed || got.Generation != c.next || !got.Expires.Equal(s.Expires.Add(c.want)) || !got.Absolute.Equal(s.Absolute) {
			t.Errorf("%s: got %s, generation %d, expiry %s later, want %s, %d, %s",
				c.name, code, got.Generation, got.Expires.Sub(s.Expires), session.Healed, c.next, c.want)
		}
	}
}

func TestSurplusAndFree(t *testing.T) {
	rejects := func(p *session.Policy) { p.DestroyOldest = false }
	for _, c := range []struct {
		change    func(*session.Policy)
		live      int
		surplus   int
		ok        bool
		free      int
		unlimited bool
	}{
		{func(*session.Policy) {}, 0, 0, true, 2, false},
		{func(*session.Policy) {}, 1, 0, true, 1, false},
		{func(*session.Policy) {}, 2, 1, true, 0, false},
		{func(*session.Policy) {}, 5, 4, true, 0, false},
		{rejects, 1, 0, true, 1, false},
		{rejects, 2, 0, false, 0, false},
		{rejects, 5, 0, false, 0, false},
		{func(p *session.Policy) { p.Max = 0 }, 0, 0, false, 0, false},
		{func(p *session.Policy) { p.Max = 0 }, 3, 0, false, 0, false},
		{func(p *session.Policy) { p.Limit = false }, 7, 0, true, 0, true},
		{func(p *session.Policy) { p.Limit, p.Max = false, 0 }, 0, 0, true, 0, true},
		{func(p *session.Policy) { p.Limit, p.Max = false, 0 }, session.MaxSessions - 1, 0, true, 0, true},
		{func(p *session.Policy) { p.Limit, p.Max = false, 0 }, session.MaxSessions, 1, true, 0, true},
		{func(p *session.Policy) { p.Limit = false }, session.MaxSessions + 100, 101, true, 0, true},
		{func(p *session.Policy) { p.Limit = false }, 2 * session.MaxSessions, session.MaxEvicted, true, 0, true},
		{func(p *session.Policy) { p.Limit, p.DestroyOldest = false, false }, session.MaxSessions - 1, 0, true, 0, true},
	} {
		p := policyWith(c.change)
		if n, ok := p.Surplus(c.live); n != c.surplus || ok != c.ok {
			t.Errorf("Surplus(%d) of %+v: got %d, %v, want %d, %v", c.live, p, n, ok, c.surplus, c.ok)
		}
		if n, unlimited := p.Free(c.live); n != c.free || unlimited != c.unlimited {
			t.Errorf("Free(%d) of %+v: got %d, %v, want %d, %v", c.live, p, n, unlimited, c.free, c.unlimited)
		}
	}
}

func TestByUpdated(t *testing.T) {
	at := func(id session.ID, updated, created int) session.Session {
		return session.Session{ID: id, Updated: noon.Add(time.Duration(updated)), Created: noon.Add(time.Duration(created))}
	}
	want := []session.Session{at("z", 1, 9), at("y", 2, 1), at("-", 2, 2), at("A", 2, 2), at("_", 2, 2), at("a", 2, 2), at("b", 3, 0)}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, session.ByUpdated)
	for i := range want {
		if got[i].ID != want[i].ID {
			t.Fatalf("index %d: got %s, want %s", i, got[i].ID, want[i].ID)
		}
	}
	if session.ByUpdated(want[0], want[0]) != 0 {
		t.Error("a session does not compare equal to itself")
	}
}

func TestSurplusAtCeilingWithoutEviction(t *testing.T) {
	p := policyWith(func(p *session.Policy) { p.Limit, p.DestroyOldest = false, false })
	if _, ok := p.Surplus(session.MaxSessions); ok {
		t.Error("a login at the ceiling is not rejected")
	}
}
