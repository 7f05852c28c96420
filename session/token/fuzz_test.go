package token

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// FuzzVerify checks that tokens accepted by Verify are also accepted by jwx, with a key of
// their kind, have the right kind and a user, and are not expired.
func FuzzVerify(f *testing.F) {
	simple := newSigner(f, Options{VerifyingKeys: oldSecret})
	rfc9068 := newSigner(f, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"})
	eddsaKey := newKeys(f).okp
	eddsa := newSigner(f, Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(f, eddsaKey)})
	f.Add("")
	f.Add("..")
	f.Add(forge(secret, plainHeader, accessJSON("exp", "1e400")))
	f.Add(forge(oldSecret, `{"kid":"k1","alg":"HS256"}`, accessJSON("user_id", "{}")))
	f.Add(forgeRefresh(derivedRefreshKey(oldSecret, ""), refreshJSON("jti", `"x"`)))
	f.Add(forge(secret, refreshHeader(derivedRefreshKey(secret, ""), "HS256"), refreshJSON("", "")))
	for _, s := range []*Signer{simple, rfc9068, eddsa} {
		f.Add(mustSign(f, s, accessClaims()))
		f.Add(mustSign(f, s, refreshClaims()))
	}
	access := map[*Signer]jws.VerifyOption{simple: hmacKeys(secret, oldSecret), rfc9068: hmacKeys(secret), eddsa: jws.WithKey(jwa.EdDSA(), eddsaKey.Public())}
	refresh := map[*Signer]jws.VerifyOption{
		simple:  hmacKeys(derivedRefreshKey(secret, ""), derivedRefreshKey(oldSecret, "")),
		rfc9068: hmacKeys(derivedRefreshKey(secret, "shop")),
		eddsa:   hmacKeys(derivedRefreshKey(string(eddsaKey.Seed()), "")),
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, s := range []*Signer{simple, rfc9068, eddsa} {
			for _, kind := range []session.Kind{session.KindAccess, session.KindRefresh} {
				c, err := s.Verify(token, kind, at(now))
				if err != nil {
					continue
				}
				if c.Kind != kind || c.User.IsZero() || !c.Expires.After(now) {
					t.Errorf("Verify accepts %+v", c)
				}
				key := access[s]
				if kind == session.KindRefresh {
					key = refresh[s]
				}
				if _, err = jws.Verify([]byte(token), key); err != nil {
					t.Errorf("jwx rejects a %s token that Verify accepts: %v", kind, err)
				}
			}
		}
	})
}

// hmacKeys returns an option for jwx to accept a signature by any of the secrets.
func hmacKeys(secrets ...string) jws.VerifyOption {
	return jws.WithKeyProvider(jws.KeyProviderFunc(func(_ context.Context, sink jws.KeySink, _ *jws.Signature, _ *jws.Message) error {
		for _, secret := range secrets {
			for _, algorithm := range []jwa.SignatureAlgorithm{jwa.HS256(), jwa.HS384(), jwa.HS512()} {
				sink.Key(algorithm, []byte(secret))
			}
		}
		return nil
	}))
}

