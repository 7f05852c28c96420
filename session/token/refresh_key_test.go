package token

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// TestAppKeyMakesNoRefreshToken checks that a holder of the app's secrets, in use or
// retired, cannot sign a refresh token: not for any session and generation, and not with
// the header of a real one.
func TestAppKeyMakesNoRefreshToken(t *testing.T) {
	pair := marshalPKCS8(t, newKeys(t).ec)
	for name, o := range map[string]Options{
		"derived key":                         {VerifyingKeys: oldSecret},
		"REFRESH_KEY":                         {VerifyingKeys: oldSecret, RefreshKeys: []string{secret + oldSecret}},
		"secrets of the time before the pair": {Algorithm: "ES256", SigningKey: pair, VerifyingKeys: secret + "," + oldSecret},
	} {
		s := newSigner(t, o)
		real := refreshClaims()
		real.Secret = session.NewSecret()
		token := mustSign(t, s, real)
		checkRefresh(t, name, s, token, real)
		_, claims := parts(t, token)
		for _, key := range []string{secret, oldSecret} {
			asAccess := session.TokenWrongKind // what a token is that is no refresh token
			if o.Algorithm != "" {
				asAccess = session.TokenInvalid
			}
			for _, c := range refreshForgeries(t, s, key, token) {
				code := asAccess
				if c.refreshHeader {
					code = session.TokenInvalid
				}
				checkNoRefresh(t, name+": "+c.header, s, forge(key, c.header, c.claims), code)
			}
			checkNoRefresh(t, name+": the real header and claims", s, forgeEncoded(key, token[:strings.LastIndex(token, ".")]), session.TokenInvalid)
			checkNoRefresh(t, name+": an access token with the session's claims", s,
				forge(key, refreshHeader(key, "HS256"), strings.Replace(claims, `"refresh"`, `"access"`, 1)), asAccess)
		}
	}
}

// forgery is what an attacker signs.
type forgery struct {
	header, claims string
	refreshHeader  bool // header is one of refresh tokens
}

// refreshForgeries returns forgeries of refresh tokens for the session of a real token and
// for another one.
func refreshForgeries(t *testing.T, s *Signer, key, token string) (list []forgery) {
	t.Helper()
	headers := []forgery{{header: plainHeader}, {header: `{"alg":"HS256"}`}, {header: `{"alg":"HS256","kid":"x"}`}, {header: refreshHeader(key, "HS256")}}
	for encoded := range s.refresh.byHeader {
		headers = append(headers, forgery{header: decode(t, encoded), refreshHeader: true})
	}
	for _, c := range headers {
		for _, id := range []session.ID{refreshClaims().Session, session.NewID()} {
			for _, generation := range []uint32{1, 2, 3, 4, 1<<32 - 1} {
				claims := refreshClaims()
				claims.Session, claims.Generation = id, generation
				for _, jti := range []string{jtiOf(t, token), refreshJTI(key, "", claims), refreshJTI(derivedRefreshKey(key, ""), "", claims)} {
					c.claims = fmt.Sprintf(`{"token_type":"refresh","exp":1796592000,"iat":1794000000,"jti":%q,"user_id":42,"sid":%q,"type":"LONG","gen":%d}`, jti, id, generation)
					list = append(list, c)
				}
			}
		}
	}
	return list
}

// TestKeyPairMakesNoRefreshToken checks that a refresh token that is signed with the private
// key of access tokens is invalid.
func TestKeyPairMakesNoRefreshToken(t *testing.T) {
	k := newKeys(t).ec
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k)})
	derived := derivedRefreshKey(valueOf(t, marshalPKCS8(t, k)), "")
	c := refreshClaims()
	claims := strings.Replace(refreshJSON("", ""), "9643ce054115271c554a4996faed1c32", refreshJTI(derived, "", c), 1)
	checkNoRefresh(t, "ES256", s, signES256(t, k, `{"alg":"ES256"}`, claims), session.TokenWrongKind)
	checkNoRefresh(t, "ES256 with kid", s, signES256(t, k, `{"alg":"ES256","kid":"`+s.keyring.keys[0].kid+`"}`, claims), session.TokenWrongKind)
	checkNoRefresh(t, "refresh header", s, signES256(t, k, refreshHeader(derived, "HS256"), claims), session.TokenInvalid)
	checkNoRefresh(t, "refresh kid", s, signES256(t, k, refreshHeader(derived, "ES256"), claims), session.TokenInvalid)
	if _, err := s.Verify(forgeRefresh(derived, claims), session.KindRefresh, at(now)); err != nil {
		t.Errorf("the same claims with the refresh key: %v", err)
	}
}

