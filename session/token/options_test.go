package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// optionsError holds options that New must reject, and a part of the error's message.
type optionsError struct {
	options Options
	message string
}

func checkOptionsErrors(t *testing.T, list []optionsError) {
	t.Helper()
	for _, r := range list {
		t.Run(r.message, func(t *testing.T) {
			_, err := New(r.options)
			if err == nil || !strings.Contains(err.Error(), r.message) {
				t.Fatalf("got error %v, want one with %q", err, r.message)
			}
			for _, key := range []string{r.options.SigningKey, r.options.VerifyingKeys} {
				checkNoSecret(t, err.Error(), key)
			}
		})
	}
}

// checkNoSecret checks that message does not contain 12 consecutive characters of secret.
func checkNoSecret(t *testing.T, message, secret string) {
	t.Helper()
	for i := 0; i+12 <= len(secret); i++ {
		if part := secret[i : i+12]; strings.Contains(message, part) && !strings.Contains("-----BEGIN PRIVATE KEY", part) {
			t.Fatalf("%q contains %q of the secret", message, part)
		}
	}
}

func TestNewRejectsInvalidOptions(t *testing.T) {
	signing := Options{SigningKey: secret}
	with := func(change func(*Options)) Options {
		o := signing
		change(&o)
		return o
	}
	checkOptionsErrors(t, []optionsError{
		{with(func(o *Options) { o.Algorithm = "none" }), `ALGORITHM: give one of HS256, HS384, HS512, RS256, PS256, ES256, EdDSA`},
		{with(func(o *Options) { o.Algorithm = "hs256" }), `ALGORITHM: give one of HS256`},
		{with(func(o *Options) { o.Algorithm = "RS512" }), `ALGORITHM: give one of HS256`},
		{with(func(o *Options) { o.Profile = "jwt" }), `TOKEN_PROFILE: give simplejwt or rfc9068`},
		{with(func(o *Options) { o.Profile = RFC9068; o.App = "shop" }), `ISSUER is empty`},
		{with(func(o *Options) { o.Profile = RFC9068; o.Issuer = "https://id.example" }), `the app has no name`},
		{with(func(o *Options) { o.Leeway = -time.Second }), `LEEWAY is -1s: give 0s to 10m`},
		{with(func(o *Options) { o.Leeway = time.Hour }), `LEEWAY is 1h0m0s`},
		{with(func(o *Options) { o.Audience = []string{"a", ""} }), `AUDIENCE contains an empty name`},
		{with(func(o *Options) { o.UserIDClaim = "exp" }), `USER_ID_CLAIM is "exp"`},
		{with(func(o *Options) { o.UserIDClaim = "token_type" }), `USER_ID_CLAIM is "token_type"`},
		{with(func(o *Options) { o.JTIClaim = "sid" }), `JTI_CLAIM is "sid"`},
		{with(func(o *Options) { o.TokenTypeClaim = "type" }), `TOKEN_TYPE_CLAIM is "type"`},
		{with(func(o *Options) { *o = withRFC9068(*o); o.TokenTypeClaim = "sub" }), `TOKEN_TYPE_CLAIM is "sub", which is another claim`},
		{with(func(o *Options) { *o = withRFC9068(*o); o.TokenTypeClaim, o.JTIClaim = "jti", "id" }), `TOKEN_TYPE_CLAIM is "jti"`},
		{with(func(o *Options) { o.TokenTypeClaim = `a"b` }), `TOKEN_TYPE_CLAIM is "a\"b": give printable`},
		{with(func(o *Options) { o.JTIClaim = "é" }), `JTI_CLAIM is "é": give printable`},
	})
}

// withRFC9068 returns o with the profile RFC9068.
func withRFC9068(o Options) Options {
	o.Profile, o.App, o.Issuer = RFC9068, "shop", "https://id.example"
	return o
}

// TestAcceptedClaimNamesWork checks, for all claim names that New accepts, that Verify
// accepts the tokens with these names.
func TestAcceptedClaimNamesWork(t *testing.T) {
	names := []string{"sub", "jti", "user_id", "token_type", "iss", "client_id", "x"}
	accepted := 0
	for n := range len(names) * len(names) * len(names) {
		plain := Options{
			SigningKey: secret, UserIDClaim: names[n%len(names)],
			TokenTypeClaim: names[n/len(names)%len(names)], JTIClaim: names[n/len(names)/len(names)],
		}
		for _, o := range []Options{plain, withRFC9068(plain)} {
			s, err := New(o)
			if err != nil {
				continue
			}
			accepted++
			for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
				if back, err := s.Verify(mustSign(t, s, c), c.Kind, at(now)); err != nil || back.User.String() != c.User.String() {
					t.Errorf("user claim %s, type claim %s, id claim %s, %s token, profile %s: %v", o.UserIDClaim, o.TokenTypeClaim, o.JTIClaim, c.Kind, o.Profile, err)
				}
			}
		}
	}
	// 5 of the names can be used; as the type claim of RFC9068 only 3 of them.
	if want := 5*4*3 + 3*4*3; accepted != want {
		t.Errorf("New accepts %d sets of names, want %d", accepted, want)
	}
}

