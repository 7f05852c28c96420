package storetest

import (
	"encoding/json"
	"fmt"
	"time"

	"tokengate/session"
)

var refreshTests = map[string]func(*fixture){
	"rotates":                                     refreshRotates,
	"without rotation":                            refreshWithoutRotation,
	"without UpdateLastLogin":                     refreshWithoutUpdate,
	"a retry returns the same session":            refreshRetry,
	"the retry window ends":                       refreshWindowEnd,
	"using the successor closes the window":       refreshWindowClosed,
	"no retry window":                             refreshWindowZero,
	"the window is that of the step's own policy": refreshWindowOfPresentPolicy,
	"a replay revokes the session":                refreshReplay,
	"a replay of the first token":                 refreshReplayOfFirstToken,
	"without reuse detection":                     refreshWithoutReuseDetection,
	"another expiry than the session has":         refreshOtherExpiry,
	"heals lost refreshes":                        refreshHeals,
	"heals lost refreshes without rotation":       refreshHealsWithoutRotation,
	"heals a lost extension":                      refreshHealsExpiry,
	"another ID, user, app or type":               refreshUnknown,
	"returns the claims":                          refreshClaims,
	"repeats are limited":                         refreshRepeats,
	"a repeat from another network":               refreshFromOtherNetwork,
	"what a healed session forgets":               refreshHealedForgets,
}

// tick moves the clock forward by more than the coarsest unit of a session's times, so
// that a test sees which of them a step changes.
func (f *fixture) tick() { f.Advance(1500 * time.Millisecond) }

// refreshRotates checks that each refresh increments the generation, and which times it
// changes.
func refreshRotates(f *fixture) {
	s := f.login()
	for g := uint32(2); g < 6; g++ {
		f.tick()
		next := f.mustRefresh(s, f.policy)
		if next.Generation != g || !next.Rotated.After(s.Rotated) || !next.Updated.After(s.Updated) {
			f.Fatalf("got generation %d, rotated %s, updated %s, want %d, after %s, after %s", next.Generation, next.Rotated, next.Updated, g, s.Rotated, s.Updated)
		}
		if !next.Created.Equal(s.Created) || !next.Expires.Equal(s.Expires) || !next.Absolute.Equal(s.Absolute) {
			f.Fatalf("got created %s, expires %s, absolute %s, want %s, %s, %s", next.Created, next.Expires, next.Absolute, s.Created, s.Expires, s.Absolute)
		}
		s = next
	}
}

// refreshWithoutRotation checks that each refresh changes Updated only.
func refreshWithoutRotation(f *fixture) {
	s, p := f.login(), f.policy
	p.Rotate = false
	for range 3 {
		f.tick()
		next := f.mustRefresh(s, p)
		if next.Generation != 1 || !next.Rotated.Equal(s.Rotated) || !next.Updated.After(s.Updated) {
			f.Fatalf("got generation %d, rotated %s, updated %s, want 1, %s, after %s", next.Generation, next.Rotated, next.Updated, s.Rotated, s.Updated)
		}
		s = next
	}
}

func refreshWithoutUpdate(f *fixture) {
	s, p := f.login(), f.policy
	p.UpdateLastLogin = false
	for _, p.Rotate = range []bool{true, false} {
		f.tick()
		next := f.mustRefresh(s, p)
		if !next.Updated.Equal(s.Updated) {
			f.Fatalf("got updated %s, want %s", next.Updated, s.Updated)
		}
		s = next
	}
}

// refreshRetry checks that the token just spent returns the same session again, any
// number of times within the retry window, and changes nothing.
func refreshRetry(f *fixture) {
	first := f.login()
	f.tick()
	second := f.mustRefresh(first, f.policy)
	for range 3 {
		f.tick()
		result, err := f.refresh(first, token(first), f.policy)
		f.noError(err, "retry")
		if result.Code != session.Retried {
			f.Fatalf("retry: got code %s, want %s", result.Code, session.Retried)
		}
		f.wantSession("retry", result.Session, second)
		stored, _ := f.stored(first.ID)
		f.wantSession("List after a retry", stored, second)
	}
	f.mustRefresh(second, f.policy)
}

