package storetest

import (
	"time"

	"tokengate/session"
)

var logoutTests = map[string]func(*fixture){
	"revokes the session":                   logoutRevokes,
	"fails the second time":                 logoutTwice,
	"a token spent within the retry window": logoutInWindow,
	"the retry window ends":                 logoutWindowEnd,
	"a replay revokes the session":          logoutReplay,
	"without reuse detection":               logoutWithoutReuseDetection,
	"another expiry than the session has":   logoutOtherExpiry,
	"a token ahead of the record":           logoutAhead,
	"another ID, user, app or type":         logoutUnknown,
}

func (f *fixture) logout(s session.Session, presented session.Presented, p session.Policy) (session.RevokeResult, error) {
	return f.Store.Logout(f.ctx, session.LogoutStep{
		Owner: f.owner, ID: s.ID, Type: s.Type, Presented: presented, Policy: p,
	})
}

func logoutRevokes(f *fixture) {
	for _, t := range session.Types {
		other, s := f.loginAs(f.owner, t), f.loginAs(f.owner, t)
		result, err := f.logout(s, token(s), f.policy)
		f.noError(err, "Logout")
		f.wantRevoked(result, session.CauseLogout, "", s.ID)
		f.wantIDs("List", ids(f.mustList(f.owner, t)), other.ID)
		_, err = f.refresh(s, token(s), f.policy)
		f.wantError(err, session.Revoked, session.CauseLogout)
		f.mustRefresh(other, f.policy)
	}
}

// logoutTwice checks that a second logout fails and leaves the tombstone as it is.
func logoutTwice(f *fixture) {
	s := f.login()
	_, err := f.logout(s, token(s), f.policy)
	f.noError(err, "Logout")
	before := f.mustTombstones(f.owner)
	f.tick()
	_, err = f.logout(s, token(s), f.policy)
	f.wantError(err, session.Revoked, session.CauseLogout)
	f.wantTombstones(f.owner, before...)
}

func logoutInWindow(f *fixture) {
	first := f.login()
	second := f.mustRefresh(first, f.policy)
	result, err := f.logout(first, token(first), f.policy)
	f.noError(err, "Logout with the token just spent")
	f.wantRevoked(result, session.CauseLogout, "", first.ID)
	_, err = f.refresh(second, token(second), f.policy)
	f.wantError(err, session.Revoked, session.CauseLogout)
}

// logoutWindowEnd checks that a spent token logs out until Rotated plus RetryWindow, and
// is a replay from that moment on.
func logoutWindowEnd(f *fixture) {
	for _, at := range []struct {
		early time.Duration
		code  session.Code
		cause session.Cause
	}{{f.margin, session.OK, session.CauseLogout}, {0, session.Replayed, session.CauseReplay}} {
		first := f.login()
		second := f.mustRefresh(first, f.policy)
		f.advanceTo(second.Updated, second.Rotated.Add(f.policy.RetryWindow), at.early)
		_, err := f.logout(first, token(first), f.policy)
		if session.CodeOf(err) != at.code {
			f.Errorf("%s before the end of the window: got %v, want %s", at.early, err, at.code)
		}
		f.wantError(f.live(f.owner, first.ID), session.Revoked, at.cause)
	}
}

func logoutReplay(f *fixture) {
	first := f.login()
	third := f.mustRefresh(f.mustRefresh(first, f.policy), f.policy)
	_, err := f.logout(first, token(first), f.policy)
	f.wantError(err, session.Replayed, session.CauseReplay)
	_, err = f.logout(third, token(third), f.policy)
	f.wantError(err, session.Revoked, session.CauseReplay)
	f.wantList()
}

// logoutWithoutReuseDetection checks that a spent token is rejected and its session
// remains.
func logoutWithoutReuseDetection(f *fixture) {
	first, p := f.login(), f.policy
	p.ReuseDetection = false
	third := f.mustRefresh(f.mustRefresh(first, p), p)
	_, err := f.logout(first, token(first), p)
	f.wantError(err, session.Spent, "")
	third = f.mustRefresh(third, p)
	p.RetryWindow = 0
	presented := session.Presented{Secret: third.Secret, Generation: third.Generation - 1, Expires: third.Expires}
	_, err = f.logout(third, presented, p)
	f.wantError(err, session.Spent, "")
	f.mustRefresh(third, p)
}

func logoutOtherExpiry(f *fixture) {
	s := f.login()
	presented := token(s)
	presented.Expires = presented.Expires.Add(time.Second)
	_, err := f.logout(s, presented, f.policy)
	f.wantError(err, session.Unknown, "")
	f.mustRefresh(s, f.policy)
}

// logoutAhead checks that a token ahead of the record logs out: the store has lost
// acknowledged refreshes.
func logoutAhead(f *fixture) {
	s := f.login()
	result, err := f.logout(s, session.Presented{Secret: s.Secret, Generation: 4, Expires: s.Expires.Add(time.Hour)}, f.policy)
	f.noError(err, "Logout")
	f.wantRevoked(result, session.CauseLogout, "", s.ID)
	f.wantList()
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
		changed := step
		change(&changed)
		_, err := f.Store.Logout(f.ctx, changed)
		if session.CodeOf(err) != session.Unknown {
			f.Errorf("%s: got %v, want %s", name, err, session.Unknown)
		}
	}
	f.mustRefresh(s, f.policy)
	f.wantTombstones(f.owner)
}
