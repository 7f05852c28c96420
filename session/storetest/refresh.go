package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"tokengate/session"
)

var refreshTests = map[string]func(*fixture){
	"Rotates":                      refreshRotates,
	"WithoutRotation":              refreshKeeps,
	"WithoutUpdate":                refreshNoUpdate,
	"RetryGetsTheSame":             refreshRetried,
	"WindowsEnd":                   refreshWindowEnd,
	"WindowClosesAtSuccessor":      refreshWindowClosed,
	"WindowZero":                   refreshWindowZero,
	"WindowIsThePolicyOfTheMoment": refreshWindowMoment,
	"ReplayEnds":                   refreshReplay,
	"ReplayOfTheFirst":             refreshReplayFirst,
	"WithoutReuseDetection":        refreshSpent,
	"OtherExpiry":                  refreshOtherExpiry,
	"Heals":                        refreshHeals,
	"HealsWithoutRotation":         refreshHealsKept,
	"HealsExpiry":                  refreshHealsExpiry,
	"Unknown":                      refreshUnknown,
	"Claims":                       refreshClaims,
}

// later moves the clock a little, so that times that move can be told from
// times that don't.
func (f *fixture) later() { f.Advance(1500 * time.Millisecond) }

func refreshRotates(f *fixture) {
	s := f.login()
	for g := uint32(2); g < 6; g++ {
		f.later()
		next := f.refresh(s, f.policy)
		if next.Generation != g || !next.Rotated.After(s.Rotated) || !next.Updated.After(s.Updated) {
			f.Fatalf("got generation %d, rotated %s, updated %s", next.Generation, next.Rotated, next.Updated)
		}
		if !next.Created.Equal(s.Created) || !next.Expires.Equal(s.Expires) || !next.Absolute.Equal(s.Absolute) {
			f.Fatalf("got created %s, expires %s, absolute %s", next.Created, next.Expires, next.Absolute)
		}
		s = next
	}
}

func refreshKeeps(f *fixture) {
	s, p := f.login(), f.policy
	p.Rotate = false
	for range 3 {
		f.later()
		next := f.refresh(s, p)
		if next.Generation != 1 || !next.Rotated.Equal(s.Rotated) || !next.Updated.After(s.Updated) {
			f.Fatalf("got generation %d, rotated %s, updated %s", next.Generation, next.Rotated, next.Updated)
		}
		s = next
	}
}

func refreshNoUpdate(f *fixture) {
	s, p := f.login(), f.policy
	p.UpdateLastLogin = false
	for _, p.Rotate = range []bool{true, false} {
		f.later()
		next := f.refresh(s, p)
		if !next.Updated.Equal(s.Updated) {
			f.Fatalf("updated moved to %s", next.Updated)
		}
		s = next
	}
}

func refreshRetried(f *fixture) {
	first := f.login()
	f.later()
	second := f.refresh(first, f.policy)
	for range 3 {
		f.later()
		done, err := f.present(first, token(first), f.policy)
		f.ok(err, "retry")
		if done.Code != session.Retried {
			f.Fatalf("retry: code %s", done.Code)
		}
		f.same("retry", done.Session, second)
		stored, _ := f.stored(first.ID)
		f.same("List after a retry", stored, second)
	}
	f.refresh(second, f.policy)
}

// refreshWindowEnd: the window ends at rotated + window, that moment excluded.
func refreshWindowEnd(f *fixture) {
	for _, at := range []struct {
		early time.Duration
		code  session.Code
	}{{f.margin, session.OK}, {0, session.Replayed}} {
		first := f.login()
		second := f.refresh(first, f.policy)
		f.until(second.Updated, second.Rotated.Add(f.policy.RetryWindow), at.early)
		done, err := f.present(first, token(first), f.policy)
		if session.CodeOf(err) != at.code || err == nil && done.Code != session.Retried {
			f.Errorf("%s before the window's end: %s %v", at.early, done.Code, err)
		}
	}
}

func refreshWindowClosed(f *fixture) {
	first := f.login()
	second := f.refresh(first, f.policy)
	third := f.refresh(second, f.policy)
	done, err := f.present(second, token(second), f.policy)
	f.ok(err, "retry")
	f.same("retry", done.Session, third)
	_, err = f.present(first, token(first), f.policy)
	f.fails(err, session.Replayed, session.CauseReplay)
}

func refreshWindowZero(f *fixture) {
	s, p := f.login(), f.policy
	p.RetryWindow = 0
	f.refresh(s, p)
	_, err := f.present(s, token(s), p)
	f.fails(err, session.Replayed, session.CauseReplay)
}

func refreshWindowMoment(f *fixture) {
	s, p := f.login(), f.policy
	f.refresh(s, p)
	f.Advance(p.RetryWindow + time.Second)
	p.RetryWindow *= 3
	done, err := f.present(s, token(s), p)
	f.ok(err, "retry in the longer window")
	if done.Code != session.Retried {
		f.Errorf("code %s", done.Code)
	}
}

func refreshReplay(f *fixture) {
	bystander, first := f.login(), f.login()
	second := f.refresh(first, f.policy)
	f.Advance(f.policy.RetryWindow + time.Second)
	_, err := f.present(first, token(first), f.policy)
	f.fails(err, session.Replayed, session.CauseReplay)
	for _, s := range []session.Session{first, second} {
		_, err = f.present(s, token(s), f.policy)
		f.fails(err, session.Ended, session.CauseReplay)
	}
	f.wantIDs("List", ids(f.listed(f.owner)), bystander.ID)
	if got := f.traces(f.owner); len(got) != 1 || got[0].ID != first.ID || got[0].Cause != session.CauseReplay || got[0].By != "" {
		f.Errorf("traces: %v", got)
	}
	f.refresh(bystander, f.policy)
}

