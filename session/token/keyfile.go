package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// Reading keys. No error here wraps one of a parser: those may quote the key.

// pair is an asymmetric key as it was given.
type pair struct {
	private any // nil: only the public half is known
	public  any
	kid     string // as its JWK says; empty: none
	use     string
	alg     string
}

// minRSA is the shortest modulus taken, in bits (RFC 7518 section 3.3).
const minRSA = 2048

// fitness says why a key can't be used with an algorithm; nil: it can.
type fitness func(p pair) error

// fitnessFor is the test for an asymmetric algorithm's keys, nil for any other.
func fitnessFor(algorithm string) fitness {
	var kind func(public any) error
	switch algorithm {
	case "RS256", "PS256":
		kind = fitsRSA
	case "ES256":
		kind = fitsP256
	case "EdDSA":
		kind = fitsEd25519
	default:
		return nil
	}
	return func(p pair) error {
		switch {
		case p.alg != "" && p.alg != algorithm:
			return fmt.Errorf(`says "alg" %.20q, ALGORITHM is %s: a key has one algorithm, give another key`, p.alg, algorithm)
		case p.use != "" && p.use != "sig":
			return errors.New(`is not for signatures ("use" is not sig): give another key`)
		}
		if err := kind(p.public); err != nil {
			return fmt.Errorf("does not fit ALGORITHM=%s: %w", algorithm, err)
		}
		return nil
	}
}

// fitsRSA refuses also what jwx and crypto/rsa would take from a JWK: with an
// exponent of 1 a signature is its own message, and anybody can sign.
func fitsRSA(public any) error {
	k, ok := public.(*rsa.PublicKey)
	switch {
	case !ok:
		return errors.New("give an RSA key")
	case k.N.BitLen() < minRSA:
		return fmt.Errorf("it has %d bits, give an RSA key of %d or more", k.N.BitLen(), minRSA)
	case k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0:
		return errors.New("its modulus or exponent is unsound, make a new key")
	}
	return nil
}

// fitsP256 checks the point as well: a JWK can hold any two numbers, and a point
// off the curve breaks what signatures rest on (RFC 8725 section 3.4).
func fitsP256(public any) error {
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return errors.New("give an EC key on the curve P-256")
	}
	if _, err := k.ECDH(); err != nil {
		return errors.New("its point is not on the curve P-256, make a new key")
	}
	return nil
}

// fitsEd25519 tells Ed25519 from X25519, which has the same JWK type and no
// signatures.
func fitsEd25519(public any) error {
	if k, ok := public.(ed25519.PublicKey); !ok || len(k) != ed25519.PublicKeySize {
		return errors.New("give an Ed25519 key")
	}
	return nil
}

// loadPairs reads every key of a PEM text, a JWK or a JWK Set, and checks it. One
// unfit key refuses all: a start that silently leaves out a retired key would
// sign users out.
func loadPairs(setting, text string, fits fitness) ([]pair, error) {
	text = strings.TrimSpace(text)
	var pairs []pair
	var err error
	switch {
	case strings.HasPrefix(text, "{"):
		pairs, err = parseJWK(text)
	case strings.Contains(text, "-----BEGIN "):
		pairs, err = parsePEM(text)
	default:
		err = errors.New("is neither PEM nor a JWK (Set): give one of these, or an HS* ALGORITHM for a shared secret")
	}
	if err != nil {
		return nil, fmt.Errorf("%s %w", setting, err)
	}
	for i, p := range pairs {
		if err := fits(p); err != nil {
			return nil, fmt.Errorf("%s: key %d %w", setting, i+1, err)
		}
	}
	return pairs, nil
}

// signingFirst moves the first private key to the front.
func signingFirst(pairs []pair) ([]pair, error) {
	for i, p := range pairs {
		if p.private != nil {
			rest := append(append([]pair{}, pairs[:i]...), pairs[i+1:]...)
			return append([]pair{p}, rest...), nil
		}
	}
	return nil, errors.New("SIGNING_KEY holds no private key: give the one that signs")
}

