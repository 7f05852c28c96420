package storetest

import (
	"time"

	"tokengate/session"
)

var tokenTests = map[string]func(*fixture){
	"another secret is unknown and changes nothing": tokenSecret,
	"CheckToken accepts the current token only":     tokenCheck,
	"CheckToken of sessions that have ended":        tokenCheckEnded,
	"a tightened policy applies at once":            tokenTightened,
	"a tightened limit is reached exactly then":     tokenTightenedBoundary,
	"a tightened policy without rotation":           tokenTightenedWithoutRotation,
	"a loosened policy lengthens nothing":           tokenLoosened,
	"sessions over by the policy do not count":      tokenCountUnderPolicy,
}

func (f *fixture) checkToken(s session.Session, presented session.Presented, p session.Policy) error {
	return f.Store.CheckToken(f.ctx, session.RefreshStep{Owner: f.owner, ID: s.ID, Type: s.Type, Presented: presented, Policy: p})
}

// tokenSecret uses a token with another secret, of the current, the former and a later
// generation, in each step that takes a refresh token.
func tokenSecret(f *fixture) {
	s, other := f.login(), f.login()
	s = f.mustRefresh(s, f.policy)
	f.Advance(f.policy.RetryWindow)
	for _, generation := range []uint32{1, 2, 3, 1 << 31} {
		forged := token(s)
		forged.Secret[7] ^= 1
		forged.Generation = generation
		_, err := f.refresh(s, forged, f.policy)
		f.wantError(err, session.Unknown, "")
		_, err = f.logout(s, forged, f.policy)
		f.wantError(err, session.Unknown, "")
		f.wantError(f.checkToken(s, forged, f.policy), session.Unknown, "")
		step := f.revokeOthersStep("", s, 0)
		step.KeepToken = forged
		_, err = f.Store.RevokeOthers(f.ctx, step)
		f.wantError(err, session.Unknown, "")
	}
	f.wantIDSet("List", ids(f.mustList(f.owner)), s.ID, other.ID)
	f.mustRefresh(s, f.policy)
}

func tokenCheck(f *fixture) {
	first := f.login()
	f.noError(f.checkToken(first, token(first), f.policy), "CheckToken")
	second := f.mustRefresh(first, f.policy)
	f.noError(f.checkToken(second, token(second), f.policy), "CheckToken")
	ahead := token(second)
	ahead.Generation += 2
	f.noError(f.checkToken(second, ahead, f.policy), "CheckToken of a generation that the store has lost")
	f.wantError(f.checkToken(second, token(first), f.policy), session.Spent, "")
	f.Advance(f.policy.RetryWindow + time.Second)
	f.wantError(f.checkToken(second, token(first), f.policy), session.Spent, "") // a replay, but nothing is revoked
	later := token(second)
	later.Expires = later.Expires.Add(time.Second)
	f.wantError(f.checkToken(second, later, f.policy), session.Unknown, "")
	f.mustRefresh(second, f.policy)
}

func tokenCheckEnded(f *fixture) {
	revoked, expired := f.login(), f.login()
	_, err := f.revoke(revoked.ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	f.wantError(f.checkToken(revoked, token(revoked), f.policy), session.Revoked, session.CauseUser)
	p := f.policy
	p.Lifetime = 30 * time.Minute
	f.Advance(p.Lifetime)
	f.wantError(f.checkToken(expired, token(expired), p), session.Expired, session.CauseExpired)
	f.noError(f.checkToken(expired, token(expired), f.policy), "CheckToken under the former policy") // it changes nothing
	f.Advance(f.policy.Lifetime - p.Lifetime)
	f.wantExpired(f.checkToken(expired, token(expired), f.policy), session.CauseExpired)
}

// tokenTightened checks that a policy with shorter lifetimes than those of the login
// applies to the next step of a live session: first the token is compared with the stored
// expiry, then the time with that of the policy. A refresh or a logout that finds the session
// expired deletes it, so that a later policy can't revive it.
func tokenTightened(f *fixture) {
	p := f.policy
	p.Lifetime, p.AbsoluteLifetime = 20*time.Minute, 40*time.Minute
	shortened, over := f.login(), f.login()
	f.Advance(10 * time.Minute)
	next := f.mustRefresh(shortened, p)
	if want := p.Clamp(shortened); !next.Expires.Equal(want.Expires) || !next.Absolute.Equal(want.Absolute) {
		f.Errorf("got expiries %s and %s, want %s and %s", next.Expires, next.Absolute, want.Expires, want.Absolute)
	}
	out, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Types: session.Types, Policies: map[session.Type]session.Policy{session.Long: p}})
	f.noError(err, "List")
	for _, s := range out.Sessions {
		if !s.Expires.Equal(next.Expires) {
			f.Errorf("List under the policy: session %s expires at %s, want %s", s.ID, s.Expires, next.Expires)
		}
	}
	f.Advance(10 * time.Minute)
	out, err = f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Types: session.Types, Policies: map[session.Type]session.Policy{session.Long: p}})
	f.noError(err, "List")
	f.wantIDs("List under the policy", ids(out.Sessions))
	_, err = f.refresh(over, token(over), p)
	f.wantError(err, session.Expired, session.CauseExpired)
	_, err = f.logout(next, token(next), p)
	f.wantError(err, session.Expired, session.CauseExpired)
	for _, s := range []session.Session{over, next} {
		f.wantError(f.checkToken(s, token(s), f.policy), session.Unknown, "") // it was deleted
	}
}

