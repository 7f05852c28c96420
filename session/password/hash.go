package password

import (
	"crypto/rand"
	"crypto/sha1" // Django's pbkdf2_sha1; HMAC-SHA-1 is not broken
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds of the parameters in a stored hash. At the bounds a comparison takes about a second
// on one usual core. On one of an AMD EPYC, which computes SHA-256 in hardware, pbkdf2 takes
// 0.64 s with SHA-256 and 0.70 s with SHA-1, argon2 0.6 to 0.8 s, scrypt 0.64 s, and bcrypt
// 0.91 s. These are two to five times what Django's defaults (0.19 s with pbkdf2, 0.13 s with
// argon2, 0.16 s with scrypt, 0.23 s with bcrypt) or OWASP's recommendations take.
const (
	maxEncoded    = 1024      // characters of the encoded hash
	maxIterations = 4_000_000 // pbkdf2; Django 6.0 uses 1,200,000
	maxMemory     = 256 << 20 // bytes in use at once; Django's argon2 uses 100 MiB
	maxPasses     = 1 << 30   // bytes that argon2 writes in all passes together; Django's 200 MiB
	maxMixing     = 256 << 20 // bytes that scrypt writes in all passes together; OWASP's 128 MiB
	maxCost       = 14        // bcrypt, a power of two; the usual costs are 10 to 12
	maxThreads    = 64        // argon2
	minSum        = 16        // bytes of a digest; a shorter one could match by chance
)

// decodedHash is a decoded hash whose parameters are within the bounds.
type decodedHash interface {
	match(password string) bool
	threads() int // number of threads that match keeps busy
	kind() string // algorithm and parameters; see Hash.Kind
}

// Hash is a stored hash, decoded, with its encoded text. [ParseHash] returns one.
type Hash struct {
	decodedHash
	encoded string
}

// Kind returns what decides how long a comparison with h takes: the algorithm and its
// parameters, but neither salt nor digest.
func (h Hash) Kind() string { return h.kind() }

// Outdated reports whether h, which matches password, should be replaced by a new hash of
// it: h is not argon2id, or its memory times passes is less than that of new hashes. A
// bcrypt hash that ignores the end of the password is never outdated: the user's real
// password may have another end, and would not match the new hash.
func (h Hash) Outdated(password string) bool {
	switch old := h.decodedHash.(type) {
	case argon2Hash:
		return old.variant != newArgon2().variant || old.work() < newArgon2().work()
	case bcryptHash:
		return old.prehash || len(password) <= bcryptMaxPassword
	}
	return true
}

// ParseHash decodes a stored hash. It fails with [ErrUnusable] if encoded begins
// with "!". Its errors may repeat numbers of encoded but no other text, since encoded
// may be a clear-text password that was stored by mistake.
func ParseHash(encoded string) (Hash, error) {
	h, err := decode(encoded)
	return Hash{h, encoded}, err
}

// ErrUnusable is the error of [ParseHash] for a text that begins with "!", by which
// Django marks a password that can't be used to log in.
var ErrUnusable = errors.New("the password is marked as unusable")

var (
	errUnknownFormat = errors.New("the password hash has an unknown format")
	errMalformed     = errors.New("the password hash is truncated or malformed")
)

// NewHash returns the hash of a new password as a PHC string: argon2id with a salt of
// 128 bits and the parameters of OWASP's Password Storage Cheat Sheet (19 MiB, 2 passes,
// 1 thread).
func NewHash(password string) string {
	h := newArgon2()
	_, _ = rand.Read(h.salt) // never fails: crypto/rand aborts the program instead
	h.sum = h.key(password)
	return h.encode()
}

// newArgon2 returns a hash with the parameters of new hashes. Its salt and digest are
// all zeros.
func newArgon2() argon2Hash {
	return argon2Hash{
		variant: "argon2id", derive: argon2.IDKey, memory: 19456, passes: 2, lanes: 1,
		salt: make([]byte, 16), sum: make([]byte, 32),
	}
}

// ValidateHash returns an error unless encoded is either a complete hash in a known
// format with parameters within the bounds, or begins with "!", by which Django marks
// a password that can't be used to log in. Like that of [ParseHash], the error repeats
// no secret.
func ValidateHash(encoded string) error {
	_, err := decode(encoded)
	if errors.Is(err, ErrUnusable) {
		return nil
	}
	return err
}

// decode does the work of [ParseHash].
func decode(encoded string) (decodedHash, error) {
	if strings.HasPrefix(encoded, "!") {
		return nil, ErrUnusable
	}
	if len(encoded) > maxEncoded {
		return nil, errMalformed
	}
	switch name, rest, _ := strings.Cut(encoded, "$"); name {
	case "pbkdf2_sha256":
		return parsePBKDF2(rest, sha256.New, sha256.Size)
	case "pbkdf2_sha1":
		return parsePBKDF2(rest, sha1.New, sha1.Size)
	case "scrypt":
		return parseScrypt(rest)
	case "argon2": // Django's name, then a PHC string
		return parseArgon2(rest)
	case "bcrypt": // Django's name, then a crypt(3) string
		return parseBcrypt(rest, false)
	case "bcrypt_sha256":
		return parseBcrypt(rest, true)
	case "":
		if strings.HasPrefix(rest, "argon2") {
			return parseArgon2(rest)
		}
		return parseBcrypt(encoded, false)
	case "md5", "sha1", "unsalted_md5", "unsalted_sha1", "crypt":
		return nil, fmt.Errorf("the hash format %s is too weak to accept: have the user set a new password", name)
	}
	return nil, errUnknownFormat
}
