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
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// typ is a JOSE header's typ as far as it matters here.
type typ int

const (
	typJWT    typ = iota // JWT, or none
	typAccess            // at+jwt (RFC 9068)
	typOther
)

// keyring is every key whose tokens are good; keys[0] signs.
type keyring struct {
	algorithm string
	keys      []*key
	byKID     map[string]*key
	byHeader  map[string]origin // the headers that we write ourselves
	anyKID    bool              // a kid that is not ours is a hint at best: try every key
	jwks      []byte
}

// origin is what a token's header says: which keys may have signed it, as what.
type origin struct {
	keys []*key
	typ  typ
}

// key is one key, ready for use.
type key struct {
	kid     string
	headers [typOther]string // encoded, by typ
	method
}

// newKeyring reads and checks the keys of o. An algorithm that is not listed is
// refused here, so a header can never name one that has no keys: alg is only
// ever compared with the ring's own (RFC 8725 section 3.1).
func newKeyring(o Options) (*keyring, error) {
	r := &keyring{
		algorithm: o.Algorithm,
		byKID:     map[string]*key{},
		byHeader:  map[string]origin{},
		jwks:      []byte(`{"keys":[]}`),
	}
	if h := hashOf(o.Algorithm); h != nil {
		r.anyKID = true
		return r, r.addSecrets(h, o)
	}
	if fits := fitnessFor(o.Algorithm); fits != nil {
		return r, r.addPairs(fits, o)
	}
	return nil, fmt.Errorf("ALGORITHM is %q: give HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA", o.Algorithm)
}

// add takes k in, unless it is there already, such as a key that is given as
// retired and still signs. alias is the kid that its JWK came with: tokens that
// another program signed with it may carry that one. Empty: none.
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

// addHeaders makes the headers that k's tokens begin with, members in the seed's
// order and kid after them. Made once, they save encoding on signing and
// decoding on verifying; both typs are there, whichever the profile uses, since
// Verify decides later which it takes.
func (r *keyring) addHeaders(k *key) {
	for t, name := range [typOther]string{typJWT: "JWT", typAccess: "at+jwt"} {
		header := `{"alg":"` + r.algorithm + `","typ":"` + name + `","kid":"` + k.kid + `"}`
		k.headers[t] = base64.RawURLEncoding.EncodeToString([]byte(header))
		r.byHeader[k.headers[t]] = origin{[]*key{k}, typ(t)}
	}
}

// named gives the keys that a kid leaves to be tried. It is an exact name and
// nothing else: it is looked up in a map and goes nowhere.
//
// With a shared secret the issuer may be another program that the operator gave
// the same secret, and that has names of its own for it: then all are tried,
// which costs a hash each. With key pairs every issuer takes the kid from our
// JWKS, so an unknown one is foreign, and forgeries cost no signature check.
func (r *keyring) named(kid string) []*key {
	if k := r.byKID[kid]; k != nil {
		return []*key{k}
	}
	if r.anyKID {
		return r.keys
	}
	return nil
}

// addSecrets takes in shared secrets. None is ever published: the JWK Set stays
// empty, as a secret's public half does not exist.
func (r *keyring) addSecrets(h func() hash.Hash, o Options) error {
	retired, err := retiredSecrets(o.VerifyingKeys)
	if err != nil {
		return err
	}
	for i, secret := range append([][]byte{[]byte(o.SigningKey)}, retired...) {
		setting := "SIGNING_KEY"
		if i > 0 {
			setting = fmt.Sprintf("VERIFYING_KEYS: secret %d", i)
		}
		if err := checkSecret(secret, h().Size()); err != nil {
			return fmt.Errorf("%s %w", setting, err)
		}
		if err := r.add(&key{kid: secretKID(secret), method: newHMAC(h, secret)}, ""); err != nil {
			return err
		}
	}
	return nil
}

// secretKID names a secret. Unlike its RFC 7638 thumbprint, which is a bare
// hash, it gives a guesser no more than any token signed with it does.
func secretKID(secret []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("tokengate kid"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// addPairs takes in key pairs, the signing one first, so that keys[0] signs and
// the JWK Set, in the same order, shows the current key before retired ones.
func (r *keyring) addPairs(fits fitness, o Options) error {
	pairs, err := loadPairs("SIGNING_KEY", o.SigningKey, fits)
	if err != nil {
		return err
	}
	if pairs, err = signingFirst(pairs); err != nil {
		return err
	}
	if strings.TrimSpace(o.VerifyingKeys) != "" {
		retired, err := loadPairs("VERIFYING_KEYS", o.VerifyingKeys, fits)
		if err != nil {
			return err
		}
		pairs = append(pairs, retired...)
	}
	set := jwk.NewSet()
	for _, p := range pairs {
		if err := r.addPair(p, set); err != nil {
			return err
		}
	}
	r.jwks, err = json.Marshal(set)
	return err
}

// addPair publishes a pair's public half, once however often it is given, and
// takes it in.
func (r *keyring) addPair(p pair, set jwk.Set) error {
	algorithm, ok := jwa.LookupSignatureAlgorithm(r.algorithm)
	if !ok {
		return fmt.Errorf("ALGORITHM is %q, which the JOSE library lacks", r.algorithm)
	}
	public, kid, err := published(p, algorithm)
	if err != nil {
		return err
	}
	if r.byKID[kid] == nil {
		if err := set.AddKey(public); err != nil {
			return err
		}
	}
	m, err := newSignature(algorithm, p)
	if err != nil {
		return err
	}
	return r.add(&key{kid: kid, method: m}, p.kid)
}

// published is the public half as the world may see it, made anew from the bare
// key so that no other member comes along, and its kid.
func published(p pair, algorithm jwa.SignatureAlgorithm) (jwk.Key, string, error) {
	public, err := jwk.Import(p.public)
	if err != nil {
		return nil, "", err
	}
	thumbprint, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", err
	}
	kid := base64.RawURLEncoding.EncodeToString(thumbprint)
	for name, value := range map[string]any{
		jwk.KeyIDKey: kid, jwk.AlgorithmKey: algorithm, jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := public.Set(name, value); err != nil {
			return nil, "", err
		}
	}
	return public, kid, nil
}
