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

// refused checks that neither kind of token is made of text.
func refused(t *testing.T, s *Signer, what, token string) {
	t.Helper()
	for _, kind := range []session.Kind{session.Access, session.Refresh} {
		if c, err := s.Verify(token, kind, now); session.CodeOf(err) != session.TokenInvalid || c.Kind != "" {
			t.Errorf("%s: %v, %+v, want token_invalid", what, err, c)
		}
	}
}

func TestC21OtherAlgorithms(t *testing.T) {
	s := newSigner(t, Options{})
	for _, alg := range []string{`"none"`, `"None"`, `"NONE"`, `""`, `"hs256"`, `"HS384"`, `"HS512"`, `"RS256"`, `"ES256"`, `"HS256 "`, `"HS2\u00356\u0000"`, `null`, `5`, `["HS256"]`} {
		header := `{"alg":` + alg + `,"typ":"JWT"}`
		refused(t, s, alg, forge(secret, header, access("", "")))
		unsigned := encode(header) + "." + encode(access("", "")) + "."
		refused(t, s, alg+" unsigned", unsigned)
	}
	refused(t, s, "no alg", forge(secret, `{"typ":"JWT"}`, access("", "")))
	refused(t, s, "two algs", forge(secret, `{"alg":"none","alg":"HS256"}`, access("", "")))
	refused(t, s, "two algs", forge(secret, `{"alg":"HS256","\u0061lg":"none"}`, access("", "")))
	if _, err := s.Verify(forge(secret, `{"alg":"HS2\u00356"}`, access("", "")), session.Access, now); err != nil {
		t.Errorf("the same name in other letters: %v", err)
	}
}

// The public key, in every form that an attacker can have it, as an HMAC secret.
func TestC20PublicKeyAsSecret(t *testing.T) {
	k := newKeys(t)
	s := newSigner(t, Options{Algorithm: "RS256", SigningKey: pkcs8(t, k.rsa)})
	kid := s.ring.keys[0].kid
	for _, key := range []string{pkix(t, &k.rsa.PublicKey), strings.TrimSpace(pkix(t, &k.rsa.PublicKey)), jwkOf(t, &k.rsa.PublicKey, nil), string(s.JWKS())} {
		for _, header := range []string{`{"alg":"HS256"}`, `{"alg":"HS256","typ":"JWT","kid":"` + kid + `"}`, `{"alg":"RS256","kid":"` + kid + `"}`} {
			refused(t, s, header, forge(key, header, access("", "")))
		}
	}
}

func TestC29KIDIsAnExactName(t *testing.T) {
	k, old := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: pkcs8(t, k.ec), VerifyingKeys: pkcs8(t, old.ec)})
	own, retired := s.ring.keys[0].kid, s.ring.keys[1].kid
	header := func(kid string) string {
		quoted, _ := json.Marshal(kid)
		return `{"alg":"ES256","kid":` + string(quoted) + `}`
	}
	for kid, want := range map[string]session.Code{
		own: session.OK, retired: session.TokenInvalid, // a good signature, of another key than it says
		"": session.TokenInvalid, own + "\x00": session.TokenInvalid, own[:42]: session.TokenInvalid,
		strings.ToLower(own): session.TokenInvalid, "../../dev/null": session.TokenInvalid, "/etc/passwd": session.TokenInvalid,
		"' OR '1'='1": session.TokenInvalid, "x' UNION SELECT 'k": session.TokenInvalid, "*": session.TokenInvalid,
		"tg:{shop:3f}:LONG:42\r\nFLUSHALL\r\n": session.TokenInvalid, "|id": session.TokenInvalid, "0": session.TokenInvalid,
		"https://evil.example/key": session.TokenInvalid, strings.Repeat("k", 4000): session.TokenInvalid,
	} {
		if _, err := s.Verify(forgeES256(t, k.ec, header(kid)), session.Access, now); session.CodeOf(err) != want {
			t.Errorf("kid %.40q: %v, want %s", kid, err, want)
		}
	}
	for _, h := range []string{`{"alg":"ES256","kid":5}`, `{"alg":"ES256","kid":null}`, `{"alg":"ES256","kid":["` + own + `"]}`, `{"alg":"ES256","kid":"` + own + `","kid":"` + own + `"}`} {
		refused(t, s, h, forgeES256(t, k.ec, h))
	}
	if _, err := s.Verify(forgeES256(t, old.ec, `{"alg":"ES256"}`), session.Access, now); err != nil {
		t.Errorf("no kid: every key is tried, but %v", err)
	}
}

