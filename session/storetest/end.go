package storetest

import (
	"fmt"
	"time"

	"tokengate/session"
)

var endTests = map[string]func(*fixture){
	"Ends":         endEnds,
	"AnyType":      endAnyType,
	"Unknown":      endUnknown,
	"Twice":        endTwice,
	"Caller":       endCaller,
	"CallerItself": endItself,
	"TellsWhy":     endTellsWhy,
}

func endEnds(f *fixture) {
	s := f.logins(3)
	receipt, err := f.end(s[1].ID, session.CauseUser, "")
	f.ok(err, "End")
	f.wantReceipt(receipt, session.CauseUser, "", s[1].ID)
	if f.Clock != nil && !receipt.Now.Equal(f.Clock()) {
		f.Errorf("Now is %s, the clock says %s", stamp(receipt.Now), stamp(f.Clock()))
	}
	f.wantIDs("List", ids(f.listed(f.owner)), s[0].ID, s[2].ID)
	_, err = f.present(s[1], token(s[1]), f.policy)
	f.fails(err, session.Ended, session.CauseUser)
	f.wantTraces(f.owner, receipt.Ended...)
	f.refresh(s[2], f.policy)
}

// wantReceipt wants a receipt that tells of these sessions, in any order.
func (f *fixture) wantReceipt(r session.Receipt, cause session.Cause, by string, want ...session.ID) {
	f.Helper()
	f.wantSet("Ended", endedIDs(r.Ended), want...)
	for _, t := range r.Ended {
		if t.Cause != cause || t.By != by || apart(t.At, r.Now) >= time.Millisecond {
			f.Errorf("ended %+v, want %s by %q at %s", t, cause, by, r.Now)
		}
	}
}

func endAnyType(f *fixture) {
	for _, t := range session.Types {
		s := f.loginAs(f.owner, t)
		_, err := f.end(s.ID, session.CauseUser, "")
		f.ok(err, "End "+string(t))
	}
	f.wantIDs("List", ids(f.listed(f.owner)))
}

func endUnknown(f *fixture) {
	s := f.login()
	foreign := f.loginAs(f.user("2"), session.Long)
	elsewhere := f.loginAs(session.Owner{App: "other", User: f.owner.User}, session.Long)
	for _, id := range []session.ID{session.NewID(), foreign.ID, elsewhere.ID} {
		_, err := f.end(id, session.CauseUser, "")
		f.fails(err, session.Unknown, "")
	}
	f.wantIDs("List", ids(f.listed(f.owner)), s.ID)
	f.wantIDs("List", ids(f.listed(f.user("2"))), foreign.ID)
	f.wantTraces(f.owner)
}

func endTwice(f *fixture) {
	s := f.login()
	_, err := f.end(s.ID, session.CauseOperator, "alice")
	f.ok(err, "End")
	before := f.traces(f.owner)
	for range 2 {
		f.later()
		_, err = f.end(s.ID, session.CauseUser, "")
		f.fails(err, session.Ended, session.CauseOperator)
	}
	f.wantTraces(f.owner, before...)
}

func endCaller(f *fixture) {
	s := f.logins(3)
	short := f.loginAs(f.owner, session.Short)
	foreign := f.loginAs(f.user("2"), session.Long)
	_, err := f.end(s[0].ID, session.CauseUser, "")
	f.ok(err, "End")
	by := func(caller session.ID, id session.ID) error {
		_, err := f.Store.End(f.ctx, session.EndStep{Owner: f.owner, Caller: caller, ID: id, Cause: session.CauseUser})
		return err
	}
	for caller, cause := range map[session.ID]session.Cause{s[0].ID: session.CauseUser, foreign.ID: "", session.NewID(): ""} {
		f.fails(by(caller, s[1].ID), session.TokenRevoked, cause)
		f.fails(by(caller, session.NewID()), session.TokenRevoked, cause)
	}
	f.wantIDs("List", ids(f.listed(f.owner)), s[1].ID, s[2].ID, short.ID)
	f.ok(by(short.ID, s[1].ID), "End by a session of the other type")
	f.fails(by(short.ID, s[0].ID), session.Ended, session.CauseUser)
	f.fails(by(short.ID, session.NewID()), session.Unknown, "")
}

func endItself(f *fixture) {
	s := f.login()
	step := session.EndStep{Owner: f.owner, Caller: s.ID, ID: s.ID, Cause: session.CauseUser}
	_, err := f.Store.End(f.ctx, step)
	f.ok(err, "End")
	_, err = f.Store.End(f.ctx, step)
	f.fails(err, session.TokenRevoked, session.CauseUser)
}

// endTellsWhy gives every cause that an End may have, and authors that might
// be taken for the store's own punctuation.
func endTellsWhy(f *fixture) {
	causes := []session.Cause{session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount}
	authors := []string{"", "alice", "ops|night:{shift}, 50% \"done\" \\", "Zoë\n\x00", "|", "||"}
	for _, cause := range causes {
		for i, by := range authors {
			o := f.user(fmt.Sprint(cause, i))
			s := f.loginAs(o, session.Long)
			receipt, err := f.Store.End(f.ctx, session.EndStep{Owner: o, ID: s.ID, Cause: cause, By: by})
			f.ok(err, "End")
			f.wantReceipt(receipt, cause, by, s.ID)
			f.wantTraces(o, receipt.Ended...)
			f.fails(f.Ledger.Live(f.ctx, o, s.ID), session.Ended, cause)
		}
	}
}
