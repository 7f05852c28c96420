package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// What another implementation signs we take, and where an algorithm leaves no
// choice we sign the same, byte for byte; kid included.
func TestAnotherImplementationsTokens(t *testing.T) {
	v := readVectors(t)
	for _, v := range v.Vectors {
		t.Run(v.Algorithm, func(t *testing.T) {
			s := newSigner(t, Options{Algorithm: v.Algorithm, SigningKey: v.Key})
			if kid := s.ring.keys[0].kid; kid != v.KID {
				t.Errorf("kid %s, want %s", kid, v.KID)
			}
			if _, err := s.Verify(v.Access, session.Access, now); err != nil {
				t.Errorf("access token: %v", err)
			}
			c, err := s.Verify(v.Refresh, session.Refresh, now)
			if err != nil || c.Generation != 3 || c.Session != "nRyq3Pz0S2mB-xk_91oJvA" || c.User != session.NumberID(42) {
				t.Errorf("refresh token: %+v, %v", c, err)
			}
			token, want := mustSign(t, s, refreshClaims()), v.Refresh
			if v.Algorithm == "PS256" || v.Algorithm == "ES256" {
				token, want = token[:strings.LastIndex(token, ".")], want[:strings.LastIndex(want, ".")]
			}
			if token != want {
				t.Errorf("signed\n%s, want\n%s", token, want)
			}
		})
	}
}

// Every algorithm's tokens verify by jwx's own reading of them, with the key
// that JWKS publishes under the kid that they carry.
func TestRoundTripThroughJWKS(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		t.Run(v.Algorithm, func(t *testing.T) {
			s := newSigner(t, Options{Algorithm: v.Algorithm, SigningKey: v.Key})
			for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
				token := mustSign(t, s, c)
				if _, err := s.Verify(token, c.Kind, now); err != nil {
					t.Error(err)
				}
				set, err := jwk.Parse(s.JWKS())
				if err != nil {
					t.Fatal(err)
				}
				option := jws.WithKeySet(set)
				if strings.HasPrefix(v.Algorithm, "HS") {
					option = jws.WithKey(algorithmOf(v.Algorithm), []byte(v.Key))
				}
				if _, err := jws.Verify([]byte(token), option); err != nil {
					t.Errorf("jwx refuses it: %v", err)
				}
			}
		})
	}
}

type testKeys struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
	okp ed25519.PrivateKey
}

func newKeys(t testing.TB) testKeys {
	t.Helper()
	var k testKeys
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	k.ec, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.okp, _ = ed25519.GenerateKey(rand.Reader)
	return k
}

