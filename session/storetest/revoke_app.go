package storetest

import (
	"fmt"
	"time"

	"tokengate/session"
)

var revokeAppTests = map[string]func(*fixture){
	"revokes every session":            revokeAppAll,
	"every step treats it as revoked":  revokeAppEveryStep,
	"other apps remain":                revokeAppOthers,
	"revoked sessions do not count":    revokeAppFreesMaximum,
	"separates sessions of one moment": revokeAppAtOnce,
	"several times":                    revokeAppAgain,
	"revoked even after its expiry":    revokeAppExpired,
}

// revokeApp revokes all sessions of the fixture's app, and moves the clock a little.
func (f *fixture) revokeApp() {
	f.Helper()
	_, err := f.Store.RevokeApp(f.ctx, f.owner.App)
	f.noError(err, "RevokeApp")
	f.tick()
}

// revokeAppAll uses enough users for every bucket into which a store may divide them.
func revokeAppAll(f *fixture) {
	byOwner := map[session.Owner][]session.Session{}
	for i := range 300 {
		o := f.otherUser(fmt.Sprint(i))
		byOwner[o] = append(byOwner[o], f.loginAs(o, session.Long), f.loginAs(o, session.Short))
	}
	f.revokeApp()
	for o, sessions := range byOwner {
		f.wantIDs("List", ids(f.mustList(o)))
		for _, s := range sessions {
			f.wantError(f.live(o, s.ID), session.Revoked, session.CauseApp)
		}
	}
}

// revokeAppEveryStep runs every step with sessions that RevokeApp revoked.
func revokeAppEveryStep(f *fixture) {
	var s [5]session.Session
	for i := range s {
		s[i] = f.login()
	}
	f.tick()
	f.revokeApp()
	fresh := f.login()
	_, err := f.refresh(s[0], token(s[0]), f.policy)
	f.wantError(err, session.Revoked, session.CauseApp)
	_, err = f.refresh(s[0], session.Presented{Secret: s[0].Secret, Generation: 9, Expires: s[0].Absolute}, f.policy)
	f.wantRevokedByApp(err)
	_, err = f.logout(s[1], token(s[1]), f.policy)
	f.wantRevokedByApp(err)
	_, err = f.revoke(s[2].ID, session.CauseUser, "")
	f.wantRevokedByApp(err)
	_, err = f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s[3].ID, Types: session.Types})
	f.wantError(err, session.TokenRevoked, "")
	_, err = f.revokeOthers(fresh.ID, s[3], 1)
	f.wantError(err, session.Unknown, "")
	_, err = f.revokeOthers(s[3].ID, fresh, 1)
	f.wantError(err, session.TokenRevoked, "")
	result, err := f.revokeOthers(fresh.ID, fresh, 1)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "")
	f.wantRevokedByApp(f.live(f.owner, s[4].ID))
	f.wantList(fresh.ID)
	for _, t := range f.mustTombstones(f.owner) {
		if t.Cause != session.CauseApp {
			f.Errorf("got a tombstone with cause %s, want only %s", t.Cause, session.CauseApp)
		}
	}
	f.mustRefresh(fresh, f.policy)
}

func revokeAppOthers(f *fixture) {
	o := session.Owner{App: "other", User: f.owner.User}
	mine, theirs := f.login(), f.loginAs(o, session.Long)
	f.revokeApp()
	f.noError(f.live(o, theirs.ID), "Live in the other app")
	f.wantIDs("List", ids(f.mustList(o)), theirs.ID)
	f.wantRevokedByApp(f.live(f.owner, mine.ID))
}

// revokeAppFreesMaximum checks that revoked sessions neither count for the maximum nor are
// evicted.
func revokeAppFreesMaximum(f *fixture) {
	for _, evict := range []bool{false, true} {
		for range 3 {
			f.login()
		}
		f.tick()
		f.revokeApp()
		for range 2 {
			out, err := f.create(f.owner, session.Long, f.withMaximum(2, evict))
			f.noError(err, "Create")
			f.wantIDs("Evicted", tombstoneIDs(out.Revoked))
		}
		if n := len(f.mustList(f.owner)); n != 2 {
			f.Errorf("got %d sessions, want 2", n)
		}
	}
}

// revokeAppAtOnce checks that sessions created before RevokeApp are revoked and sessions
// created after it are not, also if the clock shows the same time for all.
func revokeAppAtOnce(f *fixture) {
	old := f.login()
	_, err := f.Store.RevokeApp(f.ctx, f.owner.App)
	f.noError(err, "RevokeApp")
	fresh := f.login()
	f.noError(f.live(f.owner, fresh.ID), "Live after RevokeApp")
	f.wantList(fresh.ID)
	f.wantRevokedByApp(f.live(f.owner, old.ID))
	_, err = f.refresh(fresh, token(fresh), f.policy)
	f.noError(err, "Refresh after RevokeApp")
}

// revokeAppExpired checks that a revoked session is not reported as Expired after its own
// expiry, and no longer has a tombstone.
func revokeAppExpired(f *fixture) {
	s, other := f.login(), f.loginAs(f.owner, session.Short)
	f.tick()
	f.revokeApp()
	f.advanceTo(s.Updated, s.Expires, -f.margin)
	_, err := f.refresh(s, token(s), f.policy)
	f.wantRevokedByApp(err)
	f.wantRevokedByApp(f.live(f.owner, other.ID))
	_, err = f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s.ID, Types: session.Types})
	if session.CauseOf(err) != "" {
		f.wantError(err, session.TokenRevoked, session.CauseApp)
	}
	f.wantError(err, session.TokenRevoked, "")
	f.wantTombstones(f.owner)
}

// revokeAppAgain checks that each RevokeApp revokes the sessions since the one before, and
// that sessions created after the last one remain.
func revokeAppAgain(f *fixture) {
	for range 3 {
		s := f.login()
		f.tick()
		f.revokeApp()
		f.wantError(f.live(f.owner, s.ID), session.Revoked, session.CauseApp)
	}
	s := f.login()
	for range 2 {
		f.Advance(10 * time.Minute)
		s = f.mustRefresh(s, f.policy)
	}
}