func signES256(t *testing.T, k *ecdsa.PrivateKey, header, claims string) string {
	t.Helper()
	signer, _ := jws.SignerFor(jwa.ES256())
	signed := encode(header) + "." + encode(claims)
	signature, err := signer.Sign(k, []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// TestDerivedRefreshKeyIsTheSameInAllFormats checks that a key derives the same refresh key
// in all its formats.
func TestDerivedRefreshKeyIsTheSameInAllFormats(t *testing.T) {
	k, another := newKeys(t), newKeys(t)
	other := marshalPKCS8(t, another.okp)
	for algorithm, formats := range map[string][]string{
		"RS256": {marshalPKCS8(t, k.rsa), encodePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa), nil), marshalJWK(t, k.rsa, nil),
			marshalJWK(t, k.rsa, map[string]any{"dp": nil, "dq": nil, "qi": nil, "kid": "x", "alg": "RS256"})},
		"ES256": {marshalPKCS8(t, k.ec), marshalSEC1(t, k.ec), marshalJWK(t, k.ec, nil), jwkSet(marshalJWK(t, k.ec, map[string]any{"kid": "x"}))},
		"EdDSA": {marshalPKCS8(t, k.okp), marshalJWK(t, k.okp, nil), "\n" + marshalPKIX(t, another.okp.Public()) + marshalPKCS8(t, k.okp)},
	} {
		want := derivedRefreshKey(valueOf(t, formats[0]), "shop")
		token := mustSign(t, newSigner(t, Options{App: "shop", Algorithm: algorithm, SigningKey: formats[0]}), refreshClaims())
		if header, _ := parts(t, token); header != refreshHeader(want, "HS256") {
			t.Errorf("%s: got header %s, want %s", algorithm, header, refreshHeader(want, "HS256"))
		}
		for i, format := range formats {
			s := newSigner(t, Options{App: "shop", Algorithm: algorithm, SigningKey: format})
			if got := mustSign(t, s, refreshClaims()); got != token {
				t.Errorf("%s, format %d: got refresh token %s, want %s", algorithm, i, got, token)
			}
			checkRefresh(t, algorithm+" retired", newSigner(t, Options{App: "shop", Algorithm: "EdDSA", SigningKey: other, VerifyingKeys: format}), token, refreshClaims())
		}
	}
}

// TestAlgorithmsKeepRefreshTokensValid checks that a change of ALGORITHM, in any direction,
// invalidates no refresh token if the old key is in VERIFYING_KEYS.
func TestAlgorithmsKeepRefreshTokensValid(t *testing.T) {
	k, second, third := newKeys(t), newKeys(t), newKeys(t)
	all := []Options{
		{Algorithm: "HS256", SigningKey: "b3VyIHNlY3JldCBvZiAzMiBieXRlcyE="},
		{Algorithm: "HS256", SigningKey: oldSecret[:32]},
		{Algorithm: "HS384", SigningKey: (secret + oldSecret)[:48]},
		{Algorithm: "HS512", SigningKey: (oldSecret + secret)[:64]},
		{Algorithm: "RS256", SigningKey: marshalPKCS8(t, k.rsa)},
		{Algorithm: "RS256", SigningKey: marshalJWK(t, second.rsa, map[string]any{"alg": "RS256", "kid": "x"})},
		{Algorithm: "PS256", SigningKey: marshalJWK(t, third.rsa, map[string]any{"alg": "PS256", "use": "sig"})},
		{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec)},
		{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, k.okp)},
	}
	for i, before := range all {
		old := newSigner(t, before)
		access, refresh := mustSign(t, old, accessClaims()), mustSign(t, old, refreshClaims())
		for j, after := range all {
			if i == j {
				continue
			}
			name := fmt.Sprintf("from %s (%d) to %s (%d)", before.Algorithm, i, after.Algorithm, j)
			checkNoRefresh(t, name+" without the old key", newSigner(t, after), refresh, session.TokenInvalid)
			after.VerifyingKeys = before.SigningKey
			s := newSigner(t, after)
			checkRefresh(t, name, s, refresh, refreshClaims())
			checkRefresh(t, name+", a new token", s, mustSign(t, s, refreshClaims()), refreshClaims())
			_, err := s.Verify(access, session.KindAccess, at(now))
			if accepted := err == nil; accepted != (before.Algorithm == after.Algorithm) {
				t.Errorf("%s: the old access token: got %v, want it valid only with the same ALGORITHM", name, err)
			}
		}
	}
}

