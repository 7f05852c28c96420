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
)

// signer makes and checks HS256 tokens with the hash's state kept in a pool:
// the least that HS256 costs in Go.
type signer struct{ pool *sync.Pool }

func newSigner(key string) signer {
	return signer{&sync.Pool{New: func() any { return hmac.New(sha256.New, []byte(key)) }}}
}

// claims is what the floor reads of a token of its own.
type claims struct {
	Kind       string `json:"token_type"`
	Expires    int64  `json:"exp"`
	User       int64  `json:"user_id"`
	Session    string `json:"sid"`
	Generation uint32 `json:"gen"`
}

var header = base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."

// sign appends a token with the claims that the gateway's have.
func (s signer) sign(b []byte, kind string, expires, issued int64, user, id string, generation uint32) []byte {
	c := append(make([]byte, 0, 256), `{"token_type":"`...)
	c = append(append(c, kind...), `","exp":`...)
	c = append(strconv.AppendInt(c, expires, 10), `,"iat":`...)
	c = append(strconv.AppendInt(c, issued, 10), `,"jti":"`...)
	var jti [16]byte
	if kind == "access" {
		_, _ = rand.Read(jti[:]) // never fails: crypto/rand aborts the program instead
	} else {
		sum := sha256.Sum256(strconv.AppendUint([]byte(id), uint64(generation), 10))
		copy(jti[:], sum[:])
	}
	c = append(append(hex.AppendEncode(c, jti[:]), `","user_id":`...), user...)
	c = append(append(append(c, `,"sid":"`...), id...), '"')
	if kind == "refresh" {
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

// open checks a token and reads its claims.
func (s signer) open(token, kind string) (c claims, ok bool) {
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
	return c, c.Kind == kind && c.Expires > time.Now().Unix()
}
