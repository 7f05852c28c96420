package token

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"
)

// The functions in this file never wrap the error of a parser: it may quote the key.

// parsedKey is a key that was read from a setting.
type parsedKey struct {
	private any // nil if only the public half was given
	public  any // the secret, as []byte, if the key was a JWK of type oct

	name          string // where the key is, for errors
	kid, use, alg string // members of the JWK; empty if absent or if the key was not a JWK
}

// moveSigningKeyFirst moves the first private key to the front.
func moveSigningKeyFirst(keys []parsedKey) ([]parsedKey, error) {
	for i, k := range keys {
		if k.private != nil {
			rest := append(append([]parsedKey{}, keys[:i]...), keys[i+1:]...)
			return append([]parsedKey{k}, rest...), nil
		}
	}
	return nil, errors.New("SIGNING_KEY contains no private key: give the one that signs")
}

// parsePEM parses all PEM blocks. It also accepts \n as two characters for a line
// end, which is common in environment files.
func parsePEM(text string) ([]parsedKey, error) {
	rest := []byte(strings.ReplaceAll(text, `\n`, "\n"))
	var keys []parsedKey
	for n := range strings.Count(text, "-----BEGIN ") {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil { // Decode skips damaged blocks, so one is missing at the end
			return nil, errors.New("contains damaged PEM: give whole blocks, each from BEGIN to END")
		}
		if block.Type == "EC PARAMETERS" { // written by openssl before a key; the key itself names its curve as well
			continue
		}
		k, err := parsePEMBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d %w", n+1, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// parsePEMBlock parses one PEM block in the format that its type names. Guessing
// the format from the bytes, as some parsers do, would accept a key with a wrong
// type.
func parsePEMBlock(block *pem.Block) (parsedKey, error) {
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
		k, err = parseCertificate(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return parsedKey{}, errors.New("is encrypted: decrypt it first, with `openssl pkey`")
	default:
		return parsedKey{}, errors.New("is not a key: give PKCS #1, PKCS #8, SEC 1, PKIX or a certificate")
	}
	if err != nil || block.Headers["Proc-Type"] != "" {
		return parsedKey{}, errors.New("cannot be read: it is damaged, encrypted, or of an unsupported type")
	}
	return newParsedKey(k), nil
}

// parseCertificate returns the public key of a certificate. It ignores the
// certificate's dates and issuer: the key is trusted because the operator
// configured it.
func parseCertificate(der []byte) (any, error) {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return certificate.PublicKey, nil
}

// newParsedKey returns the private and public halves of k, which is either.
func newParsedKey(k any) parsedKey {
	if private, ok := k.(crypto.Signer); ok {
		return parsedKey{private: private, public: private.Public()}
	}
	return parsedKey{public: k}
}

// parseJWK parses a JWK, or all keys of a JWK Set. It keeps kid, use and alg;
// other members, such as x5u, are dropped.
func parseJWK(text string) ([]parsedKey, error) {
	set, err := jwk.Parse([]byte(text))
	if err != nil || set.Len() == 0 {
		return nil, errors.New("is not a JWK or JWK Set with valid keys: give keys of a known type, EC points on their curve, RSA keys of 2048 bits or more")
	}
	var keys []parsedKey
	for i := range set.Len() {
		member, _ := set.Key(i)
		raw, err := exportKey(member)
		if err != nil {
			return nil, fmt.Errorf("key %d cannot be read: give all members of its type, which must belong together: for RSA and EC those of RFC 7518 section 6, p and q included, for Ed25519 those of RFC 8037 section 2", i+1)
		}
		k := newParsedKey(raw)
		k.kid, _ = member.KeyID()
		k.use, _ = member.KeyUsage()
		if alg, ok := member.Algorithm(); ok {
			k.alg = alg.String()
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// exportKey returns the key that a JWK holds. It computes the CRT values of an
// RSA private key anew: a JWK may leave them out, and they make signing fast.
func exportKey(k jwk.Key) (any, error) {
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
