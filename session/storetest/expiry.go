package storetest

import (
	"time"

	"tokengate/session"
)

var expiryTests = map[string]func(*fixture){
	"AtItsEnd":       expiryBoundary,
	"EverywhereGone": expiryEverywhere,
	"OnlyTheOld":     expiryOthersStay,
	"NoTrace":        expiryNoTrace,
	"StaysGone":      expiryStays,
}

// expiryBoundary: a session lives until Expires, that moment excluded.
func expiryBoundary(f *fixture) {
	p := f.policy
	p.Rotate = false
	s := f.login()
	f.until(s.Updated, s.Expires, f.margin)
	f.ok(f.Ledger.Live(f.ctx, f.owner, s.ID), "Live at the end")
	f.refresh(s, p)
	f.Advance(f.margin)
	f.failsOver(f.Ledger.Live(f.ctx, f.owner, s.ID), session.CauseExpired)
	f.wantIDs("List", ids(f.listed(f.owner)))
	_, err := f.present(s, token(s), p)
	f.failsOver(err, session.CauseExpired)
}

// expiryEverywhere asks every step for a session that is over, first where no
// login has trimmed it, then where one has.
func expiryEverywhere(f *fixture) {
	var s [5]session.Session
	for i := range s {
		s[i] = f.login()
	}
	f.Advance(f.policy.Lifetime)
	for range 2 {
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s[0].ID, Types: session.Types})
		f.fails(err, session.TokenRevoked, "")
		_, err = f.end(s[1].ID, session.CauseUser, "")
		f.fails(err, session.Unknown, "")
		_, err = f.logout(s[2], token(s[2]), f.policy)
		f.failsOver(err, session.CauseExpired)
		f.failsOver(f.Ledger.Live(f.ctx, f.owner, s[3].ID), session.CauseExpired)
		_, err = f.present(s[4], token(s[4]), f.policy)
		f.failsOver(err, session.CauseExpired)
		fresh := f.login()
		_, err = f.Store.End(f.ctx, session.EndStep{Owner: f.owner, Caller: s[0].ID, ID: fresh.ID, Cause: session.CauseUser})
		f.fails(err, session.TokenRevoked, "")
		_, err = f.others(fresh.ID, s[3], 1)
		f.fails(err, session.Unknown, "")
		_, err = f.others(s[3].ID, fresh, 1)
		f.fails(err, session.TokenRevoked, "")
		f.wantTraces(f.owner)
		f.Advance(f.policy.Lifetime)
	}
	fresh := f.login()
	f.wantIDs("List", ids(f.listed(f.owner)), fresh.ID)
	receipt, err := f.others(fresh.ID, fresh, 1)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "")
}

func expiryOthersStay(f *fixture) {
	old := f.login()
	f.Advance(f.policy.Lifetime - time.Minute)
	fresh := f.login()
	f.Advance(time.Minute)
	f.wantIDs("List", ids(f.listed(f.owner)), fresh.ID)
	_, err := f.present(old, token(old), f.policy)
	f.failsOver(err, session.CauseExpired)
	f.refresh(fresh, f.policy)
}

func expiryNoTrace(f *fixture) {
	f.login()
	f.Advance(f.policy.Lifetime)
	f.login()
	f.wantTraces(f.owner)
}

// expiryStays: a token above the record's generation, which heals a live
// session, brings nothing back.
func expiryStays(f *fixture) {
	s := f.login()
	f.Advance(f.policy.Lifetime)
	for range 3 {
		_, err := f.present(s, session.Presented{Generation: 9, Expires: s.Absolute}, f.policy)
		f.failsOver(err, session.CauseExpired)
		f.wantIDs("List", ids(f.listed(f.owner)))
	}
}
