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
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// TestPyJWTVectors checks that Verify accepts the tokens of another implementation, and
// that Sign yields the same refresh token.
func TestPyJWTVectors(t *testing.T) {
	all := readVectors(t)
	for _, v := range all.Vectors {
		t.Run(v.Algorithm, func(t *testing.T) {
			s := newSigner(t, v.options())
			if kid := s.keyring.keys[0].kid; kid != v.KID {
				t.Errorf("got kid %s, want %s", kid, v.KID)
			}
			if _, err := s.Verify(v.Access, session.KindAccess, at(now)); err != nil {
				t.Errorf("access token: %v", err)
			}
			want := refreshClaims()
			want.Session, want.Generation = all.SID, all.Generation
			if _, err := hex.Decode(want.Secret[:], []byte(all.Secret)); err != nil || want.Secret == (session.Secret{}) {
				t.Fatalf("got secret %q (%v), want one that is not zero", all.Secret, err)
			}
			checkRefresh(t, "refresh token", s, v.Refresh, want)
			if token := mustSign(t, s, want); token != v.Refresh {
				t.Errorf("got token\n%s, want\n%s", token, v.Refresh)
			}
		})
	}
}

// TestRoundTripThroughJWKS checks for each algorithm that jwx accepts an access token by
// means of the key that JWKS publishes under the token's kid, and a refresh token by
// means of the derived refresh key only.
func TestRoundTripThroughJWKS(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		t.Run(v.Algorithm, func(t *testing.T) {
			s := newSigner(t, v.options())
			set, err := jwk.Parse(s.JWKS())
			if err != nil {
				t.Fatal(err)
			}
			option, algorithm := jws.WithKeySet(set), jwa.HS256()
			if strings.HasPrefix(v.Algorithm, "HS") {
				algorithm = jwaAlgorithm(v.Algorithm)
				option = jws.WithKey(algorithm, []byte(v.Key))
			}
			access, refresh := mustSign(t, s, accessClaims()), mustSign(t, s, refreshClaims())
			if _, err := s.Verify(access, session.KindAccess, at(now)); err != nil {
				t.Error(err)
			}
			if _, err := jws.Verify([]byte(access), option); err != nil {
				t.Errorf("jwx rejects the access token: %v", err)
			}
			checkRefresh(t, "refresh token", s, refresh, refreshClaims())
			if _, err := jws.Verify([]byte(refresh), option); err == nil {
				t.Error("jwx accepts the refresh token by means of the key of access tokens")
			}
			derived := derivedRefreshKey(valueOf(t, v.Key), "shop")
			if _, err := jws.Verify([]byte(refresh), jws.WithKey(algorithm, []byte(derived))); err != nil {
				t.Errorf("jwx rejects the refresh token: %v", err)
			}
		})
	}
}