// tokenTightenedBoundary checks that a session is live before the limit of a tightened policy,
// and over at that moment, with that limit as the cause.
func tokenTightenedBoundary(f *fixture) {
	for _, c := range []struct {
		lifetime, absolute time.Duration
		cause              session.Cause
	}{{20 * time.Minute, 40 * time.Minute, session.CauseExpired}, {40 * time.Minute, 20 * time.Minute, session.CauseAbsolute}} {
		p := f.policy
		p.Lifetime, p.AbsoluteLifetime = c.lifetime, c.absolute
		s := f.login()
		f.advanceTo(s.Updated, p.Clamp(s).Expires, f.margin)
		f.noError(f.checkToken(s, token(s), p), "CheckToken just before the limit")
		f.Advance(f.margin)
		f.wantError(f.checkToken(s, token(s), p), session.Expired, c.cause)
	}
}

// tokenTightenedWithoutRotation checks that a refresh that shortens a session returns
// another token, although the policy does not rotate: the former one no longer fits.
func tokenTightenedWithoutRotation(f *fixture) {
	p := f.policy
	p.Rotate, p.Lifetime = false, 20*time.Minute
	s := f.login()
	next := f.mustRefresh(s, p)
	if next.Generation != s.Generation+1 {
		f.Errorf("got generation %d, want %d", next.Generation, s.Generation+1)
	}
	f.mustRefresh(next, p)
	_, err := f.refresh(s, token(s), p) // a lost answer
	f.noError(err, "retry")
}

func tokenLoosened(f *fixture) {
	s := f.login()
	p := f.policy
	p.Lifetime, p.AbsoluteLifetime = 10*time.Hour, 100*time.Hour
	next := f.mustRefresh(s, p)
	if !next.Expires.Equal(s.Expires) || !next.Absolute.Equal(s.Absolute) {
		f.Errorf("got expiries %s and %s, want %s and %s", next.Expires, next.Absolute, s.Expires, s.Absolute)
	}
}

// tokenCountUnderPolicy checks that a session that is over under the policy of a login
// does not count toward the maximum and is not evicted.
func tokenCountUnderPolicy(f *fixture) {
	old := f.logins(2)
	p := f.withMaximum(2, false)
	_, err := f.create(f.owner, session.Long, p)
	f.wantError(err, session.LimitReached, "")
	f.Advance(30 * time.Minute)
	p.Lifetime = 20 * time.Minute
	created, err := f.create(f.owner, session.Long, p)
	f.noError(err, "Create")
	p.DestroyOldest = true
	f.tick()
	for range 2 {
		created, err = f.create(f.owner, session.Long, p)
		f.noError(err, "Create")
		f.tick()
	}
	for _, t := range created.Revoked {
		if t.ID == old[0].ID || t.ID == old[1].ID {
			f.Errorf("session %s was evicted, although it is over", t.ID)
		}
	}
	if len(created.Revoked) != 1 {
		f.Errorf("%d sessions were evicted, want 1", len(created.Revoked))
	}
}
