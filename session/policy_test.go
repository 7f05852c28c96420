package session_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

const day = 24 * time.Hour

// good is a policy that is within its bounds.
func good() session.Policy {
	return session.Policy{
		Lifetime: time.Hour, AbsoluteLifetime: day, Rotate: true, ReuseDetection: true,
		RetryWindow: 30 * time.Second, UpdateLastLogin: true, ExtendOnceAfter: 10 * time.Minute,
		Limit: true, Max: 2, DestroyOldest: true,
	}
}

// but is good with a change.
func but(change func(p *session.Policy)) session.Policy {
	p := good()
	change(&p)
	return p
}

func TestPolicyValidate(t *testing.T) {
	for _, c := range []struct {
		policy session.Policy
		names  string // the setting that is told; empty: none
	}{
		{good(), ""},
		{but(func(p *session.Policy) { p.Lifetime = time.Second - 1 }), "REFRESH_TOKEN_LIFETIME"},
		{but(func(p *session.Policy) { p.Lifetime = time.Second }), ""},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = 0 }), "ABSOLUTE_LIFETIME"},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = -day }), "ABSOLUTE_LIFETIME"},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = time.Hour - 1 }), "ABSOLUTE_LIFETIME"},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = time.Hour }), ""},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = 400 * day }), ""},
		{but(func(p *session.Policy) { p.AbsoluteLifetime = 400*day + 1 }), "ABSOLUTE_LIFETIME"},
		{but(func(p *session.Policy) { p.RetryWindow = -1 }), "RETRY_WINDOW"},
		{but(func(p *session.Policy) { p.RetryWindow = 0 }), ""},
		{but(func(p *session.Policy) { p.RetryWindow = 300 * time.Second }), ""},
		{but(func(p *session.Policy) { p.RetryWindow = 300*time.Second + 1 }), "RETRY_WINDOW"},
		{but(func(p *session.Policy) { p.Extend, p.ExtendOnceAfter = true, 0 }), "EXTEND_SESSION_ONCE_AFTER_EACH"},
		{but(func(p *session.Policy) { p.Extend, p.ExtendEveryTime, p.ExtendOnceAfter = true, true, 0 }), ""},
		{but(func(p *session.Policy) { p.ExtendOnceAfter = -1 }), ""},
		{but(func(p *session.Policy) { p.Max = -1 }), "MAX_NUMBER_ACTIVE_SESSIONS"},
		{but(func(p *session.Policy) { p.Max = 0 }), ""},
		{but(func(p *session.Policy) { p.Max = 1000 }), ""},
		{but(func(p *session.Policy) { p.Max = 1001 }), "MAX_NUMBER_ACTIVE_SESSIONS"},
	} {
		err := c.policy.Validate()
		if c.names == "" && err != nil || c.names != "" && (err == nil || !strings.HasPrefix(err.Error(), c.names+" is ")) {
			t.Errorf("%+v: got %v, want %q", c.policy, err, c.names)
		}
	}
}

// noon is a moment with parts of every size.
var noon = time.Date(2030, 5, 6, 12, 0, 0, 123_456_789, time.UTC)

func TestPolicyStart(t *testing.T) {
	in := session.Session{ID: "a", Type: session.Long, Info: "i", Claims: []byte("{}")}
	got := good().Start(in, noon)
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
			t.Errorf("%s is %s, want %s", c.name, c.got, c.want)
		}
	}
	if got.Generation != 1 || got.ID != in.ID || got.Type != in.Type || got.Info != in.Info || string(got.Claims) != "{}" {
		t.Errorf("got %+v", got)
	}
}

// TestPolicyStartFraction: the moment is floored with its lifetime, not before.
func TestPolicyStartFraction(t *testing.T) {
	p := but(func(p *session.Policy) { p.Lifetime = 1500 * time.Millisecond })
	if got, want := p.Start(session.Session{}, noon.Add(600*time.Millisecond)).Expires, noon.Truncate(time.Second).Add(2*time.Second); !got.Equal(want) {
		t.Errorf("Expires is %s, want %s", got, want)
	}
}