// valueOf returns the secret, or the private value of a key in PKCS #8, of which an app
// derives its refresh key.
func valueOf(t testing.TB, key string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(key))
	if block == nil {
		return key
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	switch k := parsed.(type) {
	case *rsa.PrivateKey:
		return string(k.D.Bytes())
	case *ecdsa.PrivateKey:
		private, err := k.ECDH()
		if err != nil {
			t.Fatal(err)
		}
		return string(private.Bytes())
	}
	return string(parsed.(ed25519.PrivateKey)[:ed25519.SeedSize])
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

func encodePEM(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func marshalPKCS8(t testing.TB, k any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return encodePEM(t, "PRIVATE KEY", der, err)
}

func marshalPKIX(t testing.TB, k any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	return encodePEM(t, "PUBLIC KEY", der, err)
}

func marshalSEC1(t testing.TB, k *ecdsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(k)
	return encodePEM(t, "EC PRIVATE KEY", der, err)
}

// marshalJWK returns k as a JWK with the members in change replaced. The value nil removes
// a member.
func marshalJWK(t testing.TB, k any, change map[string]any) string {
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

func selfSignedCertificate(t testing.TB, k crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	return encodePEM(t, "CERTIFICATE", der, err)
}

// TestKeyFormats checks that a key has the same kid in all formats, and can sign.
func TestKeyFormats(t *testing.T) {
	k := newKeys(t)
	pkcs1 := encodePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil)
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
	for algorithm, formats := range map[string][]string{
		"RS256": {marshalPKCS8(t, k.rsa), pkcs1, marshalJWK(t, k.rsa, nil), jwkSet(marshalJWK(t, k.rsa, nil)), "Bag Attributes\n" + pkcs1,
			marshalJWK(t, k.rsa, map[string]any{"dp": nil, "dq": nil, "qi": nil}), strings.ReplaceAll(pkcs1, "\n", `\n`)},
		"PS256": {marshalPKCS8(t, k.rsa), marshalJWK(t, k.rsa, map[string]any{"alg": "PS256", "use": "sig", "kid": "x"})},
		"ES256": {marshalPKCS8(t, k.ec), marshalSEC1(t, k.ec), parameters + marshalSEC1(t, k.ec), " \n" + marshalJWK(t, k.ec, nil)},
		"EdDSA": {marshalPKCS8(t, k.okp), marshalJWK(t, k.okp, nil)},
	} {
		kid := ""
		for i, format := range formats {
			s, err := New(Options{Algorithm: algorithm, SigningKey: format})
			if err != nil {
				t.Errorf("%s, format %d: %v", algorithm, i, err)
				continue
			}
			if kid == "" {
				kid = s.keyring.keys[0].kid
			}
			if got := s.keyring.keys[0].kid; got != kid || len(s.keyring.keys) != 1 {
				t.Errorf("%s, format %d: got kid %s and %d keys, want kid %s and 1 key", algorithm, i, got, len(s.keyring.keys), kid)
			}
			if _, err := s.Verify(mustSign(t, s, accessClaims()), session.KindAccess, at(now)); err != nil {
				t.Errorf("%s, format %d: %v", algorithm, i, err)
			}
		}
	}
}

// TestRetiredKeyFormats checks that the access tokens of a retired key are accepted
// whatever its format, and its refresh tokens if its private half is given.
func TestRetiredKeyFormats(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	for algorithm, c := range map[string]struct {
		key, old        any
		public, private []string
	}{
		"RS256": {k.rsa, old.rsa, []string{
			marshalPKIX(t, &old.rsa.PublicKey), selfSignedCertificate(t, old.rsa), marshalJWK(t, &old.rsa.PublicKey, nil),
			encodePEM(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&old.rsa.PublicKey), nil),
		}, []string{marshalPKCS8(t, old.rsa), marshalJWK(t, old.rsa, nil)}},
		"ES256": {k.ec, old.ec, []string{marshalPKIX(t, &old.ec.PublicKey), jwkSet(marshalJWK(t, &old.ec.PublicKey, nil))},
			[]string{marshalSEC1(t, old.ec), jwkSet(marshalJWK(t, old.ec, nil))}},
		"EdDSA": {k.okp, old.okp, []string{marshalPKIX(t, old.okp.Public()), marshalPKCS8(t, k.okp) + marshalPKIX(t, old.okp.Public())},
			[]string{marshalPKCS8(t, k.okp) + marshalPKCS8(t, old.okp), marshalJWK(t, old.okp, nil)}},
	} {
		before := newSigner(t, Options{Algorithm: algorithm, SigningKey: marshalPKCS8(t, c.old)})
		access, refresh := mustSign(t, before, accessClaims()), mustSign(t, before, refreshClaims())
		alone := newSigner(t, Options{Algorithm: algorithm, SigningKey: marshalPKCS8(t, c.key)})
		checkInvalid(t, alone, algorithm+" without the retired key", access)
		checkInvalid(t, alone, algorithm+" without the retired key", refresh)
		for i, retired := range append(c.public, c.private...) {
			name := fmt.Sprintf("%s, format %d", algorithm, i)
			s := newSigner(t, Options{Algorithm: algorithm, SigningKey: marshalPKCS8(t, c.key), VerifyingKeys: retired})
			if _, err := s.Verify(access, session.KindAccess, at(now)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if i < len(c.public) {
				checkNoRefresh(t, name, s, refresh, session.TokenInvalid)
			} else {
				checkRefresh(t, name, s, refresh, refreshClaims())
			}
			if len(s.keyring.keys) != 2 || kidOf(t, mustSign(t, s, accessClaims())) != alone.keyring.keys[0].kid {
				t.Errorf("%s: got %d keys, want 2, of which the retired one does not sign", name, len(s.keyring.keys))
			}
		}
	}
}

func kidOf(t testing.TB, token string) string {
	t.Helper()
	header, _ := parts(t, token)
	var h struct{ KID string }
	if err := json.Unmarshal([]byte(header), &h); err != nil {
		t.Fatal(err)
	}
	return h.KID
}

// TestFirstPrivateKeySigns checks that the first private key of SIGNING_KEY signs, even
// after a public key.
func TestFirstPrivateKeySigns(t *testing.T) {
	a, b := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKIX(t, &a.ec.PublicKey) + marshalSEC1(t, b.ec) + marshalPKCS8(t, a.ec)})
	want := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalSEC1(t, b.ec)}).keyring.keys[0].kid
	if got := s.keyring.keys[0].kid; got != want || len(s.keyring.keys) != 2 {
		t.Errorf("got %d keys, the first with kid %s, want 2 keys, the first with kid %s", len(s.keyring.keys), got, want)
	}
}

