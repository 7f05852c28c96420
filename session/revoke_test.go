package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

func TestLogout(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	for _, c := range []struct {
		secret, token string
		code          session.Code
		event         string
	}{
		{"x", tokens.Refresh, session.InvalidClient, "logout / invalid_client"},
		{"o", tokens.Refresh, session.Unknown, "logout other/ unknown"},
		{"s-new", tokens.Access, session.Unknown, "logout shop/ unknown"},
		{"s-new", "", session.Unknown, "logout shop/ unknown"},
	} {
		_, err := f.Logout(t.Context(), c.secret, c.token)
		f.wantError(err, c.code, "")
		f.wantEvents(c.event)
	}
	result, err := f.Logout(t.Context(), "s-old", tokens.Refresh)
	f.wantError(err, session.OK, "")
	f.wantEvents("logout shop/1 ok", "logout shop/1 ok logout")
	if len(result.Revoked) != 1 || result.Revoked[0].ID != tokens.Session {
		t.Errorf("got %v revoked, want %s", result.Revoked, tokens.Session)
	}
	_, err = f.Logout(t.Context(), "s-old", tokens.Refresh)
	f.wantError(err, session.Revoked, session.CauseLogout)
	f.wantEvents("logout shop/1 ended")
}

func TestLogoutReplay(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	_, err := f.refresh(tokens.Refresh)
	f.wantError(err, session.OK, "")
	f.now = f.now.Add(time.Minute)
	f.events.take()
	_, err = f.Logout(t.Context(), "s-new", tokens.Refresh)
	f.wantError(err, session.Replayed, session.CauseReplay)
	f.wantEvents("logout shop/1 replayed", "logout shop/1 ok replay")
}

// TestDestroyOthersOfMany checks that a revocation of many sessions is one event with their
// number, and that this instance rejects their access tokens at once and accepts that of the
// kept session without a query.
func TestDestroyOthersOfMany(t *testing.T) {
	f := newFixture(t)
	f.store.many = true
	own, other := f.login(session.Long), f.login(session.Long)
	f.login(session.Short)
	f.list.CaughtUp(f.now)
	f.wantVerify("", other.Access, session.OK, "", false)
	result, err := f.DestroyOthers(t.Context(), f.caller(own.Access), own.Refresh, "all")
	f.wantError(err, session.OK, "")
	if result.Count() != 2 {
		t.Errorf("got %d sessions revoked, want 2", result.Count())
	}
	if e := f.events.events; len(e) != 2 || e[1].Number != 2 || e[1].Session != "" {
		t.Errorf("got events %+v, want one about 2 sessions after that of the step", e)
	}
	f.wantEvents("destroy_others shop/1 ok", "destroy_others shop/1 ok others")
	f.wantVerify("", other.Access, session.TokenRevoked, session.CauseOthers, true)
	f.wantVerify("", own.Access, session.OK, "", false)
	result, err = f.RevokeUser(t.Context(), alice, session.CauseOperator, "ann")
	f.wantError(err, session.OK, "")
	if e := f.events.events; len(e) != 2 || e[1].Number != 1 || e[1].By != "ann" || result.Count() != 1 {
		t.Errorf("got events %+v, want one about 1 session after that of the step", e)
	}
	f.wantVerify("", own.Access, session.TokenRevoked, session.CauseOperator, true)
}

// TestLogoutOfUncheckedUser checks that a logout revokes the session of an inactive user,
// of one whose source does not answer and of one who does not exist. Only the last one's
// logout fails.
func TestLogoutOfUncheckedUser(t *testing.T) {
	f := newFixture(t)
	for recheck, want := range map[session.Code]session.Code{
		session.UserInactive: session.OK, session.Unavailable: session.OK, session.UserUnknown: session.Unknown,
	} {
		delete(f.checker.recheckErrs, "1")
		tokens := f.login(session.Long)
		f.checker.recheckErrs["1"] = session.Fail(recheck, nil)
		_, err := f.Logout(t.Context(), "s-new", tokens.Refresh)
		f.wantError(err, want, "")
		f.wantEvents("logout shop/1 "+string(want), "logout shop/1 ok logout")
		delete(f.checker.recheckErrs, "1")
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, session.Revoked, session.CauseLogout)
		f.events.take()
	}
}

func TestDestroy(t *testing.T) {
	f := newFixture(t)
	own, target := f.login(session.Long), f.login(session.Short)
	c := f.caller(own.Access)
	calls := f.store.calls
	for _, id := range []string{"", "not|a:session", string(session.NewID())} {
		_, err := f.Destroy(t.Context(), c, id)
		f.wantError(err, session.Unknown, "")
		f.wantEvents("destroy shop/1 unknown")
	}
	if f.store.calls != calls+1 {
		t.Errorf("got %d steps of the store, want one for the only valid ID", f.store.calls-calls)
	}
	_, err := f.Destroy(t.Context(), c, string(target.Session))
	f.wantError(err, session.OK, "")
	f.wantEvents("destroy shop/1 ok", "destroy shop/1 ok user")
	_, err = f.Destroy(t.Context(), c, string(target.Session))
	f.wantError(err, session.Revoked, session.CauseUser)
	_, err = f.Destroy(t.Context(), c, string(own.Session))
	f.wantError(err, session.OK, "")
	_, err = f.Destroy(t.Context(), c, string(own.Session))
	f.wantError(err, session.TokenRevoked, session.CauseUser)
}

func TestDestroyOthers(t *testing.T) {
	f := newFixture(t)
	own := f.login(session.Long)
	f.login(session.Long)
	f.login(session.Short)
	bob, err := f.loginAs("bob")
	f.wantError(err, session.OK, "")
	f.events.take()
	c := f.caller(own.Access)
	for _, token := range []string{"", "x", own.Access, bob.Refresh} {
		_, err := f.DestroyOthers(t.Context(), c, token, "ALL")
		f.wantError(err, session.Unknown, "")
		f.wantEvents("destroy_others shop/1 unknown")
	}
	_, err = f.DestroyOthers(t.Context(), c, own.Refresh, "x")
	f.wantError(err, session.InvalidType, "")
	f.wantEvents("destroy_others shop/1 invalid_type")
	f.wantLive(3)
	_, err = f.DestroyOthers(t.Context(), c, own.Refresh, "SHORT")
	f.wantError(err, session.OK, "")
	f.wantEvents("destroy_others shop/1 ok", "destroy_others shop/1 ok others")
	_, err = f.refresh(own.Refresh)
	f.wantError(err, session.OK, "")
	result, err := f.DestroyOthers(t.Context(), c, own.Refresh, "all") // the token is spent, within the retry window
	f.wantError(err, session.OK, "")
	if len(result.Revoked) != 1 {
		t.Errorf("got %v revoked, want one session", result.Revoked)
	}
	f.wantLive(1)
	f.login(session.Short)
	f.now = f.now.Add(validPolicy().RetryWindow + time.Second)
	_, err = f.DestroyOthers(t.Context(), c, own.Refresh, "all")
	f.wantError(err, session.Unknown, "")
	f.wantLive(2)
	if _, err := f.refresh(bob.Refresh); err != nil {
		t.Errorf("refresh of another user's session: %v", err)
	}
}
