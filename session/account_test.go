package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

// loginWith logs alice in while the credential has a fingerprint.
func (f *fixture) loginWith(credential session.Fingerprint) session.Tokens {
	f.Helper()
	user := f.checker.users["alice"]
	user.Credential = credential
	f.checker.users["alice"] = user
	return f.login(session.Long)
}

// TestRefreshOfUserWhoIsGone checks that the refresh of a removed or disabled user ends
// the session for good, and that a user source that does not answer ends nothing.
func TestRefreshOfUserWhoIsGone(t *testing.T) {
	for recheck, want := range map[session.Code]session.Code{
		session.UserUnknown: session.Revoked, session.UserInactive: session.UserInactive,
	} {
		f := newFixture(t)
		tokens, other := f.login(session.Long), f.login(session.Long)
		f.checker.recheckErrs["1"] = session.Fail(session.Unavailable, nil)
		_, err := f.refresh(tokens.Refresh)
		f.wantError(err, session.Unavailable, "")
		f.wantEvents("refresh shop/1 unavailable")
		f.checker.recheckErrs["1"] = session.Fail(recheck, nil)
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, want, session.CauseAccount)
		f.wantEvents("refresh shop/1 "+string(want), "refresh shop/1 ok account")
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, session.Revoked, session.CauseAccount)
		f.wantEvents("refresh shop/1 ended")
		delete(f.checker.recheckErrs, "1")
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, session.Revoked, session.CauseAccount)
		f.wantVerify("", tokens.Access, session.TokenRevoked, session.CauseAccount, false)
		_, err = f.refresh(other.Refresh) // not refreshed meanwhile
		f.wantError(err, session.OK, "")
	}
}

// TestRefreshAsksAgainBeforeEnding checks that an answer from a cache ends no session: a
// user who was enabled again meanwhile keeps theirs.
func TestRefreshAsksAgainBeforeEnding(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.checker.recheckErrs["1"] = session.Fail(session.UserInactive, nil)
	f.checker.freshen = func() { delete(f.checker.recheckErrs, "1") }
	_, err := f.refresh(tokens.Refresh)
	f.wantError(err, session.OK, "")
	if f.checker.freshRechecks != 1 {
		t.Errorf("got %d fresh rechecks, want 1", f.checker.freshRechecks)
	}
}

// TestRefreshOfEndedSessionAsksOnce checks that a client that goes on using the token of
// an ended session causes no fresh recheck.
func TestRefreshOfEndedSessionAsksOnce(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.checker.recheckErrs["1"] = session.Fail(session.UserInactive, nil)
	for _, want := range []session.Code{session.UserInactive, session.Revoked, session.Revoked} {
		_, err := f.refresh(tokens.Refresh)
		f.wantError(err, want, session.CauseAccount)
	}
	if f.checker.freshRechecks != 1 {
		t.Errorf("got %d fresh rechecks, want 1", f.checker.freshRechecks)
	}
}

// TestRefreshWithChangedCredential checks that a refresh ends the session of another
// credential, that a login with the present one is not affected, and that a source
// without credentials ends nothing.
func TestRefreshWithChangedCredential(t *testing.T) {
	f := newFixture(t)
	before, after := session.Fingerprint{1}, session.Fingerprint{2}
	old := f.loginWith(before)
	for _, status := range []session.Status{{}, {Credential: before}} {
		f.checker.statuses["1"] = status
		tokens, err := f.refresh(old.Refresh)
		f.wantError(err, session.OK, "")
		old.Refresh = tokens.Refresh
	}
	present := f.loginWith(after)
	f.checker.statuses["1"] = session.Status{Credential: after}
	f.events.take()
	_, err := f.refresh(old.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)
	f.wantEvents("refresh shop/1 ended", "refresh shop/1 ok account")
	f.list.CaughtUp(f.now)
	f.wantVerify("", old.Access, session.TokenRevoked, session.CauseAccount, false)
	_, err = f.refresh(present.Refresh)
	f.wantError(err, session.OK, "")
}

// TestRefreshWithStaleCredential checks that a status from a cache, from before the
// password was changed, does not end the session of a login with the new one.
func TestRefreshWithStaleCredential(t *testing.T) {
	f := newFixture(t)
	before, after := session.Fingerprint{1}, session.Fingerprint{2}
	f.checker.statuses["1"] = session.Status{Credential: before}
	tokens := f.loginWith(after)
	f.checker.freshen = func() { f.checker.statuses["1"] = session.Status{Credential: after} }
	_, err := f.refresh(tokens.Refresh)
	f.wantError(err, session.OK, "")

	f.checker.statuses["1"] = session.Status{Credential: before}
	f.checker.freshen = func() { f.checker.recheckErrs["1"] = session.Fail(session.Unavailable, nil) }
	_, err = f.refresh(f.loginWith(after).Refresh)
	f.wantError(err, session.Unavailable, "")
	delete(f.checker.recheckErrs, "1")
	f.wantLive(2)
}

