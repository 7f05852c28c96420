package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

func TestRefresh(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	f.now = f.now.Add(time.Minute)
	second, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	f.wantEvents("refresh shop/1 ok")
	access, refresh := f.claims(second.Access, session.KindAccess), f.claims(second.Refresh, session.KindRefresh)
	if now := f.now.Truncate(time.Second); !access.Issued.Equal(now) || !refresh.Issued.Equal(now) || refresh.Generation != 2 ||
		!access.AuthTime.Equal(now.Add(-time.Minute)) || string(access.Extra) != `{"role":"admin"}` || second.Session != first.Session {
		t.Errorf("got access token %+v, refresh token %+v, want tokens of generation 2 of session %s, issued at %s", access, refresh, first.Session, now)
	}
	f.now = f.now.Add(validPolicy().RetryWindow - time.Second)
	again, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	f.wantEvents("refresh shop/1 retried")
	if again.Refresh != second.Refresh || again.Access == second.Access {
		t.Error("a retry did not get the same refresh token and a new access token")
	}
}

// TestRefreshWithoutRotation checks that no refresh token is returned when the
// presented one stays current.
func TestRefreshWithoutRotation(t *testing.T) {
	f := newFixture(t)
	f.policies[session.Long] = policyWith(func(p *session.Policy) { p.Rotate = false })
	first := f.login(session.Long)
	for range 2 {
		tokens, err := f.refresh(first.Refresh)
		f.wantError(err, session.OK, "")
		if tokens.Refresh != "" || tokens.Access == "" {
			t.Errorf("got refresh token %q and access token %q, want only an access token", tokens.Refresh, tokens.Access)
		}
	}
}

func TestRefreshReplay(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	second, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	f.now = f.now.Add(validPolicy().RetryWindow + time.Second)
	f.events.take()
	_, err = f.refresh(first.Refresh)
	f.wantError(err, session.Replayed, session.CauseReplay)
	f.wantEvents("refresh shop/1 replayed", "refresh shop/1 ok replay")
	_, err = f.refresh(second.Refresh)
	f.wantError(err, session.Revoked, session.CauseReplay)
	f.wantEvents("refresh shop/1 ended")
}

// TestRefreshRejects checks that the secret is checked before the type and the
// type before the token, and that a rejected refresh does not affect the session.
func TestRefreshRejects(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	for _, c := range []struct {
		secret, kind, token string
		code                session.Code
		event               string
	}{
		{"x", "x", "x", session.InvalidClient, "refresh / invalid_client"},
		{"s-new", "x", tokens.Refresh, session.InvalidType, "refresh shop/ invalid_type"},
		{"s-new", "ALL", tokens.Refresh, session.InvalidType, "refresh shop/ invalid_type"},
		{"s-new", "LONG", "x", session.Unknown, "refresh shop/ unknown"},
		{"s-new", "LONG", tokens.Access, session.Unknown, "refresh shop/ unknown"},
		{"o", "LONG", tokens.Refresh, session.Unknown, "refresh other/ unknown"},
	} {
		_, err := f.Refresh(t.Context(), session.RefreshRequest{Secret: c.secret, Type: c.kind, Token: c.token})
		f.wantError(err, c.code, "")
		f.wantEvents(c.event)
	}
	_, err := f.refresh(tokens.Refresh)
	f.wantError(err, session.OK, "")
}

func TestRefreshExpiredSession(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.now = f.now.Add(time.Hour)
	for range 2 { // the first refresh deletes the record, so the second finds none
		_, err := f.refresh(tokens.Refresh)
		f.wantError(err, session.Expired, session.CauseExpired)
		f.wantEvents("refresh shop/1 expired")
	}
}

// TestC05ReplayOfExpiredToken checks that a token that has expired is a replay if
// its session was extended since.
func TestC05ReplayOfExpiredToken(t *testing.T) {
	f := newFixture(t)
	f.policies[session.Long] = policyWith(func(p *session.Policy) { p.Extend, p.ExtendEveryTime = true, true })
	first := f.login(session.Long)
	f.now = f.now.Add(50 * time.Minute)
	second, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	f.now = f.now.Add(20 * time.Minute)
	_, err = f.refresh(first.Refresh)
	f.wantError(err, session.Replayed, session.CauseReplay)
	_, err = f.refresh(second.Refresh)
	f.wantError(err, session.Revoked, session.CauseReplay)
}