func TestRetiredSecrets(t *testing.T) {
	token := forge(oldSecret, plainHeader, accessJSON("", ""))
	oct := base64.RawURLEncoding.EncodeToString([]byte(oldSecret))
	third := strings.Repeat("third", 8)
	for _, retired := range []string{
		oldSecret, third + "," + oldSecret, third + "\r\n " + oldSecret + " \n", oldSecret + ",",
		`{"kty":"oct","k":"` + oct + `"}`, jwkSet(`{"kty":"oct","kid":"old","k":"` + oct + `"}`),
	} {
		s := newSigner(t, Options{VerifyingKeys: retired})
		if _, err := s.Verify(token, session.KindAccess, at(now)); err != nil {
			t.Errorf("%q: %v", retired, err)
		}
		if kidOf(t, mustSign(t, s, accessClaims())) != newSigner(t, Options{}).keyring.keys[0].kid {
			t.Errorf("%q: a retired secret signs, want SIGNING_KEY", retired)
		}
	}
	_, err := newSigner(t, Options{}).Verify(token, session.KindAccess, at(now))
	wantCode(t, err, session.TokenInvalid)
}

// TestRetiredKeyIsFoundByItsJWKKID checks that a key is also found by the kid of its JWK,
// which other programs may have written into their tokens.
func TestRetiredKeyIsFoundByItsJWKKID(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	named := marshalJWK(t, &old.ec.PublicKey, map[string]any{"kid": "2019"})
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: named})
	token := forgeES256(t, old.ec, `{"alg":"ES256","kid":"2019"}`)
	if _, err := s.Verify(token, session.KindAccess, at(now)); err != nil {
		t.Error(err)
	}
	again := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, old.ec), VerifyingKeys: named})
	if _, err := again.Verify(token, session.KindAccess, at(now)); err != nil || len(again.keyring.keys) != 1 {
		t.Errorf("got %d keys and error %v, want 1 key", len(again.keyring.keys), err)
	}
}

func jwaAlgorithm(name string) jwa.SignatureAlgorithm {
	algorithm, _ := jwa.LookupSignatureAlgorithm(name)
	return algorithm
}

