package token

import (
	"testing"

	"tokengate/session"
)

// eachAlgorithm runs measure for both kinds of token with each algorithm.
func eachAlgorithm(b *testing.B, measure func(*testing.B, *Signer, session.Claims)) {
	for _, v := range readVectors(b).Vectors {
		s := newSigner(b, v.options())
		for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
			b.Run(v.Algorithm+"/"+string(c.Kind), func(b *testing.B) {
				b.ReportAllocs()
				measure(b, s, c)
			})
		}
	}
}

func BenchmarkSign(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *Signer, c session.Claims) {
		for b.Loop() {
			if _, err := s.Sign(c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// verifyUncached verifies a token without the cache, which only access tokens have.
func verifyUncached(s *Signer, token string, kind session.Kind) (err error) {
	if kind == session.KindRefresh {
		_, err = s.Verify(token, kind, at(now))
		return err
	}
	_, _, err = s.verifyUncached(token, at(now))
	return err
}

func BenchmarkVerify(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *Signer, c session.Claims) {
		token := mustSign(b, s, c)
		for b.Loop() {
			if err := verifyUncached(s, token, c.Kind); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerifyCached measures an access token that is in the cache.
func BenchmarkVerifyCached(b *testing.B) {
	s := newSigner(b, Options{})
	token := mustSign(b, s, accessClaims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token, session.KindAccess, at(now)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyForeign measures a token whose header and claims must be validated by
// encoding/json.
func BenchmarkVerifyForeign(b *testing.B) {
	s := newSigner(b, Options{})
	token := forge(secret, `{"typ": "JWT", "alg": "HS256"}`, accessJSON("scope", `["a", "b"]`))
	b.ReportAllocs()
	for b.Loop() {
		if err := verifyUncached(s, token, session.KindAccess); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyForged measures the cost of rejecting a forged token.
func BenchmarkVerifyForged(b *testing.B) {
	s := newSigner(b, Options{})
	token := forge(oldSecret, plainHeader, accessJSON("", ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token, session.KindAccess, at(now)); err == nil {
			b.Fatal("Verify accepts a forged token")
		}
	}
}

// minAllocs returns the number of allocations of f with filled pools. It takes the minimum
// of several runs: the race detector empties pools at random, which would raise the average.
func minAllocs(f func()) float64 {
	lowest := testing.AllocsPerRun(1, f)
	for range 100 {
		lowest = min(lowest, testing.AllocsPerRun(1, f))
	}
	return lowest
}

func TestAllocations(t *testing.T) {
	s := newSigner(t, Options{Issuer: "https://id.example", Audience: []string{"shop"}})
	for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
		c.User = session.TextID("5b3a6c0e-1d7b-4e0e-9a5c-0c7a3cf9b1de")
		token := mustSign(t, s, c)
		if n := minAllocs(func() { _, _ = s.Sign(c) }); n > 3 {
			t.Errorf("signing a %s token: got %v allocations, want at most 3", c.Kind, n)
		}
		if n := minAllocs(func() { _ = verifyUncached(s, token, c.Kind) }); n > 6 {
			t.Errorf("verifying a %s token: got %v allocations, want at most 6", c.Kind, n)
		}
	}
}
