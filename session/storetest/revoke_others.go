package storetest

import (
	"math"
	"time"

	"tokengate/session"
)

var revokeOthersTests = map[string]func(*fixture){
	"revokes all except Keep":              revokeOthersKeep,
	"revokes all without Keep":             revokeOthersAll,
	"types":                                revokeOthersTypes,
	"nothing to revoke":                    revokeOthersNothing,
	"Keep must be live":                    revokeOthersKeepNotLive,
	"a token of Keep just spent":           revokeOthersKeepSpent,
	"the retry window of Keep ends":        revokeOthersKeepWindowEnd,
	"a token of Keep ahead of the record":  revokeOthersKeepAhead,
	"the caller must be live":              revokeOthersCaller,
	"checks Keep before the caller":        revokeOthersKeepBeforeCaller,
	"revokes the caller if it is not Keep": revokeOthersIncludesCaller,
	"thousands of sessions":                revokeOthersMany,
	"other owners remain":                  revokeOthersOtherOwners,
	"the tombstone has cause and author":   revokeOthersCauses,
}

// revokeOthers revokes all sessions except keep, as a user does whose refresh token has
// the given generation.
func (f *fixture) revokeOthers(caller session.ID, keep session.Session, generation uint32) (session.RevokeResult, error) {
	return f.Store.RevokeOthers(f.ctx, f.revokeOthersStep(caller, keep, generation))
}

func (f *fixture) revokeOthersStep(caller session.ID, keep session.Session, generation uint32) session.RevokeOthersStep {
	return session.RevokeOthersStep{
		Owner: f.owner, Caller: caller, Keep: keep.ID, KeepPolicy: f.policy, Types: session.Types, Cause: session.CauseOthers,
		KeepToken: session.Presented{Secret: keep.Secret, Generation: generation, Expires: keep.Expires},
	}
}

func revokeOthersKeep(f *fixture) {
	s := f.logins(4)
	short := f.loginAs(f.owner, session.Short)
	keep := f.mustRefresh(s[2], f.policy)
	result, err := f.revokeOthers(keep.ID, keep, keep.Generation)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", s[0].ID, s[1].ID, s[3].ID, short.ID)
	f.wantList(keep.ID)
	f.wantTombstones(f.owner, result.Revoked...)
	_, err = f.refresh(s[0], token(s[0]), f.policy)
	f.wantError(err, session.Revoked, session.CauseOthers)
	f.mustRefresh(keep, f.policy)
}

func revokeOthersAll(f *fixture) {
	long, short := f.login(), f.loginAs(f.owner, session.Short)
	result, err := f.revokeOthers("", session.Session{}, 0)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", long.ID, short.ID)
	f.wantList()
}

// revokeOthersTypes checks that only sessions of the given types are revoked. Keep may be
// of another type.
func revokeOthersTypes(f *fixture) {
	long, keep := f.login(), f.login()
	short := f.loginAs(f.owner, session.Short)
	step := f.revokeOthersStep(keep.ID, keep, 1)
	step.Types = []session.Type{session.Short}
	result, err := f.Store.RevokeOthers(f.ctx, step)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", short.ID)
	f.wantIDSet("List", ids(f.mustList(f.owner)), long.ID, keep.ID)
	step.Types = []session.Type{session.Long}
	result, err = f.Store.RevokeOthers(f.ctx, step)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", long.ID)
	f.wantList(keep.ID)
}

// revokeOthersNothing checks that the step succeeds if there is no session to revoke, also
// the second time and for an owner without sessions.
func revokeOthersNothing(f *fixture) {
	keep := f.login()
	for range 2 {
		result, err := f.revokeOthers(keep.ID, keep, 1)
		f.noError(err, "RevokeOthers")
		f.wantRevoked(result, session.CauseOthers, "")
	}
	result, err := f.Store.RevokeOthers(f.ctx, session.RevokeOthersStep{
		Owner: f.otherUser("2"), Types: session.Types, Cause: session.CauseOperator,
	})
	f.noError(err, "RevokeOthers without sessions")
	f.wantRevoked(result, session.CauseOperator, "")
	f.wantTombstones(f.owner)
}

