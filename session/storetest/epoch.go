package storetest

import (
	"fmt"
	"time"

	"tokengate/session"
)

var epochTests = map[string]func(*fixture){
	"EverySession":     epochAll,
	"EveryStep":        epochSteps,
	"OtherAppsAreSafe": epochApart,
	"LoginsCountAnew":  epochCaps,
	"AtOnce":           epochAtOnce,
	"Again":            epochAgain,
	"PastItsTime":      epochPast,
}

// endApp ends everything of the fixture's app, and lets a moment pass.
func (f *fixture) endApp() {
	f.Helper()
	_, err := f.Ledger.EndApp(f.ctx, f.owner.App)
	f.ok(err, "EndApp")
	f.later()
}

// epochAll has users enough for every bucket that a store may divide them into.
func epochAll(f *fixture) {
	s := map[session.Owner][]session.Session{}
	for i := range 300 {
		o := f.user(fmt.Sprint(i))
		s[o] = append(s[o], f.loginAs(o, session.Long), f.loginAs(o, session.Short))
	}
	f.endApp()
	for o, sessions := range s {
		f.wantIDs("List", ids(f.listed(o)))
		for _, one := range sessions {
			f.fails(f.Ledger.Live(f.ctx, o, one.ID), session.Ended, session.CauseApp)
		}
	}
}

func epochSteps(f *fixture) {
	var s [5]session.Session
	for i := range s {
		s[i] = f.login()
	}
	f.later()
	f.endApp()
	fresh := f.login()
	_, err := f.present(s[0], token(s[0]), f.policy)
	f.fails(err, session.Ended, session.CauseApp)
	_, err = f.present(s[0], session.Presented{Generation: 9, Expires: s[0].Absolute}, f.policy)
	f.failsApp(err)
	_, err = f.logout(s[1], token(s[1]), f.policy)
	f.failsApp(err)
	_, err = f.end(s[2].ID, session.CauseUser, "")
	f.failsApp(err)
	_, err = f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s[3].ID, Types: session.Types})
	f.fails(err, session.TokenRevoked, "")
	_, err = f.others(fresh.ID, s[3], 1)
	f.fails(err, session.Unknown, "")
	_, err = f.others(s[3].ID, fresh, 1)
	f.fails(err, session.TokenRevoked, "")
	receipt, err := f.others(fresh.ID, fresh, 1)
	f.ok(err, "EndOthers")
	f.wantReceipt(receipt, session.CauseOthers, "")
	f.failsApp(f.Ledger.Live(f.ctx, f.owner, s[4].ID))
	f.wantIDs("List", ids(f.listed(f.owner)), fresh.ID)
	for _, t := range f.traces(f.owner) {
		if t.Cause != session.CauseApp {
			f.Errorf("a trace says %s", t.Cause)
		}
	}
	f.refresh(fresh, f.policy)
}

func epochApart(f *fixture) {
	o := session.Owner{App: "other", User: f.owner.User}
	mine, theirs := f.login(), f.loginAs(o, session.Long)
	f.endApp()
	f.ok(f.Ledger.Live(f.ctx, o, theirs.ID), "Live in the other app")
	f.wantIDs("List", ids(f.listed(o)), theirs.ID)
	f.failsApp(f.Ledger.Live(f.ctx, f.owner, mine.ID))
}

func epochCaps(f *fixture) {
	for _, evict := range []bool{false, true} {
		for range 3 {
			f.login()
		}
		f.later()
		f.endApp()
		for range 2 {
			out, err := f.create(f.owner, session.Long, f.capped(2, evict))
			f.ok(err, "Create")
			f.wantIDs("Evicted", endedIDs(out.Evicted))
		}
		if n := len(f.listed(f.owner)); n != 2 {
			f.Errorf("%d sessions, want 2", n)
		}
	}
}

// epochAtOnce: what began is over and what begins is not, however little time
// lies between.
func epochAtOnce(f *fixture) {
	old := f.login()
	_, err := f.Ledger.EndApp(f.ctx, f.owner.App)
	f.ok(err, "EndApp")
	fresh := f.login()
	f.ok(f.Ledger.Live(f.ctx, f.owner, fresh.ID), "Live after EndApp")
	f.wantIDs("List", ids(f.listed(f.owner)), fresh.ID)
	f.failsApp(f.Ledger.Live(f.ctx, f.owner, old.ID))
	_, err = f.present(fresh, token(fresh), f.policy)
	f.ok(err, "Refresh after EndApp")
}

// epochPast: that a session's own time passes later changes nothing in how it
// ended, but that there is no more to tell of it.
func epochPast(f *fixture) {
	s, other := f.login(), f.loginAs(f.owner, session.Short)
	f.later()
	f.endApp()
	f.until(s.Updated, s.Expires, f.margin)
	_, err := f.present(s, token(s), f.policy)
	f.failsApp(err)
	f.failsApp(f.Ledger.Live(f.ctx, f.owner, other.ID))
	_, err = f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Caller: s.ID, Types: session.Types})
	if session.CauseOf(err) != "" {
		f.fails(err, session.TokenRevoked, session.CauseApp)
	}
	f.fails(err, session.TokenRevoked, "")
	f.wantTraces(f.owner)
}

func epochAgain(f *fixture) {
	for range 3 {
		s := f.login()
		f.later()
		f.endApp()
		f.fails(f.Ledger.Live(f.ctx, f.owner, s.ID), session.Ended, session.CauseApp)
	}
	s := f.login()
	for range 2 {
		f.Advance(10 * time.Minute)
		s = f.refresh(s, f.policy)
	}
}
