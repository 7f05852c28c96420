package token

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// Whatever passes Verify passes jwx's own parser, says its kind and is in time.
func FuzzVerify(f *testing.F) {
	seed := newSigner(f, Options{VerifyingKeys: oldSecret})
	standard := newSigner(f, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"})
	pair := newSigner(f, Options{Algorithm: "EdDSA", SigningKey: pkcs8(f, newKeys(f).okp)})
	f.Add("")
	f.Add("..")
	f.Add(forge(secret, plainHead, access("exp", "1e400")))
	f.Add(forge(oldSecret, `{"kid":"k1","alg":"HS256"}`, access("user_id", "{}")))
	for _, s := range []*Signer{seed, standard, pair} {
		f.Add(mustSign(f, s, accessClaims()))
		f.Add(mustSign(f, s, refreshClaims()))
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, s := range []*Signer{seed, standard, pair} {
			for _, kind := range []session.Kind{session.Access, session.Refresh} {
				c, err := s.Verify(token, kind, now)
				if err != nil {
					continue
				}
				if c.Kind != kind || c.User.IsZero() || !c.Expires.After(now) {
					t.Errorf("%+v passed", c)
				}
				if s == pair {
					continue
				}
				_, err = jws.Verify([]byte(token), jws.WithKey(jwa.HS256(), []byte(secret)))
				if _, old := jws.Verify([]byte(token), jws.WithKey(jwa.HS256(), []byte(oldSecret))); err != nil && (old != nil || s != seed) {
					t.Errorf("jwx refuses what passed: %v", err)
				}
			}
		}
	})
}

// The one pass over plain claims and the way through encoding/json agree with
// encoding/json alone; so do claims as a user's own, merged into a token.
func FuzzClaims(f *testing.F) {
	s := newSigner(f, Options{})
	for _, seed := range []string{
		access("", ""), refresh("", ""), access("a", `[1,{"b":"}"},"\""]`), access("a", "-0"), access("a", "1.5e-7"), ` { } `, `{}{}`, `{"a":1,}`, `{"a" 1}`,
		`{"\u0061":"é","a":"\\"}`, `{"":0}`, "{\"a\":\"\x7f\"}", `[`, `null`, `{"exp":"\ud800"}`, `{"a":00}`, `{"a":-}`, `{"a":[}`, `{"EXP":1,"a":{"exp":2}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := map[string]string{}
		ok := members(data, func(name, value []byte) bool {
			got[string(name)] = string(value)
			return true
		})
		var want map[string]json.RawMessage
		wantOK := utf8.Valid(data) && json.Unmarshal(data, &want) == nil && want != nil
		if ok != wantOK {
			t.Fatalf("%q: taken %v, by encoding/json %v", data, ok, wantOK)
		}
		if !ok {
			return
		}
		if len(got) != len(want) {
			t.Errorf("%q: %d members, want %d", data, len(got), len(want))
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q: %q is %q, want %q", data, name, got[name], value)
			}
			checkText(t, value)
		}
		checkMerged(t, s, data, want)
	})
}

func checkText(t *testing.T, value []byte) {
	var want any
	if err := json.Unmarshal(value, &want); err != nil {
		return // a number beyond float64
	}
	s, ok := text(value)
	if w, isString := want.(string); ok != isString || s != w || ok && !isText(value, w) {
		t.Errorf("%q is %q, want %q", value, s, w)
	}
}

// checkMerged signs with a user's own claims and looks that ours come back.
func checkMerged(t *testing.T, s *Signer, extra []byte, want map[string]json.RawMessage) {
	c := accessClaims()
	c.Extra = extra
	token, err := s.Sign(c)
	if len(token) == 0 || err != nil {
		if len(extra) < 1000 {
			t.Errorf("%q: %v", extra, err)
		}
		return
	}
	back, err := s.Verify(token, session.Access, now)
	if err != nil || back.User != c.User || back.Session != c.Session || !back.Expires.Equal(c.Expires) {
		t.Errorf("%q: %+v, %v", extra, back, err)
	}
	_, claims := parts(t, token)
	names := 0
	if !members([]byte(claims), func(name, value []byte) bool {
		names++
		if w, ok := want[string(name)]; ok && !s.isReserved(string(name)) && !bytes.Equal(w, value) {
			t.Errorf("%q: %q became %q", extra, name, value)
		}
		return true
	}) {
		t.Errorf("%q made %s", extra, claims)
	}
	expected := 6 // the seed's five, and sid
	for name := range want {
		if !s.isReserved(name) {
			expected++
		}
	}
	if names != expected {
		t.Errorf("%q: %d members, want %d", extra, names, expected)
	}
}

// No text given as a key makes New panic, pass without a key that works, or
// tell about itself.
func FuzzKeys(f *testing.F) {
	k := newKeys(f)
	f.Add(pkcs8(f, k.ec), "")
	f.Add(jwkOf(f, k.rsa, nil), pkix(f, &k.rsa.PublicKey))
	f.Add(jwkOf(f, k.ec, map[string]any{"y": "AQ"}), jwkSet(`{"kty":"oct","k":"AQ"}`))
	f.Add(secret, oldSecret+","+secret)
	f.Add(jwkOf(f, k.okp, nil), certificate(f, k.okp))
	f.Fuzz(func(t *testing.T, signing, verifying string) {
		for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
			s, err := New(Options{Algorithm: algorithm, SigningKey: signing, VerifyingKeys: verifying})
			if err != nil {
				if strings.Contains(signing, "-----BEGIN ") || len(signing) < 12 {
					continue
				}
				if strings.Contains(err.Error(), signing) {
					t.Errorf("%v repeats the key", err)
				}
				continue
			}
			if _, err := s.Verify(mustSign(t, s, refreshClaims()), session.Refresh, now); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
		}
	})
}
