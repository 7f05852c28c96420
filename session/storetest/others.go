package storetest

import (
	"math"
	"time"

	"tokengate/session"
)

var othersTests = map[string]func(*fixture){
	"KeepsOne":           othersKeeps,
	"KeepsNone":          othersAll,
	"Types":              othersTypes,
	"NothingToEnd":       othersNothing,
	"KeepMustLive":       othersKeepGone,
	"KeepSpent":          othersKeepSpent,
	"KeepWindowsEnd":     othersKeepWindowEnd,
	"KeepAhead":          othersKeepAhead,
	"CallerMustLive":     othersCaller,
	"KeepBeforeCaller":   othersKeepFirst,
	"CallerIsNotSpared":  othersCallerEnds,
	"ManyAtOnce":         othersMany,
	"OtherUsersAreSafe":  othersForeign,
	"RecordsCauseAndWho": othersCause,
}

// others ends what isn't keep, as its user does; the token is of a generation.
func (f *fixture) others(caller session.ID, keep session.Session, generation uint32) (session.Receipt, error) {
	return f.Store.EndOthers(f.ctx, f.othersStep(caller, keep, generation))
}

func (f *fixture) othersStep(caller session.ID, keep session.Session, generation uint32) session.EndOthersStep {
	return session.EndOthersStep{
		Owner: f.owner, Caller: caller, Keep: keep.ID, KeepGeneration: generation,
		KeepWindow: f.policy.RetryWindow, Types: session.Types, Cause: session.CauseOthers,
	}
}

func othersKeeps(f *fixture) {
	s := f.logins(4)
	short := f.loginAs(f.owner, session.Short)
	keep := f.refresh(s[2], f.policy)
	receipt, err := f.others(keep.ID, keep, keep.Generation)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", s[0].ID, s[1].ID, s[3].ID, short.ID)
	f.wantIDs("List", ids(f.listed(f.owner)), keep.ID)
	f.wantTraces(f.owner, receipt.Ended...)
	_, err = f.present(s[0], token(s[0]), f.policy)
	f.fails(err, session.Ended, session.CauseOthers)
	f.refresh(keep, f.policy)
}

func othersAll(f *fixture) {
	long, short := f.login(), f.loginAs(f.owner, session.Short)
	receipt, err := f.others("", session.Session{}, 0)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", long.ID, short.ID)
	f.wantIDs("List", ids(f.listed(f.owner)))
}

// othersTypes: Keep may be of a type that isn't asked for.
func othersTypes(f *fixture) {
	long, keep := f.login(), f.login()
	short := f.loginAs(f.owner, session.Short)
	step := f.othersStep(keep.ID, keep, 1)
	step.Types = []session.Type{session.Short}
	receipt, err := f.Store.EndOthers(f.ctx, step)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", short.ID)
	f.wantSet("List", ids(f.listed(f.owner)), long.ID, keep.ID)
	step.Types = []session.Type{session.Long}
	receipt, err = f.Store.EndOthers(f.ctx, step)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", long.ID)
	f.wantIDs("List", ids(f.listed(f.owner)), keep.ID)
}

func othersNothing(f *fixture) {
	keep := f.login()
	for range 2 {
		receipt, err := f.others(keep.ID, keep, 1)
		f.ok(err, "EndOthers")
		f.wantReceipt(receipt, session.CauseOthers, "")
	}
	receipt, err := f.Store.EndOthers(f.ctx, session.EndOthersStep{
		Owner: f.user("2"), Types: session.Types, Cause: session.CauseOperator,
	})
	f.ok(err, "EndOthers of nobody")
	f.wantReceipt(receipt, session.CauseOperator, "")
	f.wantTraces(f.owner)
}

func othersKeepGone(f *fixture) {
	s := f.logins(2)
	over := f.login()
	_, err := f.end(over.ID, session.CauseUser, "")
	f.ok(err, "End")
	foreign := f.loginAs(f.user("2"), session.Long)
	for _, keep := range []session.Session{over, foreign, {ID: session.NewID()}} {
		_, err := f.others(s[0].ID, keep, 1)
		f.fails(err, session.Unknown, "")
	}
	f.wantIDs("List", ids(f.listed(f.owner)), s[0].ID, s[1].ID)
}

// othersKeepSpent: the token just spent will do, an older one not; and it is
// not a refresh, so the session stays.
func othersKeepSpent(f *fixture) {
	other, first := f.login(), f.login()
	second := f.refresh(first, f.policy)
	receipt, err := f.others(first.ID, first, 1)
	f.ok(err, "EndOthers with the token just spent")
	f.wantReceipt(receipt, session.CauseOthers, "", other.ID)
	other = f.login()
	third := f.refresh(second, f.policy)
	_, err = f.others(first.ID, first, 1)
	f.fails(err, session.Unknown, "")
	f.wantSet("List", ids(f.listed(f.owner)), first.ID, other.ID)
	f.refresh(third, f.policy)
}

