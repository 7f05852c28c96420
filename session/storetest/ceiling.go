package storetest

import (
	"slices"
	"time"

	"tokengate/session"
)

// createMany creates n sessions of the fixture's owner.
func (f *fixture) createMany(n int, p session.Policy) {
	f.Helper()
	const clients = 16
	errs := make([]error, clients)
	concurrently(clients, func(i int) {
		for k := i; k < n && errs[i] == nil; k += clients {
			_, errs[i] = f.create(f.owner, session.Long, p)
		}
	})
	for _, err := range errs {
		f.noError(err, "Create")
	}
}

// createAtCeiling checks logins without a maximum where the user has MaxSessions sessions:
// one is rejected, or ends the session that expires first, however recent it is; but sessions
// that have ended do not count. Of more than MaxSessions, each login ends up to MaxEvicted.
func createAtCeiling(f *fixture) {
	rejecting, evicting, short := f.policy, f.policy, f.policy
	evicting.DestroyOldest, short.Lifetime = true, f.policy.Lifetime/2
	var first []session.Session // the ones that expire first, in that order
	for range 3 {
		s, err := f.create(f.owner, session.Long, short)
		f.noError(err, "Create")
		first = append(first, s.Session)
	}
	slices.SortFunc(first, session.ByExpires)
	f.Advance(10 * time.Minute)
	first[0] = f.mustRefresh(first[0], short)
	f.createMany(session.MaxSessions-len(first), evicting)
	wantEvicted := func(p session.Policy, want ...session.ID) {
		f.Helper()
		out, err := f.create(f.owner, session.Long, p)
		f.noError(err, "Create at the ceiling")
		f.wantIDs("Evicted", tombstoneIDs(out.Revoked), want...)
		for _, t := range out.Revoked {
			if t.Cause != session.CauseEvicted || t.By != string(out.Session.ID) {
				f.Errorf("got the tombstone %+v, want %s by %s", t, session.CauseEvicted, out.Session.ID)
			}
		}
	}
	_, err := f.create(f.owner, session.Long, rejecting)
	f.wantError(err, session.LimitReached, "")
	f.noError(f.live(f.owner, first[0].ID), "Live after a rejected login")
	_, err = f.create(f.owner, session.Short, rejecting)
	f.noError(err, "Create of the other type")
	wantEvicted(evicting, first[0].ID)

	shorter := rejecting // under it, the older sessions have ended
	shorter.Lifetime = 5 * time.Minute
	wantEvicted(shorter)
	wantEvicted(rejecting) // two were dropped, and one created
	_, err = f.create(f.owner, session.Long, rejecting)
	f.wantError(err, session.LimitReached, "")

	f.createMany(session.MaxEvicted+100, f.withMaximum(2*session.MaxSessions, false)) // as a maximum that was removed since
	for _, want := range []int{session.MaxEvicted, 102, 1} {
		out, err := f.create(f.owner, session.Long, evicting)
		f.noError(err, "Create above the ceiling")
		if len(out.Revoked) != want {
			f.Errorf("a login above the ceiling has evicted %d sessions, want %d", len(out.Revoked), want)
		}
	}
	if n := len(f.mustList(f.owner, session.Long)); n != session.MaxSessions {
		f.Errorf("got %d sessions, want %d", n, session.MaxSessions)
	}
	result, err := f.Store.RevokeOthers(f.ctx, session.RevokeOthersStep{Owner: f.owner, Types: session.Types, Cause: session.CauseOperator})
	if f.noError(err, "RevokeOthers"); result.Count() != session.MaxSessions+1 {
		f.Errorf("RevokeOthers revoked %d sessions, want %d", result.Count(), session.MaxSessions+1)
	}
}
