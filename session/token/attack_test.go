package token

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"

	"tokengate/session"
)

// checkInvalid checks that Verify rejects token as an access token and as a refresh token.
func checkInvalid(t *testing.T, s *Signer, name, token string) {
	t.Helper()
	for _, kind := range []session.Kind{session.KindAccess, session.KindRefresh} {
		if c, err := s.Verify(token, kind, at(now)); session.CodeOf(err) != session.TokenInvalid || c.Kind != "" {
			t.Errorf("%s: got %v, %+v, want token_invalid", name, err, c)
		}
	}
}

func TestC21VerifyRejectsOtherAlgorithms(t *testing.T) {
	s := newSigner(t, Options{})
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `""`, `"hs256"`, `"HS384"`, `"HS512"`, `"RS256"`, `"ES256"`, `"HS256 "`, `"HS2\u00356\u0000"`, `null`, `5`, `["HS256"]`} {
		header := `{"alg":` + alg + `,"typ":"JWT"}`
		checkInvalid(t, s, alg, forge(secret, header, accessJSON("", "")))
		unsigned := encode(header) + "." + encode(accessJSON("", "")) + "."
		checkInvalid(t, s, alg+" unsigned", unsigned)
	}
	checkInvalid(t, s, "no alg", forge(secret, `{"typ":"JWT"}`, accessJSON("", "")))
	checkInvalid(t, s, "two algs", forge(secret, `{"alg":"none","alg":"HS256"}`, accessJSON("", "")))
	checkInvalid(t, s, "two algs", forge(secret, `{"alg":"HS256","\u0061lg":"none"}`, accessJSON("", "")))
	if _, err := s.Verify(forge(secret, `{"alg":"HS2\u00356"}`, accessJSON("", "")), session.KindAccess, at(now)); err != nil {
		t.Errorf("alg with a JSON escape: %v", err)
	}
}

// TestC20VerifyRejectsPublicKeyAsSecret checks that Verify rejects an HMAC whose secret is
// the public key, in every format in which an attacker can get the key.
func TestC20VerifyRejectsPublicKeyAsSecret(t *testing.T) {
	k := newKeys(t)
	s := newSigner(t, Options{Algorithm: "RS256", SigningKey: marshalPKCS8(t, k.rsa)})
	kid := s.keyring.keys[0].kid
	for _, key := range []string{marshalPKIX(t, &k.rsa.PublicKey), strings.TrimSpace(marshalPKIX(t, &k.rsa.PublicKey)), marshalJWK(t, &k.rsa.PublicKey, nil), string(s.JWKS())} {
		for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","kid":"` + kid + `"}`, `{"alg":"RS256","kid":"` + kid + `"}`} {
			checkInvalid(t, s, header, forge(key, header, accessJSON("", "")))
		}
	}
}

func TestC29KIDIsExactKeyName(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, k.ec), VerifyingKeys: marshalPKCS8(t, old.ec)})
	own, retired := s.keyring.keys[0].kid, s.keyring.keys[1].kid
	header := func(kid string) string {
		quoted, _ := json.Marshal(kid)
		return `{"alg":"ES256","kid":` + string(quoted) + `}`
	}
	for kid, want := range map[string]session.Code{
		own: session.OK, retired: session.TokenInvalid, // signed by another key than kid says
		"": session.TokenInvalid, own + "\x00": session.TokenInvalid, own[:42]: session.TokenInvalid,
		strings.ToLower(own): session.TokenInvalid, "../../dev/null": session.TokenInvalid, "/etc/passwd": session.TokenInvalid,
		"' OR '1'='1": session.TokenInvalid, "x' UNION SELECT 'k": session.TokenInvalid, "*": session.TokenInvalid,
		"tg:{shop:3f}:LONG:42\r\nFLUSHALL\r\n": session.TokenInvalid, "|id": session.TokenInvalid, "0": session.TokenInvalid,
		"https://evil.example/key": session.TokenInvalid, strings.Repeat("k", 4000): session.TokenInvalid,
	} {
		if _, err := s.Verify(forgeES256(t, k.ec, header(kid)), session.KindAccess, at(now)); session.CodeOf(err) != want {
			t.Errorf("kid %.40q: got %v, want %s", kid, err, want)
		}
	}
	for _, h := range []string{`{"alg":"ES256","kid":5}`, `{"alg":"ES256","kid":null}`, `{"alg":"ES256","kid":["` + own + `"]}`, `{"alg":"ES256","kid":"` + own + `","kid":"` + own + `"}`} {
		checkInvalid(t, s, h, forgeES256(t, k.ec, h))
	}
	if _, err := s.Verify(forgeES256(t, old.ec, `{"alg":"ES256"}`), session.KindAccess, at(now)); err != nil {
		t.Errorf("a token without kid, signed by the retired key: %v", err)
	}
}

