package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

// TestClamp checks that a policy shortens the life of a session and never lengthens it.
func TestClamp(t *testing.T) {
	created := noon.Truncate(time.Millisecond)
	s := validPolicy().Start(session.Session{}, noon)
	s.Rotated = created.Add(30 * time.Minute)
	second := func(d time.Duration) time.Time { return created.Add(d).Truncate(time.Second) }
	for _, c := range []struct {
		name              string
		change            func(*session.Policy)
		expires, absolute time.Duration // after the creation
	}{
		{"unchanged", func(*session.Policy) {}, time.Hour, day},
		{"longer", func(p *session.Policy) { p.Lifetime, p.AbsoluteLifetime = 2*time.Hour, 2*day }, time.Hour, day},
		{"shorter lifetime", func(p *session.Policy) { p.Lifetime = 20 * time.Minute }, 20 * time.Minute, day},
		{"shorter lifetime, with extension", func(p *session.Policy) { p.Extend, p.Lifetime = true, 20*time.Minute }, 50 * time.Minute, day},
		{"shorter absolute lifetime", func(p *session.Policy) { p.AbsoluteLifetime = 40 * time.Minute }, 40 * time.Minute, 40 * time.Minute},
		{"both", func(p *session.Policy) { p.Lifetime, p.AbsoluteLifetime = time.Minute, 40*time.Minute }, time.Minute, 40 * time.Minute},
	} {
		got := policyWith(c.change).Clamp(s)
		if !got.Expires.Equal(second(c.expires)) || !got.Absolute.Equal(second(c.absolute)) {
			t.Errorf("%s: got %s and %s after the creation, want %s and %s", c.name, got.Expires.Sub(created), got.Absolute.Sub(created), c.expires, c.absolute)
		}
		if got.Expires, got.Absolute = s.Expires, s.Absolute; !equal(got, s) {
			t.Errorf("%s: more than the expiries was changed: %+v", c.name, got)
		}
	}
}

// TestOutcomeUnderTightenedPolicy checks that the token is compared with the stored
// expiry, and the time with that of the policy.
func TestOutcomeUnderTightenedPolicy(t *testing.T) {
	s := rotatedSession()
	p := policyWith(func(p *session.Policy) { p.Lifetime, p.Rotate = 30*time.Minute, false })
	current := session.Presented{Secret: s.Secret, Generation: 3, Expires: s.Expires}
	clamped := session.Presented{Secret: s.Secret, Generation: 3, Expires: p.Clamp(s).Expires}
	forged := session.Presented{Generation: 3, Expires: s.Expires}
	for _, c := range []struct {
		name      string
		presented session.Presented
		after     time.Duration // since the creation
		want      session.Code
	}{
		{"live", current, 30*time.Minute - 1, session.OK},
		{"over", current, 30 * time.Minute, session.Expired},
		{"another expiry", clamped, time.Minute, session.Unknown},
		{"another secret", forged, time.Minute, session.Unknown},
		{"another secret, over", forged, 30 * time.Minute, session.Unknown},
	} {
		if got := p.Outcome(s, c.presented, s.Created.Add(c.after)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	// Without rotation the client's token no longer fits the shortened session, so it gets another one.
	next, code := p.Refresh(s, current, s.Created.Add(time.Minute))
	if code != session.OK || next.Generation != 4 || !next.Expires.Equal(clamped.Expires) {
		t.Errorf("got %s, generation %d, expiry %s, want ok, 4, %s", code, next.Generation, next.Expires, clamped.Expires)
	}
	again, code := p.Refresh(next, session.Presented{Secret: s.Secret, Generation: 4, Expires: next.Expires}, s.Created.Add(2*time.Minute))
	if code != session.OK || again.Generation != 4 {
		t.Errorf("the next refresh: got %s, generation %d, want ok, 4", code, again.Generation)
	}
}
