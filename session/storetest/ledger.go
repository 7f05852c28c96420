package storetest

import (
	"fmt"
	"slices"
	"time"

	"tokengate/session"
)

var ledgerTests = map[string]func(*fixture){
	"Live":              ledgerLive,
	"TracesInOrder":     ledgerOrder,
	"TracesOfAllCauses": ledgerCauses,
	"AtMost32":          ledgerLimit,
	"AtMost32AtOnce":    ledgerLimitAtOnce,
	"ForSevenDays":      ledgerLasts,
	"TracesApart":       ledgerApart,
}

func ledgerLive(f *fixture) {
	live := func(o session.Owner, id session.ID) error { return f.Ledger.Live(f.ctx, o, id) }
	long, short := f.login(), f.loginAs(f.owner, session.Short)
	f.ok(live(f.owner, long.ID), "Live")
	f.ok(live(f.owner, short.ID), "Live")
	f.fails(live(f.owner, session.NewID()), session.Unknown, "")
	f.fails(live(f.user("2"), long.ID), session.Unknown, "")
	f.fails(live(session.Owner{App: "other", User: f.owner.User}, long.ID), session.Unknown, "")
	_, err := f.end(long.ID, session.CauseAccount, "")
	f.ok(err, "End")
	f.fails(live(f.owner, long.ID), session.Ended, session.CauseAccount)
	f.ok(live(f.owner, short.ID), "Live")
	other := long.ID[:21] + "A" // a last character holds two bits: A, Q, g or w
	if other == long.ID {
		other = long.ID[:21] + "Q"
	}
	f.fails(live(f.owner, other), session.Unknown, "")
}

func ledgerOrder(f *fixture) {
	s := f.logins(4)
	for _, i := range []int{2, 0, 3, 1} {
		_, err := f.end(s[i].ID, session.CauseUser, "")
		f.ok(err, "End")
		f.Advance(time.Millisecond)
	}
	f.wantIDs("traces", endedIDs(f.traces(f.owner)), s[1].ID, s[3].ID, s[0].ID, s[2].ID)
}

func ledgerCauses(f *fixture) {
	var want []session.Trace
	note := func(id session.ID, cause session.Cause, by string, at time.Time) {
		want = append(want, session.Trace{ID: id, Cause: cause, By: by, At: at})
		f.later()
	}
	for _, cause := range []session.Cause{
		session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount,
	} {
		receipt, err := f.end(f.login().ID, cause, "by "+string(cause))
		f.ok(err, "End")
		note(receipt.Ended[0].ID, cause, "by "+string(cause), receipt.Now)
	}
	s := f.login()
	receipt, err := f.logout(s, token(s), f.policy)
	f.ok(err, "Logout")
	note(s.ID, session.CauseLogout, "", receipt.Now)

	s = f.login()
	receipt, err = f.others("", session.Session{}, 0)
	f.ok(err, "EndOthers")
	note(s.ID, session.CauseOthers, "", receipt.Now)

	s = f.login()
	created, err := f.create(f.owner, session.Long, f.capped(1, true))
	f.ok(err, "Create")
	note(s.ID, session.CauseEvicted, string(created.Session.ID), created.Now)

	next := f.refresh(f.refresh(created.Session, f.policy), f.policy)
	_, err = f.present(created.Session, token(created.Session), f.policy)
	f.fails(err, session.Replayed, session.CauseReplay)
	note(created.Session.ID, session.CauseReplay, "", next.Updated)

	f.wantTraces(f.owner, want...)
	for _, t := range want {
		f.fails(f.Ledger.Live(f.ctx, f.owner, t.ID), session.Ended, t.Cause)
	}
}

const maxTraces = 32

func ledgerLimit(f *fixture) {
	var ended []session.ID
	for range maxTraces + 8 {
		s := f.login()
		_, err := f.end(s.ID, session.CauseUser, "")
		f.ok(err, "End")
		ended = append(ended, s.ID)
		f.Advance(time.Millisecond)
	}
	slices.Reverse(ended)
	f.wantIDs("traces", endedIDs(f.traces(f.owner)), ended[:maxTraces]...)
	f.fails(f.Ledger.Live(f.ctx, f.owner, ended[maxTraces-1]), session.Ended, session.CauseUser)
	f.fails(f.Ledger.Live(f.ctx, f.owner, ended[maxTraces]), session.Unknown, "")
}

// ledgerLimitAtOnce: of sessions that end in one step any may be forgotten.
func ledgerLimitAtOnce(f *fixture) {
	all := ids(f.logins(maxTraces + 8))
	receipt, err := f.others("", session.Session{}, 0)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "", all...)
	got := endedIDs(f.traces(f.owner))
	slices.Sort(got)
	if got = slices.Compact(got); len(got) != maxTraces {
		f.Fatalf("traces of %d sessions, want %d", len(got), maxTraces)
	}
	for _, id := range got {
		if !slices.Contains(all, id) {
			f.Errorf("a trace of %s, which there never was", id)
		}
	}
}

func ledgerLasts(f *fixture) {
	s := f.login()
	receipt, err := f.end(s.ID, session.CauseUser, "")
	f.ok(err, "End")
	f.Advance(7*24*time.Hour - time.Second)
	f.loginAs(f.user("2"), session.Long)
	f.wantTraces(f.owner, receipt.Ended...)
	f.fails(f.Ledger.Live(f.ctx, f.owner, s.ID), session.Ended, session.CauseUser)
}

func ledgerApart(f *fixture) {
	for i, o := range []session.Owner{f.owner, f.user("2"), {App: "other", User: f.owner.User}} {
		s := f.loginAs(o, session.Long)
		receipt, err := f.Store.End(f.ctx, session.EndStep{
			Owner: o, ID: s.ID, Cause: session.CauseOperator, By: fmt.Sprint(i),
		})
		f.ok(err, "End")
		f.wantTraces(o, receipt.Ended...)
	}
}
