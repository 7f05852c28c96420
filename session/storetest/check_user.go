package storetest

import (
	"context"
	"fmt"
	"strings"

	"tokengate/session"
)

var checkUserTests = map[string]func(*fixture){
	"the user must exist and be active":                        checkUserActive,
	"a refresh ends the session of a missing or inactive user": checkUserRefresh,
	"the password must be the one that was checked":            checkUserPassword,
	"users are checked only on request":                        checkUserNotRequested,
	"a number and its text are one user":                       checkUserNumber,
	"unusual user IDs":                                         checkUserUnusualIDs,
}

// checkUserActive runs each step that can check its user while the user is missing,
// inactive, active and removed. A step that fails changes nothing.
func checkUserActive(f *fixture) {
	kept, target := f.login(), f.login()
	for _, state := range []struct {
		code session.Code
		set  func() error
	}{
		{session.UserUnknown, func() error { return nil }},
		{session.UserInactive, func() error { return f.putUser(f.owner, "zoë", false) }},
		{session.OK, func() error { return f.putUser(f.owner, "zoë", true) }},
		{session.UserUnknown, func() error {
			return f.removeAccount(f.owner.App, session.TextID(f.owner.User))
		}},
	} {
		f.noError(state.set(), "setting the user")
		before, tombstones := f.mustList(f.owner), f.mustTombstones(f.owner)
		for name, step := range f.checkedSteps(kept, target.ID) {
			if err := step(f.ctx); session.CodeOf(err) != state.code {
				f.Errorf("%s: got %v, want %s", name, err, state.code)
			}
		}
		if state.code == session.OK {
			target = f.login()
			continue
		}
		for i, got := range f.mustList(f.owner) {
			f.wantSession("List after "+string(state.code), got, before[i])
		}
		f.wantTombstones(f.owner, tombstones...)
	}
}

// checkUserRefresh checks that a refresh revokes the session if the user is missing or
// inactive and the token is good. Otherwise it returns what it would return without the
// check.
func checkUserRefresh(f *fixture) {
	credential := session.Fingerprint{1}
	refresh := func(s session.Session, presented session.Presented) error {
		_, err := f.Store.Refresh(f.ctx, session.RefreshStep{
			Owner: f.owner, CheckUser: true, Policy: f.policy, ID: s.ID, Type: s.Type, Presented: presented,
		})
		return err
	}
	for _, state := range []struct {
		code session.Code
		set  func() error
	}{
		{session.UserUnknown, func() error { return nil }},
		{session.UserInactive, func() error { return f.putUser(f.owner, "zoë", false) }},
		{session.UserInactive, func() error {
			return f.replaceAccount(f.owner.App, session.Account{ID: session.TextID(f.owner.User), Username: "zoë", Password: "x", Credential: credential})
		}},
	} {
		f.noError(state.set(), "setting the user")
		s, retried := f.loginWith(credential, session.Long, false).Session, f.login()
		f.mustRefresh(retried, f.policy)
		forged := token(s)
		forged.Secret[0]++
		f.wantError(refresh(s, forged), session.Unknown, "")
		f.noError(f.live(f.owner, s.ID), "Live after a forged token")
		for _, s := range []session.Session{s, retried} {
			f.wantError(refresh(s, token(s)), state.code, session.CauseAccount)
			f.wantError(f.live(f.owner, s.ID), session.Revoked, session.CauseAccount)
			f.wantError(refresh(s, token(s)), session.Revoked, session.CauseAccount)
		}
		f.wantList()
	}
	f.noError(f.putUser(f.owner, "zoë", true), "PutAccount")
	s := f.login()
	f.noError(refresh(s, token(s)), "Refresh of an active user")
}

// checkedSteps returns every step with CheckUser set except Refresh, by name.
// CheckToken checks the token of s, Revoke revokes target, and RevokeOthers revokes the SHORT sessions.
func (f *fixture) checkedSteps(s session.Session, target session.ID) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Create": func(ctx context.Context) error {
			_, err := f.Store.Create(ctx, session.CreateStep{
				Owner: f.owner, CheckUser: true, Policy: f.policy,
				Session: session.Session{ID: session.NewID(), Type: session.Short},
			})
			return err
		},
		"CheckToken": func(ctx context.Context) error {
			return f.Store.CheckToken(ctx, session.RefreshStep{
				Owner: f.owner, CheckUser: true, Policy: f.policy, ID: s.ID, Type: s.Type, Presented: token(s),
			})
		},
		"List": func(ctx context.Context) error {
			_, err := f.Store.List(ctx, session.ListStep{Owner: f.owner, CheckUser: true, Types: session.Types})
			return err
		},
		"Revoke": func(ctx context.Context) error {
			_, err := f.Store.Revoke(ctx, session.RevokeStep{
				Owner: f.owner, CheckUser: true, ID: target, Cause: session.CauseUser,
			})
			return err
		},
		"RevokeOthers": func(ctx context.Context) error {
			step := f.revokeOthersStep("", session.Session{}, 0)
			step.CheckUser, step.Types = true, []session.Type{session.Short}
			_, err := f.Store.RevokeOthers(ctx, step)
			return err
		},
	}
}

