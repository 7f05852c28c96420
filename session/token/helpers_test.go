package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
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

// vectors is the content of testdata/vectors.json, which testdata/vectors.py writes.
type vectors struct {
	Now        int64
	SID        session.ID
	Generation uint32
	Vectors    []vector
}

type vector struct{ Algorithm, Key, KID, Refresh, Access string }

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
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func wantCode(t *testing.T, err error, want session.Code) {
	t.Helper()
	if got := session.CodeOf(err); got != want {
		t.Errorf("got code %s (%v), want %s", got, err, want)
	}
}
