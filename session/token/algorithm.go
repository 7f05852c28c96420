package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"

	"tokengate/session"
)

// algorithm is a supported signature algorithm. Either hash or checkPublic is set.
type algorithm struct {
	name        string                 // as in the setting ALGORITHM and in the header's alg
	hash        func() hash.Hash       // of an HMAC with a shared secret; nil for key pairs
	checkPublic func(public any) error // checks a public key; nil for shared secrets
}

// algorithms lists all supported algorithms.
var algorithms = []algorithm{
	{name: "HS256", hash: sha256.New},
	{name: "HS384", hash: sha512.New384},
	{name: "HS512", hash: sha512.New},
	{name: "RS256", checkPublic: checkRSA},
	{name: "PS256", checkPublic: checkRSA},
	{name: "ES256", checkPublic: checkP256},
	{name: "EdDSA", checkPublic: checkEd25519},
}

// findAlgorithm returns the algorithm with exactly the given name. The error does not
// repeat the name, which may be a secret that was given in the wrong setting.
func findAlgorithm(name string) (algorithm, error) {
	for _, a := range algorithms {
		if a.name == name {
			return a, nil
		}
	}
	all := algorithmNames(func(algorithm) bool { return true })
	return algorithm{}, errors.New("ALGORITHM: give one of " + all)
}

// algorithmNames returns the names of the algorithms for which match returns
// true, separated by commas.
func algorithmNames(match func(algorithm) bool) string {
	var names []string
	for _, a := range algorithms {
		if match(a) {
			names = append(names, a.name)
		}
	}
	return strings.Join(names, ", ")
}

// checkKey returns an error if a key cannot be used with a.
func (a algorithm) checkKey(k parsedKey) error {
	secret, shared := k.public.([]byte)
	switch {
	case a.hash != nil && !shared:
		return errors.New("is a key pair, but ALGORITHM is HS*: give a shared secret")
	case k.alg != "" && k.alg != a.name:
		return fmt.Errorf(`has "alg" %.20q, but ALGORITHM is %s: a key has one algorithm, give another key`, k.alg, a.name)
	case k.use != "" && k.use != "sig":
		return errors.New(`is not for signatures ("use" is not sig): give another key`)
	}
	if a.hash != nil {
		return checkSecret(secret, a.hash().Size())
	}
	if err := a.checkPublic(k.public); err != nil {
		return fmt.Errorf("does not fit ALGORITHM=%s: %w", a.name, err)
	}
	return nil
}

// minRSABits is the minimum length of an RSA modulus (RFC 7518 section 3.3).
const minRSABits = 2048

// checkRSA also rejects keys that jwx and crypto/rsa accept from a JWK: with an
// exponent of 1 a signature equals its message, so anyone could sign.
func checkRSA(public any) error {
	k, ok := public.(*rsa.PublicKey)
	switch {
	case !ok:
		return errors.New("give an RSA key")
	case k.N.BitLen() < minRSABits:
		return fmt.Errorf("it has %d bits, give an RSA key of %d or more", k.N.BitLen(), minRSABits)
	case k.E < 3 || k.E%2 == 0 || k.N.Bit(0) == 0:
		return errors.New("its modulus or exponent is invalid, make a new key")
	}
	return nil
}

// checkP256 also checks that the point is on the curve. A JWK can contain any
// two numbers, and ECDSA is not secure with a point off the curve (RFC 8725
// section 3.4).
func checkP256(public any) error {
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return errors.New("give an EC key on the curve P-256")
	}
	if _, err := k.ECDH(); err != nil { // validates the point
		return errors.New("its point is not on the curve P-256, make a new key")
	}
	return nil
}

// checkEd25519 rejects X25519 keys: they have the same JWK type as Ed25519 keys,
// but cannot sign.
func checkEd25519(public any) error {
	if k, ok := public.(ed25519.PublicKey); !ok || len(k) != ed25519.PublicKeySize {
		return errors.New("give an Ed25519 key")
	}
	return nil
}

// checkSecret checks that a shared secret has at least size bytes (RFC 7518
// section 3.2). It rejects PEM, JWKs and other public keys: they were given by mistake,
// and are no secret.
func checkSecret(secret []byte, size int) error {
	var k struct {
		KTY string `json:"kty"`
	}
	switch {
	case bytes.Contains(secret, []byte("-----BEGIN ")):
		forKeyPairs := algorithmNames(func(a algorithm) bool { return a.hash == nil })
		return fmt.Errorf("is PEM, but must be a shared secret here: set ALGORITHM to one of %s if it is the app's key, or give a random secret", forKeyPairs)
	case json.Unmarshal(secret, &k) == nil && k.KTY != "":
		return errors.New("is a JWK, but must be a shared secret here: give the secret itself, or set ALGORITHM to the key's if it is the app's key")
	case isPublicKey(secret):
		return errors.New("is a public key, which is no secret: give a random secret, or the whole PEM with its BEGIN and END lines")
	case len(secret) > 0 && len(bytes.TrimSpace(secret)) == 0:
		return fmt.Errorf("is white space only: make a secret with `openssl rand -base64 %d`", size)
	case len(secret) > 0 && len(strings.Trim(session.TrimSpace(string(secret)), string([]rune(string(secret))[:1]))) == 0:
		return fmt.Errorf("consists of one repeated character: make a random one with `openssl rand -base64 %d`", size)
	case len(secret) < size:
		return fmt.Errorf("has %d bytes, and HMAC needs %d or more (RFC 7518 section 3.2): make one with `openssl rand -base64 %d`", len(secret), size, size)
	}
	return nil
}

// isPublicKey reports whether a text is a public key or a certificate without the lines of
// PEM around it, or a public key of SSH.
func isPublicKey(text []byte) bool {
	for _, prefix := range []string{"ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"} {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return true
		}
	}
	der, err := base64.StdEncoding.DecodeString(string(bytes.Join(bytes.Fields(text), nil)))
	if err != nil {
		return false
	}
	_, pkix := x509.ParsePKIXPublicKey(der)
	_, pkcs1 := x509.ParsePKCS1PublicKey(der)
	_, certificate := x509.ParseCertificate(der)
	return pkix == nil || pkcs1 == nil || certificate == nil
}
