package token

import (
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"hash"
	"sync"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// signVerifier makes and checks signatures with one key.
type signVerifier interface {
	// sign appends the signature of input to dst.
	sign(dst, input []byte) ([]byte, error)
	// verify reports whether signature is the signature of input.
	verify(input, signature []byte) bool
}

// hmacKey signs with a shared secret. It keeps hash states that already contain
// the padded secret in a pool: computing them each time, as jwx does, doubles
// the cost of a token.
type hmacKey struct{ pool sync.Pool } // of *hmacState

// hmacState is a keyed hash and the buffer for its result. It must not be used
// concurrently.
type hmacState struct {
	hash.Hash
	sum []byte
}

func newHMACKey(h func() hash.Hash, secret []byte) *hmacKey {
	return &hmacKey{sync.Pool{New: func() any {
		return &hmacState{hmac.New(h, secret), make([]byte, 0, sha512.Size)}
	}}}
}

func (k *hmacKey) sign(dst, input []byte) ([]byte, error) {
	state := k.compute(input)
	defer k.pool.Put(state)
	return append(dst, state.sum...), nil
}

// verify compares in constant time. Otherwise the time until the first different
// byte would let an attacker find a signature byte by byte.
func (k *hmacKey) verify(input, signature []byte) bool {
	state := k.compute(input)
	defer k.pool.Put(state)
	return hmac.Equal(state.sum, signature)
}

// compute returns a state whose sum is the HMAC of input. The caller must put
// the state back into the pool when it no longer needs the sum.
func (k *hmacKey) compute(input []byte) *hmacState {
	state := k.pool.Get().(*hmacState)
	state.Reset()
	state.Write(input)
	state.sum = state.Sum(state.sum[:0])
	return state
}

// keyPair signs with a private key and verifies with a public key, by means of
// jwx. It looks up jwx's signer and verifier once, because each lookup takes a
// lock that all requests share.
type keyPair struct {
	signer   jws.Signer2
	verifier jws.Verifier2
	private  any // nil if the key only verifies
	public   any
}

// newKeyPair returns a keyPair for k. It fails if the private and the public
// half do not match, which is possible in a JWK.
func newKeyPair(a jwa.SignatureAlgorithm, k parsedKey) (*keyPair, error) {
	p := &keyPair{private: k.private, public: k.public}
	var err error
	if p.signer, err = jws.SignerFor(a); err != nil {
		return nil, err
	}
	if p.verifier, err = jws.VerifierFor(a); err != nil {
		return nil, err
	}
	if p.private == nil {
		return p, nil
	}
	message := []byte("test message")
	if signature, err := p.sign(nil, message); err != nil || !p.verify(message, signature) {
		return nil, errors.New("the private and the public half of a key in SIGNING_KEY or VERIFYING_KEYS do not match: export the key again")
	}
	return p, nil
}

func (p *keyPair) sign(dst, input []byte) ([]byte, error) {
	signature, err := p.signer.Sign(p.private, input)
	return append(dst, signature...), err
}

// verify drops the reason that jwx gives for an invalid signature.
func (p *keyPair) verify(input, signature []byte) bool {
	return p.verifier.Verify(p.public, input, signature) == nil
}