func pemOf(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(t testing.TB, k any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return pemOf(t, "PRIVATE KEY", der, err)
}

func pkix(t testing.TB, k any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	return pemOf(t, "PUBLIC KEY", der, err)
}

func sec1(t testing.TB, k *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(k)
	return pemOf(t, "EC PRIVATE KEY", der, err)
}

// jwkOf is a key as a JWK with members changed; nil removes one.
func jwkOf(t testing.TB, k any, change map[string]any) string {
	t.Helper()
	parsed, err := jwk.Import(k)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(parsed)
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	for name, value := range change {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	text, _ = json.Marshal(members)
	return string(text)
}

func jwkSet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func certificate(t testing.TB, k crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	return pemOf(t, "CERTIFICATE", der, err)
}

// A key has one kid in whatever form it comes, and signs in each private one.
func TestKeyForms(t *testing.T) {
	k := newKeys(t)
	pkcs1 := pemOf(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil)
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for algorithm, forms := range map[string][]string{
		"RS256": {pkcs8(t, k.rsa), pkcs1, jwkOf(t, k.rsa, nil), jwkSet(jwkOf(t, k.rsa, nil)), "Bag Attributes\n" + pkcs1,
			jwkOf(t, k.rsa, map[string]any{"dp": nil, "dq": nil, "qi": nil}), strings.ReplaceAll(pkcs1, "\n", `\n`)},
		"PS256": {pkcs8(t, k.rsa), jwkOf(t, k.rsa, map[string]any{"alg": "PS256", "use": "sig", "kid": "x"})},
		"ES256": {pkcs8(t, k.ec), sec1(t, k.ec), parameters + sec1(t, k.ec), " \n" + jwkOf(t, k.ec, nil)},
		"EdDSA": {pkcs8(t, k.okp), jwkOf(t, k.okp, nil)},
	} {
		kid := ""
		for i, form := range forms {
			s, err := New(Options{Algorithm: algorithm, SigningKey: form})
			if err != nil {
				t.Errorf("%s, form %d: %v", algorithm, i, err)
				continue
			}
			if kid == "" {
				kid = s.ring.keys[0].kid
			}
			if got := s.ring.keys[0].kid; got != kid || len(s.ring.keys) != 1 {
				t.Errorf("%s, form %d: kid %s, want %s", algorithm, i, got, kid)
			}
			if _, err := s.Verify(mustSign(t, s, accessClaims()), session.Access, now); err != nil {
				t.Errorf("%s, form %d: %v", algorithm, i, err)
			}
		}
	}
}

func TestRetiredKeyForms(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	for algorithm, c := range map[string]struct {
		key, old any
		retired  []string
	}{
		"RS256": {k.rsa, old.rsa, []string{
			pkix(t, &old.rsa.PublicKey), pkcs8(t, old.rsa), certificate(t, old.rsa), jwkOf(t, &old.rsa.PublicKey, nil),
			pemOf(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&old.rsa.PublicKey), nil),
		}},
		"ES256": {k.ec, old.ec, []string{pkix(t, &old.ec.PublicKey), sec1(t, old.ec), jwkSet(jwkOf(t, &old.ec.PublicKey, nil))}},
		"EdDSA": {k.okp, old.okp, []string{pkix(t, old.okp.Public()), pkcs8(t, k.okp) + pkix(t, old.okp.Public())}},
	} {
		token := mustSign(t, newSigner(t, Options{Algorithm: algorithm, SigningKey: pkcs8(t, c.old)}), refreshClaims())
		alone := newSigner(t, Options{Algorithm: algorithm, SigningKey: pkcs8(t, c.key)})
		_, err := alone.Verify(token, session.Refresh, now)
		wantCode(t, err, session.TokenInvalid)
		for i, retired := range c.retired {
			s := newSigner(t, Options{Algorithm: algorithm, SigningKey: pkcs8(t, c.key), VerifyingKeys: retired})
			if _, err := s.Verify(token, session.Refresh, now); err != nil {
				t.Errorf("%s, form %d: %v", algorithm, i, err)
			}
			if len(s.ring.keys) != 2 || mustKID(t, mustSign(t, s, accessClaims())) != alone.ring.keys[0].kid {
				t.Errorf("%s, form %d: %d keys, or the retired one signs", algorithm, i, len(s.ring.keys))
			}
		}
	}
}

func mustKID(t testing.TB, token string) string {
	t.Helper()
	header, _ := parts(t, token)
	var h struct{ KID string }
	if err := json.Unmarshal([]byte(header), &h); err != nil {
		t.Fatal(err)
	}
	return h.KID
}

// The first private key signs, wherever it stands.
func TestFirstPrivateKeySigns(t *testing.T) {
	a, b := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: pkix(t, &a.ec.PublicKey) + sec1(t, b.ec) + pkcs8(t, a.ec)})
	want := newSigner(t, Options{Algorithm: "ES256", SigningKey: sec1(t, b.ec)}).ring.keys[0].kid
	if got := s.ring.keys[0].kid; got != want || len(s.ring.keys) != 2 {
		t.Errorf("%d keys, the first is %s, want %s", len(s.ring.keys), got, want)
	}
}

func TestRetiredSecrets(t *testing.T) {
	token := forge(oldSecret, plainHead, access("", ""))
	oct := base64.RawURLEncoding.EncodeToString([]byte(oldSecret))
	third := strings.Repeat("third", 8)
	for _, retired := range []string{
		oldSecret, third + "," + oldSecret, third + "\r\n " + oldSecret + " \n", oldSecret + ",",
		`{"kty":"oct","k":"` + oct + `"}`, jwkSet(`{"kty":"oct","kid":"old","k":"` + oct + `"}`),
	} {
		s := newSigner(t, Options{VerifyingKeys: retired})
		if _, err := s.Verify(token, session.Access, now); err != nil {
			t.Errorf("%q: %v", retired, err)
		}
		if mustKID(t, mustSign(t, s, accessClaims())) != newSigner(t, Options{}).ring.keys[0].kid {
			t.Errorf("%q: a retired secret signs", retired)
		}
	}
	_, err := newSigner(t, Options{}).Verify(token, session.Access, now)
	wantCode(t, err, session.TokenInvalid)
}

// A key that its JWK names is found by that name too, since other programs may
// have put it into their tokens.
func TestNamesOfRetiredKeys(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	named := jwkOf(t, &old.ec.PublicKey, map[string]any{"kid": "2019"})
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: pkcs8(t, k.ec), VerifyingKeys: named})
	token := forgeES256(t, old.ec, `{"alg":"ES256","kid":"2019"}`)
	if _, err := s.Verify(token, session.Access, now); err != nil {
		t.Error(err)
	}
	again := newSigner(t, Options{Algorithm: "ES256", SigningKey: pkcs8(t, old.ec), VerifyingKeys: named})
	if _, err := again.Verify(token, session.Access, now); err != nil || len(again.ring.keys) != 1 {
		t.Errorf("%d keys, %v", len(again.ring.keys), err)
	}
}

func algorithmOf(name string) jwa.SignatureAlgorithm {
	algorithm, _ := jwa.LookupSignatureAlgorithm(name)
	return algorithm
}