func forgeES256(t testing.TB, k *ecdsa.PrivateKey, header string) string {
	t.Helper()
	signer, _ := jws.SignerFor(jwa.ES256())
	signed := encode(header) + "." + encode(accessJSON("", ""))
	signature, err := signer.Sign(k, []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func TestC39JWKSHasOnlyPublicMembers(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	for algorithm, pair := range map[string][2]any{
		"RS256": {k.rsa, old.rsa}, "PS256": {k.rsa, old.rsa}, "ES256": {k.ec, old.ec}, "EdDSA": {k.okp, old.okp},
	} {
		retired := jwkSet(marshalJWK(t, pair[1], map[string]any{"kid": "x", "x5u": "https://evil.example", "key_ops": []string{"sign"}}), marshalJWK(t, pair[0], nil))
		s := newSigner(t, Options{Algorithm: algorithm, SigningKey: marshalPKCS8(t, pair[0]), VerifyingKeys: retired})
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal(s.JWKS(), &set); err != nil || len(set.Keys) != 2 {
			t.Fatalf("%s: got %d published keys (%v), want 2: a key that is given twice is published once", algorithm, len(set.Keys), err)
		}
		allowed := "kty kid use alg n e crv x y"
		kids := map[any]bool{}
		for _, published := range set.Keys {
			for name := range published {
				if !strings.Contains(" "+allowed+" ", " "+name+" ") {
					t.Errorf("%s: JWKS contains member %s", algorithm, name)
				}
			}
			if published["use"] != "sig" || published["alg"] != algorithm || kids[published["kid"]] || len(published["kid"].(string)) != 43 {
				t.Errorf("%s: JWKS contains %v, want use sig, this alg and a kid of its own", algorithm, published)
			}
			kids[published["kid"]] = true
		}
		if set.Keys[0]["kid"] != kidOf(t, mustSign(t, s, accessClaims())) {
			t.Errorf("%s: the first published key is not the signing key", algorithm)
		}
	}
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		s := newSigner(t, Options{Algorithm: algorithm, SigningKey: strings.Repeat(secret, 2), VerifyingKeys: strings.Repeat(oldSecret, 2)})
		if got := string(s.JWKS()); got != `{"keys":[]}` {
			t.Errorf("%s: got JWKS %s, want no keys", algorithm, got)
		}
	}
}

func TestJWKSIsACopy(t *testing.T) {
	s := newSigner(t, Options{})
	s.JWKS()[0] = 'x'
	if s.JWKS()[0] != '{' {
		t.Error("a caller can change the published JWK Set")
	}
}

// TestC40RetiredKeyStaysPublished checks that a retired key is still published, and that
// its tokens are accepted.
func TestC40RetiredKeyStaysPublished(t *testing.T) {
	k, next := newKeys(t), newKeys(t)
	before := newSigner(t, Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, k.okp)})
	after := newSigner(t, Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, next.okp), VerifyingKeys: marshalPKIX(t, k.okp.Public())})
	token := mustSign(t, before, accessClaims())
	if _, err := after.Verify(token, session.KindAccess, at(now)); err != nil {
		t.Error(err)
	}
	set, err := jwk.Parse(after.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := set.LookupKeyID(kidOf(t, token)); !ok {
		t.Error("the retired key is not published")
	}
}

// TestHeadersMatchSignedTokens checks that Headers returns the headers of the access
// tokens of all keys, also of those from the time before a change to the profile
// RFC9068, and those of the refresh tokens of all refresh keys with each HS* algorithm.
func TestHeadersMatchSignedTokens(t *testing.T) {
	for _, o := range []Options{
		{App: "shop", VerifyingKeys: oldSecret},
		{App: "shop", VerifyingKeys: oldSecret, Profile: RFC9068, Issuer: "https://id.example"},
		{App: "shop", VerifyingKeys: oldSecret, RefreshKeys: []string{secret + oldSecret}},
	} {
		s := newSigner(t, o)
		want := map[string]bool{}
		for _, key := range []string{secret, oldSecret} {
			for _, profile := range []string{SimpleJWT, o.Profile} {
				signer := newSigner(t, Options{App: "shop", SigningKey: key, Profile: profile, Issuer: "https://id.example"})
				header, _, _ := strings.Cut(mustSign(t, signer, accessClaims()), ".")
				want[header] = true
			}
		}
		for _, key := range append(o.RefreshKeys, derivedRefreshKey(secret, "shop"), derivedRefreshKey(oldSecret, "shop")) {
			for _, alg := range []string{"HS256", "HS384", "HS512"} {
				want[encode(refreshHeader(key, alg))] = true
			}
		}
		got := map[string]bool{}
		for _, h := range s.Headers() {
			got[h] = true
		}
		if !maps.Equal(got, want) || len(got) != len(s.Headers()) {
			t.Errorf("%+v: got %d different headers out of %d, want %d", o, len(got), len(s.Headers()), len(want))
		}
		for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
			if header, _, _ := strings.Cut(mustSign(t, s, c), "."); !got[header] {
				t.Errorf("%+v: the header of the %s token is missing", o, c.Kind)
			}
		}
	}
}

// TestSecretKID checks that a secret's kid is not its RFC 7638 thumbprint, which is a hash
// of the secret, and depends on the secret only.
func TestSecretKID(t *testing.T) {
	oct, _ := jwk.Import([]byte(secret))
	thumbprint, _ := oct.Thumbprint(crypto.SHA256)
	kid := newSigner(t, Options{}).keyring.keys[0].kid
	if strings.HasPrefix(base64.RawURLEncoding.EncodeToString(thumbprint), kid[:8]) {
		t.Error("kid is the RFC 7638 thumbprint")
	}
	if kid != newSigner(t, Options{}).keyring.keys[0].kid || kid == newSigner(t, Options{SigningKey: oldSecret}).keyring.keys[0].kid {
		t.Error("kid does not depend on the secret only")
	}
}