// parsePEM reads all blocks. Environment files often hold line ends as \n.
func parsePEM(text string) ([]pair, error) {
	rest := []byte(strings.ReplaceAll(text, `\n`, "\n"))
	var pairs []pair
	for n := range strings.Count(text, "-----BEGIN ") {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil { // Decode passes over a damaged block
			return nil, errors.New("holds damaged PEM: give whole blocks, each from BEGIN to END")
		}
		if block.Type == "EC PARAMETERS" { // openssl writes it before the key, which names its curve itself
			continue
		}
		p, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d %w", n+1, err)
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// parseBlock reads one PEM block by what it says it is. Guessing the form from
// the bytes, as some readers do, would take a key that is labelled wrongly.
func parseBlock(block *pem.Block) (pair, error) {
	var k any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		k, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		k, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		k, err = x509.ParseECPrivateKey(block.Bytes)
	case "PUBLIC KEY":
		k, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		k, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		k, err = certified(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return pair{}, errors.New("is encrypted: decrypt it first, with `openssl pkey`")
	default:
		return pair{}, errors.New("is no key: give PKCS #1, PKCS #8, SEC 1, PKIX or a certificate")
	}
	if err != nil || block.Headers["Proc-Type"] != "" {
		return pair{}, errors.New("can't be read: it is damaged, encrypted, or of a kind that is not supported")
	}
	return newPair(k), nil
}

// certified takes the key out of a certificate. Neither its dates nor its issuer
// count: the operator's giving it is what makes it good.
func certified(der []byte) (any, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certificate.PublicKey, nil
}

// newPair sorts a parsed key into its halves.
func newPair(k any) pair {
	if private, ok := k.(crypto.Signer); ok {
		return pair{private: private, public: private.Public()}
	}
	return pair{public: k}
}

// parseJWK reads a JWK, or all of a set. kid, use and alg are kept to be checked;
// other members, such as x5u, are dropped with the JWK.
func parseJWK(text string) ([]pair, error) {
	set, err := jwk.Parse([]byte(text))
	if err != nil || set.Len() == 0 {
		return nil, errors.New("is no JWK and no JWK Set with sound keys: of a known type, on their curve, RSA of 2048 bits or more")
	}
	var pairs []pair
	for i := range set.Len() {
		k, _ := set.Key(i)
		raw, err := material(k)
		if err != nil {
			return nil, fmt.Errorf("key %d can't be read: give all members of RFC 7518 section 6, p and q included", i+1)
		}
		p := newPair(raw)
		p.kid, _ = k.KeyID()
		p.use, _ = k.KeyUsage()
		if alg, ok := k.Algorithm(); ok {
			p.alg = alg.String()
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// material is the key itself. An RSA private key is made anew from its numbers:
// with those that the JWK leaves out, and with what makes signing fast.
func material(k jwk.Key) (any, error) {
	var raw any
	if err := jwk.Export(k, &raw); err != nil {
		return nil, err
	}
	given, ok := raw.(*rsa.PrivateKey)
	if !ok {
		return raw, nil
	}
	private := &rsa.PrivateKey{PublicKey: given.PublicKey, D: given.D, Primes: given.Primes}
	private.Precompute()
	return private, private.Validate()
}

// checkSecret holds a secret to RFC 7518 section 3.2, and finds the key pair
// that was put where a secret belongs: its public half is no secret.
func checkSecret(secret []byte, size int) error {
	var members struct {
		KTY string `json:"kty"`
	}
	switch {
	case bytes.Contains(secret, []byte("-----BEGIN ")):
		return errors.New("is PEM, but ALGORITHM is HS*: set ALGORITHM to RS256, PS256, ES256 or EdDSA, or give a random secret")
	case json.Unmarshal(secret, &members) == nil && members.KTY != "":
		return errors.New("is a JWK, but ALGORITHM is HS*: give the secret itself, or set ALGORITHM to the key's")
	case len(secret) < size:
		return fmt.Errorf("has %d bytes, ALGORITHM needs %d or more (RFC 7518 section 3.2): make one with `openssl rand -base64 %d`", len(secret), size, size)
	}
	return nil
}

// retiredSecrets reads VERIFYING_KEYS of an HS* algorithm. White space around a
// secret is no part of it here, unlike in SIGNING_KEY: lists are written by hand.
func retiredSecrets(text string) ([][]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return octKeys(text)
	}
	var secrets [][]byte
	for secret := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if secret = strings.TrimSpace(secret); secret != "" {
			secrets = append(secrets, []byte(secret))
		}
	}
	return secrets, nil
}

// octKeys reads shared secrets as JWKs, the only form in which one can hold a
// comma or a line end.
func octKeys(text string) ([][]byte, error) {
	pairs, err := parseJWK(text)
	if err != nil {
		return nil, fmt.Errorf("VERIFYING_KEYS %w", err)
	}
	var secrets [][]byte
	for i, p := range pairs {
		secret, ok := p.public.([]byte)
		if !ok {
			return nil, fmt.Errorf("VERIFYING_KEYS: key %d is no shared secret, but ALGORITHM is HS*: give keys of type oct", i+1)
		}
		secrets = append(secrets, secret)
	}
	return secrets, nil
}