func refreshReplayFirst(f *fixture) {
	first := f.login()
	s := first
	for range 6 {
		s = f.refresh(s, f.policy)
	}
	f.until(s.Updated, s.Expires, time.Second)
	_, err := f.present(first, token(first), f.policy)
	f.fails(err, session.Replayed, session.CauseReplay)
	_, err = f.present(s, token(s), f.policy)
	f.fails(err, session.Ended, session.CauseReplay)
}

func refreshSpent(f *fixture) {
	first, p := f.login(), f.policy
	p.ReuseDetection = false
	second := f.refresh(first, p)
	third := f.refresh(second, p)
	f.Advance(p.RetryWindow + time.Second)
	for _, s := range []session.Session{first, second, first} {
		_, err := f.present(s, token(s), p)
		f.fails(err, session.Spent, "")
		if session.CauseOf(err) != "" {
			f.Errorf("a session that goes on has the cause %s", session.CauseOf(err))
		}
	}
	f.wantTraces(f.owner)
	f.refresh(third, p)
}

func refreshOtherExpiry(f *fixture) {
	s := f.login()
	f.later()
	for _, d := range []time.Duration{-time.Second, time.Second, time.Hour} {
		with := token(s)
		with.Expires = with.Expires.Add(d)
		_, err := f.present(s, with, f.policy)
		f.fails(err, session.Unknown, "")
	}
	stored, _ := f.stored(s.ID)
	f.same("List after another expiry", stored, s)
	f.refresh(s, f.policy)
}

func refreshHeals(f *fixture) {
	for _, lost := range []uint32{1, 2, 1000} {
		s := f.login()
		f.later()
		with := token(s)
		with.Generation += lost
		next := f.refreshWith(s, with, f.policy)
		if next.Generation != 2+lost || !next.Rotated.After(s.Rotated) {
			f.Errorf("%d steps lost: generation %d, rotated %s", lost, next.Generation, next.Rotated)
		}
		done, err := f.present(s, with, f.policy)
		f.ok(err, "retry of what healed")
		if done.Code != session.Retried {
			f.Errorf("retry of what healed: %s", done.Code)
		}
		f.same("retry of what healed", done.Session, next)
		_, err = f.present(s, token(s), f.policy)
		f.fails(err, session.Replayed, session.CauseReplay)
	}
}

func refreshHealsKept(f *fixture) {
	s, p := f.login(), f.policy
	p.Rotate, p.UpdateLastLogin = false, false
	f.later()
	with := token(s)
	with.Generation += 3
	next := f.refreshWith(s, with, p)
	if next.Generation != 4 || !next.Updated.Equal(s.Updated) {
		f.Errorf("generation %d, updated %s", next.Generation, next.Updated)
	}
	f.refresh(next, p)
}

// refreshHealsExpiry: a lost extension is made up for, up to the absolute end;
// a token that ends earlier than the record shortens nothing.
func refreshHealsExpiry(f *fixture) {
	for _, d := range []time.Duration{-time.Minute, 0, time.Minute, 23 * time.Hour, 40 * time.Hour} {
		s := f.login()
		f.later()
		with := session.Presented{Generation: 2, Expires: s.Expires.Add(d)}
		next := f.refreshWith(s, with, f.policy)
		want := s.Expires.Add(max(d, 0))
		if want.After(s.Absolute) {
			want = s.Absolute
		}
		if !next.Expires.Equal(want) {
			f.Errorf("presented %s later: expires %s, want %s", d, next.Expires, want)
		}
		f.until(next.Updated, next.Expires, f.margin)
		f.refresh(next, f.policy)
	}
}

func refreshUnknown(f *fixture) {
	s := f.login()
	step := session.RefreshStep{Owner: f.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: f.policy}
	for name, change := range map[string]func(*session.RefreshStep){
		"other id":   func(r *session.RefreshStep) { r.ID = session.NewID() },
		"other user": func(r *session.RefreshStep) { r.User += "2" },
		"other app":  func(r *session.RefreshStep) { r.App = "other" },
		"other type": func(r *session.RefreshStep) { r.Type = session.Short },
	} {
		asked := step
		change(&asked)
		_, err := f.Store.Refresh(f.ctx, asked)
		if session.CodeOf(err) != session.Unknown {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.refresh(s, f.policy)
}

func refreshClaims(f *fixture) {
	for i, claims := range []string{``, `{}`, `{"name":"Zoë \"|:{}\" \u0000","roles":["a","b"],"n":1e3}`} {
		in := session.Session{ID: session.NewID(), Type: session.Short, Claims: json.RawMessage(claims)}
		out, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
		f.ok(err, "Create")
		s := out.Session
		for _, with := range []uint32{1, 1, 5, 6} { // ok, retried, healed, ok
			done, err := f.present(s, session.Presented{Generation: with, Expires: s.Expires}, f.policy)
			f.ok(err, fmt.Sprintf("Refresh of %d with generation %d", i, with))
			if string(done.Session.Claims) != claims {
				f.Errorf("%s: claims %s, want %s", done.Code, done.Session.Claims, claims)
			}
		}
	}
}