// refreshWindowEnd checks that the window ends at Rotated plus RetryWindow, and that this
// moment is outside of it.
func refreshWindowEnd(f *fixture) {
	for _, at := range []struct {
		early time.Duration
		code  session.Code
	}{{f.margin, session.OK}, {0, session.Replayed}} {
		first := f.login()
		second := f.mustRefresh(first, f.policy)
		f.advanceTo(second.Updated, second.Rotated.Add(f.policy.RetryWindow), at.early)
		result, err := f.refresh(first, token(first), f.policy)
		if session.CodeOf(err) != at.code || err == nil && result.Code != session.Retried {
			f.Errorf("%s before the end of the window: got code %s, error %v, want %s", at.early, result.Code, err, at.code)
		}
	}
}

// refreshWindowClosed checks that a spent token is a replay once its successor was used,
// even within the window.
func refreshWindowClosed(f *fixture) {
	first := f.login()
	second := f.mustRefresh(first, f.policy)
	third := f.mustRefresh(second, f.policy)
	result, err := f.refresh(second, token(second), f.policy)
	f.noError(err, "retry")
	f.wantSession("retry", result.Session, third)
	_, err = f.refresh(first, token(first), f.policy)
	f.wantError(err, session.Replayed, session.CauseReplay)
}

func refreshWindowZero(f *fixture) {
	s, p := f.login(), f.policy
	p.RetryWindow = 0
	f.mustRefresh(s, p)
	_, err := f.refresh(s, token(s), p)
	f.wantError(err, session.Replayed, session.CauseReplay)
}

// refreshWindowOfPresentPolicy checks that a retry uses the window of the policy in its
// own step, and not the window of the policy in the step before.
func refreshWindowOfPresentPolicy(f *fixture) {
	s, p := f.login(), f.policy
	f.mustRefresh(s, p)
	f.Advance(p.RetryWindow + time.Second)
	p.RetryWindow *= 3
	result, err := f.refresh(s, token(s), p)
	f.noError(err, "retry in the longer window")
	if result.Code != session.Retried {
		f.Errorf("got code %s, want %s", result.Code, session.Retried)
	}
}

// refreshReplay checks that a replay revokes the session, with a tombstone, and no other
// session of the owner.
func refreshReplay(f *fixture) {
	other, first := f.login(), f.login()
	second := f.mustRefresh(first, f.policy)
	f.Advance(f.policy.RetryWindow + time.Second)
	_, err := f.refresh(first, token(first), f.policy)
	f.wantError(err, session.Replayed, session.CauseReplay)
	for _, s := range []session.Session{first, second} {
		_, err = f.refresh(s, token(s), f.policy)
		f.wantError(err, session.Revoked, session.CauseReplay)
	}
	f.wantList(other.ID)
	if got := f.mustTombstones(f.owner); len(got) != 1 || got[0].ID != first.ID || got[0].Cause != session.CauseReplay || got[0].By != "" {
		f.Errorf("Tombstones: got %v, want one of %s with cause %s", got, first.ID, session.CauseReplay)
	}
	f.mustRefresh(other, f.policy)
}

// refreshReplayOfFirstToken checks that a token is a replay however long ago it was spent.
func refreshReplayOfFirstToken(f *fixture) {
	first := f.login()
	s := first
	for range 6 {
		s = f.mustRefresh(s, f.policy)
	}
	f.advanceTo(s.Updated, s.Expires, time.Second)
	_, err := f.refresh(first, token(first), f.policy)
	f.wantError(err, session.Replayed, session.CauseReplay)
	_, err = f.refresh(s, token(s), f.policy)
	f.wantError(err, session.Revoked, session.CauseReplay)
}

// refreshWithoutReuseDetection checks that a spent token is rejected and its session
// remains.
func refreshWithoutReuseDetection(f *fixture) {
	first, p := f.login(), f.policy
	p.ReuseDetection = false
	second := f.mustRefresh(first, p)
	third := f.mustRefresh(second, p)
	f.Advance(p.RetryWindow + time.Second)
	for _, s := range []session.Session{first, second, first} {
		_, err := f.refresh(s, token(s), p)
		f.wantError(err, session.Spent, "")
		if session.CauseOf(err) != "" {
			f.Errorf("got cause %s for a live session, want none", session.CauseOf(err))
		}
	}
	f.wantTombstones(f.owner)
	f.mustRefresh(third, p)
}

