package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// TestVerifyRechecksCachedToken checks that Verify rejects a token that it has
// accepted before, if the token has expired or is not yet valid at the given time.
func TestVerifyRechecksCachedToken(t *testing.T) {
	s := newSigner(t, Options{Leeway: 10 * time.Second})
	c := accessClaims()
	c.Session = "" // as of another program
	token := mustSign(t, s, c)
	first, err := s.Verify(token, session.KindAccess, at(now))
	wantCode(t, err, session.OK)
	for range 2 {
		again, err := s.Verify(token, session.KindAccess, at(c.Expires.Add(10*time.Second-1)))
		wantCode(t, err, session.OK)
		if fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("got %+v, want the first result %+v", again, first)
		}
		_, err = s.Verify(token, session.KindAccess, at(c.Expires.Add(10*time.Second)))
		wantCode(t, err, session.TokenInvalid)
		_, err = s.Verify(token, session.KindAccess, at(c.Issued.Add(-time.Minute)))
		wantCode(t, err, session.TokenInvalid)
		_, err = s.Verify(token, session.KindRefresh, at(now))
		wantCode(t, err, session.TokenWrongKind)
		for i := range token {
			other := token[:i] + string(token[i]^1) + token[i+1:]
			if _, err := s.Verify(other, session.KindAccess, at(now)); err == nil {
				t.Fatalf("the token is valid with byte %d changed", i)
			}
		}
	}
}

// TestVerifyCachesOnlyValidAccessTokens checks that refresh tokens, invalid tokens and
// very long tokens are not cached.
func TestVerifyCachesOnlyValidAccessTokens(t *testing.T) {
	s := newSigner(t, Options{})
	access, refresh := mustSign(t, s, accessClaims()), mustSign(t, s, refreshClaims())
	long := accessClaims()
	long.Extra = []byte(`{"x":"` + strings.Repeat("y", maxCachedLength) + `"}`)
	tooLong := mustSign(t, s, long)
	for _, c := range []struct {
		token string
		kind  session.Kind
		at    time.Time
		want  bool
	}{
		{access, session.KindAccess, accessClaims().Expires, false},
		{access + "x", session.KindAccess, now, false},
		{refresh, session.KindAccess, now, false},
		{refresh, session.KindRefresh, now, false},
		{tooLong, session.KindAccess, now, false},
		{access, session.KindAccess, now, true},
	} {
		_, _ = s.Verify(c.token, c.kind, at(c.at))
		if _, got := s.cache.Get(c.token); got != c.want {
			t.Errorf("%.30s… verified as %s token at %s: cached %v, want %v", c.token, c.kind, c.at, got, c.want)
		}
	}
}