func TestOver(t *testing.T) {
	s := session.Session{Expires: noon, Absolute: noon.Add(time.Hour)}
	atEnd := session.Session{Expires: noon, Absolute: noon}
	for _, c := range []struct {
		s     session.Session
		now   time.Time
		cause session.Cause
		over  bool
	}{
		{s, noon.Add(-1), "", false},
		{s, noon, session.CauseExpired, true},
		{s, noon.Add(time.Hour - 1), session.CauseExpired, true},
		{s, noon.Add(time.Hour), session.CauseAbsolute, true},
		{atEnd, noon.Add(-1), "", false},
		{atEnd, noon, session.CauseAbsolute, true},
	} {
		if cause, over := session.Over(c.s, c.now); cause != c.cause || over != c.over {
			t.Errorf("at %s: got %q %v, want %q %v", c.now.Sub(noon), cause, over, c.cause, c.over)
		}
	}
}

// second is a session at generation 3 that was rotated at noon, an hour before
// its end and two before its absolute one.
func second() session.Session {
	whole := noon.Truncate(time.Second)
	return session.Session{
		ID: "a", Type: session.Long, Generation: 3,
		Created: whole.Add(-time.Hour), Rotated: whole, Updated: whole,
		Expires: whole.Add(time.Hour), Absolute: whole.Add(2 * time.Hour),
	}
}

func TestPolicyRefreshWord(t *testing.T) {
	s := second()
	spares := func(p *session.Policy) { p.ReuseDetection = false }
	never := func(p *session.Policy) { p.RetryWindow = 0 }
	none := func(*session.Policy) {}
	for _, c := range []struct {
		name       string
		change     func(*session.Policy)
		generation uint32
		expires    time.Duration // after the record's
		after      time.Duration // since it was rotated
		want       session.Code
	}{
		{"current", none, 3, 0, time.Minute, session.OK},
		{"current, at once", none, 3, 0, 0, session.OK},
		{"current, other expiry", none, 3, time.Second, 0, session.Unknown},
		{"current, earlier expiry", none, 3, -time.Second, 0, session.Unknown},
		{"spent, at once", none, 2, 0, 0, session.Retried},
		{"spent, other expiry", none, 2, -day, 0, session.Retried},
		{"spent, just within", none, 2, 0, 30*time.Second - 1, session.Retried},
		{"spent, just outside", none, 2, 0, 30 * time.Second, session.Replayed},
		{"spent, no window", never, 2, 0, 0, session.Replayed},
		{"spent, clock went back", none, 2, 0, -time.Minute, session.Retried},
		{"older, within", none, 1, 0, 0, session.Replayed},
		{"none, within", none, 0, 0, 0, session.Replayed},
		{"spent, spared within", spares, 2, 0, 0, session.Retried},
		{"spent, spared", spares, 2, 0, 30 * time.Second, session.Spent},
		{"older, spared", spares, 1, 0, 0, session.Spent},
		{"ahead", none, 4, 0, 0, session.Healed},
		{"far ahead, other expiry", none, 400, day, 0, session.Healed},
		{"highest of all", spares, 1<<32 - 1, 0, 0, session.Healed},
	} {
		p := but(c.change)
		got, code := p.Refresh(s, session.Presented{Generation: c.generation, Expires: s.Expires.Add(c.expires)}, s.Rotated.Add(c.after))
		if code != c.want {
			t.Errorf("%s: %s, want %s", c.name, code, c.want)
		}
		if c.want != session.OK && c.want != session.Healed && !equal(got, s) {
			t.Errorf("%s: changed the session to %+v", c.name, got)
		}
	}
}