func othersKeepWindowEnd(f *fixture) {
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
		second := f.refresh(first, f.policy)
		f.until(second.Updated, second.Rotated.Add(at.window), at.early)
		step := f.othersStep(first.ID, first, 1)
		step.KeepWindow = at.window
		_, err := f.Store.EndOthers(f.ctx, step)
		if session.CodeOf(err) != at.code {
			f.Errorf("%s before the end of a window of %s: %v", at.early, at.window, err)
		}
		f.refresh(second, f.policy)
	}
}

// othersKeepAhead: a token whose rotation was lost will do as it does at a
// refresh; and it is not a refresh, so the record stays as it was.
func othersKeepAhead(f *fixture) {
	keep, other := f.login(), f.login()
	step := f.othersStep(keep.ID, keep, 0)
	step.KeepWindow = 0
	_, err := f.Store.EndOthers(f.ctx, step)
	f.fails(err, session.Unknown, "")
	f.wantSet("List", ids(f.listed(f.owner)), keep.ID, other.ID)
	for _, g := range []uint32{2, 9, math.MaxUint32} {
		step.KeepGeneration = g
		receipt, err := f.Store.EndOthers(f.ctx, step)
		f.ok(err, "EndOthers with a token ahead of its record")
		f.wantReceipt(receipt, session.CauseOthers, "", other.ID)
		other = f.login()
	}
	f.refresh(keep, f.policy)
}

func othersCaller(f *fixture) {
	keep, other, gone := f.login(), f.login(), f.login()
	_, err := f.end(gone.ID, session.CauseUser, "")
	f.ok(err, "End")
	foreign := f.loginAs(f.user("2"), session.Long)
	for _, caller := range []session.ID{gone.ID, foreign.ID, session.NewID()} {
		for _, k := range []session.Session{keep, {}} {
			_, err = f.others(caller, k, 1)
			f.fails(err, session.TokenRevoked, "")
		}
	}
	f.wantSet("List", ids(f.listed(f.owner)), keep.ID, other.ID)
	_, err = f.others("", keep, 1)
	f.ok(err, "EndOthers where no caller is checked")
}

func othersKeepFirst(f *fixture) {
	stays, gone := f.login(), f.login()
	third := f.refresh(f.refresh(stays, f.policy), f.policy)
	_, err := f.end(gone.ID, session.CauseUser, "")
	f.ok(err, "End")
	_, err = f.others(gone.ID, gone, 1)
	f.fails(err, session.Unknown, "")
	_, err = f.others(gone.ID, stays, 1)
	f.fails(err, session.Unknown, "")
	_, err = f.others(gone.ID, stays, third.Generation)
	f.fails(err, session.TokenRevoked, session.CauseUser)
	f.wantIDs("List", ids(f.listed(f.owner)), stays.ID)
}

func othersCallerEnds(f *fixture) {
	caller, keep := f.login(), f.login()
	receipt, err := f.others(caller.ID, keep, 1)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", caller.ID)
	_, err = f.others(caller.ID, keep, 1)
	f.fails(err, session.TokenRevoked, session.CauseOthers)
}

func othersMany(f *fixture) {
	const n = 3000
	keep := f.login()
	for range n {
		f.login()
	}
	receipt, err := f.others(keep.ID, keep, 1)
	f.ok(err, "EndOthers")
	if len(receipt.Ended) != n {
		f.Errorf("ended %d, want %d", len(receipt.Ended), n)
	}
	f.wantIDs("List", ids(f.listed(f.owner)), keep.ID)
}

func othersForeign(f *fixture) {
	keep := f.login()
	var foreign []session.Owner
	for _, o := range []session.Owner{f.user("2"), {App: "other", User: f.owner.User}} {
		f.loginAs(o, session.Long)
		f.loginAs(o, session.Short)
		foreign = append(foreign, o)
	}
	_, err := f.others(keep.ID, keep, 1)
	f.ok(err, "EndOthers")
	for _, o := range foreign {
		if n := len(f.listed(o)); n != 2 {
			f.Errorf("%s has %d sessions, want 2", o, n)
		}
	}
}

func othersCause(f *fixture) {
	for _, cause := range []session.Cause{session.CauseOthers, session.CauseOperator, session.CauseAccount} {
		o := f.user(string(cause))
		s := f.loginAs(o, session.Short)
		receipt, err := f.Store.EndOthers(f.ctx, session.EndOthersStep{
			Owner: o, Types: session.Types, Cause: cause, By: "alice|root",
		})
		f.ok(err, "EndOthers")
		f.wantReceipt(receipt, cause, "alice|root", s.ID)
		f.wantTraces(o, receipt.Ended...)
		f.fails(f.Ledger.Live(f.ctx, o, s.ID), session.Ended, cause)
	}
}
