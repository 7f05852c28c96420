package token

import "testing"

// TestC34TrustsSignerWithSharedKey checks that an app that has a key of another app,
// as its signing key or a retired key, trusts that app's tokens, unless it has its
// own audience or issuer.
func TestC34TrustsSignerWithSharedKey(t *testing.T) {
	mine := newSigner(t, Options{App: "mine", SigningKey: secret})
	other := secret + secret
	for name, c := range map[string]struct {
		options      Options
		trusts, back bool // whether mine trusts other, and other trusts mine
	}{
		"another key":                      {Options{SigningKey: other}, false, false},
		"the same key":                     {Options{SigningKey: secret}, true, true},
		"a retired key":                    {Options{SigningKey: other, VerifyingKeys: secret}, true, true},
		"two other keys":                   {Options{SigningKey: other, VerifyingKeys: other + "x"}, false, false},
		"its own audience":                 {Options{SigningKey: secret, Audience: []string{"b"}}, true, false},
		"its own issuer":                   {Options{SigningKey: secret, Issuer: "https://b"}, true, false},
		"its own key, audience and issuer": {Options{SigningKey: other, Audience: []string{"b"}, Issuer: "https://b"}, false, false},
	} {
		c.options.App = "other"
		s := newSigner(t, c.options)
		if mine.Trusts(s) != c.trusts || s.Trusts(mine) != c.back {
			t.Errorf("%s: got %v and %v, want %v and %v", name, mine.Trusts(s), s.Trusts(mine), c.trusts, c.back)
		}
	}
	a := newSigner(t, Options{App: "a", SigningKey: secret, Audience: []string{"a", "both"}})
	b := newSigner(t, Options{App: "b", SigningKey: secret, Audience: []string{"b", "both"}})
	if !a.Trusts(b) || a.Trusts(newSigner(t, Options{App: "b", SigningKey: secret, Audience: []string{"b"}})) {
		t.Error("want Trusts to be true with a common audience and false without one")
	}
}

// TestTrustsSignerOfRefreshTokens checks that two apps trust each other, whatever their
// algorithms, issuers and audiences, if one could sign the other's refresh tokens.
func TestTrustsSignerOfRefreshTokens(t *testing.T) {
	first, second, shared := "refresh-key-1-"+secret, "refresh-key-2-"+secret, "shared-"+secret+oldSecret
	pair, otherPair := marshalPKCS8(t, newKeys(t).ec), marshalPKCS8(t, newKeys(t).okp)
	own := func(o Options) Options {
		o.App, o.Issuer, o.Audience = "other", "https://b", []string{"b"}
		return o
	}
	for name, c := range map[string]struct {
		a, b Options
		want bool
	}{
		"own REFRESH_KEYs":                     {Options{SigningKey: secret, RefreshKeys: []string{first}}, own(Options{SigningKey: oldSecret, RefreshKeys: []string{second}}), false},
		"one REFRESH_KEY":                      {Options{SigningKey: secret, RefreshKeys: []string{shared}}, own(Options{SigningKey: oldSecret, RefreshKeys: []string{shared}}), true},
		"one REFRESH_KEY, other algorithms":    {Options{SigningKey: secret, RefreshKeys: []string{shared}}, own(Options{Algorithm: "ES256", SigningKey: pair, RefreshKeys: []string{shared}}), true},
		"a retired REFRESH_KEY":                {Options{SigningKey: secret, RefreshKeys: []string{first, shared}}, own(Options{SigningKey: oldSecret, RefreshKeys: []string{shared}}), true},
		"two retired REFRESH_KEYs":             {Options{SigningKey: secret, RefreshKeys: []string{first, shared}}, own(Options{SigningKey: oldSecret, RefreshKeys: []string{second, shared}}), true},
		"SIGNING_KEY":                          {Options{SigningKey: secret, RefreshKeys: []string{shared}}, own(Options{SigningKey: shared}), true},
		"SIGNING_KEY, another algorithm":       {Options{Algorithm: "EdDSA", SigningKey: otherPair, RefreshKeys: []string{shared}}, own(Options{Algorithm: "HS512", SigningKey: shared}), true},
		"a retired secret":                     {Options{SigningKey: secret, RefreshKeys: []string{shared}}, own(Options{SigningKey: oldSecret, VerifyingKeys: shared}), true},
		"a retired secret beside a key pair":   {Options{SigningKey: secret, RefreshKeys: []string{shared}}, own(Options{Algorithm: "ES256", SigningKey: pair, VerifyingKeys: shared}), true},
		"a retired secret too short for HS512": {Options{SigningKey: secret, RefreshKeys: []string{first}}, own(Options{Algorithm: "HS512", SigningKey: shared, VerifyingKeys: first}), true},
		"other key pairs":                      {Options{Algorithm: "ES256", SigningKey: pair}, own(Options{Algorithm: "EdDSA", SigningKey: otherPair}), false},
	} {
		c.a.App, c.a.Issuer, c.a.Audience = "app", "https://a", []string{"a"}
		a, b := newSigner(t, c.a), newSigner(t, c.b)
		if a.Trusts(b) != c.want || b.Trusts(a) != c.want {
			t.Errorf("%s: got %v and %v, want %v", name, a.Trusts(b), b.Trusts(a), c.want)
		}
	}
}

// TestTrustsNoOtherAlgorithm checks that an app does not trust the tokens of an app that has
// the same key, and so the same kid, but another algorithm: it rejects these tokens.
func TestTrustsNoOtherAlgorithm(t *testing.T) {
	long := secret + secret // enough for HS512
	pair := marshalPKCS8(t, newKeys(t).rsa)
	for _, c := range []struct{ a, b, key string }{{"HS256", "HS512", long}, {"HS256", "HS384", long}, {"RS256", "PS256", pair}} {
		a := newSigner(t, Options{App: "a", Algorithm: c.a, SigningKey: c.key})
		b := newSigner(t, Options{App: "b", Algorithm: c.b, SigningKey: c.key})
		if a.keyring.byKID[b.keyring.keys[0].kid] == nil {
			t.Fatalf("%s and %s: want the same kid", c.a, c.b)
		}
		if a.Trusts(b) || b.Trusts(a) {
			t.Errorf("%s and %s: got %v and %v, want false", c.a, c.b, a.Trusts(b), b.Trusts(a))
		}
		checkInvalid(t, a, c.b, mustSign(t, b, accessClaims()))
		checkInvalid(t, b, c.a, mustSign(t, a, accessClaims()))
	}
}