func equal(a, b session.Session) bool {
	return a.ID == b.ID && a.Type == b.Type && a.Info == b.Info && a.Generation == b.Generation &&
		a.Created.Equal(b.Created) && a.Updated.Equal(b.Updated) && a.Rotated.Equal(b.Rotated) &&
		a.Expires.Equal(b.Expires) && a.Absolute.Equal(b.Absolute)
}

// TestPolicyRefreshStep: what a refresh with the current token changes.
func TestPolicyRefreshStep(t *testing.T) {
	s := second()
	now := s.Expires.Add(-5*time.Minute + 123_456_789)
	extended := now.Add(time.Hour).Truncate(time.Second)
	type settings = func(*session.Policy)
	for _, c := range []struct {
		name                       string
		change                     settings
		now                        time.Time
		generation                 uint32
		updated, rotated, lengthen bool
	}{
		{"all off", func(p *session.Policy) { p.Rotate, p.UpdateLastLogin = false, false }, now, 3, false, false, false},
		{"update", func(p *session.Policy) { p.Rotate = false }, now, 3, true, false, false},
		{"rotate", func(p *session.Policy) { p.UpdateLastLogin = false }, now, 4, false, true, false},
		{"rotate and update", func(*session.Policy) {}, now, 4, true, true, false},
		{"extend", func(p *session.Policy) { p.Rotate, p.UpdateLastLogin, p.Extend = false, false, true }, now, 4, false, true, true},
		{"extend and rotate: one generation", func(p *session.Policy) { p.Extend = true }, now, 4, true, true, true},
		{"not due", func(p *session.Policy) { p.Rotate, p.Extend, p.ExtendOnceAfter = false, true, time.Minute }, now, 3, true, false, false},
		{"just not due", func(p *session.Policy) { p.Rotate, p.Extend = false, true }, s.Expires.Add(-10 * time.Minute), 3, true, false, false},
		{"every time", func(p *session.Policy) { p.Extend, p.ExtendEveryTime, p.ExtendOnceAfter = true, true, 0 }, now, 4, true, true, true},
		{"every time alone", func(p *session.Policy) { p.ExtendEveryTime = true }, now, 4, true, true, false},
	} {
		got, code := but(c.change).Refresh(s, session.Presented{Generation: 3, Expires: s.Expires}, c.now)
		want := s
		want.Generation = c.generation
		if c.updated {
			want.Updated = c.now.Truncate(time.Microsecond)
		}
		if c.rotated {
			want.Rotated = c.now.Truncate(time.Millisecond)
		}
		if c.lengthen {
			want.Expires = extended
		}
		if code != session.OK || !equal(got, want) {
			t.Errorf("%s: %s\n got %+v\nwant %+v", c.name, code, got, want)
		}
	}
}

func TestPolicyExtension(t *testing.T) {
	s := second()
	for _, c := range []struct {
		name       string
		lifetime   time.Duration
		expires    time.Duration // of the session, after noon's second
		now        time.Duration
		want       time.Duration
		generation uint32
	}{
		{"just due", time.Hour, time.Hour, 50*time.Minute + 1, 110 * time.Minute, 4},
		{"up to the absolute end", 3 * time.Hour, time.Hour, 55 * time.Minute, 2 * time.Hour, 4},
		{"at the absolute end", time.Hour, 2 * time.Hour, 119 * time.Minute, 2 * time.Hour, 3},
		{"a second before it", time.Hour, 2*time.Hour - time.Second, 119 * time.Minute, 2 * time.Hour, 4},
		{"to an earlier end", time.Minute, time.Hour, 55 * time.Minute, 56 * time.Minute, 4},
	} {
		p := but(func(p *session.Policy) { p.Rotate, p.Extend, p.Lifetime = false, true, c.lifetime })
		one := s
		one.Expires = s.Rotated.Add(c.expires)
		got, _ := p.Refresh(one, session.Presented{Generation: 3, Expires: one.Expires}, s.Rotated.Add(c.now))
		if !got.Expires.Equal(s.Rotated.Add(c.want)) || got.Generation != c.generation {
			t.Errorf("%s: expires %s after noon at generation %d, want %s and %d",
				c.name, got.Expires.Sub(s.Rotated), got.Generation, c.want, c.generation)
		}
	}
}