// checkUserPassword checks that a login whose password was replaced since it was compared
// creates no session and evicts none, and that a new hash of the same password does not
// matter.
func checkUserPassword(f *fixture) {
	f.policy = f.withMaximum(1, true)
	kept := f.login()
	step := session.CreateStep{
		Owner: f.owner, Policy: f.policy, CheckUser: true, Session: session.Session{ID: session.NewID(), Type: kept.Type},
	}
	a := session.Account{ID: session.TextID(f.owner.User), Username: "zoë", Active: true}
	for _, stored := range []session.Fingerprint{{1}, {}, {0, 0, 0, 1}, {0xff, 0xfe, '|', '\n'}} {
		a.Credential = stored
		f.noError(f.replaceAccount(f.owner.App, a), "PutAccount")
		for _, compared := range []session.Fingerprint{{2}, {1, 1}, {0, 0, 0, 2}} {
			step.Session.Credential = compared
			if _, err := f.Store.Create(f.ctx, step); session.CodeOf(err) != session.UserUnknown {
				f.Errorf("Create with credential %x while %x is stored: got %v, want %s", compared, stored, err, session.UserUnknown)
			}
		}
	}
	f.wantSession("List", f.mustList(f.owner)[0], kept)
	step.Session.Credential = a.Credential
	a.Password = "another hash"
	f.noError(f.replaceAccount(f.owner.App, a), "PutAccount")
	_, err := f.Store.Create(f.ctx, step)
	f.noError(err, "Create")
}

// putUser writes the user that an owner names, or replaces it.
func (f *fixture) putUser(o session.Owner, username string, active bool) error {
	return f.replaceAccount(o.App, session.Account{
		ID: session.TextID(o.User), Username: username, Password: "x", Active: active,
	})
}

// checkUserNotAsked checks that an inactive user can run steps without CheckUser.
func checkUserNotRequested(f *fixture) {
	f.noError(f.putUser(f.owner, "zoë", false), "PutAccount")
	s := f.mustRefresh(f.login(), f.policy)
	_, err := f.logout(s, token(s), f.policy)
	f.noError(err, "Logout")
}

// checkUserNumber checks that a step of the owner "42" finds the user whose ID is the
// number 42.
func checkUserNumber(f *fixture) {
	f.owner.User = "42"
	f.noError(f.replaceAccount(f.owner.App, session.Account{
		ID: session.NumberID(42), Username: "zoë", Password: "x", Active: true,
	}), "PutAccount")
	s := f.login()
	for name, step := range f.checkedSteps(s, s.ID) {
		if name == "List" || name == "Create" {
			f.noError(step(f.ctx), name)
		}
	}
}

// checkUserUnusualIDs uses IDs that contain characters which a store may use as
// separators, or that are escaped forms of one another. In every step each must be a
// separate user.
func checkUserUnusualIDs(f *fixture) {
	users := []string{
		"{", "}", "{}", "{shop:00}", "}{", ":", "a:b", "a:b:c", "|", "a|b", "%", "%7b", "%7B", "%7d", "%3a", "%3A",
		"%25", "%257b", "a%3Ab", "a%3ab", "a_b", "a b", " ", "a\nb", "a\x00b", "\\", "\"", "'", "*", "?", "[a-z]",
		"42", "042", "LONG:42", "data:LONG:42", "tombstones:42", "revocations", "not_before", "ユーザー", "é", "e\u0301", "👩‍💻",
		strings.Repeat("u", 512), strings.Repeat("u", 511) + "v", strings.Repeat(":", 512), strings.Repeat("é", 256),
	}
	sessions := map[string]session.Session{}
	for i, user := range users {
		f.owner.User = user
		f.wantIDs(fmt.Sprintf("List of %.20q before the login", user), ids(f.mustList(f.owner)))
		if i%2 == 0 {
			f.noError(f.putUser(f.owner, "name of "+user, true), "PutAccount")
		}
		sessions[user] = f.mustRefresh(f.login(), f.policy)
	}
	for i, user := range users {
		f.owner.User = user
		s := sessions[user]
		f.wantIDs(fmt.Sprintf("List of %.20q", user), ids(f.mustList(f.owner)), s.ID)
		want := session.OK
		if i%2 == 1 {
			want = session.UserUnknown
		}
		_, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, CheckUser: true, Types: session.Types})
		if session.CodeOf(err) != want {
			f.Errorf("List of %.20q: got %v, want %s", user, err, want)
		}
		out, err := f.create(f.owner, session.Long, f.withMaximum(1, true))
		f.noError(err, "Create")
		f.wantTombstones(f.owner, out.Revoked...)
		f.wantIDs("Evicted", tombstoneIDs(out.Revoked), s.ID)
		_, err = f.logout(out.Session, token(out.Session), f.policy)
		f.noError(err, "Logout")
	}
}