// TestKIDWithSharedSecrets checks that with shared secrets a token with an unknown kid may
// be signed by any key, while a known kid selects one key.
func TestKIDWithSharedSecrets(t *testing.T) {
	s := newSigner(t, Options{VerifyingKeys: oldSecret})
	kid := s.keyring.keys[0].kid
	for _, c := range []struct {
		key, kid string
		want     session.Code
	}{
		{secret, `"k1"`, session.OK}, {oldSecret, `"k1"`, session.OK}, {secret, `"../x"`, session.OK},
		{secret, `"` + kid + `"`, session.OK}, {oldSecret, `"` + kid + `"`, session.TokenInvalid},
		{"another-secret-0123456789abcdef0123456", `"k1"`, session.TokenInvalid}, {"", `"/dev/null"`, session.TokenInvalid},
		{secret, `5`, session.TokenInvalid},
	} {
		_, err := s.Verify(forge(c.key, `{"alg":"HS256","kid":`+c.kid+`}`, accessJSON("", "")), session.KindAccess, at(now))
		if session.CodeOf(err) != c.want {
			t.Errorf("kid %s: got %v, want %s", c.kid, err, c.want)
		}
	}
}

// TestC28VerifyIgnoresKeysInHeader checks that keys in the header, and URLs of keys, are
// not used, and that nothing is fetched.
func TestC28VerifyIgnoresKeysInHeader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var connections atomic.Int32
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	own, foreign := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: marshalPKCS8(t, own.ec)})
	url := "http://" + listener.Addr().String() + "/jwks"
	for _, member := range []string{
		`"jwk":` + marshalJWK(t, &foreign.ec.PublicKey, nil), `"jku":"` + url + `"`, `"x5u":"` + url + `"`,
		`"x5c":["` + strings.Join(strings.Fields(selfSignedCertificate(t, foreign.ec))[2:5], "") + `"]`,
	} {
		header := `{"alg":"ES256",` + member + `}`
		checkInvalid(t, s, member, forgeES256(t, foreign.ec, header))
		if _, err := s.Verify(forgeES256(t, own.ec, header), session.KindAccess, at(now)); err != nil {
			t.Errorf("%.20s: the app's own token is rejected because of a member that must be ignored: %v", member, err)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("got %d connections to the URL in the header, want 0", n)
	}
}

