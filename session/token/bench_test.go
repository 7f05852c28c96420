package token

import (
	"testing"

	"tokengate/session"
)

// eachAlgorithm runs measure for both kinds of token under every algorithm.
func eachAlgorithm(b *testing.B, measure func(*testing.B, *Signer, session.Claims)) {
	for _, v := range readVectors(b).Vectors {
		s := newSigner(b, Options{Algorithm: v.Algorithm, SigningKey: v.Key})
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

func BenchmarkVerify(b *testing.B) {
	eachAlgorithm(b, func(b *testing.B, s *Signer, c session.Claims) {
		token := mustSign(b, s, c)
		for b.Loop() {
			if _, err := s.verify(token, c.Kind, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerifySeen is an access token that was checked before.
func BenchmarkVerifySeen(b *testing.B) {
	s := newSigner(b, Options{})
	token := mustSign(b, s, accessClaims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token, session.Access, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyForeign takes the way through encoding/json, for the header as
// well as for the claims.
func BenchmarkVerifyForeign(b *testing.B) {
	s := newSigner(b, Options{})
	token := forge(secret, `{"typ": "JWT", "alg": "HS256"}`, access("scope", `["a", "b"]`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.verify(token, session.Access, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefused is what a flood of forged tokens costs.
func BenchmarkRefused(b *testing.B) {
	s := newSigner(b, Options{})
	token := forge(oldSecret, plainHead, access("", ""))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(token, session.Access, now); err == nil {
			b.Fatal("passed")
		}
	}
}

// fewest is how often f allocates once everything is warm. The race detector
// empties pools at random, so the average would count that.
func fewest(f func()) float64 {
	least := testing.AllocsPerRun(1, f)
	for range 100 {
		least = min(least, testing.AllocsPerRun(1, f))
	}
	return least
}

func TestAllocations(t *testing.T) {
	s := newSigner(t, Options{Issuer: "https://id.example", Audience: []string{"shop"}})
	for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
		c.User = session.TextID("5b3a6c0e-1d7b-4e0e-9a5c-0c7a3cf9b1de")
		token := mustSign(t, s, c)
		if n := fewest(func() { _, _ = s.Sign(c) }); n > 3 {
			t.Errorf("signing a %s token: %v allocations, want 3 at most", c.Kind, n)
		}
		if n := fewest(func() { _, _ = s.verify(token, c.Kind, now) }); n > 6 {
			t.Errorf("verifying a %s token: %v allocations, want 6 at most", c.Kind, n)
		}
	}
}
