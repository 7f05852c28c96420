package token

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

const (
	secret      = "first-secret-0123456789abcdef-0123456789"
	oldSecret   = "older-secret-0123456789abcdef-0123456789"
	plainHeader = `{"alg":"HS256","typ":"JWT"}`
)

var now = time.Unix(1794000000, 0)

// at returns a clock that stands still, for the store as well.
func at(t time.Time) session.Clock { return fixedClock{t, t} }

// fixedClock implements [session.Clock].
type fixedClock struct{ local, store time.Time }

func (c fixedClock) Now() time.Time                             { return c.local }
func (c fixedClock) StoreNow(session.UserID) (time.Time, error) { return c.store, nil }

// vectors is the content of testdata/vectors.json, which testdata/vectors.py writes.
type vectors struct {
	Now        int64
	App        string
	SID        session.ID
	Generation uint32
	Secret     string // in hex
	Vectors    []vector
}

type vector struct{ Algorithm, Key, KID, Refresh, Access string }

// options returns the options of a signer for v.
func (v vector) options() Options {
	return Options{App: "shop", Algorithm: v.Algorithm, SigningKey: v.Key}
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if v.App != "shop" || v.Now != now.Unix() {
		t.Fatalf("got vectors of app %q at %d, want those of shop at %d", v.App, v.Now, now.Unix())
	}
	if len(v.Vectors) != 7 {
		t.Fatalf("got %d vectors, want 1 for each of the 7 algorithms", len(v.Vectors))
	}
	return v
}

func newSigner(t testing.TB, o Options) *Signer {
	t.Helper()
	if o.SigningKey == "" {
		o.SigningKey = secret
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustSign(t testing.TB, s *Signer, c session.Claims) string {
	t.Helper()
	token, err := s.Sign(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func accessClaims() session.Claims {
	return session.Claims{
		Kind: session.KindAccess, User: session.NumberID(42), Session: "nRyq3Pz0S2mB-xk_91oJvA",
		Issued: now, Expires: now.Add(5 * time.Minute), AuthTime: now.Add(-time.Hour),
	}
}

func refreshClaims() session.Claims {
	c := accessClaims()
	c.Kind, c.Type, c.Generation = session.KindRefresh, session.Long, 3
	c.Expires = now.Add(30 * 24 * time.Hour)
	return c
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func decode(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// parts returns the decoded header and claims of a token.
func parts(t testing.TB, token string) (header, claims string) {
	t.Helper()
	p := strings.Split(token, ".")
	if len(p) != 3 {
		t.Fatalf("the token has %d parts, want 3", len(p))
	}
	return decode(t, p[0]), decode(t, p[1])
}

// forge returns a token with the given header and claims, signed with HS256. It uses
// the standard library only.
func forge(key, header, claims string) string {
	return forgeEncoded(key, encode(header)+"."+encode(claims))
}

// forgeEncoded is like forge, but takes the signed part of the token as it is: the encoded
// header, a dot, and the encoded claims.
func forgeEncoded(key, signed string) string {
	return signed + "." + encode(hmacSHA256(key, signed))
}

func wantCode(t *testing.T, err error, want session.Code) {
	t.Helper()
	if got := session.CodeOf(err); got != want {
		t.Errorf("got code %s (%v), want %s", got, err, want)
	}
}

// derivedRefreshKey returns the refresh key that an app derives from the secret or the
// private value of one of its keys.
func derivedRefreshKey(value, app string) string {
	return deriveKey(value, "tokengate refresh key "+app, 64)
}

func deriveKey(key, info string, length int) string {
	derived, err := hkdf.Key(sha256.New, []byte(key), nil, info, length)
	if err != nil {
		panic(err)
	}
	return string(derived)
}

// refreshHeader returns the header of refresh tokens that are signed with a refresh key.
func refreshHeader(key, alg string) string {
	kid := encode(hmacSHA256(key, "tokengate kid")[:16])
	return `{"alg":"` + alg + `","typ":"JWT","kid":"` + kid + `"}`
}

// refreshJTI returns the jti of the refresh token for c.
func refreshJTI(key, app string, c session.Claims) string {
	pad := hmacSHA256(deriveKey(key, "tokengate session secret "+app, 32), fmt.Sprintf("%s.%d", c.Session, c.Generation))
	jti := []byte(pad[:16])
	for i := range c.Secret {
		jti[i] ^= c.Secret[i]
	}
	return hex.EncodeToString(jti)
}

// forgeRefresh returns a token with the given claims, signed with a refresh key and
// HS256.
func forgeRefresh(key, claims string) string {
	return forge(key, refreshHeader(key, "HS256"), claims)
}

// hmacSHA256 returns the HMAC of input.
func hmacSHA256(key, input string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(input))
	return string(mac.Sum(nil))
}

// checkRefresh checks that Verify accepts a refresh token and returns the claims want,
// except for AuthTime, which refresh tokens do not have.
func checkRefresh(t testing.TB, name string, s *Signer, token string, want session.Claims) {
	t.Helper()
	want.AuthTime = time.Time{}
	got, err := s.Verify(token, session.KindRefresh, at(now))
	if err != nil || got.User != want.User || got.Secret != want.Secret || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: got %+v with secret %x (%v), want %+v with secret %x", name, got, got.Secret[:], err, want, want.Secret[:])
	}
}

// checkNoRefresh checks that Verify rejects a refresh token with the given code.
func checkNoRefresh(t testing.TB, name string, s *Signer, token string, want session.Code) {
	t.Helper()
	got, err := s.Verify(token, session.KindRefresh, at(now))
	if session.CodeOf(err) != want || got.Kind != "" || got.Secret != (session.Secret{}) {
		t.Errorf("%s: got %+v, %v, want %s and no claims", name, got, err, want)
	}
}
