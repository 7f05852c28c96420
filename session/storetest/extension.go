package storetest

import (
	"time"

	"tokengate/session"
)

var extensionTests = map[string]func(*fixture){
	"Threshold":         extendThreshold,
	"EveryTime":         extendEveryTime,
	"EveryTimeAlone":    extendEveryTimeAlone,
	"WithoutRotation":   extendWithoutRotation,
	"Absolute":          extendAbsolute,
	"AtAbsoluteNoMore":  extendNoMore,
	"RetryExtendsNot":   extendRetry,
	"MovesTheOtherKeys": extendOutlives,
}

// extending is the fixture's policy with an extension in the last quarter hour.
func (f *fixture) extending() session.Policy {
	p := f.policy
	p.Extend, p.ExtendOnceAfter = true, 15*time.Minute
	return p
}

// extendThreshold: an extension is due when less than the threshold is left,
// not when just that is.
func extendThreshold(f *fixture) {
	p := f.extending()
	for _, late := range []time.Duration{-f.margin, 0, f.margin} {
		s := f.login()
		due := s.Expires.Add(-p.ExtendOnceAfter)
		f.until(s.Updated, due, -late)
		next := f.refresh(s, p)
		if f.Clock == nil && late == 0 {
			continue // a running clock can't be stopped at the limit
		}
		want := s.Expires
		if late > 0 {
			want = next.Updated.Add(p.Lifetime).Truncate(time.Second)
		}
		if !next.Expires.Equal(want) {
			f.Errorf("%s after the threshold: expires %s, want %s", late, stamp(next.Expires), stamp(want))
		}
	}
}

func extendEveryTime(f *fixture) {
	s, p := f.login(), f.extending()
	p.ExtendEveryTime, p.ExtendOnceAfter = true, 0
	for range 4 {
		f.later()
		next := f.refresh(s, p)
		if !next.Expires.After(s.Expires) || next.Generation != s.Generation+1 {
			f.Fatalf("expires %s after %s, generation %d", next.Expires, s.Expires, next.Generation)
		}
		s = next
	}
}

func extendEveryTimeAlone(f *fixture) {
	s, p := f.login(), f.policy
	p.ExtendEveryTime, p.ExtendOnceAfter = true, 24*time.Hour
	f.later()
	if next := f.refresh(s, p); !next.Expires.Equal(s.Expires) {
		f.Errorf("expires moved to %s", next.Expires)
	}
}

// extendWithoutRotation: an extension is a new generation all the same, even
// where whole seconds hide that the end has moved.
func extendWithoutRotation(f *fixture) {
	s, p := f.login(), f.extending()
	p.Rotate, p.ExtendEveryTime, p.RetryWindow = false, true, 0
	next := f.refresh(s, p)
	if next.Generation != 2 {
		f.Fatalf("generation %d, want 2", next.Generation)
	}
	_, err := f.present(s, token(s), p)
	f.fails(err, session.Replayed, session.CauseReplay)

	s, p.ExtendEveryTime = f.login(), false
	f.later()
	s = f.refresh(s, p)
	if s.Generation != 1 {
		f.Fatalf("generation %d where nothing was due, want 1", s.Generation)
	}
	f.until(s.Updated, s.Expires, time.Minute)
	if next := f.refresh(s, p); next.Generation != 2 || !next.Expires.After(s.Expires) {
		f.Fatalf("generation %d, expires %s", next.Generation, next.Expires)
	}
}

func extendAbsolute(f *fixture) {
	p := f.extending()
	p.AbsoluteLifetime = 2*time.Hour + 30*time.Minute
	created, err := f.create(f.owner, session.Long, p)
	f.ok(err, "Create")
	s := created.Session
	for range 2 {
		f.until(s.Updated, s.Expires, 10*time.Minute)
		next := f.refresh(s, p)
		if next.Expires.After(s.Absolute) || !next.Expires.After(s.Expires) {
			f.Fatalf("expires %s after %s, absolute %s", next.Expires, s.Expires, s.Absolute)
		}
		s = next
	}
	if !s.Expires.Equal(s.Absolute) {
		f.Fatalf("expires %s, want the absolute end %s", s.Expires, s.Absolute)
	}
	f.until(s.Updated, s.Absolute, f.margin)
	s = f.refresh(s, p)
	f.Advance(f.margin)
	_, err = f.present(s, token(s), p)
	f.failsOver(err, session.CauseAbsolute)
}

// extendNoMore: at the absolute end nothing is extended, so without rotation
// the generation stays.
func extendNoMore(f *fixture) {
	p := f.extending()
	p.AbsoluteLifetime, p.Rotate, p.ExtendEveryTime = p.Lifetime, false, true
	created, err := f.create(f.owner, session.Long, p)
	f.ok(err, "Create")
	f.later()
	if next := f.refresh(created.Session, p); next.Generation != 1 {
		f.Errorf("generation %d, want 1", next.Generation)
	}
}

func extendRetry(f *fixture) {
	s, p := f.login(), f.extending()
	p.ExtendEveryTime = true
	next := f.refresh(s, p)
	f.later()
	done, err := f.present(s, token(s), p)
	f.ok(err, "retry")
	f.same("retry", done.Session, next)
	stored, _ := f.stored(s.ID)
	f.same("List after a retry", stored, next)
}

// extendOutlives: a session that was extended is there after the ends that it
// had before, takes its place, and has what the store keeps beside it.
func extendOutlives(f *fixture) {
	p := f.extending()
	in := session.Session{ID: session.NewID(), Type: session.Short, Info: "kept", Claims: []byte(`{"a":1}`)}
	created, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: p})
	f.ok(err, "Create")
	s := created.Session
	for range 3 {
		f.until(s.Updated, s.Expires, time.Minute)
		s = f.refresh(s, p)
	}
	f.Advance(10 * time.Minute)
	_, err = f.create(f.owner, session.Short, f.capped(1, false))
	f.fails(err, session.LimitReached, "")
	got := f.listed(f.owner)
	f.wantIDs("List", ids(got), s.ID)
	if got[0].Info != "kept" {
		f.Errorf("info %q", got[0].Info)
	}
	done, err := f.present(s, token(s), p)
	f.ok(err, "Refresh")
	if string(done.Session.Claims) != `{"a":1}` {
		f.Errorf("claims %s", done.Session.Claims)
	}
}
