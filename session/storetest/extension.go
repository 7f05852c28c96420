package storetest

import (
	"time"

	"tokengate/session"
)

var extensionTests = map[string]func(*fixture){
	"due below the threshold":                  extendThreshold,
	"every time":                               extendEveryTime,
	"ExtendEveryTime needs Extend":             extendEveryTimeAlone,
	"without rotation":                         extendWithoutRotation,
	"not past the absolute expiry":             extendAbsolute,
	"no new generation at the absolute expiry": extendNotAtAbsolute,
	"not on a retry":                           extendNotOnRetry,
	"the session outlives its first expiry":    extendOutlivesFirstExpiry,
}

// withExtension returns the fixture's policy with extension in the last 15 minutes.
func (f *fixture) withExtension() session.Policy {
	p := f.policy
	p.Extend, p.ExtendOnceAfter = true, 15*time.Minute
	return p
}

// extendThreshold checks that an extension is due if less than the threshold is left, and
// not if exactly the threshold is left.
func extendThreshold(f *fixture) {
	p := f.withExtension()
	for _, late := range []time.Duration{-f.margin, 0, f.margin} {
		s := f.login()
		due := s.Expires.Add(-p.ExtendOnceAfter)
		f.advanceTo(s.Updated, due, -late)
		next := f.mustRefresh(s, p)
		if f.Clock == nil && late == 0 {
			continue // a running clock cannot be stopped at the limit
		}
		want := s.Expires
		if late > 0 {
			want = next.Updated.Add(p.Lifetime).Truncate(time.Second)
		}
		if !next.Expires.Equal(want) {
			f.Errorf("%s after the threshold: got expires %s, want %s", late, formatTime(next.Expires), formatTime(want))
		}
	}
}

func extendEveryTime(f *fixture) {
	s, p := f.login(), f.withExtension()
	p.ExtendEveryTime, p.ExtendOnceAfter = true, 0
	for range 4 {
		f.tick()
		next := f.mustRefresh(s, p)
		if !next.Expires.After(s.Expires) || next.Generation != s.Generation+1 {
			f.Fatalf("got expires %s, generation %d, want after %s, %d", next.Expires, next.Generation, s.Expires, s.Generation+1)
		}
		s = next
	}
}

// extendEveryTimeAlone checks that the settings of an extension have no effect unless
// Extend is set.
func extendEveryTimeAlone(f *fixture) {
	s, p := f.login(), f.policy
	p.ExtendEveryTime, p.ExtendOnceAfter = true, 24*time.Hour
	f.tick()
	if next := f.mustRefresh(s, p); !next.Expires.Equal(s.Expires) {
		f.Errorf("got expires %s, want %s", next.Expires, s.Expires)
	}
}

// extendWithoutRotation checks that an extension begins a new generation even without
// rotation, also if Expires, in whole seconds, has the same value as before.
func extendWithoutRotation(f *fixture) {
	s, p := f.login(), f.withExtension()
	p.Rotate, p.ExtendEveryTime, p.RetryWindow = false, true, 0
	next := f.mustRefresh(s, p)
	if next.Generation != 2 {
		f.Fatalf("got generation %d, want 2", next.Generation)
	}
	_, err := f.refresh(s, token(s), p)
	f.wantError(err, session.Replayed, session.CauseReplay)

	s, p.ExtendEveryTime = f.login(), false
	f.tick()
	s = f.mustRefresh(s, p)
	if s.Generation != 1 {
		f.Fatalf("got generation %d before the threshold, want 1", s.Generation)
	}
	f.advanceTo(s.Updated, s.Expires, time.Minute)
	if next := f.mustRefresh(s, p); next.Generation != 2 || !next.Expires.After(s.Expires) {
		f.Fatalf("got generation %d, expires %s, want 2, after %s", next.Generation, next.Expires, s.Expires)
	}
}

// extendAbsolute checks that extensions move Expires up to Absolute and no further, and
// that the session then expires with CauseAbsolute.
func extendAbsolute(f *fixture) {
	p := f.withExtension()
	p.AbsoluteLifetime = 2*time.Hour + 30*time.Minute
	created, err := f.create(f.owner, session.Long, p)
	f.noError(err, "Create")
	s := created.Session
	for range 2 {
		f.advanceTo(s.Updated, s.Expires, 10*time.Minute)
		next := f.mustRefresh(s, p)
		if next.Expires.After(s.Absolute) || !next.Expires.After(s.Expires) {
			f.Fatalf("got expires %s, want after %s, at most %s", next.Expires, s.Expires, s.Absolute)
		}
		s = next
	}
	if !s.Expires.Equal(s.Absolute) {
		f.Fatalf("got expires %s, want the absolute expiry %s", s.Expires, s.Absolute)
	}
	f.advanceTo(s.Updated, s.Absolute, f.margin)
	s = f.mustRefresh(s, p)
	f.Advance(f.margin)
	_, err = f.refresh(s, token(s), p)
	f.wantExpired(err, session.CauseAbsolute)
}

// extendNotAtAbsolute checks that a session whose Expires is Absolute is not extended, so
// that the generation remains without rotation.
func extendNotAtAbsolute(f *fixture) {
	p := f.withExtension()
	p.AbsoluteLifetime, p.Rotate, p.ExtendEveryTime = p.Lifetime, false, true
	created, err := f.create(f.owner, session.Long, p)
	f.noError(err, "Create")
	f.tick()
	if next := f.mustRefresh(created.Session, p); next.Generation != 1 {
		f.Errorf("got generation %d, want 1", next.Generation)
	}
}

func extendNotOnRetry(f *fixture) {
	s, p := f.login(), f.withExtension()
	p.ExtendEveryTime = true
	next := f.mustRefresh(s, p)
	f.tick()
	result, err := f.refresh(s, token(s), p)
	f.noError(err, "retry")
	f.wantSession("retry", result.Session, next)
	stored, _ := f.stored(s.ID)
	f.wantSession("List after a retry", stored, next)
}

// extendOutlivesFirstExpiry checks that a session that was extended is live after its
// earlier expiries: it counts for the maximum and still has its Info and Claims, even if
// the store keeps these under keys of their own.
func extendOutlivesFirstExpiry(f *fixture) {
	p := f.withExtension()
	in := session.Session{ID: session.NewID(), Type: session.Short, Info: "kept", Claims: []byte(`{"a":1}`)}
	created, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: p})
	f.noError(err, "Create")
	s := created.Session
	for range 3 {
		f.advanceTo(s.Updated, s.Expires, time.Minute)
		s = f.mustRefresh(s, p)
	}
	f.Advance(10 * time.Minute)
	p.Limit, p.Max, p.DestroyOldest = true, 1, false
	_, err = f.create(f.owner, session.Short, p)
	f.wantError(err, session.LimitReached, "")
	got := f.mustList(f.owner)
	f.wantIDs("List", ids(got), s.ID)
	if got[0].Info != "kept" {
		f.Errorf("got info %q, want %q", got[0].Info, "kept")
	}
	result, err := f.refresh(s, token(s), p)
	f.noError(err, "Refresh")
	if string(result.Session.Claims) != `{"a":1}` {
		f.Errorf("got claims %s, want %s", result.Session.Claims, `{"a":1}`)
	}
}
