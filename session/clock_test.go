package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

// TestClocksFarApart checks that a login, a list, forward-auth and a refresh work if the
// store's clock is ahead of the instance's or behind it, and that an access token is
// neither issued in the future of one of the clocks nor expired at one.
func TestClocksFarApart(t *testing.T) {
	for _, offset := range []time.Duration{0, 2 * time.Second, -2 * time.Second, 400 * time.Second, -400 * time.Second, time.Hour, -time.Hour} {
		f := newFixture(t)
		f.store.offset = offset
		tokens := f.login(session.Long)
		for range 3 {
			access := f.claims(tokens.Access, session.KindAccess)
			for _, clock := range []time.Time{f.now, f.now.Add(offset)} {
				if access.Issued.After(clock) || access.Expires.Before(clock.Add(retention-time.Second)) {
					t.Errorf("offset %s: at %s the token is from %s to %s, want issued before and valid for %s", offset, clock, access.Issued, access.Expires, retention)
				}
			}
			f.list.CaughtUp(f.now)
			if _, err := f.Verify(t.Context(), "shop", tokens.Access); err != nil {
				t.Errorf("offset %s: Verify: %v", offset, err)
			}
			if _, _, err := f.List(t.Context(), f.caller(tokens.Access), "ALL"); err != nil {
				t.Errorf("offset %s: List: %v", offset, err)
			}
			f.now = f.now.Add(time.Minute)
			var err error
			tokens, err = f.refresh(tokens.Refresh)
			f.wantError(err, session.OK, "")
		}
		f.now = f.now.Add(retention + max(offset, -offset) + time.Second)
		_, err := f.Authenticate(t.Context(), tokens.Access)
		f.wantError(err, session.TokenInvalid, "")
	}
}

// TestInstancesWithOtherClocks checks that an instance accepts the tokens that another one
// has issued, however far their own clocks are apart: both go by the store's clock.
func TestInstancesWithOtherClocks(t *testing.T) {
	for _, ahead := range []time.Duration{10 * time.Minute, -10 * time.Minute, time.Hour} {
		f := newFixture(t)
		tokens := f.login(session.Long)
		f.now, f.store.offset = f.now.Add(ahead), -ahead // the store's time is the same
		f.list.CaughtUp(f.now)
		_, err := f.Verify(t.Context(), "shop", tokens.Access)
		f.wantError(err, session.OK, "")
		_, err = f.Authenticate(t.Context(), tokens.Access)
		f.wantError(err, session.OK, "")
		_, err = f.VerifyRefresh(t.Context(), "shop", tokens.Refresh)
		f.wantError(err, session.OK, "")
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, session.OK, "")
	}
}

// TestRevocationWithClocksFarApart checks that a revocation counts as long as an access
// token of the session may be valid, however far the clocks are apart, and that a
// not-before applies.
func TestRevocationWithClocksFarApart(t *testing.T) {
	for _, offset := range []time.Duration{400 * time.Second, -400 * time.Second} {
		f := newFixture(t)
		f.store.offset = offset
		tokens, other := f.login(session.Long), f.login(session.Long)
		f.list.CaughtUp(f.now)
		_, err := f.Logout(t.Context(), "s-new", tokens.Refresh)
		f.wantError(err, session.OK, "")
		for range 6 {
			f.list.CaughtUp(f.now)
			_, err := f.Verify(t.Context(), "shop", tokens.Access)
			f.wantError(err, session.TokenRevoked, session.CauseLogout)
			_, err = f.Verify(t.Context(), "shop", other.Access)
			f.wantError(err, session.OK, "")
			f.now = f.now.Add(time.Minute - 2*time.Second)
		}
		fresh := f.login(session.Long)
		f.now = f.now.Add(time.Second)
		_, err = f.Engine.RevokeApp(t.Context(), "shop", "ops")
		f.wantError(err, session.OK, "")
		_, err = f.Verify(t.Context(), "shop", fresh.Access)
		f.wantError(err, session.TokenRevoked, session.CauseApp)
		f.now = f.now.Add(time.Second)
		_, err = f.Verify(t.Context(), "shop", f.login(session.Long).Access)
		f.wantError(err, session.OK, "")
	}
}

// TestClockNotKnown checks that a token can't be checked before the store's clock is known,
// and that it does not count as invalid, whatever the reason is.
func TestClockNotKnown(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	for _, code := range []session.Code{session.Unavailable, session.Internal} {
		f.store.offsetFails = code
		_, err := f.Authenticate(t.Context(), tokens.Access)
		f.wantError(err, code, "")
		_, err = f.Verify(t.Context(), "shop", tokens.Access)
		f.wantError(err, code, "")
		_, err = f.refresh(tokens.Refresh)
		f.wantError(err, code, "")
	}
}

// TestStoreClockSetBack checks that tokens are still valid after the store's clock was set back. Their times can't
// be compared with those of revocations then, so the store is queried.
func TestStoreClockSetBack(t *testing.T) {
	f := newFixture(t)
	tokens, revoked := f.login(session.Long), f.login(session.Long)
	f.list.CaughtUp(f.now)
	f.wantVerify("shop", tokens.Access, session.OK, "", false)
	_, err := f.store.Revoke(t.Context(), session.RevokeStep{Owner: session.Owner{App: "shop", User: "1"}, ID: revoked.Session, Cause: session.CauseUser})
	f.wantError(err, session.OK, "") // the list does not know it
	f.store.offset = -time.Minute
	f.wantVerify("shop", tokens.Access, session.OK, "", true)
	f.wantVerify("shop", revoked.Access, session.TokenRevoked, session.CauseUser, true)
	_, err = f.Authenticate(t.Context(), tokens.Access)
	f.wantError(err, session.OK, "")
	f.store.down = true
	f.wantVerify("shop", tokens.Access, session.Unavailable, "", true)
	f.store.down = false
	f.now = f.now.Add(time.Minute)
	f.list.CaughtUp(f.now)
	f.wantVerify("shop", tokens.Access, session.OK, "", false)
}
