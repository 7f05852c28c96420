package password

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// All formats decode base64 strictly: a digest or salt in an encoding other than the
// canonical one is rejected. The programs that make these hashes compare encoded texts,
// so no password ever matched such a hash there.

// pbkdf2Hash is a pbkdf2_sha256 or pbkdf2_sha1 hash of Django. The algorithm's name is
// followed by "iterations$salt$digest". The salt is not decoded: its characters are the
// salt.
type pbkdf2Hash struct {
	digest     func() hash.Hash
	iterations int
	salt, sum  []byte
}

func parsePBKDF2(s string, digest func() hash.Hash, size int) (decodedHash, error) {
	part := strings.Split(s, "$")
	if len(part) != 3 || part[1] == "" {
		return nil, errMalformed
	}
	n, err := number(part[0], 1, maxIterations, "pbkdf2 iterations")
	if err != nil {
		return nil, err
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(part[2])
	if err != nil || len(sum) != size {
		return nil, errMalformed
	}
	return pbkdf2Hash{digest, n, []byte(part[1]), sum}, nil
}

func (h pbkdf2Hash) match(password string) bool {
	got, err := pbkdf2.Key(h.digest, password, h.salt, h.iterations, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(got, h.sum) == 1
}

func (h pbkdf2Hash) threads() int { return 1 }

func (h pbkdf2Hash) kind() string { return fmt.Sprintf("pbkdf2 %d %d", len(h.sum), h.iterations) }

// scryptHash is a scrypt hash of Django. The algorithm's name is followed by
// "N$salt$r$p$digest". A comparison uses N×r blocks of memory and runs p times over
// them, one run after the other.
type scryptHash struct {
	n, r, p   int
	salt, sum []byte
}

func parseScrypt(s string) (decodedHash, error) {
	part := strings.Split(s, "$")
	if len(part) != 5 || part[1] == "" {
		return nil, errMalformed
	}
	const block = 128 // bytes per unit of N and r
	n, err := number(part[0], 2, maxMemory/block, "scrypt N")
	if err != nil {
		return nil, err
	}
	r, err := number(part[2], 1, maxMemory/block/n, "scrypt r")
	if err != nil {
		return nil, err
	}
	p, err := number(part[3], 1, maxMixing/block/n/r, "scrypt p") // the memory that p uses is less than N times as much
	if err != nil {
		return nil, err
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(part[4])
	if err != nil || len(sum) < minSum || n&(n-1) != 0 {
		return nil, errMalformed
	}
	return scryptHash{n, r, p, []byte(part[1]), sum}, nil
}

func (h scryptHash) match(password string) bool {
	got, err := scrypt.Key([]byte(password), h.salt, h.n, h.r, h.p, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(got, h.sum) == 1
}

func (h scryptHash) threads() int { return 1 }

func (h scryptHash) kind() string { return fmt.Sprintf("scrypt %d %d %d", h.n, h.r, h.p) }

// argon2Hash is a PHC string of argon2id or argon2i, version 19. Earlier versions and
// argon2d are not implemented.
type argon2Hash struct {
	variant        string
	derive         func(password, salt []byte, passes, memory uint32, lanes uint8, size uint32) []byte
	memory, passes uint32 // KiB; count
	lanes          uint8
	salt, sum      []byte
}

func parseArgon2(s string) (decodedHash, error) {
	part := strings.Split(s, "$")
	if len(part) != 5 {
		return nil, errMalformed
	}
	h := argon2Hash{variant: part[0]}
	switch part[0] {
	case "argon2id":
		h.derive = argon2.IDKey
	case "argon2i":
		h.derive = argon2.Key
	default:
		return nil, errors.New("unsupported argon2 variant: only argon2id and argon2i are supported")
	}
	if part[1] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("unsupported argon2 version: only %d is supported", argon2.Version)
	}
	if err := h.parameters(part[2]); err != nil {
		return nil, err
	}
	b64 := base64.RawStdEncoding.Strict()
	var err1, err2 error
	h.salt, err1 = b64.DecodeString(part[3])
	h.sum, err2 = b64.DecodeString(part[4])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.sum) < minSum {
		return nil, errMalformed
	}
	return h, nil
}

// parameters reads "m=…,t=…,p=…". Less memory than eight blocks per lane is rejected,
// because the implementation would silently use more than the hash states.
func (h *argon2Hash) parameters(s string) error {
	part := strings.Split(s, ",")
	if len(part) != 3 || !strings.HasPrefix(part[0], "m=") || !strings.HasPrefix(part[1], "t=") || !strings.HasPrefix(part[2], "p=") {
		return errMalformed
	}
	p, err := number(part[2][2:], 1, maxThreads, "argon2 p")
	if err != nil {
		return err
	}
	m, err := number(part[0][2:], 8*p, maxMemory>>10, "argon2 m")
	if err != nil {
		return err
	}
	t, err := number(part[1][2:], 1, maxPasses>>10/m, "argon2 t")
	if err != nil {
		return err
	}
	h.memory, h.passes, h.lanes = uint32(m), uint32(t), uint8(p) // bounded above
	return nil
}

func (h argon2Hash) key(password string) []byte {
	return h.derive([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum))) // at most maxEncoded
}

// encode returns h, which must be argon2id, as a PHC string.
func (h argon2Hash) encode() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		h.memory, h.passes, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

func (h argon2Hash) match(password string) bool {
	return subtle.ConstantTimeCompare(h.key(password), h.sum) == 1
}

// work returns the KiB written in all passes together.
func (h argon2Hash) work() uint64 { return uint64(h.memory) * uint64(h.passes) }

func (h argon2Hash) threads() int { return int(h.lanes) }

func (h argon2Hash) kind() string {
	return fmt.Sprintf("%s %d %d %d", h.variant, h.memory, h.passes, h.lanes)
}

// bcryptHash is a crypt(3) string. Like all implementations, this one uses only the
// first 72 bytes of a password. With prehash, for Django's bcrypt_sha256, bcrypt gets
// the SHA-256 digest of the password in hexadecimal, so that the whole password counts.
type bcryptHash struct {
	text    []byte
	prehash bool
}

// bcryptMaxPassword is the number of bytes of a password that bcrypt uses.
const bcryptMaxPassword = 72

// crypt64 is the alphabet of the salt and the digest of a crypt(3) string.
const crypt64 = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func parseBcrypt(s string, prehash bool) (decodedHash, error) {
	if !strings.HasPrefix(s, "$2") {
		return nil, errUnknownFormat
	}
	if len(s) != 60 || !strings.Contains("aby", s[2:3]) || s[3] != '$' || s[6] != '$' || strings.Trim(s[7:], crypt64) != "" {
		return nil, errMalformed
	}
	if _, err := number(s[4:6], bcrypt.MinCost, maxCost, "bcrypt cost"); err != nil {
		return nil, err
	}
	return bcryptHash{[]byte(s), prehash}, nil
}

func (h bcryptHash) match(password string) bool {
	secret := []byte(password)
	if h.prehash {
		sum := sha256.Sum256(secret)
		secret = hex.AppendEncode(nil, sum[:])
	}
	return bcrypt.CompareHashAndPassword(h.text, secret) == nil
}

func (h bcryptHash) threads() int { return 1 }

// kind returns the cost alone: the time of the SHA-256 digest is negligible.
func (h bcryptHash) kind() string { return "bcrypt " + string(h.text[4:6]) }

// number reads an integer between least and most. The error repeats s only if s is a
// number.
func number(s string, least, most int, name string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, errMalformed
	}
	if n < uint64(least) || n > uint64(most) { // the bounds are positive
		return 0, fmt.Errorf("%s is %d: it must be between %d and %d; set a new password, or lower the cost where the hash is made", name, n, least, most)
	}
	return int(n), nil
}