// FuzzClaims checks that eachMember accepts the same objects as encoding/json, with the
// same members, and that they are the same when merged into a token as a user's own
// claims.
func FuzzClaims(f *testing.F) {
	s := newSigner(f, Options{})
	for _, seed := range []string{
		accessJSON("", ""), refreshJSON("", ""), accessJSON("a", `[1,{"b":"}"},"\""]`), accessJSON("a", "-0"), accessJSON("a", "1.5e-7"), ` { } `, `{}{}`, `{"a":1,}`, `{"a" 1}`,
		`{"\u0061":"é","a":"\\"}`, `{"":0}`, "{\"a\":\"\x7f\"}", `[`, `null`, `{"exp":"\ud800"}`, `{"a":00}`, `{"a":-}`, `{"a":[}`, `{"EXP":1,"a":{"exp":2}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := map[string]string{}
		ok := eachMember(data, func(name, value []byte) bool {
			got[string(name)] = string(value)
			return true
		})
		var want map[string]json.RawMessage
		wantOK := utf8.Valid(data) && json.Unmarshal(data, &want) == nil && want != nil
		if ok != wantOK {
			t.Fatalf("%q: eachMember returns %v, want %v as by encoding/json", data, ok, wantOK)
		}
		if !ok {
			return
		}
		if len(got) != len(want) {
			t.Errorf("%q: got %d members, want %d", data, len(got), len(want))
		}
		for name, value := range want {
			if got[name] != string(value) {
				t.Errorf("%q: member %q: got %q, want %q", data, name, got[name], value)
			}
			checkParseString(t, value)
		}
		checkMergedClaims(t, s, data, want)
	})
}

func checkParseString(t *testing.T, value []byte) {
	var want any
	if err := json.Unmarshal(value, &want); err != nil {
		return // a number beyond the range of float64
	}
	s, ok := parseString(value)
	if w, wantOK := want.(string); ok != wantOK || s != w || ok && !isString(value, w) {
		t.Errorf("parseString(%q) = %q, %v, want %q, %v", value, s, ok, w, wantOK)
	}
}

// checkMergedClaims checks that a token with a user's own claims contains the members of
// want and the unchanged claims of the gateway.
func checkMergedClaims(t *testing.T, s *Signer, extra []byte, want map[string]json.RawMessage) {
	c := accessClaims()
	c.Extra = extra
	token, err := s.Sign(c)
	if len(token) == 0 || err != nil {
		if len(extra) < 1000 { // the token is not too long
			t.Errorf("%q: %v", extra, err)
		}
		return
	}
	back, err := s.Verify(token, session.KindAccess, at(now))
	if err != nil || back.User != c.User || back.Session != c.Session || !back.Expires.Equal(c.Expires) {
		t.Errorf("%q: got %+v, %v, want the signed claims", extra, back, err)
	}
	_, claims := parts(t, token)
	members := 0
	if !eachMember([]byte(claims), func(name, value []byte) bool {
		members++
		if w, ok := want[string(name)]; ok && !s.isReserved(string(name)) && !bytes.Equal(w, value) {
			t.Errorf("%q: member %q: got %q, want %q", extra, name, value, w)
		}
		return true
	}) {
		t.Errorf("%q: the token has invalid claims: %s", extra, claims)
	}
	expected := 6 // the Django app's 5 claims, and sid
	for name := range want {
		if !s.isReserved(name) {
			expected++
		}
	}
	if members != expected {
		t.Errorf("%q: got %d members, want %d", extra, members, expected)
	}
}

// FuzzKeys checks that New either returns a Signer that works or an error that does not
// contain the key, and never panics.
func FuzzKeys(f *testing.F) {
	k := newKeys(f)
	f.Add(marshalPKCS8(f, k.ec), "", "")
	f.Add(marshalJWK(f, k.rsa, nil), marshalPKIX(f, &k.rsa.PublicKey), secret)
	f.Add(marshalJWK(f, k.ec, map[string]any{"y": "AQ"}), jwkSet(`{"kty":"oct","k":"AQ"}`), "")
	f.Add(secret, oldSecret+","+secret, oldSecret)
	f.Add(secret, marshalPKCS8(f, k.ec), "")
	f.Add(marshalJWK(f, k.ec, nil), jwkSet(marshalJWK(f, []byte(secret), nil), marshalJWK(f, k.okp, nil)), "\x00")
	f.Add(marshalJWK(f, k.okp, nil), selfSignedCertificate(f, k.okp), oldSecret)
	f.Fuzz(func(t *testing.T, signing, verifying, refresh string) {
		var refreshKeys []string
		if refresh != "" {
			refreshKeys = []string{refresh}
		}
		for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
			s, err := New(Options{Algorithm: algorithm, SigningKey: signing, VerifyingKeys: verifying, RefreshKeys: refreshKeys})
			if err != nil {
				if strings.Contains(signing, "-----BEGIN ") || len(signing) < 12 {
					continue
				}
				if strings.Contains(err.Error(), signing) {
					t.Errorf("the error contains the key: %v", err)
				}
				continue
			}
			if _, err := s.Verify(mustSign(t, s, refreshClaims()), session.KindRefresh, at(now)); err != nil {
				t.Errorf("%s: %v", algorithm, err)
			}
		}
	})
}