// With shared secrets a kid of another program's is no reason to refuse; one of
// ours still names one key.
func TestKIDOfSharedSecrets(t *testing.T) {
	s := newSigner(t, Options{VerifyingKeys: oldSecret})
	kid := s.ring.keys[0].kid
	for _, c := range []struct {
		key, kid string
		want     session.Code
	}{
		{secret, `"k1"`, session.OK}, {oldSecret, `"k1"`, session.OK}, {secret, `"../x"`, session.OK},
		{secret, `"` + kid + `"`, session.OK}, {oldSecret, `"` + kid + `"`, session.TokenInvalid},
		{"another-secret-0123456789abcdef0123456", `"k1"`, session.TokenInvalid}, {"", `"/dev/null"`, session.TokenInvalid},
		{secret, `5`, session.TokenInvalid},
	} {
		_, err := s.Verify(forge(c.key, `{"alg":"HS256","kid":`+c.kid+`}`, access("", "")), session.Access, now)
		if session.CodeOf(err) != c.want {
			t.Errorf("kid %s: %v, want %s", c.kid, err, c.want)
		}
	}
}

// Keys in the header, or addresses of them, are never used, and nothing is fetched.
func TestC28HeaderKeysAreIgnored(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var calls atomic.Int32
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			c.Close()
		}
	}()
	mine, evil := newKeys(t), newKeys(t)
	s := newSigner(t, Options{Algorithm: "ES256", SigningKey: pkcs8(t, mine.ec)})
	url := "http://" + listener.Addr().String() + "/jwks"
	for _, member := range []string{
		`"jwk":` + jwkOf(t, &evil.ec.PublicKey, nil), `"jku":"` + url + `"`, `"x5u":"` + url + `"`,
		`"x5c":["` + strings.Join(strings.Fields(certificate(t, evil.ec))[2:5], "") + `"]`,
	} {
		header := `{"alg":"ES256",` + member + `}`
		refused(t, s, member, forgeES256(t, evil.ec, header))
		if _, err := s.Verify(forgeES256(t, mine.ec, header), session.Access, now); err != nil {
			t.Errorf("%.20s: a token of ours is refused for a member that is to be ignored: %v", member, err)
		}
	}
	if n := calls.Load(); n != 0 {
		t.Errorf("%d connections to an address in the header", n)
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	s := newSigner(t, Options{})
	for _, header := range []string{
		`{"alg":"HS256","crit":["exp"]}`, `{"alg":"HS256","crit":[]}`, `{"alg":"HS256","b64":false,"crit":["b64"]}`, `{"alg":"HS256","b64":false}`,
		`{"alg":"HS256","typ":"at+jwt"}`, `{"alg":"HS256","typ":"logout+jwt"}`, `{"alg":"HS256","typ":"JWE"}`, `{"alg":"HS256","typ":null}`, `{"alg":"HS256","typ":"JWT","typ":"JWT"}`,
		`{"alg":"HS256"`, `{"alg":"HS256"}{}`, `{"alg":"HS256",}`, `["HS256"]`, `null`, `"HS256"`, ``, `{}`, "{\"alg\":\"HS256\",\"x\":\"\xff\"}", "\ufeff" + plainHead,
	} {
		refused(t, s, header, forge(secret, header, access("", "")))
	}
	for _, header := range []string{plainHead, `{"typ":"JWT","alg":"HS256"}`, `{"alg":"HS256"}`, ` { "alg" : "HS256" , "typ" : "jwt" } `, `{"alg":"HS256","cty":"x","zip":"DEF","x":{"alg":"none"}}`} {
		if _, err := s.Verify(forge(secret, header, access("", "")), session.Access, now); err != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestClaimsThatAreRefused(t *testing.T) {
	s := newSigner(t, Options{})
	good := strings.TrimSuffix(access("", ""), "}")
	for _, claims := range []string{
		``, `null`, `[]`, `1`, `"x"`, `{`, good, good + `}x`, good + `}{}`, good + `,}`, good + `,"a"}`, good + `,"a":}`, good + `,"a":1 2}`, good + `,a:1}`,
		good + `,"a":01}`, good + `,"a":+1}`, good + `,"a":1.}`, good + `,"a":NaN}`, good + `,"a":tru}`, good + `,"a":[}]}`, good + `,"a":"\x"}`, good + ",\"a\":\"\n\"}",
		good + ",\"a\":\"\xff\"}", good + `,"a":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`,
		good + `,"exp":1794000061}`, good + `,"\u0065xp":1794000061}`, good + `,"user_id":2}`, good + `,"sid":"a","sid":"a"}`,
	} {
		refused(t, s, claims, forge(secret, plainHead, claims))
	}
}

// Only a compact JWS with one signature is looked at, and that signature counts.
func TestC23OtherForms(t *testing.T) {
	s := newSigner(t, Options{})
	token := mustSign(t, s, accessClaims())
	p := strings.Split(token, ".")
	general := `{"payload":"` + p[1] + `","signatures":[{"protected":"` + p[0] + `","signature":"` + p[2] + `"},{"protected":"` + p[0] + `","signature":"` + encode("bad") + `"}]}`
	flattened := `{"payload":"` + p[1] + `","protected":"` + p[0] + `","signature":"` + p[2] + `"}`
	key := []byte(secret)
	double, err := jws.Sign([]byte(access("", "")), jws.WithJSON(), jws.WithKey(jwa.HS256(), key), jws.WithKey(jwa.HS512(), key))
	if err != nil {
		t.Fatal(err)
	}
	for what, form := range map[string]string{
		"general": general, "general with dots": strings.Replace(general, `{"payload"`, `{".":".","payload"`, 1), "flattened": flattened, "two signatures": string(double),
		"nested":      forge(secret, `{"alg":"HS256","cty":"JWT"}`, token),
		"nested text": forge(secret, plainHead, `"`+token+`"`),
		"detached":    p[0] + ".." + p[2], "no header": "." + p[1] + "." + p[2], "no signature": p[0] + "." + p[1] + ".", "two parts": p[0] + "." + p[1],
		"four parts": token + "." + p[2], "five parts": token + "." + p[1] + "." + p[2], "two tokens": token + token, "empty": "", "dots": "..", "four dots": "....",
		"padding": token + "=", "padded header": p[0] + "==." + p[1] + "." + p[2], "space before": " " + token, "space after": token + " ", "line end": token + "\n",
		"line end inside": token[:20] + "\n" + token[20:], "carriage return": token[:len(token)-5] + "\r" + token[len(token)-5:], "null": token + "\x00",
		"quoted": `"` + token + `"`, "scheme": "Bearer " + token, "standard alphabet": p[0] + "." + p[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(p[2]) + "+", "non-ascii": "café",
	} {
		refused(t, s, what, form)
	}
}

// The same bytes have one spelling: bits after the last byte have to be zero.
func TestStrayBits(t *testing.T) {
	s := newSigner(t, Options{})
	token := mustSign(t, s, accessClaims())
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	stray := token[:len(token)-1] + string(alphabet[last|1])
	a, _ := base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:])
	b, _ := base64.RawURLEncoding.DecodeString(stray[strings.LastIndex(stray, ".")+1:])
	if stray == token || string(a) != string(b) {
		t.Fatal("the spelling does not differ in stray bits only")
	}
	refused(t, s, "stray bits", stray)
}

func TestC24LongInput(t *testing.T) {
	s := newSigner(t, Options{})
	fits := access("x", `"`+strings.Repeat("x", 11000)+`"`)
	if _, err := s.Verify(forge(secret, plainHead, fits), session.Access, now); err != nil {
		t.Error(err)
	}
	token := forge(secret, plainHead, access("x", `"`+strings.Repeat("x", MaxLength*3/4)+`"`))
	refused(t, s, "too long", token)
	refused(t, s, "far too long", strings.Repeat("A", 10<<20))
	refused(t, s, "dots", strings.Repeat(".", 10<<20))
}

// Cut off anywhere, or one bit changed anywhere, no token is good.
func TestC06EveryByteCounts(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		s := newSigner(t, Options{Algorithm: v.Algorithm, SigningKey: v.Key})
		bits := 1 // of each byte; public-key signatures are slow to check
		if strings.HasPrefix(v.Algorithm, "HS") {
			bits = 8
		}
		for i := range v.Refresh {
			for bit := range bits {
				changed := []byte(v.Refresh)
				changed[i] ^= 1 << ((i + bit) % 8)
				if _, err := s.Verify(string(changed), session.Refresh, now); err == nil {
					t.Errorf("%s: byte %d, %q for %q", v.Algorithm, i, changed[i], v.Refresh[i])
				}
			}
			if _, err := s.Verify(v.Refresh[:i], session.Refresh, now); err == nil {
				t.Errorf("%s: cut after %d", v.Algorithm, i)
			}
		}
	}
}

