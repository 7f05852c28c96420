package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"hash"
	"strconv"
	"strings"
	"sync"
	"time"

	"tokengate/session"
)

// signer signs and verifies HS256 tokens. It keeps the hash states in a pool, which
// is the cheapest way to compute HS256 in Go.
type signer struct{ pool *sync.Pool }

func newSigner(key string) signer {
	return signer{&sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(key)) }}}
}

// claims are the claims that the baseline reads from its own tokens.
type claims struct {
	TokenType  string `json:"token_type"`
	Expires    int64  `json:"exp"`
	User       int64  `json:"user_id"`
	Session    string `json:"sid"`
	Generation uint32 `json:"gen"`
	ID         string `json:"jti"`

	secret []byte // in ID, of a refresh token
}

var header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."

// sign appends a token with the same claims as the gateway's tokens.
func (s signer) sign(b []byte, tokenType string, expires, issued int64, user, id string, generation uint32, secret []byte) []byte {
	c := append(make([]byte, 0, 256), `{"token_type":"`...)
	c = append(append(c, tokenType...), `","exp":`...)
	c = append(strconv.AppendInt(c, expires, 10), `,"iat":`...)
	c = append(strconv.AppendInt(c, issued, 10), `,"jti":"`...)
	var jti [16]byte
	if tokenType == "access" {
		_, _ = rand.Read(jti[:]) // never fails: crypto/rand crashes the program instead
	} else {
		copy(jti[:], secret)
	}
	c = append(append(hex.AppendEncode(c, jti[:]), `","user_id":`...), user...)
	c = append(append(append(c, `,"sid":"`...), id...), '"')
	if tokenType == "refresh" {
		c = strconv.AppendUint(append(c, `,"type":"LONG","gen":`...), uint64(generation), 10)
	}
	start := len(b)
	b = base64.RawURLEncoding.AppendEncode(append(b, header...), append(c, '}'))
	var sum [sha256.Size]byte
	mac := s.sum(b[start:], sum[:0])
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), mac)
}

func (s signer) sum(input, dst []byte) []byte {
	h := s.pool.Get().(hash.Hash)
	defer s.pool.Put(h)
	h.Reset()
	h.Write(input)
	return h.Sum(dst)
}

func (s signer) verify(input string, signature []byte) bool {
	var sum [sha256.Size]byte
	return hmac.Equal(s.sum([]byte(input), sum[:0]), signature)
}

// parse verifies a token and returns its claims. ok reports whether the token is valid.
func (s signer) parse(token, tokenType string) (c claims, ok bool) {
	last := strings.LastIndexByte(token, '.')
	if last < len(header) {
		return c, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[last+1:])
	if err != nil || !s.verify(token[:last], signature) {
		return c, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(token[len(header):last])
	if err != nil || json.Unmarshal(payload, &c) != nil {
		return c, false
	}
	if c.secret, err = hex.DecodeString(c.ID); err != nil || len(c.secret) < len(session.Secret{}) {
		return c, false
	}
	c.secret = c.secret[:len(session.Secret{})]
	return c, c.TokenType == tokenType && c.Expires > time.Now().Unix()
}