func forgeES256(t testing.TB, k *ecdsa.PrivateKey, header string) string {
	t.Helper()
	signer, _ := jws.SignerFor(jwa.ES256())
	signed := encode(header) + "." + encode(access("", ""))
	signature, err := signer.Sign(k, []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestC39PublishedKeys(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	for algorithm, pair := range map[string][2]any{
		"RS256": {k.rsa, old.rsa}, "PS256": {k.rsa, old.rsa}, "ES256": {k.ec, old.ec}, "EdDSA": {k.okp, old.okp},
	} {
		retired := jwkSet(jwkOf(t, pair[1], map[string]any{"kid": "x", "x5u": "https://evil.example", "key_ops": []string{"sign"}}), jwkOf(t, pair[0], nil))
		s := newSigner(t, Options{Algorithm: algorithm, SigningKey: pkcs8(t, pair[0]), VerifyingKeys: retired})
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(s.JWKS(), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%s: %v, %d keys, want 2: a key given twice is published once", algorithm, err, len(set.Keys))
		}
		allowed := "kty kid use alg n e crv x y"
		seen := map[any]bool{}
		for _, published := range set.Keys {
			for name := range published {
				if !strings.Contains(" "+allowed+" ", " "+name+" ") {
					t.Errorf("%s: member %s is published", algorithm, name)
				}
			}
			if published["use"] != "sig" || published["alg"] != algorithm || seen[published["kid"]] || len(published["kid"].(string)) != 43 {
				t.Errorf("%s: %v", algorithm, published)
			}
			seen[published["kid"]] = true
		}
		if set.Keys[0]["kid"] != mustKID(t, mustSign(t, s, accessClaims())) {
			t.Errorf("%s: the first key is not the signing one", algorithm)
		}
	}
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		s := newSigner(t, Options{Algorithm: algorithm, SigningKey: strings.Repeat(secret, 2), VerifyingKeys: strings.Repeat(oldSecret, 2)})
		if got := string(s.JWKS()); got != `{"keys":[]}` {
			t.Errorf("%s publishes %s", algorithm, got)
		}
	}
}

func TestJWKSIsACopy(t *testing.T) {
	s := newSigner(t, Options{})
	s.JWKS()[0] = 'x'
	if s.JWKS()[0] != '{' {
		t.Error("a caller can change what is published")
	}
}

// C40: a key that no longer signs is still published and taken.
func TestC40RotationOverlaps(t *testing.T) {
	k, next := newKeys(t), newKeys(t)
	before := newSigner(t, Options{Algorithm: "EdDSA", SigningKey: pkcs8(t, k.okp)})
	after := newSigner(t, Options{Algorithm: "EdDSA", SigningKey: pkcs8(t, next.okp), VerifyingKeys: pkix(t, k.okp.Public())})
	token := mustSign(t, before, accessClaims())
	if _, err := after.Verify(token, session.Access, now); err != nil {
		t.Error(err)
	}
	set, err := jwk.Parse(after.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := set.LookupKeyID(mustKID(t, token)); !ok {
		t.Error("the retired key is not published")
	}
}

func TestHeadersAreWhatTokensBeginWith(t *testing.T) {
	for _, o := range []Options{
		{VerifyingKeys: oldSecret},
		{VerifyingKeys: oldSecret, App: "shop", Profile: RFC9068, Issuer: "https://id.example"},
	} {
		s := newSigner(t, o)
		retired := o
		retired.SigningKey, retired.VerifyingKeys = oldSecret, ""
		want := map[string]bool{}
		for _, signer := range []*Signer{s, newSigner(t, retired)} {
			for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
				header, _, _ := strings.Cut(mustSign(t, signer, c), ".")
				want[header] = true
			}
		}
		got := map[string]bool{}
		for _, h := range s.Headers() {
			got[h] = true
		}
		if len(got) != len(want) || len(got) != len(s.Headers()) {
			t.Errorf("%s: %d headers, want %d", o.Profile, len(got), len(want))
		}
		for h := range want {
			if !got[h] {
				t.Errorf("%s: %s is missing", o.Profile, h)
			}
		}
	}
}

// A secret's kid is not its hash, nor its thumbprint, and is the same everywhere.
func TestSecretKID(t *testing.T) {
	oct, _ := jwk.Import([]byte(secret))
	thumbprint, _ := oct.Thumbprint(crypto.SHA256)
	kid := newSigner(t, Options{}).ring.keys[0].kid
	if strings.HasPrefix(base64.RawURLEncoding.EncodeToString(thumbprint), kid[:8]) {
		t.Error("kid is the thumbprint")
	}
	if kid != newSigner(t, Options{}).ring.keys[0].kid || kid == newSigner(t, Options{SigningKey: oldSecret}).ring.keys[0].kid {
		t.Error("kid is not a function of the secret")
	}
}