// TestAlgorithmsOfOneKeyKeepRefreshTokensValid checks a change of ALGORITHM that the signing
// key fits as well, and which algorithm then signs.
func TestAlgorithmsOfOneKeyKeepRefreshTokensValid(t *testing.T) {
	long, pair := secret+secret, marshalPKCS8(t, newKeys(t).rsa)
	for _, c := range []struct{ from, to, signs, key string }{
		{"HS256", "HS384", "HS384", long}, {"HS256", "HS512", "HS512", long}, {"HS512", "HS256", "HS256", long}, {"HS384", "HS256", "HS256", long},
		{"RS256", "PS256", "HS256", pair}, {"PS256", "RS256", "HS256", pair},
	} {
		before := newSigner(t, Options{Algorithm: c.from, SigningKey: c.key})
		after := newSigner(t, Options{Algorithm: c.to, SigningKey: c.key})
		checkRefresh(t, c.from+" to "+c.to, after, mustSign(t, before, refreshClaims()), refreshClaims())
		header, _ := parts(t, mustSign(t, after, refreshClaims()))
		if want := refreshHeader(derivedRefreshKey(valueOf(t, c.key), ""), c.signs); header != want {
			t.Errorf("%s to %s: got header %s, want %s", c.from, c.to, header, want)
		}
	}
}

// TestRefreshHeaderDecidesAlgorithm checks that a refresh token's signature is checked with
// the algorithm in its header only, and that no other header is accepted.
func TestRefreshHeaderDecidesAlgorithm(t *testing.T) {
	s, key := newSigner(t, Options{}), derivedRefreshKey(secret, "")
	claims := refreshJSON("", "")
	if _, err := s.Verify(forgeRefresh(key, claims), session.KindRefresh, at(now)); err != nil {
		t.Fatal(err)
	}
	header := refreshHeader(key, "HS256")
	for _, other := range []string{
		refreshHeader(key, "HS384"), refreshHeader(key, "HS512"), refreshHeader(key, "none"), refreshHeader(key, "hs256"), refreshHeader(secret, "HS256"),
		plainHeader, strings.Replace(header, "JWT", "at+jwt", 1), strings.Replace(header, ",", ", ", 1), strings.Replace(header, "}", `,"x":1}`, 1),
	} {
		checkNoRefresh(t, other, s, forge(key, other, claims), session.TokenInvalid)
	}
	checkNoRefresh(t, "unsigned", s, encode(header)+"."+encode(claims)+".", session.TokenInvalid)
}