// TestSessionTakesCredentialOver checks that a session without a credential has that of
// its next refresh.
func TestSessionTakesCredentialOver(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.checker.statuses["1"] = session.Status{Credential: session.Fingerprint{1}}
	tokens, err := f.refresh(tokens.Refresh)
	f.wantError(err, session.OK, "")
	f.checker.statuses["1"] = session.Status{Credential: session.Fingerprint{2}}
	_, err = f.refresh(tokens.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)
}

// TestVerifyAfterCredentialChange checks that an instance that has seen the change
// queries the store about the tokens issued before it, revokes their sessions, and
// accepts those of a login with the new credential.
func TestVerifyAfterCredentialChange(t *testing.T) {
	f := newFixture(t)
	before, after := session.Fingerprint{1}, session.Fingerprint{2}
	old := f.loginWith(before)
	f.list.CaughtUp(f.now)
	f.wantVerify("", old.Access, session.OK, "", false)
	present := f.loginWith(after)
	f.checker.statuses["1"] = session.Status{Credential: after, Changed: f.now}
	f.wantVerify("", present.Access, session.OK, "", true)
	f.wantVerify("", old.Access, session.TokenRevoked, session.CauseAccount, true)
	f.wantEvents("verify shop/1 ok account")
	f.wantVerify("", old.Access, session.TokenRevoked, session.CauseAccount, false)
	_, err := f.refresh(old.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)

	f.now = f.now.Add(3 * time.Second)
	f.list.CaughtUp(f.now)
	tokens, err := f.refresh(present.Refresh)
	f.wantError(err, session.OK, "")
	f.wantVerify("", tokens.Access, session.OK, "", false) // issued after the change
}

// TestAuthenticateAfterCredentialChange checks that the endpoints of the user reject a
// token of the former credential as well.
func TestAuthenticateAfterCredentialChange(t *testing.T) {
	f := newFixture(t)
	old := f.loginWith(session.Fingerprint{1})
	f.checker.statuses["1"] = session.Status{Credential: session.Fingerprint{2}, Changed: f.now}
	_, err := f.Authenticate(t.Context(), old.Access)
	f.wantError(err, session.TokenRevoked, session.CauseAccount)
	f.wantLive(0)
}

// TestVerifyWithStaleCredential checks that forward-auth asks the source again before it
// rejects a token, and accepts it if the source does not answer.
func TestVerifyWithStaleCredential(t *testing.T) {
	f := newFixture(t)
	before, after := session.Fingerprint{1}, session.Fingerprint{2}
	tokens := f.loginWith(after)
	stale := session.Status{Credential: before, Changed: f.now}
	f.checker.statuses["1"] = stale
	f.checker.freshen = func() { f.checker.statuses["1"] = session.Status{Credential: after} }
	f.wantVerify("", tokens.Access, session.OK, "", true)
	f.checker.statuses["1"] = stale
	f.checker.freshen = func() { f.checker.recheckErrs["1"] = session.Fail(session.Unavailable, nil) }
	f.wantVerify("", tokens.Access, session.OK, "", true)
	f.wantLive(1)
}

// TestLoginOnlySource checks that a login with another credential ends the user's older
// sessions where the source can't be asked at a refresh.
func TestLoginOnlySource(t *testing.T) {
	f := newFixture(t)
	f.policies[session.Long] = policyWith(func(p *session.Policy) { p.Max = 5 })
	user := f.checker.users["alice"]
	user.LoginOnly = true
	f.checker.users["alice"] = user
	unknown, first := f.login(session.Short), f.loginWith(session.Fingerprint{1})
	second := f.loginWith(session.Fingerprint{1})
	f.wantLive(3)
	f.now = f.now.Add(time.Second)
	f.loginWith(session.Fingerprint{2})
	f.wantLive(2)
	_, err := f.refresh(first.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)
	_, err = f.refresh(second.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)
	_, err = f.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: unknown.Refresh})
	f.wantError(err, session.OK, "") // its credential is not known
}

// TestRefreshHasPresentClaims checks that an access token has the claims that the source
// has now, if the source returns them, and else those of the login.
func TestRefreshHasPresentClaims(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	for _, c := range []struct {
		status session.Status
		want   string
	}{
		{session.Status{}, `{"role":"admin"}`},
		{session.Status{HasClaims: true, Claims: []byte(`{"role":"user"}`)}, `{"role":"user"}`},
		{session.Status{HasClaims: true}, ``},
		{session.Status{}, `{"role":"admin"}`},
	} {
		f.checker.statuses["1"] = c.status
		var err error
		tokens, err = f.refresh(tokens.Refresh)
		f.wantError(err, session.OK, "")
		if got := string(f.claims(tokens.Access, session.KindAccess).Extra); got != c.want {
			t.Errorf("got claims %s, want %s", got, c.want)
		}
	}
}
