package credential

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Django's pbkdf2_sha1; HMAC-SHA-1 is not broken
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What a stored hash may ask for. At the bounds a check takes a few seconds on
// one core, some ten times what any maker's default takes.
const (
	maxEncoded    = 1024       // characters of the whole
	maxIterations = 10_000_000 // pbkdf2; Django 6.0 makes 1,200,000
	maxMemory     = 256 << 20  // bytes held at once; Django's argon2 takes 100 MiB
	maxPasses     = 4 << 30    // bytes that argon2 writes in all
	maxMixing     = 1 << 30    // bytes that scrypt writes in all
	maxCost       = 16         // bcrypt, a power of two; the makers take 10 to 12
	maxThreads    = 64         // argon2
	minSum        = 16         // bytes of a digest; fewer could be met by chance
)

// hash is a stored password, decoded, with parameters within bounds.
type hash interface {
	match(password string) bool
	threads() int // how many match keeps busy
	kind() string // what decides how long match takes; no salt, no digest
}

// stored is a hash with the text that it was read from.
type stored struct {
	hash
	text string
}

// readHash is parseHash that keeps the text.
func readHash(encoded string) (stored, error) {
	h, err := parseHash(encoded)
	return stored{h, encoded}, err
}

var (
	errUnusable = errors.New("the password is set to be unusable")
	errFormat   = errors.New("the password hash is in none of the known formats")
	errMangled  = errors.New("the password hash is cut off or mangled")
)

// Hash gives the PHC string that stores a new password: argon2id with a salt
// of 128 bits and the parameters of OWASP's cheat sheet (19 MiB, 2 passes, 1
// thread).
func Hash(password string) string {
	h := newArgon2()
	_, _ = rand.Read(h.salt) // never fails: crypto/rand aborts the program instead
	h.sum = h.key(password)
	return h.text()
}

// newArgon2 has the parameters of new hashes, and no content yet.
func newArgon2() argon2Hash {
	return argon2Hash{
		variant: "argon2id", derive: argon2.IDKey, memory: 19456, passes: 2, lanes: 1,
		salt: make([]byte, 16), sum: make([]byte, 32),
	}
}

func (h argon2Hash) text() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.passes, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

// usualHere is a decoy like the hashes that are made here.
func usualHere() stored {
	h := newArgon2()
	return stored{h, h.text()}
}

// usualInDjango is a decoy like a new user's hash in Django 5.2.
func usualInDjango() stored {
	h := pbkdf2Hash{
		algorithm: sha256.New, iterations: 1_000_000,
		salt: bytes.Repeat([]byte("0"), 22), sum: make([]byte, sha256.Size),
	}
	return stored{h, fmt.Sprintf("pbkdf2_sha256$%d$%s$%s", h.iterations, h.salt, base64.StdEncoding.EncodeToString(h.sum))}
}

// CheckHash tells what is wrong with a stored hash, if anything: it must be in
// a known format, whole, and within bounds; or begin with "!", as Django marks
// a password that nothing matches. The error never repeats any of it.
func CheckHash(encoded string) error {
	_, err := parseHash(encoded)
	if errors.Is(err, errUnusable) {
		return nil
	}
	return err
}

// parseHash decodes a stored hash. Its errors show numbers out of it, no text:
// what stands in the place of a hash may be a password in clear.
func parseHash(encoded string) (hash, error) {
	if strings.HasPrefix(encoded, "!") {
		return nil, errUnusable
	}
	if len(encoded) > maxEncoded {
		return nil, errMangled
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
		return nil, fmt.Errorf("the hash is Django's %s, too weak to be accepted: let the user set a new password", name)
	}
	return nil, errFormat
}
