package token

import (
	"errors"
	"testing"
	"time"

	"tokengate/session"
)

// clockTest has a token that is valid from now for 5 minutes, and the times of the instance
// and the store.
type clockTest struct {
	name, token  string
	local, store time.Duration // after now
	want         session.Code
}

// TestTokensAreCheckedByTheirClock checks that the store's time decides about the gateway's
// own tokens, and the instance's time about those of other programs, whether they are cached
// or not. If the store's time is before its own tokens, its clock was set back.
func TestTokensAreCheckedByTheirClock(t *testing.T) {
	s := newSigner(t, Options{})
	own := mustSign(t, s, accessClaims())
	foreign := forge(secret, plainHeader, accessJSON("exp", "1794000300"))
	named := forge(secret, plainHeader, `{"token_type":"access","exp":1794000300,"iat":1794000000,"jti":"x","user_id":42,"sid":"theirs"}`)
	borrowed := forge(secret, plainHeader, `{"token_type":"access","exp":1794000300,"iat":1794000000,"jti":"x","user_id":42,"sid":"nRyq3Pz0S2mB-xk_91oJvA"}`)
	rfc9068 := newSigner(t, withRFC9068(Options{}))
	hour := time.Hour
	var list []clockTest
	for name, token := range map[string]string{"own": own, "with a session of the gateway": borrowed} {
		list = append(list,
			clockTest{name, token, 0, 0, session.OK}, clockTest{name, token, hour, 0, session.OK}, clockTest{name, token, -hour, 0, session.OK},
			clockTest{name, token, 0, hour, session.TokenInvalid}, clockTest{name, token, 0, -hour, session.OK})
	}
	for name, token := range map[string]string{"foreign": foreign, "foreign with sid": named} {
		list = append(list,
			clockTest{name, token, 0, 0, session.OK}, clockTest{name, token, 0, hour, session.OK}, clockTest{name, token, 0, -hour, session.OK},
			clockTest{name, token, hour, 0, session.TokenInvalid}, clockTest{name, token, -hour, 0, session.TokenInvalid})
	}
	checkClocks(t, s, list)
	own = mustSign(t, rfc9068, accessClaims())
	checkClocks(t, rfc9068, []clockTest{
		{"rfc9068", own, hour, 0, session.OK}, {"rfc9068", own, -hour, 0, session.OK}, {"rfc9068", own, 0, hour, session.TokenInvalid}, {"rfc9068", own, 0, -hour, session.OK},
	})
}

// checkClocks verifies each token without and with a cached result.
func checkClocks(t *testing.T, s *Signer, list []clockTest) {
	t.Helper()
	for _, c := range list {
		clock := fixedClock{now.Add(c.local), now.Add(c.store)}
		got, _, err := s.verifyUncached(c.token, clock)
		if session.CodeOf(err) != c.want || err != nil && got.Kind != "" {
			t.Errorf("%s token, local time %s, store's time %s: got %+v, %v, want %s", c.name, c.local, c.store, got, err, c.want)
		}
		if _, err := s.Verify(c.token, session.KindAccess, at(now)); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.cache.Get(c.token); !ok {
			t.Fatalf("%s token: not cached", c.name)
		}
		got, err = s.Verify(c.token, session.KindAccess, clock)
		if session.CodeOf(err) != c.want || err != nil && got.Kind != "" {
			t.Errorf("cached %s token, local time %s, store's time %s: got %+v, %v, want %s", c.name, c.local, c.store, got, err, c.want)
		}
	}
}

// TestRefreshTokensAreCheckedByTheStoresClock checks that the store's time decides whether
// a refresh token has expired.
func TestRefreshTokensAreCheckedByTheStoresClock(t *testing.T) {
	s := newSigner(t, Options{})
	token, expires := mustSign(t, s, refreshClaims()), refreshClaims().Expires
	for _, c := range []struct {
		clock           fixedClock
		refresh, access session.Code
	}{
		{fixedClock{expires.Add(time.Hour), now}, session.OK, session.TokenWrongKind},
		{fixedClock{now.Add(-time.Hour), expires.Add(-1)}, session.OK, session.TokenWrongKind},
		{fixedClock{now, expires}, session.Expired, session.TokenInvalid},
		{fixedClock{now, now.Add(-time.Hour)}, session.OK, session.TokenWrongKind}, // the store's clock was set back
	} {
		_, err := s.Verify(token, session.KindRefresh, c.clock)
		wantCode(t, err, c.refresh)
		_, err = s.Verify(token, session.KindAccess, c.clock)
		wantCode(t, err, c.access)
	}
}

// askedClock is a clock whose store is not available. It records the users whose store it
// was asked for.
type askedClock struct {
	err   error
	asked []session.UserID
}

func (c *askedClock) Now() time.Time { return now }

func (c *askedClock) StoreNow(user session.UserID) (time.Time, error) {
	c.asked = append(c.asked, user)
	return now, c.err
}

// TestVerifyFailsAsTheClockDoes checks that Verify of the gateway's own tokens returns the
// error of the clock, which it asks for the time of the token's user, and that other tokens
// do not need the store.
func TestVerifyFailsAsTheClockDoes(t *testing.T) {
	s := newSigner(t, Options{})
	clock := &askedClock{err: session.Fail(session.Unavailable, errors.New("no connection"))}
	access, refresh := mustSign(t, s, accessClaims()), mustSign(t, s, refreshClaims())
	check := func(name, token string, kind session.Kind) {
		t.Helper()
		clock.asked = nil
		c, err := s.Verify(token, kind, clock)
		if err != clock.err || c.Kind != "" || len(clock.asked) != 1 || clock.asked[0] != session.NumberID(42) {
			t.Errorf("%s: got %+v, %v after asking for %v, want the clock's error for user 42", name, c, err, clock.asked)
		}
	}
	check("access token", access, session.KindAccess)
	check("access token in place of a refresh token", access, session.KindRefresh)
	check("refresh token", refresh, session.KindRefresh)
	check("refresh token in place of an access token", refresh, session.KindAccess)
	if _, err := s.Verify(access, session.KindAccess, at(now)); err != nil {
		t.Fatal(err)
	}
	check("cached access token", access, session.KindAccess)
	clock.asked = nil
	for name, c := range map[string]struct {
		token string
		want  session.Code
	}{
		"foreign":             {forge(secret, plainHeader, accessJSON("", "")), session.OK},
		"foreign with sid":    {forge(secret, plainHeader, accessJSON("sid", `"theirs"`)), session.OK},
		"without a user":      {forge(secret, plainHeader, `{"token_type":"access","exp":1794000060,"jti":"x","user_id":null,"sid":"nRyq3Pz0S2mB-xk_91oJvA"}`), session.UserUnknown},
		"forged":              {forge(oldSecret, plainHeader, accessJSON("sid", `"nRyq3Pz0S2mB-xk_91oJvA"`)), session.TokenInvalid},
		"forged refresh":      {forge(secret, refreshHeader(derivedRefreshKey(secret, ""), "HS256"), refreshJSON("", "")), session.TokenInvalid},
		"of another's making": {forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("jti", `"0123456789abcdef0123456789abcdef"`)), session.Unknown},
	} {
		_, err := s.Verify(c.token, session.KindAccess, clock)
		if session.CodeOf(err) != c.want || len(clock.asked) != 0 {
			t.Errorf("%s: got %v after asking for %v, want %s without asking", name, err, clock.asked, c.want)
		}
	}
}
