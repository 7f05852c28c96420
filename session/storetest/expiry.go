package storetest

import (
	"time"

	"tokengate/session"
)

var expiryTests = map[string]func(*fixture){
	"expires exactly at Expires":       expiryBoundary,
	"every step treats it as expired":  expiryEveryStep,
	"later sessions remain":            expiryLeavesOthers,
	"leaves no tombstone":              expiryNoTombstone,
	"a token ahead does not revive it": expiryNotHealed,
}

// expiryBoundary checks that a session is live before Expires, and expired at that moment.
func expiryBoundary(f *fixture) {
	p := f.policy
	p.Rotate = false
	s := f.login()
	f.advanceTo(s.Updated, s.Expires, f.margin)
	f.noError(f.live(f.owner, s.ID), "Live just before Expires")
	f.mustRefresh(s, p)
	f.Advance(f.margin)
	f.wantExpired(f.live(f.owner, s.ID), session.CauseExpired)
	f.wantList()
	_, err := f.refresh(s, token(s), p)
	f.wantExpired(err, session.CauseExpired)
}

// expiryEveryStep runs every step with expired sessions, first before a login, which may
// free them, and then after one.
func expiryEveryStep(f *fixture) {
	var s [5]session.Session
	for i := range s {
		s[i] = f.login()
	}
	f.Advance(f.policy.Lifetime)
	for range 2 {
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s[0].ID, Types: session.Types})
		f.wantError(err, session.TokenRevoked, "")
		_, err = f.revoke(s[1].ID, session.CauseUser, "")
		f.wantError(err, session.Unknown, "")
		_, err = f.logout(s[2], token(s[2]), f.policy)
		f.wantExpired(err, session.CauseExpired)
		f.wantExpired(f.live(f.owner, s[3].ID), session.CauseExpired)
		_, err = f.refresh(s[4], token(s[4]), f.policy)
		f.wantExpired(err, session.CauseExpired)
		fresh := f.login()
		_, err = f.Store.Revoke(f.ctx, session.RevokeStep{Owner: f.owner, Caller: s[0].ID, ID: fresh.ID, Cause: session.CauseUser})
		f.wantError(err, session.TokenRevoked, "")
		_, err = f.revokeOthers(fresh.ID, s[3], 1)
		f.wantError(err, session.Unknown, "")
		_, err = f.revokeOthers(s[3].ID, fresh, 1)
		f.wantError(err, session.TokenRevoked, "")
		f.wantTombstones(f.owner)
		f.Advance(f.policy.Lifetime)
	}
	fresh := f.login()
	f.wantList(fresh.ID)
	result, err := f.revokeOthers(fresh.ID, fresh, 1)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "")
}

func expiryLeavesOthers(f *fixture) {
	old := f.login()
	f.Advance(f.policy.Lifetime - time.Minute)
	fresh := f.login()
	f.Advance(time.Minute)
	f.wantList(fresh.ID)
	_, err := f.refresh(old, token(old), f.policy)
	f.wantExpired(err, session.CauseExpired)
	f.mustRefresh(fresh, f.policy)
}

func expiryNoTombstone(f *fixture) {
	f.login()
	f.Advance(f.policy.Lifetime)
	f.login()
	f.wantTombstones(f.owner)
}

// expiryNotHealed checks that a token ahead of the record, which would heal a live
// session, does not revive an expired one.
func expiryNotHealed(f *fixture) {
	s := f.login()
	f.Advance(f.policy.Lifetime)
	for range 3 {
		_, err := f.refresh(s, session.Presented{Secret: s.Secret, Generation: 9, Expires: s.Absolute}, f.policy)
		f.wantExpired(err, session.CauseExpired)
		f.wantList()
	}
}
