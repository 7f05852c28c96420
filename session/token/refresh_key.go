package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"tokengate/session"
)

// refreshKeys holds the keys of refresh tokens, which only the gateway signs and reads:
// HMAC keys for every ALGORITHM, so that a key pair signs once per refresh. No verifier
// of access tokens accepts a refresh token, because it does not have these keys.
type refreshKeys struct {
	signing  *refreshKey
	byHeader map[string]*refreshKey // by the encoded header, which decides the key and its algorithm
	kids     map[string]bool

	devices   map[string][]byte // the keys of device tokens, by the kid of the refresh secret
	deviceKID string            // of the one that signs
}

// refreshKey is one refresh secret with one HS* algorithm.
type refreshKey struct {
	header    string // encoded; the same for all its tokens
	signature *hmacKey
	mask      *hmacKey // see appendJTI
}

// minRefreshSecret is the minimum length of a refresh secret in bytes.
const minRefreshSecret = 32

// Derived is the entry of REFRESH_KEY that stands for the key that is derived from
// SIGNING_KEY. As the first one, it lets all instances accept the tokens of a new secret
// before one of them signs with it.
const Derived = "derived"

// newRefreshKeys returns the refresh keys of an app: those of REFRESH_KEY, and one for
// each signing key whose secret or private value is known. The first of REFRESH_KEY signs,
// or with derivedSigns the one of the first signing key, with the algorithm of a if that is
// HS*, else with HS256. Tokens of all others are accepted, with any HS* algorithm, so that a
// change of ALGORITHM or a new key logs no user out.
func newRefreshKeys(o Options, a algorithm, signingKeys [][]byte, derivedSigns bool) (*refreshKeys, error) {
	r := &refreshKeys{byHeader: map[string]*refreshKey{}, kids: map[string]bool{}, devices: map[string][]byte{}}
	if a.hash == nil {
		a = algorithms[0]
	}
	if derivedSigns {
		if err := r.addDerived(o.App, signingKeys, a); err != nil {
			return nil, err
		}
	}
	for i, secret := range o.RefreshKeys {
		size := minRefreshSecret
		if i == 0 {
			size = a.hash().Size() // RFC 7518 section 3.2
		}
		if err := checkSecret([]byte(secret), size); err != nil {
			return nil, fmt.Errorf("REFRESH_KEY: secret %d %w", i+1, err)
		}
		if err := r.add(o.App, []byte(secret), a); err != nil {
			return nil, err
		}
	}
	return r, r.addDerived(o.App, signingKeys, a)
}

// addDerived adds the refresh keys that are derived from signing keys. Those that were added
// before stay as they are.
func (r *refreshKeys) addDerived(app string, signingKeys [][]byte, a algorithm) error {
	for _, key := range signingKeys {
		const length = 64 // enough for each HS* algorithm
		secret, err := hkdf.Key(sha256.New, key, nil, "tokengate refresh key "+app, length)
		if err == nil {
			err = r.add(app, secret, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds a refresh secret with each HS* algorithm. The first one added, with the
// algorithm signs, becomes the signing key.
func (r *refreshKeys) add(app string, secret []byte, signs algorithm) error {
	kid := secretKID(secret)
	if r.kids[kid] {
		return nil
	}
	r.kids[kid] = true
	if err := r.addDevice(app, kid, secret); err != nil {
		return err
	}
	maskKey, err := hkdf.Key(sha256.New, secret, nil, "tokengate session secret "+app, sha256.Size)
	if err != nil {
		return err
	}
	mask := newHMACKey(sha256.New, maskKey)
	first := r.signing == nil
	for _, a := range algorithms {
		if a.hash == nil {
			continue
		}
		k := &refreshKey{encodeHeader(a.name, "JWT", kid), newHMACKey(a.hash, secret), mask}
		r.byHeader[k.header] = k
		if first && a.name == signs.name {
			r.signing = k
		}
	}
	return nil
}

// encodeHeader returns an encoded JOSE header, with its members in the order of the
// Django app, followed by kid.
func encodeHeader(alg, typ, kid string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `","typ":"` + typ + `","kid":"` + kid + `"}`))
}

// privateValue returns the private value of a key: the same for all formats of the key.
// It returns nil for a public key.
func privateValue(k parsedKey) ([]byte, error) {
	switch key := k.private.(type) {
	case nil:
		secret, _ := k.public.([]byte) // of a shared secret
		return secret, nil
	case *rsa.PrivateKey:
		return key.D.Bytes(), nil
	case *ecdsa.PrivateKey:
		return key.Bytes()
	case ed25519.PrivateKey:
		return key.Seed(), nil
	}
	return nil, errors.New("unsupported type of private key")
}

// appendJTI appends the jti of a refresh token as 32 hex digits. The first half is the
// session's secret, masked by a hash of session and generation; the second half is
// another part of that hash. It depends on the record and the key only, so a retry
// yields the same jti on any instance. Without the key it discloses nothing about the
// secret, and the token of one generation does not show that of another.
func (k *refreshKey) appendJTI(b []byte, buf *buffers, c session.Claims) []byte {
	pad := k.pad(buf, c)
	for i := range c.Secret {
		pad[i] ^= c.Secret[i]
	}
	return hex.AppendEncode(b, pad[:])
}

// readJTI returns the secret in the jti of a refresh token. ok is false if appendJTI has
// not made the jti for the token's session and generation.
func (k *refreshKey) readJTI(jti []byte, buf *buffers, c session.Claims) (secret session.Secret, ok bool) {
	var given [16]byte
	text, ok := plainString(jti)
	if !ok || len(text) != hex.EncodedLen(len(given)) {
		return secret, false
	}
	if _, err := hex.Decode(given[:], text); err != nil {
		return secret, false
	}
	pad := k.pad(buf, c)
	for i := range secret {
		secret[i] = given[i] ^ pad[i]
	}
	return secret, hmac.Equal(given[len(secret):], pad[len(secret):])
}

// pad returns 16 bytes that look random without the key.
func (k *refreshKey) pad(buf *buffers, c session.Claims) (pad [16]byte) {
	buf.part = append(append(buf.part[:0], c.Session...), '.')
	buf.part = strconv.AppendUint(buf.part, uint64(c.Generation), 10)
	state := k.mask.compute(buf.part)
	copy(pad[:], state.sum)
	k.mask.pool.Put(state)
	return pad
}
