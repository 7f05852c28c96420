package token

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// typ is the value of a JOSE header's typ member.
type typ int

const (
	typJWT    typ = iota // JWT, or absent
	typAccess            // at+jwt (RFC 9068)
	typOther             // any other value
)

// keyring holds all keys whose tokens are accepted. keys[0] signs.
type keyring struct {
	algorithm       string
	keys            []*key
	byKID           map[string]*key
	byHeader        map[string]header // the encoded headers of the app's own tokens
	allowUnknownKID bool              // try all keys if a token's kid is unknown
	jwks            []byte
}

// header is the result of parsing a token's header.
type header struct {
	keys []*key // that may have signed the token
	typ  typ
}

// key is one key of a keyring.
type key struct {
	kid     string
	headers [typOther]string // encoded, by typ
	signVerifier
}

// newKeyring returns a keyring of the keys that fit the algorithm. A token's alg is only
// ever compared with the keyring's own algorithm, so no header can choose another one
// (RFC 8725 section 3.1).
func newKeyring(a algorithm, keys *appKeys) (*keyring, error) {
	r := &keyring{
		algorithm: a.name,
		byKID:     map[string]*key{},
		byHeader:  map[string]header{},
		jwks:      []byte(`{"keys":[]}`),
	}
	if a.hash != nil {
		r.allowUnknownKID = true
		return r, r.addSecrets(a.hash, keys.access)
	}
	return r, r.addKeyPairs(keys.access)
}

// add adds k, unless the keyring has it already, as when a retired key is also
// the signing key. alias is the kid that k's JWK has, or empty: other programs
// may have signed tokens with that kid.
func (r *keyring) add(k *key, alias string) error {
	clash := errors.New(`two different keys have the same "kid": give each its own, or none`)
	known := r.byKID[k.kid]
	if known != nil && known.kid != k.kid {
		return clash
	}
	if known == nil {
		known = k
		r.byKID[k.kid] = k
		r.keys = append(r.keys, k)
		r.addHeaders(k)
	}
	if alias == "" {
		return nil
	}
	if other := r.byKID[alias]; other != nil && other != known {
		return clash
	}
	r.byKID[alias] = known
	return nil
}

// addHeaders prepares the headers of the tokens that k signs. Their members are
// in the order of the Django app, followed by kid. Preparing them saves encoding
// in Sign and decoding in Verify. Both typs are added regardless of the profile:
// Verify decides later which of them it accepts.
func (r *keyring) addHeaders(k *key) {
	for t, name := range [typOther]string{typJWT: "JWT", typAccess: "at+jwt"} {
		k.headers[t] = encodeHeader(r.algorithm, name, k.kid)
		r.byHeader[k.headers[t]] = header{[]*key{k}, typ(t)}
	}
}

// keysFor returns the keys that may have signed a token with the given kid. It
// only looks kid up in a map, by exact match, and uses it for nothing else.
//
// With a shared secret, the token may come from another program to which the
// operator gave the same secret, and which has its own kid for it. So all keys
// are tried, at the cost of one hash each. With key pairs, all issuers take the
// kid from the app's JWKS. So an unknown kid means a foreign token, and
// rejecting it costs no signature check.
func (r *keyring) keysFor(kid string) []*key {
	if k := r.byKID[kid]; k != nil {
		return []*key{k}
	}
	if r.allowUnknownKID {
		return r.keys
	}
	return nil
}

// addSecrets adds shared secrets. The JWK Set stays empty: a secret has no public half.
func (r *keyring) addSecrets(h func() hash.Hash, secrets []parsedKey) error {
	for _, k := range secrets {
		secret, _ := k.public.([]byte)
		if err := r.add(&key{kid: secretKID(secret), signVerifier: newHMACKey(h, secret)}, ""); err != nil {
			return err
		}
	}
	return nil
}

// secretKID returns the kid of a shared secret: an HMAC of a constant. The RFC
// 7638 thumbprint would be a bare hash of the secret. The HMAC helps an attacker
// who guesses secrets no more than any token signed with the secret does.
func secretKID(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("tokengate kid"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// addKeyPairs adds key pairs to the keyring and to the JWK Set. The signing key is the
// first one in both.
func (r *keyring) addKeyPairs(keys []parsedKey) (err error) {
	set := jwk.NewSet()
	for _, k := range keys {
		if err := r.addKeyPair(k, set); err != nil {
			return err
		}
	}
	r.jwks, err = json.Marshal(set)
	return err
}

// addKeyPair adds a key pair to the keyring and its public half to set. A pair
// that is given several times is added once.
func (r *keyring) addKeyPair(k parsedKey, set jwk.Set) error {
	a, ok := jwa.LookupSignatureAlgorithm(r.algorithm)
	if !ok {
		return fmt.Errorf("ALGORITHM is %q, which the JOSE library does not support", r.algorithm)
	}
	public, kid, err := publicJWK(k, a)
	if err != nil {
		return err
	}
	if r.byKID[kid] == nil {
		if err := set.AddKey(public); err != nil {
			return err
		}
	}
	pair, err := newKeyPair(a, k)
	if err != nil {
		return err
	}
	return r.add(&key{kid: kid, signVerifier: pair}, k.kid)
}

// publicJWK returns the public half of k as a JWK to publish, and its kid. The
// JWK is built from the bare key, so that no other member of k's own JWK is
// published.
func publicJWK(k parsedKey, a jwa.SignatureAlgorithm) (jwk.Key, string, error) {
	public, err := jwk.Import(k.public)
	if err != nil {
		return nil, "", err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", err
	}
	kid := base64.RawURLEncoding.EncodeToString(thumbprint)
	for name, value := range map[string]any{
		jwk.KeyIDKey: kid, jwk.AlgorithmKey: a, jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := public.Set(name, value); err != nil {
			return nil, "", err
		}
	}
	return public, kid, nil
}