// revokeOthersKeepNotLive checks that the step fails with Unknown and revokes nothing if
// Keep is revoked, unknown, or another owner's.
func revokeOthersKeepNotLive(f *fixture) {
	s := f.logins(2)
	revoked := f.login()
	_, err := f.revoke(revoked.ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	foreign := f.loginAs(f.otherUser("2"), session.Long)
	for _, keep := range []session.Session{revoked, foreign, {ID: session.NewID()}} {
		_, err := f.revokeOthers(s[0].ID, keep, 1)
		f.wantError(err, session.Unknown, "")
	}
	f.wantList(s[0].ID, s[1].ID)
}

// revokeOthersKeepSpent checks that the token just spent is accepted within the retry
// window, and an older one is rejected. Unlike at Refresh, the older one is no replay that
// revokes the session.
func revokeOthersKeepSpent(f *fixture) {
	other, first := f.login(), f.login()
	second := f.mustRefresh(first, f.policy)
	result, err := f.revokeOthers(first.ID, first, 1)
	f.noError(err, "RevokeOthers with the token just spent")
	f.wantRevoked(result, session.CauseOthers, "", other.ID)
	other = f.login()
	third := f.mustRefresh(second, f.policy)
	_, err = f.revokeOthers(first.ID, first, 1)
	f.wantError(err, session.Unknown, "")
	f.wantIDSet("List", ids(f.mustList(f.owner)), first.ID, other.ID)
	f.mustRefresh(third, f.policy)
}

// revokeOthersKeepWindowEnd checks that a spent token is accepted until Rotated plus
// the retry window, that moment excluded.
func revokeOthersKeepWindowEnd(f *fixture) {
	for _, at := range []struct {
		early  time.Duration
		window time.Duration
		code   session.Code
	}{
		{f.margin, f.policy.RetryWindow, session.OK},
		{0, f.policy.RetryWindow, session.Unknown},
		{0, 0, session.Unknown},
	} {
		first := f.login()
		second := f.mustRefresh(first, f.policy)
		f.advanceTo(second.Updated, second.Rotated.Add(at.window), at.early)
		step := f.revokeOthersStep(first.ID, first, 1)
		step.KeepPolicy.RetryWindow = at.window
		_, err := f.Store.RevokeOthers(f.ctx, step)
		if session.CodeOf(err) != at.code {
			f.Errorf("%s before the end of a window of %s: got %v, want %s", at.early, at.window, err, at.code)
		}
		f.mustRefresh(second, f.policy)
	}
}

// revokeOthersKeepAhead checks that a token ahead of the record is accepted, as at Refresh:
// the store has lost acknowledged refreshes. Unlike Refresh, the step does not change the
// record.
func revokeOthersKeepAhead(f *fixture) {
	keep, other := f.login(), f.login()
	step := f.revokeOthersStep(keep.ID, keep, 0)
	step.KeepPolicy.RetryWindow = 0
	_, err := f.Store.RevokeOthers(f.ctx, step)
	f.wantError(err, session.Unknown, "")
	f.wantIDSet("List", ids(f.mustList(f.owner)), keep.ID, other.ID)
	for _, g := range []uint32{2, 9, math.MaxUint32} {
		step.KeepToken.Generation = g
		result, err := f.Store.RevokeOthers(f.ctx, step)
		f.noError(err, "RevokeOthers with a token ahead of its record")
		f.wantRevoked(result, session.CauseOthers, "", other.ID)
		other = f.login()
	}
	f.mustRefresh(keep, f.policy)
}

// revokeOthersCaller checks that the step fails with TokenRevoked and revokes nothing if
// the caller is revoked, unknown, or another owner's.
func revokeOthersCaller(f *fixture) {
	keep, other, revoked := f.login(), f.login(), f.login()
	_, err := f.revoke(revoked.ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	foreign := f.loginAs(f.otherUser("2"), session.Long)
	for _, caller := range []session.ID{revoked.ID, foreign.ID, session.NewID()} {
		for _, k := range []session.Session{keep, {}} {
			_, err = f.revokeOthers(caller, k, 1)
			f.wantError(err, session.TokenRevoked, "")
		}
	}
	f.wantIDSet("List", ids(f.mustList(f.owner)), keep.ID, other.ID)
	_, err = f.revokeOthers("", keep, 1)
	f.noError(err, "RevokeOthers without a caller")
}

// revokeOthersKeepBeforeCaller checks that an invalid Keep fails with Unknown even if the
// caller is revoked too.
func revokeOthersKeepBeforeCaller(f *fixture) {
	live, revoked := f.login(), f.login()
	third := f.mustRefresh(f.mustRefresh(live, f.policy), f.policy)
	_, err := f.revoke(revoked.ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	_, err = f.revokeOthers(revoked.ID, revoked, 1)
	f.wantError(err, session.Unknown, "")
	_, err = f.revokeOthers(revoked.ID, live, 1)
	f.wantError(err, session.Unknown, "")
	_, err = f.revokeOthers(revoked.ID, live, third.Generation)
	f.wantError(err, session.TokenRevoked, session.CauseUser)
	f.wantList(live.ID)
}

func revokeOthersIncludesCaller(f *fixture) {
	caller, keep := f.login(), f.login()
	result, err := f.revokeOthers(caller.ID, keep, 1)
	f.noError(err, "RevokeOthers")
	f.wantRevoked(result, session.CauseOthers, "", caller.ID)
	_, err = f.revokeOthers(caller.ID, keep, 1)
	f.wantError(err, session.TokenRevoked, session.CauseOthers)
}

func revokeOthersMany(f *fixture) {
	const n = 3000
	keep := f.login()
	for range n {
		f.login()
	}
	result, err := f.revokeOthers(keep.ID, keep, 1)
	f.noError(err, "RevokeOthers")
	if result.Count() != n {
		f.Errorf("revoked %d sessions, want %d", result.Count(), n)
	}
	f.wantList(keep.ID)
}

func revokeOthersOtherOwners(f *fixture) {
	keep := f.login()
	otherOwners := []session.Owner{f.otherUser("2"), {App: "other", User: f.owner.User}}
	for _, o := range otherOwners {
		f.loginAs(o, session.Long)
		f.loginAs(o, session.Short)
	}
	_, err := f.revokeOthers(keep.ID, keep, 1)
	f.noError(err, "RevokeOthers")
	for _, o := range otherOwners {
		if n := len(f.mustList(o)); n != 2 {
			f.Errorf("got %d sessions of %s, want 2", n, o)
		}
	}
}

func revokeOthersCauses(f *fixture) {
	for _, cause := range []session.Cause{session.CauseOthers, session.CauseOperator, session.CauseAccount} {
		o := f.otherUser(string(cause))
		s := f.loginAs(o, session.Short)
		result, err := f.Store.RevokeOthers(f.ctx, session.RevokeOthersStep{
			Owner: o, Types: session.Types, Cause: cause, By: "alice|root",
		})
		f.noError(err, "RevokeOthers")
		f.wantRevoked(result, cause, "alice|root", s.ID)
		f.wantTombstones(o, result.Revoked...)
		f.wantError(f.live(o, s.ID), session.Revoked, cause)
	}
}