// TestReplacedRefreshKey checks that the tokens of all secrets in REFRESH_KEY are accepted
// and the first signs, and that setting REFRESH_KEY does not invalidate tokens of the
// derived key.
func TestReplacedRefreshKey(t *testing.T) {
	first, second := "refresh-key-1-"+secret, "refresh-key-2-"+secret
	signers := map[string]*Signer{}
	for name, keys := range map[string][]string{"derived": nil, "first": {first}, "second": {second}, "second, first": {second, first}, "first, first": {first, first}} {
		signers[name] = newSigner(t, Options{App: "shop", RefreshKeys: keys})
	}
	for name, key := range map[string]string{
		"derived": derivedRefreshKey(secret, "shop"), "first": first, "second": second, "second, first": second, "first, first": first,
	} {
		token := mustSign(t, signers[name], refreshClaims())
		if header, _ := parts(t, token); header != refreshHeader(key, "HS256") {
			t.Errorf("%s: got header %s, want %s", name, header, refreshHeader(key, "HS256"))
		}
		if jti := jtiOf(t, token); jti != refreshJTI(key, "shop", refreshClaims()) {
			t.Errorf("%s: got jti %s, want one that is masked with the key that signs", name, jti)
		}
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"derived", "first", true}, {"derived", "second, first", true}, {"first", "second, first", true}, {"second, first", "second", true}, {"first, first", "first", true},
		{"first", "second", false}, {"first", "derived", false}, {"second, first", "first", false},
	} {
		token := mustSign(t, signers[c.from], refreshClaims())
		if c.want {
			checkRefresh(t, c.from+" to "+c.to, signers[c.to], token, refreshClaims())
		} else {
			checkNoRefresh(t, c.from+" to "+c.to, signers[c.to], token, session.TokenInvalid)
		}
	}
}

// TestRefreshTokensOfOtherApps checks that apps with the same keys do not accept each
// other's refresh tokens.
func TestRefreshTokensOfOtherApps(t *testing.T) {
	k := newKeys(t)
	for name, c := range map[string]struct {
		options Options
		want    session.Code
	}{
		"secret":           {Options{SigningKey: secret}, session.TokenInvalid},
		"retired secret":   {Options{SigningKey: secret, VerifyingKeys: oldSecret}, session.TokenInvalid},
		"ES256":            {Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec)}, session.TokenInvalid},
		"one REFRESH_KEY":  {Options{RefreshKeys: []string{oldSecret}}, session.Unknown}, // masked with another key
		"own REFRESH_KEYs": {Options{SigningKey: secret}, session.TokenInvalid},
	} {
		a, b := c.options, c.options
		a.App, b.App = "a", "b"
		if name == "own REFRESH_KEYs" {
			a.RefreshKeys, b.RefreshKeys = []string{"a-" + oldSecret}, []string{"b-" + oldSecret}
		}
		app, other := newSigner(t, a), newSigner(t, b)
		checkNoRefresh(t, name, app, mustSign(t, other, refreshClaims()), c.want)
		checkNoRefresh(t, name, other, mustSign(t, app, refreshClaims()), c.want)
		checkRefresh(t, name, app, mustSign(t, app, refreshClaims()), refreshClaims())
	}
}

// TestFirstRefreshKey checks the way from a derived key to a first REFRESH_KEY: at each step an
// instance accepts the tokens of one that is a step ahead or behind.
func TestFirstRefreshKey(t *testing.T) {
	for _, o := range []Options{{}, {Algorithm: "ES256", SigningKey: marshalPKCS8(t, newKeys(t).ec)}} {
		fresh := strings.Repeat("fresh-", 12)
		var steps []*Signer
		for _, keys := range [][]string{nil, {Derived, fresh}, {fresh, Derived}, {fresh}} {
			o.RefreshKeys = keys
			steps = append(steps, newSigner(t, o))
		}
		for i, signs := range steps {
			token := mustSign(t, signs, refreshClaims())
			for j := max(0, i-1); j <= min(len(steps)-1, i+1); j++ {
				checkRefresh(t, fmt.Sprintf("%s: step %d reads step %d", o.Algorithm, j, i), steps[j], token, refreshClaims())
			}
		}
		if headers := []string{tokenHeader(t, steps[0]), tokenHeader(t, steps[1]), tokenHeader(t, steps[2])}; headers[0] != headers[1] || headers[1] == headers[2] {
			t.Errorf("%s: got the headers %q, want the derived key to sign in the first two steps only", o.Algorithm, headers)
		}
	}
}

// tokenHeader returns the header of a signer's refresh tokens.
func tokenHeader(t *testing.T, s *Signer) string {
	t.Helper()
	header, _, _ := strings.Cut(mustSign(t, s, refreshClaims()), ".")
	return header
}
