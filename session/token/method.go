package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"sync"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// method makes and checks signatures with one key.
type method interface {
	// sign appends the signature of input to dst.
	sign(dst, input []byte) ([]byte, error)
	verify(input, signature []byte) bool
}

// hashOf is the hash of an HS* algorithm, nil for any other.
func hashOf(algorithm string) func() hash.Hash {
	switch algorithm {
	case "HS256":
		return sha256.New
	case "HS384":
		return sha512.New384
	case "HS512":
		return sha512.New
	}
	return nil
}

// hmacKey signs with a shared secret. The state after hashing the padded secret
// is kept in a pool: making it anew, as jwx does, doubles the cost of a token.
type hmacKey struct{ pool sync.Pool }

// hmacState is a keyed hash at its beginning, and room for what it gives. One
// is used by one goroutine at a time.
type hmacState struct {
	hash.Hash
	sum []byte
}

func newHMAC(h func() hash.Hash, secret []byte) *hmacKey {
	return &hmacKey{sync.Pool{New: func() any {
		return &hmacState{hmac.New(h, secret), make([]byte, 0, sha512.Size)}
	}}}
}

func (k *hmacKey) sign(dst, input []byte) ([]byte, error) {
	state := k.over(input)
	defer k.pool.Put(state)
	return append(dst, state.sum...), nil
}

// verify compares in constant time: the time until the first difference would
// let a forger find a signature byte by byte.
func (k *hmacKey) verify(input, signature []byte) bool {
	state := k.over(input)
	defer k.pool.Put(state)
	return hmac.Equal(state.sum, signature)
}

// over hashes input. The caller puts the state back when done with its sum.
func (k *hmacKey) over(input []byte) *hmacState {
	state := k.pool.Get().(*hmacState)
	state.Reset()
	state.Write(input)
	state.sum = state.Sum(state.sum[:0])
	return state
}

// signature signs with a key pair, of which private may be absent. The work is
// jwx's; the signers and verifiers are fetched once, since each look-up takes a
// lock that all requests share. Its reasons for a refusal are dropped: a
// signature is good or it is not.
type signature struct {
	signer          jws.Signer2
	verifier        jws.Verifier2
	private, public any
}

// newSignature refuses a pair whose halves don't belong together, which a JWK
// can be.
func newSignature(algorithm jwa.SignatureAlgorithm, p pair) (*signature, error) {
	k := &signature{private: p.private, public: p.public}
	var err error
	if k.signer, err = jws.SignerFor(algorithm); err != nil {
		return nil, err
	}
	if k.verifier, err = jws.VerifierFor(algorithm); err != nil {
		return nil, err
	}
	if p.private == nil {
		return k, nil
	}
	probe := []byte("probe")
	if signed, err := k.sign(nil, probe); err != nil || !k.verify(probe, signed) {
		return nil, errors.New("the private and the public half of a key in SIGNING_KEY or VERIFYING_KEYS don't belong together: export it again")
	}
	return k, nil
}

func (k *signature) sign(dst, input []byte) ([]byte, error) {
	signed, err := k.signer.Sign(k.private, input)
	return append(dst, signed...), err
}

func (k *signature) verify(input, signature []byte) bool {
	return k.verifier.Verify(k.public, input, signature) == nil
}