func TestVerifyRejectsInvalidHeaders(t *testing.T) {
	s := newSigner(t, Options{})
	for _, header := range []string{
		`{"alg":"HS256","crit":["exp"]}`, `{"alg":"HS256","crit":[]}`, `{"alg":"HS256","b64":false,"crit":["b64"]}`, `{"alg":"HS256","b64":false}`,
		`{"alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","typ":"logout+jwt"}`, `{"alg":"HS256","typ":"JWE"}`, `{"alg":"HS256","typ":null}`, `{"alg":"HS256","typ":"JWT","typ":"JWT"}`,
		`{"alg":"HS256"`, `{"alg":"HS256"}{}`, `{"alg":"HS256",}`, `["HS256"]`, `null`, `"HS256"`, ``, `{}`, "{\"alg\":\"HS256\",\"x\":\"\xff\"}", "\ufeff" + plainHeader,
	} {
		checkInvalid(t, s, header, forge(secret, header, accessJSON("", "")))
	}
	for _, header := range []string{plainHeader, `{"typ":"JWT","alg":"HS256"}`, `{"alg":"HS256"}`, ` { "alg" : "HS256" , "typ" : "jwt" } `, `{"alg":"HS256","cty":"x","zip":"DEF","x":{"alg":"none"}}`} {
		if _, err := s.Verify(forge(secret, header, accessJSON("", "")), session.KindAccess, at(now)); err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestVerifyRejectsInvalidClaims(t *testing.T) {
	s := newSigner(t, Options{})
	valid := strings.TrimSuffix(accessJSON("", ""), "}")
	for _, claims := range []string{
		``, `null`, `[]`, `1`, `"x"`, `{`, valid, valid + `}x`, valid + `}{}`, valid + `,}`, valid + `,"a"}`, valid + `,"a":}`, valid + `,"a":1 2}`, valid + `,a:1}`,
		valid + `,"a":01}`, valid + `,"a":+1}`, valid + `,"a":1.}`, valid + `,"a":NaN}`, valid + `,"a":tru}`, valid + `,"a":[}]}`, valid + `,"a":"\x"}`, valid + ",\"a\":\"\n\"}",
		valid + ",\"a\":\"\xff\"}", valid + `,"a":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`,
		valid + `,"exp":1794000061}`, valid + `,"\u0065xp":1794000061}`, valid + `,"user_id":2}`, valid + `,"sid":"a","sid":"a"}`,
	} {
		checkInvalid(t, s, claims, forge(secret, plainHeader, claims))
	}
}

// TestC23VerifyAcceptsOnlyCompactJWS checks that Verify rejects other serializations of a
// JWS, JWS with several signatures, nested tokens and malformed text.
func TestC23VerifyAcceptsOnlyCompactJWS(t *testing.T) {
	s := newSigner(t, Options{})
	token := mustSign(t, s, accessClaims())
	p := strings.Split(token, ".")
	general := `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"},{"protected":"` + p[0] + `","signature":"` + encode("bad") + `"}]}`
	flattened := `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`
	key := []byte(secret)
	double, err := jws.Sign([]byte(accessJSON("", "")), jws.WithJSON(), jws.WithKey(jwa.HS256(), key), jws.WithKey(jwa.HS512(), key))
	if err != nil {
		t.Fatal(err)
	}
	for name, form := range map[string]string{
		"general": general, "general with dots": strings.Replace(general, `{"payload"`, `{".":".","payload"`, 1), "flattened": flattened, "two signatures": string(double),
		"nested":      forge(secret, `{"alg":"HS256","cty":"JWT"}`, token),
		"nested text": forge(secret, plainHeader, `"`+token+`"`),
		"detached":    p[0] + ".." + p[2], "no header": "." + p[1] + "." + p[2], "no signature": p[0] + "." + p[1] + ".", "two parts": p[0] + "." + p[1],
		"four parts": token + "." + p[2], "five parts": token + "." + p[1] + "." + p[2], "two tokens": token + token, "empty": "", "dots": "..", "four dots": "....",
		"padding": token + "=", "padded header": p[0] + "==." + p[1] + "." + p[2], "space before": " " + token, "space after": token + " ", "line end": token + "\n",
		"line end inside": token[:20] + "\n" + token[20:], "carriage return": token[:len(token)-5] + "\r" + token[len(token)-5:], "null": token + "\x00",
		"quoted": `"` + token + `"`, "scheme": "Bearer " + token, "standard alphabet": p[0] + "." + p[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(p[2]) + "+", "non-ascii": "café",
	} {
		checkInvalid(t, s, name, form)
	}
}

// TestC23VerifyRejectsLineEnds checks that a token that contains a carriage return or line
// feed is invalid even if its signature includes them. Base64 decoding ignores both.
func TestC23VerifyRejectsLineEnds(t *testing.T) {
	s := newSigner(t, Options{})
	header, claims := encode(plainHeader), encode(accessJSON("", ""))
	if _, err := s.Verify(forgeEncoded(secret, header+"."+claims), session.KindAccess, at(now)); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]string{"carriage return": "\r", "line feed": "\n", "both": "\r\n"} {
		for place, token := range map[string]string{
			"first":               forgeEncoded(secret, end+header+"."+claims),
			"in the header":       forgeEncoded(secret, header[:5]+end+header[5:]+"."+claims),
			"after the header":    forgeEncoded(secret, header+end+"."+claims),
			"before the claims":   forgeEncoded(secret, header+"."+end+claims),
			"after the claims":    forgeEncoded(secret, header+"."+claims+end),
			"after the signature": forgeEncoded(secret, header+"."+claims) + end,
		} {
			checkInvalid(t, s, name+" "+place, token)
		}
	}
}

// TestVerifyRejectsStrayBits checks that a token has only one valid encoding: the unused
// bits of the last base64 character must be zero.
func TestVerifyRejectsStrayBits(t *testing.T) {
	s := newSigner(t, Options{})
	token := mustSign(t, s, accessClaims())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	stray := token[:len(token)-1] + string(alphabet[last|1])
	a, _ := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	b, _ := base64.RawURLEncoding.DecodeString(stray[strings.LastIndex(stray, ".")+1:])
	if stray == token || string(a) != string(b) {
		t.Fatal("the two encodings must differ in stray bits only")
	}
	checkInvalid(t, s, "stray bits", stray)
}

func TestC24VerifyRejectsLongInput(t *testing.T) {
	s := newSigner(t, Options{})
	long := accessJSON("x", `"`+strings.Repeat("x", 11000)+`"`)
	if _, err := s.Verify(forge(secret, plainHeader, long), session.KindAccess, at(now)); err != nil {
		t.Error(err)
	}
	token := forge(secret, plainHeader, accessJSON("x", `"`+strings.Repeat("x", MaxLength*3/4)+`"`))
	checkInvalid(t, s, "too long", token)
	checkInvalid(t, s, "far too long", strings.Repeat("A", 10<<20))
	checkInvalid(t, s, "dots", strings.Repeat(".", 10<<20))
}

// TestC06VerifyRejectsChangedOrCutTokens checks that a token is invalid if it is cut at any
// length or if one bit of any byte is changed.
func TestC06VerifyRejectsChangedOrCutTokens(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		s := newSigner(t, v.options())
		bits := 1 // to change in each byte; signatures of key pairs are slow to verify
		if strings.HasPrefix(v.Algorithm, "HS") {
			bits = 8
		}
		for i := range v.Refresh {
			for bit := range bits {
				changed := []byte(v.Refresh)
				changed[i] ^= 1 << ((i + bit) % 8)
				if _, err := s.Verify(string(changed), session.KindRefresh, at(now)); err == nil {
					t.Errorf("%s: the token is valid with %q instead of %q at byte %d", v.Algorithm, changed[i], v.Refresh[i], i)
				}
			}
			if _, err := s.Verify(v.Refresh[:i], session.KindRefresh, at(now)); err == nil {
				t.Errorf("%s: the token is valid when cut after %d bytes", v.Algorithm, i)
			}
		}
	}
}

// TestVerifyRejectsMalformedSignatures checks that signatures of any length and of extreme
// values yield errors, not panics.
func TestVerifyRejectsMalformedSignatures(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		s := newSigner(t, v.options())
		signed := v.Refresh[:strings.LastIndex(v.Refresh, ".")+1]
		for _, n := range []int{0, 1, 31, 32, 33, 48, 63, 64, 65, 96, 128, 255, 256, 257, 512, 4096} {
			for _, fill := range []byte{0, 1, 0xff} {
				signature := []byte(strings.Repeat(string([]byte{fill}), n))
				checkInvalid(t, s, fmt.Sprint(v.Algorithm, n, fill), signed+base64.RawURLEncoding.EncodeToString(signature))
			}
		}
	}
}

// TestVerifyErrorsHoldNoToken checks that errors contain neither the token nor values from it.
func TestVerifyErrorsHoldNoToken(t *testing.T) {
	s := newSigner(t, Options{})
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	foreign := mustSign(t, newSigner(t, Options{Algorithm: "EdDSA", SigningKey: marshalPKCS8(t, private)}), accessClaims())
	for _, token := range []string{foreign, forge(secret, plainHeader, accessJSON("exp", `"`+secret+`"`)), forge(secret, plainHeader, accessJSON("user_id", `["`+secret+`"]`)), secret} {
		_, err := s.Verify(token, session.KindAccess, at(now))
		if err == nil {
			t.Error("Verify accepts an invalid token")
			continue
		}
		checkNoSecret(t, err.Error(), token)
		checkNoSecret(t, err.Error(), secret)
	}
}