func TestC25NewRejectsShortSecrets(t *testing.T) {
	checkOptionsErrors(t, []optionsError{
		{Options{}, "SIGNING_KEY has 0 bytes, and HMAC needs 32 or more"},
		{Options{SigningKey: strings.Repeat("x1yz", 8)[:31]}, "SIGNING_KEY has 31 bytes"},
		{Options{SigningKey: strings.Repeat("x2yz", 12)[:47], Algorithm: "HS384"}, "needs 48 or more"},
		{Options{SigningKey: strings.Repeat("x3yz", 16)[:63], Algorithm: "HS512"}, "needs 64 or more"},
		{Options{SigningKey: secret, VerifyingKeys: oldSecret + ",short-retired-secret"}, "VERIFYING_KEYS: key 2 has 20 bytes"},
		{Options{SigningKey: secret, VerifyingKeys: jwkSet(`{"kty":"oct","k":"c2hvcnQ"}`)}, "VERIFYING_KEYS: key 1 has 5 bytes"},
	})
	for algorithm, size := range map[string]int{"HS256": 32, "HS384": 48, "HS512": 64} {
		if _, err := New(Options{SigningKey: strings.Repeat("x4yz", size/4), Algorithm: algorithm}); err != nil {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
}

func TestC20NewRejectsKeyPairsAsSecrets(t *testing.T) {
	k := newKeys(t)
	checkOptionsErrors(t, []optionsError{
		{Options{SigningKey: marshalPKIX(t, &k.rsa.PublicKey)}, "SIGNING_KEY is PEM, but must be a shared secret here"},
		{Options{SigningKey: marshalPKCS8(t, k.okp)}, "SIGNING_KEY is PEM, but"},
		{Options{SigningKey: marshalJWK(t, k.rsa, nil)}, "SIGNING_KEY is a JWK, but"},
		{Options{SigningKey: secret, VerifyingKeys: jwkSet(marshalJWK(t, &k.rsa.PublicKey, nil))}, "VERIFYING_KEYS: key 1 is a key pair, but ALGORITHM is HS*: give a shared secret; as a public key it has no other use"},
		{Options{SigningKey: secret, VerifyingKeys: `{"kty":`}, "VERIFYING_KEYS is not a JWK"},
	})
}

// shortJWK returns k as a JWK without using jwx, which rejects short keys.
func shortJWK(k *rsa.PrivateKey) string {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	return fmt.Sprintf(`{"kty":"RSA","e":"AQAB","n":%q,"d":%q,"p":%q,"q":%q}`,
		number(k.N), number(k.D), number(k.Primes[0]), number(k.Primes[1]))
}

func TestC22NewRejectsWeakAndUnsuitableKeys(t *testing.T) {
	k := newKeys(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ecdhKey, _ := k.ec.ECDH()
	signed := func(algorithm, key string) Options { return Options{Algorithm: algorithm, SigningKey: key} }
	retired := func(algorithm, key, old string) Options {
		return Options{Algorithm: algorithm, SigningKey: key, VerifyingKeys: old}
	}
	offCurve := marshalJWK(t, &k.ec.PublicKey, map[string]any{"y": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"})
	checkOptionsErrors(t, []optionsError{
		{signed("RS256", marshalPKCS8(t, short)), "it has 1024 bits, give an RSA key of 2048 or more"},
		{signed("PS256", shortJWK(short)), "RSA keys of 2048 bits or more"},
		{retired("RS256", marshalPKCS8(t, k.rsa), marshalPKIX(t, &short.PublicKey)), "VERIFYING_KEYS: key 1 does not fit ALGORITHM=RS256: it has 1024 bits"},
		{retired("RS256", marshalPKCS8(t, k.rsa), marshalJWK(t, &k.rsa.PublicKey, map[string]any{"e": "AQ"})), "valid keys"},
		{signed("RS256", marshalPKCS8(t, k.ec)), "SIGNING_KEY: key 1 does not fit ALGORITHM=RS256: give an RSA key"},
		{signed("RS256", marshalJWK(t, []byte(secret), nil)), "give an RSA key"},
		{signed("ES256", marshalPKCS8(t, p384)), "give an EC key on the curve P-256"},
		{signed("ES256", marshalJWK(t, p384, nil)), "give an EC key on the curve P-256"},
		{signed("ES256", marshalPKCS8(t, k.rsa)), "does not fit ALGORITHM=ES256"},
		{retired("ES256", marshalPKCS8(t, k.ec), offCurve), "on their curve"},
		{retired("ES256", marshalPKCS8(t, k.ec), marshalPKIX(t, &p384.PublicKey)), "VERIFYING_KEYS: key 1 does not fit"},
		{signed("EdDSA", marshalPKCS8(t, k.ec)), "give an Ed25519 key"},
		{signed("EdDSA", marshalPKCS8(t, ecdhKey)), "give an Ed25519 key"},
		{signed("EdDSA", marshalPKCS8(t, k.okp)+marshalPKCS8(t, k.rsa)), "SIGNING_KEY: key 2 does not fit"},
		{signed("ES256", marshalPKIX(t, &k.ec.PublicKey)), "SIGNING_KEY contains no private key"},
		{signed("PS256", marshalJWK(t, k.rsa, map[string]any{"alg": "RS256"})), "ALGORITHM is PS256: a key has one algorithm"},
		{signed("RS256", marshalJWK(t, k.rsa, map[string]any{"alg": "RSA-OAEP"})), "a key has one algorithm"},
		{signed("RS256", marshalJWK(t, k.rsa, map[string]any{"use": "enc"})), "is not for signatures"},
	})
}

func TestNewRejectsUnreadableKeys(t *testing.T) {
	k, other := newKeys(t), newKeys(t)
	whole := marshalPKCS8(t, k.rsa)
	var ec map[string]any
	if err := json.Unmarshal([]byte(marshalJWK(t, other.ec, nil)), &ec); err != nil {
		t.Fatal(err)
	}
	signed := func(algorithm, key string) Options { return Options{Algorithm: algorithm, SigningKey: key} }
	withKID := func(key any) string { return marshalJWK(t, key, map[string]any{"kid": "same"}) }
	third := newKeys(t)
	thirdKID := newSigner(t, signed("ES256", marshalPKCS8(t, third.ec))).keyring.keys[0].kid
	impostor := marshalJWK(t, &other.ec.PublicKey, map[string]any{"kid": thirdKID})
	checkOptionsErrors(t, []optionsError{
		{Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: jwkSet(impostor, marshalJWK(t, &third.ec.PublicKey, nil))}, `have the same "kid"`},
		{Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, third.ec), VerifyingKeys: impostor}, `different keys have the same "kid"`},
		{signed("RS256", ""), "SIGNING_KEY is neither PEM nor a JWK"},
		{signed("RS256", secret), "or set an HS* ALGORITHM for a shared secret"},
		{signed("RS256", "{"+secret), "SIGNING_KEY is not a JWK"},
		{signed("RS256", jwkSet()), "SIGNING_KEY is not a JWK"},
		{signed("RS256", `{"kty":"`+secret+`"}`), "SIGNING_KEY is not a JWK"},
		{signed("RS256", whole[:200]), "contains damaged PEM"},
		{signed("RS256", whole[:200]+"\n"+whole), "contains damaged PEM"},
		{signed("RS256", strings.Replace(whole, "MII", "AII", 1)), "PEM block 1 cannot be read"},
		{signed("RS256", strings.ReplaceAll(whole, "PRIVATE", "ENCRYPTED PRIVATE")), "is encrypted: decrypt it first"},
		{signed("RS256", strings.ReplaceAll(whole, "PRIVATE KEY", "DH PARAMETERS")), "PEM block 1 is not a key"},
		{signed("RS256", marshalJWK(t, k.rsa, map[string]any{"p": nil, "q": nil})), "p and q included"},
		{signed("RS256", marshalJWK(t, k.rsa, map[string]any{"d": "AQ"})), "key 1 cannot be read"},
		{signed("ES256", marshalJWK(t, k.ec, map[string]any{"d": ec["d"]})), "do not match"},
		{signed("ES256", marshalJWK(t, k.ec, map[string]any{"x": ec["x"]})), "on their curve"},
		{Options{Algorithm: "ES256", SigningKey: withKID(k.ec), VerifyingKeys: withKID(other.ec)}, `two different keys have the same "kid"`},
		{Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: "nothing"}, "VERIFYING_KEYS: key 1 has 7 bytes"},
	})
}
