package session_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
)

// verify wants what Verify says, and whether it asked the store.
func (r *rig) verify(app, token string, code session.Code, cause session.Cause, asks bool) {
	r.Helper()
	before := r.store.asked
	_, err := r.Verify(r.Context(), app, token)
	r.fails(err, code, cause)
	if asked := r.store.asked > before; asked != asks {
		r.Errorf("asked the store: %v, want %v", asked, asks)
	}
}

func TestVerify(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.verify("", tokens.Access, session.OK, "", true) // nothing heard yet
	r.list.CaughtUp(r.now)
	for _, app := range []string{"", "shop"} {
		r.verify(app, tokens.Access, session.OK, "", false)
	}
	r.verify("other", tokens.Access, session.TokenInvalid, "", false)
	r.verify("none", tokens.Access, session.TokenInvalid, "", false)
	r.verify("", "x", session.TokenInvalid, "", false)
	r.now = r.now.Add(bound + time.Second)
	r.verify("", tokens.Access, session.OK, "", true)
	r.store.down = true
	r.verify("", tokens.Access, session.Unavailable, "", true)
	r.list.CaughtUp(r.now)
	r.verify("", tokens.Access, session.OK, "", false)
	r.now = r.now.Add(keep)
	r.verify("", tokens.Access, session.TokenInvalid, "", false)
}

func TestVerifyEnded(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	receipt := r.endElsewhere(tokens)
	r.verify("", tokens.Access, session.TokenRevoked, session.CauseLogout, true)
	r.list.CaughtUp(r.now.Add(-time.Second)) // has not heard of it, and may be relied on
	r.verify("", tokens.Access, session.OK, "", false)
	r.list.Ended(session.Ending{Owner: session.Owner{App: "shop", User: "1"}, Trace: receipt.Ended[0]})
	r.verify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
	r.now = r.now.Add(2 * bound) // stale, and knows it all the same
	r.verify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
}

// TestOwnEndingsCountAtOnce: what an instance has ended itself it refuses before
// the feed has told it.
func TestOwnEndingsCountAtOnce(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.list.CaughtUp(r.now)
	_, err := r.Logout(t.Context(), "s-new", tokens.Refresh)
	r.fails(err, session.OK, "")
	r.verify("", tokens.Access, session.TokenRevoked, session.CauseLogout, false)
}

// endElsewhere logs out as another instance would.
func (r *rig) endElsewhere(tokens session.Tokens) session.Receipt {
	r.Helper()
	receipt, err := r.Store.End(r.Context(), session.EndStep{
		Owner: session.Owner{App: "shop", User: "1"}, ID: tokens.Session, Cause: session.CauseLogout,
	})
	r.fails(err, session.OK, "")
	return receipt
}

// TestVerifyRefresh: a refresh token is good where any app and any kind will
// do, and costs a question each time.
func TestVerifyRefresh(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.list.CaughtUp(r.now)
	r.verify("", tokens.Refresh, session.OK, "", true)
	r.verify("shop", tokens.Refresh, session.TokenWrongKind, "", false)
	r.endElsewhere(tokens)
	r.verify("", tokens.Refresh, session.TokenRevoked, session.CauseLogout, true)
}

// TestVerifyAsksTheSource: a user who may not is refused; a source that can't
// tell, or doesn't answer, stops nobody and delays for a moment only.
func TestVerifyAsksTheSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		tokens := r.login(session.Long)
		r.list.CaughtUp(r.now)
		for _, code := range []session.Code{session.UserUnknown, session.UserInactive} {
			r.checker.recheck["1"] = session.Fail(code, nil)
			r.verify("", tokens.Access, code, "", false)
		}
		r.checker.recheck["1"] = session.Fail(session.Unavailable, nil)
		r.verify("", tokens.Access, session.OK, "", false)

		r.checker.stalls = true
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // a request's own
		defer cancel()
		start := time.Now()
		if _, err := r.Verify(ctx, "", tokens.Access); err != nil || time.Since(start) != 200*time.Millisecond {
			t.Errorf("a source that stalls: %v after %s", err, time.Since(start))
		}
		start = time.Now()
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := r.Verify(short, "", tokens.Access); err != nil || time.Since(start) != 50*time.Millisecond {
			t.Errorf("for a caller in a hurry: %v after %s", err, time.Since(start))
		}
		if _, err := r.Authenticate(ctx, tokens.Access); session.CodeOf(err) != session.Unavailable {
			t.Errorf("where the answer matters: %v", err)
		}
	})
}

func TestVerifyTellsWho(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Short)
	for _, token := range []string{tokens.Access, tokens.Refresh} {
		c, err := r.Verify(t.Context(), "", token)
		r.fails(err, session.OK, "")
		if c.App.Name != "shop" || c.Claims.User != session.NumberID(1) || c.Claims.Session != tokens.Session {
			t.Errorf("got %s %+v", c.App.Name, c.Claims)
		}
	}
}

func TestAuthenticate(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	asked := r.store.asked
	if c := r.caller(tokens.Access); c.App.Name != "shop" || c.Claims.Session != tokens.Session {
		t.Errorf("got %s %+v", c.App.Name, c.Claims)
	}
	for token, code := range map[string]session.Code{
		"": session.TokenInvalid, "x.y.z": session.TokenInvalid, tokens.Refresh: session.TokenWrongKind,
	} {
		_, err := r.Authenticate(t.Context(), token)
		r.fails(err, code, "")
	}
	for _, code := range []session.Code{session.UserUnknown, session.UserInactive, session.Unavailable} {
		r.checker.recheck["1"] = session.Fail(code, nil)
		_, err := r.Authenticate(t.Context(), tokens.Access)
		r.fails(err, code, "")
	}
	if r.store.asked != asked {
		t.Error("the store was asked")
	}
}
