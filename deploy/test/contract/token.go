package contract

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"regexp"
	"strings"
)

var tokenShape = regexp.MustCompile(`^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$`)

// hashes are the HMAC algorithms of JWS that the recordings use (RFC 7518,
// section 3.2).
var hashes = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// token is a JWT without its signature.
type token struct{ header, claims map[string]any }

// readToken parses a JWT and does not check its signature.
func readToken(v any) (token, bool) {
	text, ok := v.(string)
	if !ok || !tokenShape.MatchString(text) {
		return token{}, false
	}
	parts := strings.Split(text, ".")
	header, okHeader := readPart(parts[0])
	claims, okClaims := readPart(parts[1])
	return token{header, claims}, okHeader && okClaims
}

func readPart(text string) (object map[string]any, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	err = decode(raw, &object)
	return object, err == nil && object != nil
}

// signToken returns a JWT. The signature is empty if the algorithm is not in
// hashes.
func signToken(header map[string]any, claims any, key string) string {
	message := encodePart(header) + "." + encodePart(claims)
	signature, _ := signature(header, message, key)
	return message + "." + signature
}

func encodePart(v any) string { return base64.RawURLEncoding.EncodeToString([]byte(encode(v, true))) }

func signature(header map[string]any, message, key string) (text string, ok bool) {
	algorithm, _ := header["alg"].(string)
	newHash, ok := hashes[algorithm]
	if !ok {
		return "", false
	}
	mac := hmac.New(newHash, []byte(key))
	mac.Write([]byte(message))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), true
}

// verifies reports whether a token was signed with key.
func verifies(text, key string) bool {
	tok, ok := readToken(text)
	if !ok {
		return false
	}
	message, got := cutSignature(text)
	want, ok := signature(tok.header, message, key)
	return ok && hmac.Equal([]byte(got), []byte(want))
}

// cutSignature splits a token at its last dot.
func cutSignature(text string) (message, signature string) {
	i := strings.LastIndexByte(text, '.')
	if i < 0 {
		return text, ""
	}
	return text[:i], text[i+1:]
}

// Recipe describes the value of a variable: a token from its claims (JWT), a token
// from another one (Edit, FlipSig, StripSig), or any value.
type Recipe struct {
	JWT *struct {
		Header map[string]any `json:"header"` // nil means HS256
		Claims any            `json:"claims"`
		Key    *string        `json:"key"` // nil means the signing key
	} `json:"jwt"`

	Edit   *string        `json:"edit"`
	Header map[string]any `json:"header"` // changed members
	Set    map[string]any `json:"set"`    // changed claims
	Drop   []string       `json:"drop"`   // removed claims
	Key    *string        `json:"key"`
	Resign *bool          `json:"resign"` // false keeps the old signature

	FlipSig  *string `json:"flip_sig"`  // changes one character of the signature
	StripSig *string `json:"strip_sig"` // removes the signature

	Value Value `json:"value"`
}

// forge makes the value that a recipe describes.
func (v *variables) forge(r Recipe) (any, error) {
	switch {
	case r.JWT != nil:
		header := r.JWT.Header
		if header == nil {
			header = map[string]any{"alg": "HS256", "typ": "JWT"}
		}
		return signToken(v.substituteMembers(header), v.substitute(r.JWT.Claims), v.key(r.JWT.Key)), nil
	case r.Edit != nil:
		return v.edit(r)
	case r.FlipSig != nil:
		return flipSignature(pythonText(v.substitute(*r.FlipSig)))
	case r.StripSig != nil:
		message, _ := cutSignature(pythonText(v.substitute(*r.StripSig)))
		return message + ".", nil
	case r.Value.Given:
		return v.substitute(r.Value.V), nil
	}
	return nil, errors.New("the recipe has none of jwt, edit, flip_sig, strip_sig and value")
}

func (v *variables) key(key *string) string {
	if key == nil {
		return v.signingKey
	}
	return pythonText(v.substitute(*key))
}

// edit changes the header or the claims of a token and signs it again.
func (v *variables) edit(r Recipe) (any, error) {
	old := pythonText(v.substitute(*r.Edit))
	tok, ok := readToken(old)
	if !ok {
		return nil, fmt.Errorf("%s is not a token", *r.Edit)
	}
	for name, value := range v.substituteMembers(r.Header) {
		tok.header[name] = value
	}
	for name, value := range v.substituteMembers(r.Set) {
		tok.claims[name] = value
	}
	for _, name := range r.Drop {
		delete(tok.claims, name)
	}
	edited := signToken(tok.header, tok.claims, v.key(r.Key))
	if r.Resign != nil && !*r.Resign {
		message, _ := cutSignature(edited)
		_, kept := cutSignature(old)
		edited = message + "." + kept
	}
	return edited, nil
}

// flipSignature changes the character in the middle of the signature. A change of
// the last one may have no effect, because not all of its bits are used.
func flipSignature(text string) (any, error) {
	message, signature := cutSignature(text)
	if signature == "" {
		return nil, errors.New("the token has no signature to change")
	}
	changed, middle := []byte(signature), len(signature)/2
	if changed[middle] != 'A' {
		changed[middle] = 'A'
	} else {
		changed[middle] = 'B'
	}
	return message + "." + string(changed), nil
}