// refreshOtherExpiry checks that a token of the current generation is rejected if its
// expiry differs from the session's, in either direction.
func refreshOtherExpiry(f *fixture) {
	s := f.login()
	f.tick()
	for _, d := range []time.Duration{-time.Second, time.Second, time.Hour} {
		presented := token(s)
		presented.Expires = presented.Expires.Add(d)
		_, err := f.refresh(s, presented, f.policy)
		f.wantError(err, session.Unknown, "")
	}
	stored, _ := f.stored(s.ID)
	f.wantSession("List after a rejected token", stored, s)
	f.mustRefresh(s, f.policy)
}

// refreshHeals checks that a token ahead of the record is accepted: the store has lost
// acknowledged refreshes. The session then continues from the token's generation.
func refreshHeals(f *fixture) {
	for _, lost := range []uint32{1, 2, 1000} {
		s := f.login()
		f.tick()
		presented := token(s)
		presented.Generation += lost
		next := f.mustRefreshWith(s, presented, f.policy)
		if next.Generation != 2+lost || !next.Rotated.After(s.Rotated) {
			f.Errorf("after %d lost refreshes: got generation %d, rotated %s, want generation %d, rotated after %s",
				lost, next.Generation, next.Rotated, 2+lost, s.Rotated)
		}
		result, err := f.refresh(s, presented, f.policy)
		f.noError(err, "retry after healing")
		if result.Code != session.Retried {
			f.Errorf("retry after healing: got code %s, want %s", result.Code, session.Retried)
		}
		f.wantSession("retry after healing", result.Session, next)
		_, err = f.refresh(s, token(s), f.policy)
		f.wantError(err, session.Replayed, session.CauseReplay)
	}
}

func refreshHealsWithoutRotation(f *fixture) {
	s, p := f.login(), f.policy
	p.Rotate, p.UpdateLastLogin = false, false
	f.tick()
	presented := token(s)
	presented.Generation += 3
	next := f.mustRefreshWith(s, presented, p)
	if next.Generation != 4 || !next.Updated.Equal(s.Updated) {
		f.Errorf("got generation %d, updated %s, want 4, %s", next.Generation, next.Updated, s.Updated)
	}
	f.mustRefresh(next, p)
}

// refreshHealsExpiry checks that a token ahead of the record moves Expires to the token's
// expiry, because the store may have lost an extension, but not past what an extension
// could have set, and never to an earlier time.
func refreshHealsExpiry(f *fixture) {
	for _, d := range []time.Duration{-time.Minute, 0, time.Minute, 23 * time.Hour, 40 * time.Hour} {
		s := f.login()
		f.Advance(10 * time.Minute)
		presented := session.Presented{Secret: s.Secret, Generation: 2, Expires: s.Expires.Add(d)}
		next := f.mustRefreshWith(s, presented, f.withExtension())
		want := s.Expires.Add(max(d, 0))
		if latest := next.Updated.Add(f.policy.Lifetime).Truncate(time.Second); want.After(latest) {
			want = latest
		}
		if !next.Expires.Equal(want) {
			f.Errorf("token that expires %s later: got expires %s, want %s", d, next.Expires, want)
		}
		f.advanceTo(next.Updated, next.Expires, f.margin)
		f.mustRefresh(next, f.withExtension())
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
		changed := step
		change(&changed)
		_, err := f.Store.Refresh(f.ctx, changed)
		if session.CodeOf(err) != session.Unknown {
			f.Errorf("%s: got %v, want %s", name, err, session.Unknown)
		}
	}
	f.mustRefresh(s, f.policy)
}

// refreshClaims checks that every successful refresh returns the claims byte for byte.
func refreshClaims(f *fixture) {
	for i, claims := range []string{``, `{}`, `{"name":"Zoë \"|:{}\" \u0000","roles":["a","b"],"n":1e3}`} {
		in := session.Session{ID: session.NewID(), Type: session.Short, Claims: json.RawMessage(claims)}
		out, err := f.Store.Create(f.ctx, session.CreateStep{Owner: f.owner, Session: in, Policy: f.policy})
		f.noError(err, "Create")
		s := out.Session
		for _, generation := range []uint32{1, 1, 5, 6} { // ok, retried, healed, ok
			result, err := f.refresh(s, session.Presented{Secret: s.Secret, Generation: generation, Expires: s.Expires}, f.policy)
			f.noError(err, fmt.Sprintf("Refresh of %d with generation %d", i, generation))
			if string(result.Session.Claims) != claims {
				f.Errorf("%s: got claims %s, want %s", result.Code, result.Session.Claims, claims)
			}
		}
	}
}

