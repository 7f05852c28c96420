package storetest

import (
	"time"

	"tokengate/session"
)

var logoutTests = map[string]func(*fixture){
	"Ends":                  logoutEnds,
	"Twice":                 logoutTwice,
	"SpentInTheWindow":      logoutRetried,
	"WindowsEnd":            logoutWindowEnd,
	"SpentLongAgo":          logoutReplayed,
	"WithoutReuseDetection": logoutSpent,
	"OtherExpiry":           logoutOtherExpiry,
	"Ahead":                 logoutAhead,
	"Unknown":               logoutUnknown,
}

func (f *fixture) logout(s session.Session, with session.Presented, p session.Policy) (session.Receipt, error) {
	return f.Store.Logout(f.ctx, session.LogoutStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: with, Policy: p,
	})
}

func logoutEnds(f *fixture) {
	for _, t := range session.Types {
		stays, s := f.loginAs(f.owner, t), f.loginAs(f.owner, t)
		receipt, err := f.logout(s, token(s), f.policy)
		f.ok(err, "Logout")
		f.wantReceipt(receipt, session.CauseLogout, "", s.ID)
		f.wantIDs("List", ids(f.listed(f.owner, t)), stays.ID)
		_, err = f.present(s, token(s), f.policy)
		f.fails(err, session.Ended, session.CauseLogout)
		f.refresh(stays, f.policy)
	}
}

func logoutTwice(f *fixture) {
	s := f.login()
	_, err := f.logout(s, token(s), f.policy)
	f.ok(err, "Logout")
	before := f.traces(f.owner)
	f.later()
	_, err = f.logout(s, token(s), f.policy)
	f.fails(err, session.Ended, session.CauseLogout)
	f.wantTraces(f.owner, before...)
}

func logoutRetried(f *fixture) {
	first := f.login()
	second := f.refresh(first, f.policy)
	receipt, err := f.logout(first, token(first), f.policy)
	f.ok(err, "Logout with the token just spent")
	f.wantReceipt(receipt, session.CauseLogout, "", first.ID)
	_, err = f.present(second, token(second), f.policy)
	f.fails(err, session.Ended, session.CauseLogout)
}

func logoutWindowEnd(f *fixture) {
	for _, at := range []struct {
		early time.Duration
		code  session.Code
		cause session.Cause
	}{{f.margin, session.OK, session.CauseLogout}, {0, session.Replayed, session.CauseReplay}} {
		first := f.login()
		second := f.refresh(first, f.policy)
		f.until(second.Updated, second.Rotated.Add(f.policy.RetryWindow), at.early)
		_, err := f.logout(first, token(first), f.policy)
		if session.CodeOf(err) != at.code {
			f.Errorf("%s before the window's end: %v", at.early, err)
		}
		f.fails(f.Ledger.Live(f.ctx, f.owner, first.ID), session.Ended, at.cause)
	}
}

func logoutReplayed(f *fixture) {
	first := f.login()
	third := f.refresh(f.refresh(first, f.policy), f.policy)
	_, err := f.logout(first, token(first), f.policy)
	f.fails(err, session.Replayed, session.CauseReplay)
	_, err = f.logout(third, token(third), f.policy)
	f.fails(err, session.Ended, session.CauseReplay)
	f.wantIDs("List", ids(f.listed(f.owner)))
}

func logoutSpent(f *fixture) {
	first, p := f.login(), f.policy
	p.ReuseDetection = false
	third := f.refresh(f.refresh(first, p), p)
	_, err := f.logout(first, token(first), p)
	f.fails(err, session.Spent, "")
	third = f.refresh(third, p)
	p.RetryWindow = 0
	with := session.Presented{Generation: third.Generation - 1, Expires: third.Expires}
	_, err = f.logout(third, with, p)
	f.fails(err, session.Spent, "")
	f.refresh(third, p)
}

func logoutOtherExpiry(f *fixture) {
	s := f.login()
	with := token(s)
	with.Expires = with.Expires.Add(time.Second)
	_, err := f.logout(s, with, f.policy)
	f.fails(err, session.Unknown, "")
	f.refresh(s, f.policy)
}

// logoutAhead: the store has lost a refresh; the token is good all the same.
func logoutAhead(f *fixture) {
	s := f.login()
	receipt, err := f.logout(s, session.Presented{Generation: 4, Expires: s.Expires.Add(time.Hour)}, f.policy)
	f.ok(err, "Logout")
	f.wantReceipt(receipt, session.CauseLogout, "", s.ID)
	f.wantIDs("List", ids(f.listed(f.owner)))
}

func logoutUnknown(f *fixture) {
	s := f.login()
	step := session.LogoutStep{Owner: f.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: f.policy}
	for name, change := range map[string]func(*session.LogoutStep){
		"other id":   func(l *session.LogoutStep) { l.ID = session.NewID() },
		"other user": func(l *session.LogoutStep) { l.User += "2" },
		"other app":  func(l *session.LogoutStep) { l.App = "other" },
		"other type": func(l *session.LogoutStep) { l.Type = session.Short },
	} {
		asked := step
		change(&asked)
		_, err := f.Store.Logout(f.ctx, asked)
		if session.CodeOf(err) != session.Unknown {
			f.Errorf("%s: %v", name, err)
		}
	}
	f.refresh(s, f.policy)
	f.wantTraces(f.owner)
}