// Signatures of wrong lengths and odd values are errors, not panics.
func TestOddSignatures(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		s := newSigner(t, Options{Algorithm: v.Algorithm, SigningKey: v.Key})
		signed := v.Refresh[:strings.LastIndex(v.Refresh, ".")+1]
		for _, n := range []int{0, 1, 31, 32, 33, 48, 63, 64, 65, 96, 128, 255, 256, 257, 512, 4096} {
			for _, fill := range []byte{0, 1, 0xff} {
				signature := []byte(strings.Repeat(string([]byte{fill}), n))
				refused(t, s, fmt.Sprint(v.Algorithm, n, fill), signed+base64.RawURLEncoding.EncodeToString(signature))
			}
		}
	}
}

// Errors say what is wrong without repeating the token.
func TestErrorsHoldNoToken(t *testing.T) {
	s := newSigner(t, Options{})
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	foreign := mustSign(t, newSigner(t, Options{Algorithm: "EdDSA", SigningKey: pkcs8(t, private)}), accessClaims())
	for _, token := range []string{foreign, forge(secret, plainHead, access("exp", `"`+secret+`"`)), forge(secret, plainHead, access("user_id", `["`+secret+`"]`)), secret} {
		_, err := s.Verify(token, session.Access, now)
		if err == nil {
			t.Error("passed")
			continue
		}
		quotes(t, err.Error(), token)
		quotes(t, err.Error(), secret)
	}
}