// refreshRepeats checks that a spent token is answered MaxRepeats times, that the session
// lives on after that, and that each generation has repeats of its own.
func refreshRepeats(f *fixture) {
	first := f.login()
	second := f.mustRefresh(first, f.policy)
	for range session.MaxRepeats {
		result, err := f.refresh(first, token(first), f.policy)
		f.noError(err, "repeat")
		f.wantSession("repeat", result.Session, second)
	}
	for range 2 {
		_, err := f.refresh(first, token(first), f.policy)
		f.wantError(err, session.Throttled, "")
	}
	f.wantError(f.Store.CheckToken(f.ctx, session.RefreshStep{Owner: f.owner, ID: first.ID, Type: first.Type, Presented: token(first), Policy: f.policy}), session.Spent, "")
	third := f.mustRefresh(second, f.policy)
	for range session.MaxRepeats {
		_, err := f.refresh(second, token(second), f.policy)
		f.noError(err, "repeat in the next generation")
	}
	_, err := f.refresh(second, token(second), f.policy)
	f.wantError(err, session.Throttled, "")
	stored, _ := f.stored(first.ID)
	f.wantSession("List after a refused repeat", stored, third)
	_, err = f.Store.RevokeOthers(f.ctx, session.RevokeOthersStep{
		Owner: f.owner, Keep: first.ID, KeepToken: token(second), KeepPolicy: f.policy, Types: session.Types, Cause: session.CauseOthers,
	})
	f.noError(err, "RevokeOthers with a token that was repeated too often")
	_, err = f.Store.Logout(f.ctx, session.LogoutStep{Owner: f.owner, ID: first.ID, Type: first.Type, Presented: token(second), Policy: f.policy})
	f.noError(err, "Logout with a token that was repeated too often")
}

// refreshFromOtherNetwork checks that a repeat is compared with the refresh that spent the
// token, and not with other repeats, and that an unknown network is not compared.
func refreshFromOtherNetwork(f *fixture) {
	for _, at := range []struct {
		spender  string
		repeats  []string
		moved    []bool
		rotating bool
	}{
		{"a", []string{"a", "b", "", "b", "a"}, []bool{false, true, false, true, false}, true},
		{"", []string{"a", "b", ""}, []bool{false, false, false}, true},
		{"b", []string{"b", "a"}, []bool{false, true}, false}, // an extension spends the token as well
	} {
		first, p := f.login(), f.policy
		if p.Rotate = at.rotating; !p.Rotate {
			p.Extend, p.ExtendEveryTime = true, true
			f.Advance(2 * time.Second)
		}
		result, err := f.refreshFrom(at.spender, first, token(first), p)
		f.noError(err, "Refresh")
		if second := result.Session; !p.Rotate {
			_, err := f.refreshFrom("c", second, token(second), session.Policy{Lifetime: 2 * p.Lifetime, AbsoluteLifetime: p.AbsoluteLifetime, UpdateLastLogin: true})
			f.noError(err, "Refresh that spends no token")
		}
		for i, network := range at.repeats {
			result, err := f.refreshFrom(network, first, token(first), p)
			f.noError(err, "repeat")
			if result.Code != session.Retried || result.Moved != at.moved[i] {
				f.Errorf("spent in network %q, repeat %d in %q: got %s, moved %t, want %t", at.spender, i, network, result.Code, result.Moved, at.moved[i])
			}
		}
	}
}

// refreshHealedForgets checks that nothing is compared and counted anew where the store has
// lost the step that has spent the token.
func refreshHealedForgets(f *fixture) {
	first, p := f.login(), f.policy
	second, err := f.refreshFrom("a", first, token(first), p)
	f.noError(err, "Refresh")
	for range session.MaxRepeats {
		_, err = f.refreshFrom("a", first, token(first), p)
		f.noError(err, "repeat")
	}
	p.Rotate = false
	ahead := token(second.Session)
	ahead.Generation++
	healed, err := f.refreshFrom("a", first, ahead, p)
	f.noError(err, "Refresh that heals")
	result, err := f.refreshFrom("b", first, token(second.Session), p)
	f.noError(err, "repeat")
	if healed.Code != session.Healed || result.Code != session.Retried || result.Moved {
		f.Errorf("got %s, then %s, moved %t, want %s, then %s that is not compared", healed.Code, result.Code, result.Moved, session.Healed, session.Retried)
	}
}