func TestPolicyHeals(t *testing.T) {
	s := second()
	now := s.Rotated.Add(time.Minute)
	for _, c := range []struct {
		name       string
		change     func(*session.Policy)
		generation uint32
		expires    time.Duration // presented, after the record's
		want       time.Duration
		next       uint32
	}{
		{"lost a rotation", func(*session.Policy) {}, 4, 0, 0, 5},
		{"lost many", func(*session.Policy) {}, 40, 0, 0, 41},
		{"lost an extension", func(*session.Policy) {}, 4, 30 * time.Minute, 30 * time.Minute, 5},
		{"never past the absolute end", func(*session.Policy) {}, 4, 3 * time.Hour, time.Hour, 5},
		{"never shorter", func(*session.Policy) {}, 4, -30 * time.Minute, 0, 5},
		{"nothing due", func(p *session.Policy) { p.Rotate = false }, 4, 0, 0, 4},
		{"due before, made up for", func(p *session.Policy) { p.Rotate, p.Extend, p.ExtendOnceAfter = false, true, 61*time.Minute }, 4, time.Hour, time.Hour, 4},
	} {
		got, code := but(c.change).Refresh(s, session.Presented{Generation: c.generation, Expires: s.Expires.Add(c.expires)}, now)
		if code != session.Healed || got.Generation != c.next || !got.Expires.Equal(s.Expires.Add(c.want)) || !got.Absolute.Equal(s.Absolute) {
			t.Errorf("%s: %s, generation %d, expires %s later", c.name, code, got.Generation, got.Expires.Sub(s.Expires))
		}
	}
}

func TestPolicyPlaces(t *testing.T) {
	refuses := func(p *session.Policy) { p.DestroyOldest = false }
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
		{refuses, 1, 0, true, 1, false},
		{refuses, 2, 0, false, 0, false},
		{refuses, 5, 0, false, 0, false},
		{func(p *session.Policy) { p.Max = 0 }, 0, 0, false, 0, false},
		{func(p *session.Policy) { p.Max = 0 }, 3, 0, false, 0, false},
		{func(p *session.Policy) { p.Limit = false }, 7, 0, true, 0, true},
		{func(p *session.Policy) { p.Limit, p.Max = false, 0 }, 0, 0, true, 0, true},
	} {
		p := but(c.change)
		if n, ok := p.Surplus(c.live); n != c.surplus || ok != c.ok {
			t.Errorf("Surplus(%d) of %+v: %d %v, want %d %v", c.live, p, n, ok, c.surplus, c.ok)
		}
		if n, unlimited := p.Free(c.live); n != c.free || unlimited != c.unlimited {
			t.Errorf("Free(%d) of %+v: %d %v, want %d %v", c.live, p, n, unlimited, c.free, c.unlimited)
		}
	}
}

func TestLessRecent(t *testing.T) {
	at := func(id session.ID, updated, created int) session.Session {
		return session.Session{ID: id, Updated: noon.Add(time.Duration(updated)), Created: noon.Add(time.Duration(created))}
	}
	want := []session.Session{at("z", 1, 9), at("y", 2, 1), at("-", 2, 2), at("A", 2, 2), at("_", 2, 2), at("a", 2, 2), at("b", 3, 0)}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, session.LessRecent)
	for i := range want {
		if got[i].ID != want[i].ID {
			t.Fatalf("place %d has %s, want %s", i, got[i].ID, want[i].ID)
		}
	}
	if session.LessRecent(want[0], want[0]) != 0 {
		t.Error("a session is not equal to itself")
	}
}
