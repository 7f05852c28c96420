package token

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// TestSeenTokensAreNoBetter: whatever was found of a token before, it is
// refused when its time is over, or has not come after all.
func TestSeenTokensAreNoBetter(t *testing.T) {
	s := newSigner(t, Options{Leeway: 10 * time.Second})
	c := accessClaims()
	token := mustSign(t, s, c)
	first, err := s.Verify(token, session.Access, now)
	wantCode(t, err, session.OK)
	for range 2 {
		again, err := s.Verify(token, session.Access, c.Expires.Add(10*time.Second-1))
		wantCode(t, err, session.OK)
		if fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("%+v, at first %+v", again, first)
		}
		_, err = s.Verify(token, session.Access, c.Expires.Add(10*time.Second))
		wantCode(t, err, session.TokenInvalid)
		_, err = s.Verify(token, session.Access, c.Issued.Add(-time.Minute))
		wantCode(t, err, session.TokenInvalid)
		_, err = s.Verify(token, session.Refresh, now)
		wantCode(t, err, session.TokenWrongKind)
		for i := range token {
			other := token[:i] + string(token[i]^1) + token[i+1:]
			if _, err := s.Verify(other, session.Access, now); err == nil {
				t.Fatalf("changed at %d it is good", i)
			}
		}
	}
}

// TestOnlyGoodAccessTokensAreKept, and only those of usual length.
func TestOnlyGoodAccessTokensAreKept(t *testing.T) {
	s := newSigner(t, Options{})
	good, refresh := mustSign(t, s, accessClaims()), mustSign(t, s, refreshClaims())
	long := accessClaims()
	long.Extra = []byte(`{"x":"` + strings.Repeat("y", seenLength) + `"}`)
	tooLong := mustSign(t, s, long)
	for _, c := range []struct {
		token string
		kind  session.Kind
		at    time.Time
		kept  bool
	}{
		{good, session.Access, accessClaims().Expires, false},
		{good + "x", session.Access, now, false},
		{refresh, session.Access, now, false},
		{refresh, session.Refresh, now, false},
		{tooLong, session.Access, now, false},
		{good, session.Access, now, true},
	} {
		_, _ = s.Verify(c.token, c.kind, c.at)
		if _, kept := s.seen.Get(c.token); kept != c.kept {
			t.Errorf("%.30s… as %s at %s: kept %v", c.token, c.kind, c.at, kept)
		}
	}
}