// TestRefreshAsAnotherType checks that the session is revoked, as the Django app
// documents.
func TestRefreshAsAnotherType(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	req := session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: tokens.Refresh}
	_, err := f.Refresh(t.Context(), req)
	f.wantError(err, session.TypeMismatch, session.CauseTypeMismatch)
	f.wantEvents("refresh shop/1 type_mismatch", "refresh shop/1 ok type_mismatch")
	for range 2 {
		_, err = f.Refresh(t.Context(), req)
		f.wantError(err, session.Revoked, session.CauseTypeMismatch)
		f.wantEvents("refresh shop/1 ended")
	}
	_, err = f.refresh(tokens.Refresh)
	f.wantError(err, session.Revoked, session.CauseTypeMismatch)
}

// TestRefreshOldTokenAsAnotherType checks that a token two generations behind does
// not revoke its session for the type mismatch. It is a replay, or only rejected
// where reuse detection is off.
func TestRefreshOldTokenAsAnotherType(t *testing.T) {
	for detect, want := range map[bool]session.Code{true: session.Replayed, false: session.Spent} {
		f := newFixture(t)
		f.policies[session.Long] = policyWith(func(p *session.Policy) { p.ReuseDetection = detect })
		oldest := f.login(session.Long).Refresh
		newest := oldest
		for range 2 {
			tokens, err := f.refresh(newest)
			f.wantError(err, session.OK, "")
			newest = tokens.Refresh
		}
		_, err := f.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: oldest})
		cause := session.CauseReplay
		if !detect {
			cause = ""
		}
		f.wantError(err, want, cause)
		_, err = f.refresh(newest)
		if live := session.CodeOf(err) == session.OK; live == detect {
			t.Errorf("with reuse detection %v, the newest token then got %v", detect, err)
		}
	}
}

// TestRefreshFromAnotherNetwork checks that a repeat is reported as moved if it comes from
// another network than the refresh that spent the token.
func TestRefreshFromAnotherNetwork(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	for _, c := range []struct {
		network string
		moved   bool
	}{{"192.0.2.1", false}, {"192.0.2.1", false}, {"198.51.100.7", true}, {"", false}} {
		_, err := f.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "LONG", Token: first.Refresh, Network: c.network})
		f.wantError(err, session.OK, "")
		if got := f.events.events[len(f.events.events)-1].Moved; got != c.moved {
			t.Errorf("from %q: moved is %t, want %t", c.network, got, c.moved)
		}
	}
}

// TestRefreshTooOften checks that a token that is repeated too often is refused, and that the
// session goes on.
func TestRefreshTooOften(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	second, err := f.refresh(first.Refresh)
	f.wantError(err, session.OK, "")
	for range session.MaxRepeats {
		_, err = f.refresh(first.Refresh)
		f.wantError(err, session.OK, "")
	}
	f.events.take()
	_, err = f.refresh(first.Refresh)
	f.wantError(err, session.Throttled, "")
	f.wantEvents("refresh shop/1 throttled")
	_, err = f.refresh(second.Refresh)
	f.wantError(err, session.OK, "")
}

// TestClientTag checks that a tag depends on the session and on the network, and that only an
// unknown network has the zero tag.
func TestClientTag(t *testing.T) {
	a, b := session.NewSecret(), session.NewSecret()
	tag := session.NewClientTag(a, "192.0.2.1")
	if tag.IsZero() || tag != session.NewClientTag(a, "192.0.2.1") || !session.NewClientTag(a, "").IsZero() {
		t.Errorf("got the tag %x, want the same one again, and zero only for an unknown network", tag)
	}
	if tag == session.NewClientTag(b, "192.0.2.1") || tag == session.NewClientTag(a, "192.0.2.2") {
		t.Error("the tag of another session or of another network is the same")
	}
	if n := testing.AllocsPerRun(100, func() { tag = session.NewClientTag(a, "192.0.2.1") }); n > 0 {
		t.Errorf("a tag takes %v allocations, want none", n)
	}
}
