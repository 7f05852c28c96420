package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
)

// wantVerify checks the error of Verify, and whether it queries the store.
func (f *fixture) wantVerify(app, token string, code session.Code, cause session.Cause, queries bool) {
	f.Helper()
	calls := f.store.calls
	_, err := f.Verify(f.Context(), app, token)
	f.wantError(err, code, cause)
	if got := f.store.calls > calls; got != queries {
		f.Errorf("queried the store: got %v, want %v", got, queries)
	}
}

func TestVerify(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.wantVerify("", tokens.Access, session.OK, "", true) // the list has never been complete
	f.list.CaughtUp(f.now)
	for _, app := range []string{"", "shop"} {
		f.wantVerify(app, tokens.Access, session.OK, "", false)
	}
	f.wantVerify("other", tokens.Access, session.TokenInvalid, "", false)
	f.wantVerify("none", tokens.Access, session.TokenInvalid, "", false)
	f.wantVerify("", "x", session.TokenInvalid, "", false)
	f.now = f.now.Add(bound + time.Second) // the list is stale
	f.wantVerify("", tokens.Access, session.OK, "", true)
	f.store.down = true
	f.wantVerify("", tokens.Access, session.Unavailable, "", true)
	f.list.CaughtUp(f.now)
	f.wantVerify("", tokens.Access, session.OK, "", false)
	f.now = f.now.Add(retention) // the token has expired
	f.wantVerify("", tokens.Access, session.TokenInvalid, "", false)
}

func TestVerifyReturnsCaller(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Short)
	for token, verify := range map[string]func(context.Context, string, string) (session.Caller, error){
		tokens.Access: f.Verify, tokens.Refresh: f.VerifyRefresh,
	} {
		c, err := verify(t.Context(), "", token)
		f.wantError(err, session.OK, "")
		if c.App.Name != "shop" || c.Claims.User != session.NumberID(1) || c.Claims.Session != tokens.Session {
			t.Errorf("got app %s, claims %+v, want shop, user 1 and session %s", c.App.Name, c.Claims, tokens.Session)
		}
	}
}

// TestVerifyRevokedElsewhere checks a session that another instance has revoked,
// before and after the revocation reaches the list.
func TestVerifyRevokedElsewhere(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	result := f.revokeElsewhere(tokens)
	f.wantVerify("", tokens.Access, session.TokenRevoked, session.CauseLogout, true)
	f.list.CaughtUp(f.now.Add(-time.Second)) // fresh, but from before the revocation
	f.wantVerify("", tokens.Access, session.OK, "", false)
	f.list.Revoked(session.Revocation{Owner: alice, Tombstone: result.Revoked[0]})
	f.wantVerify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
	f.now = f.now.Add(2 * bound) // a stale list still has the revocation
	f.wantVerify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
}

// TestVerifyRevokedHere checks that an instance's own revocations take effect at
// once, without a feed.
func TestVerifyRevokedHere(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.list.CaughtUp(f.now)
	_, err := f.Logout(t.Context(), "s-new", tokens.Refresh)
	f.wantError(err, session.OK, "")
	f.wantVerify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
}

// TestVerifyRefresh checks that a refresh token is valid only while it is the current
// one, is checked with the store each time, and is not changed by that.
func TestVerifyRefresh(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	f.list.CaughtUp(f.now)
	verify := func(app, token string) error {
		_, err := f.VerifyRefresh(t.Context(), app, token)
		return err
	}
	f.wantError(verify("", first.Refresh), session.OK, "")
	f.wantError(verify("shop", first.Refresh), session.OK, "")
	f.wantError(verify("other", first.Refresh), session.TokenInvalid, "")
	f.wantError(verify("none", first.Refresh), session.TokenInvalid, "")
	f.wantError(verify("", first.Access), session.TokenWrongKind, "")
	f.wantVerify("", first.Refresh, session.TokenWrongKind, "", false)
	second, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	f.wantError(verify("", first.Refresh), session.TokenRevoked, "")
	f.now = f.now.Add(validPolicy().RetryWindow)
	f.wantError(verify("", first.Refresh), session.TokenRevoked, "") // a replay, but only a refresh revokes
	f.wantError(verify("", second.Refresh), session.OK, "")
	f.checker.recheckErrs["1"] = session.Fail(session.UserInactive, nil)
	f.wantError(verify("", second.Refresh), session.UserInactive, "")
	delete(f.checker.recheckErrs, "1")
	f.store.down = true
	f.wantError(verify("", second.Refresh), session.Unavailable, "")
	f.store.down = false
	f.revokeElsewhere(first)
	f.wantError(verify("", second.Refresh), session.TokenRevoked, session.CauseLogout)
}

// TestVerifyRechecksUser checks that an unknown user and an inactive user are
// rejected, and that a user source that does not answer delays a request for a
// short time but does not reject it.
func TestVerifyRechecksUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		tokens := f.login(session.Long)
		f.list.CaughtUp(f.now)
		for _, code := range []session.Code{session.UserUnknown, session.UserInactive} {
			f.checker.recheckErrs["1"] = session.Fail(code, nil)
			f.wantVerify("", tokens.Access, code, "", false)
		}
		f.checker.recheckErrs["1"] = session.Fail(session.Unavailable, nil)
		f.wantVerify("", tokens.Access, session.OK, "", false)

		f.checker.stalls = true
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // as a request has
		defer cancel()
		start := time.Now()
		if _, err := f.Verify(ctx, "", tokens.Access); err != nil || time.Since(start) != 200*time.Millisecond {
			t.Errorf("Verify with a source that stalls: got %v after %s, want no error after 200ms", err, time.Since(start))
		}
		start = time.Now()
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := f.Verify(short, "", tokens.Access); err != nil || time.Since(start) != 50*time.Millisecond {
			t.Errorf("Verify with a shorter context: got %v after %s, want no error after 50ms", err, time.Since(start))
		}
		if _, err := f.Authenticate(ctx, tokens.Access); session.CodeOf(err) != session.Unavailable {
			t.Errorf("Authenticate with a source that stalls: got %v, want %s", err, session.Unavailable)
		}
	})
}
