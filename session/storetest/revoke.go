package storetest

import (
	"fmt"
	"time"

	"tokengate/session"
)

var revokeTests = map[string]func(*fixture){
	"revokes one session":                revokeOne,
	"any type":                           revokeAnyType,
	"unknown session":                    revokeUnknown,
	"fails the second time":              revokeTwice,
	"the caller must be live":            revokeCaller,
	"the caller may revoke itself":       revokeOwnSession,
	"the tombstone has cause and author": revokeCauses,
}

func revokeOne(f *fixture) {
	s := f.logins(3)
	result, err := f.revoke(s[1].ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	f.wantRevoked(result, session.CauseUser, "", s[1].ID)
	if f.Clock != nil && !result.Now.Equal(f.Clock()) {
		f.Errorf("Now is %s, want the clock's %s", formatTime(result.Now), formatTime(f.Clock()))
	}
	f.wantList(s[0].ID, s[2].ID)
	_, err = f.refresh(s[1], token(s[1]), f.policy)
	f.wantError(err, session.Revoked, session.CauseUser)
	f.wantTombstones(f.owner, result.Revoked...)
	f.mustRefresh(s[2], f.policy)
}

// wantRevoked checks that a result has exactly these sessions, in any order, with a cause,
// an author and the time of the step.
func (f *fixture) wantRevoked(r session.RevokeResult, cause session.Cause, by string, want ...session.ID) {
	f.Helper()
	f.wantIDSet("Revoked", tombstoneIDs(r.Revoked), want...)
	for _, t := range r.Revoked {
		if t.Cause != cause || t.By != by || timeDiff(t.At, r.Now) >= time.Millisecond {
			f.Errorf("Revoked: got %+v, want %s by %q at %s", t, cause, by, r.Now)
		}
	}
}

func revokeAnyType(f *fixture) {
	for _, t := range session.Types {
		s := f.loginAs(f.owner, t)
		_, err := f.revoke(s.ID, session.CauseUser, "")
		f.noError(err, "Revoke "+string(t))
	}
	f.wantList()
}

// revokeUnknown checks that Revoke fails with Unknown for a session that never existed, or
// that is another user's or app's.
func revokeUnknown(f *fixture) {
	s := f.login()
	foreign := f.loginAs(f.otherUser("2"), session.Long)
	otherApp := f.loginAs(session.Owner{App: "other", User: f.owner.User}, session.Long)
	for _, id := range []session.ID{session.NewID(), foreign.ID, otherApp.ID} {
		_, err := f.revoke(id, session.CauseUser, "")
		f.wantError(err, session.Unknown, "")
	}
	f.wantList(s.ID)
	f.wantIDs("List", ids(f.mustList(f.otherUser("2"))), foreign.ID)
	f.wantTombstones(f.owner)
}

// revokeTwice checks that a second Revoke fails with the first one's cause and leaves the
// tombstone as it is.
func revokeTwice(f *fixture) {
	s := f.login()
	_, err := f.revoke(s.ID, session.CauseOperator, "alice")
	f.noError(err, "Revoke")
	before := f.mustTombstones(f.owner)
	for range 2 {
		f.tick()
		_, err = f.revoke(s.ID, session.CauseUser, "")
		f.wantError(err, session.Revoked, session.CauseOperator)
	}
	f.wantTombstones(f.owner, before...)
}

// revokeCaller checks that a caller may be a session of any type, and that Revoke fails
// with TokenRevoked if the caller is revoked, unknown, or another owner's.
func revokeCaller(f *fixture) {
	s := f.logins(3)
	short := f.loginAs(f.owner, session.Short)
	foreign := f.loginAs(f.otherUser("2"), session.Long)
	_, err := f.revoke(s[0].ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	revokeBy := func(caller session.ID, id session.ID) error {
		_, err := f.Store.Revoke(f.ctx, session.RevokeStep{Owner: f.owner, Caller: caller, ID: id, Cause: session.CauseUser})
		return err
	}
	for caller, cause := range map[session.ID]session.Cause{s[0].ID: session.CauseUser, foreign.ID: "", session.NewID(): ""} {
		f.wantError(revokeBy(caller, s[1].ID), session.TokenRevoked, cause)
		f.wantError(revokeBy(caller, session.NewID()), session.TokenRevoked, cause)
	}
	f.wantList(s[1].ID, s[2].ID, short.ID)
	f.noError(revokeBy(short.ID, s[1].ID), "Revoke by a session of the other type")
	f.wantError(revokeBy(short.ID, s[0].ID), session.Revoked, session.CauseUser)
	f.wantError(revokeBy(short.ID, session.NewID()), session.Unknown, "")
}

func revokeOwnSession(f *fixture) {
	s := f.login()
	step := session.RevokeStep{Owner: f.owner, Caller: s.ID, ID: s.ID, Cause: session.CauseUser}
	_, err := f.Store.Revoke(f.ctx, step)
	f.noError(err, "Revoke")
	_, err = f.Store.Revoke(f.ctx, step)
	f.wantError(err, session.TokenRevoked, session.CauseUser)
}

// revokeCauses checks every cause that Revoke may have, and authors that contain
// characters which a store may use as separators.
func revokeCauses(f *fixture) {
	causes := []session.Cause{session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount}
	authors := []string{"", "alice", "ops|night:{shift}, 50% \"done\" \\", "Zoë\n\x00", "|", "||"}
	for _, cause := range causes {
		for i, by := range authors {
			o := f.otherUser(fmt.Sprint(cause, i))
			s := f.loginAs(o, session.Long)
			result, err := f.Store.Revoke(f.ctx, session.RevokeStep{Owner: o, ID: s.ID, Cause: cause, By: by})
			f.noError(err, "Revoke")
			f.wantRevoked(result, cause, by, s.ID)
			f.wantTombstones(o, result.Revoked...)
			f.wantError(f.live(o, s.ID), session.Revoked, cause)
		}
	}
}
