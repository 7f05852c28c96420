package storetest

import (
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

var tombstoneTests = map[string]func(*fixture){
	"latest first":             tombstonesOrder,
	"every cause":              tombstonesCauses,
	"at most 32":               tombstonesLimit,
	"at most 32 of one step":   tombstonesLimitInOneStep,
	"kept for seven days":      tombstonesLifetime,
	"each owner has their own": tombstonesByOwner,
}

func tombstonesOrder(f *fixture) {
	s := f.logins(4)
	for _, i := range []int{2, 0, 3, 1} {
		_, err := f.revoke(s[i].ID, session.CauseUser, "")
		f.noError(err, "Revoke")
		f.Advance(time.Millisecond)
	}
	f.wantIDs("Tombstones", tombstoneIDs(f.mustTombstones(f.owner)), s[1].ID, s[3].ID, s[0].ID, s[2].ID)
}

// tombstonesCauses checks the tombstones of every step that revokes sessions, except
// RevokeApp.
func tombstonesCauses(f *fixture) {
	var want []session.Tombstone
	expect := func(id session.ID, cause session.Cause, by string, at time.Time) {
		want = append(want, session.Tombstone{ID: id, Cause: cause, By: by, At: at})
		f.tick()
	}
	for _, cause := range []session.Cause{
		session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount,
	} {
		result, err := f.revoke(f.login().ID, cause, "by "+string(cause))
		f.noError(err, "Revoke")
		expect(result.Revoked[0].ID, cause, "by "+string(cause), result.Now)
	}
	s := f.login()
	result, err := f.logout(s, token(s), f.policy)
	f.noError(err, "Logout")
	expect(s.ID, session.CauseLogout, "", result.Now)

	s = f.login()
	result, err = f.revokeOthers("", session.Session{}, 0)
	f.noError(err, "RevokeOthers")
	expect(s.ID, session.CauseOthers, "", result.Now)

	s = f.login()
	created, err := f.create(f.owner, session.Long, f.withMaximum(1, true))
	f.noError(err, "Create")
	expect(s.ID, session.CauseEvicted, string(created.Session.ID), created.Now)

	next := f.mustRefresh(f.mustRefresh(created.Session, f.policy), f.policy)
	_, err = f.refresh(created.Session, token(created.Session), f.policy)
	f.wantError(err, session.Replayed, session.CauseReplay)
	expect(created.Session.ID, session.CauseReplay, "", next.Updated)

	f.wantTombstones(f.owner, want...)
	for _, t := range want {
		f.wantError(f.live(f.owner, t.ID), session.Revoked, t.Cause)
	}
}

// maxTombstones is how many tombstones a store keeps of an owner.
const maxTombstones = 32

// tombstonesLimit checks that the oldest tombstones are dropped, after which Live reports
// their sessions as Unknown.
func tombstonesLimit(f *fixture) {
	var revoked []session.ID
	for range maxTombstones + 8 {
		s := f.login()
		_, err := f.revoke(s.ID, session.CauseUser, "")
		f.noError(err, "Revoke")
		revoked = append(revoked, s.ID)
		f.Advance(time.Millisecond)
	}
	slices.Reverse(revoked)
	f.wantIDs("Tombstones", tombstoneIDs(f.mustTombstones(f.owner)), revoked[:maxTombstones]...)
	f.wantError(f.live(f.owner, revoked[maxTombstones-1]), session.Revoked, session.CauseUser)
	f.wantError(f.live(f.owner, revoked[maxTombstones]), session.Unknown, "")
}

// tombstonesLimitInOneStep checks the limit if one step revokes more sessions: the store
// may keep the tombstones of any 32 of them.
func tombstonesLimitInOneStep(f *fixture) {
	all := ids(f.logins(maxTombstones + 8))
	result, err := f.revokeOthers("", session.Session{}, 0)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", all...)
	got := tombstoneIDs(f.mustTombstones(f.owner))
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != maxTombstones {
		f.Fatalf("got tombstones of %d sessions, want %d", len(got), maxTombstones)
	}
	for _, id := range got {
		if !slices.Contains(all, id) {
			f.Errorf("got a tombstone of %s, which is not one of the revoked sessions", id)
		}
	}
}

// tombstonesLifetime checks that a tombstone is still there one second before seven days,
// although another owner's login may free memory.
func tombstonesLifetime(f *fixture) {
	s := f.login()
	result, err := f.revoke(s.ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	f.Advance(7*24*time.Hour - time.Second)
	f.loginAs(f.otherUser("2"), session.Long)
	f.wantTombstones(f.owner, result.Revoked...)
	f.wantError(f.live(f.owner, s.ID), session.Revoked, session.CauseUser)
}

func tombstonesByOwner(f *fixture) {
	for i, o := range []session.Owner{f.owner, f.otherUser("2"), {App: "other", User: f.owner.User}} {
		s := f.loginAs(o, session.Long)
		result, err := f.Store.Revoke(f.ctx, session.RevokeStep{
			Owner: o, ID: s.ID, Cause: session.CauseOperator, By: fmt.Sprint(i),
		})
		f.noError(err, "Revoke")
		f.wantTombstones(o, result.Revoked...)
	}
}
