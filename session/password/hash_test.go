package password

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// vector is a hash made by another implementation.
type vector struct {
	Command, Password, Hash string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func mustDecode(t testing.TB, encoded string) decodedHash {
	t.Helper()
	h, err := decode(encoded)
	if err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	return h
}

// TestHashesOfOtherImplementations checks that hashes of all formats, made by other
// implementations, match their password and no other.
func TestHashesOfOtherImplementations(t *testing.T) {
	for _, v := range vectors(t) {
		h := mustDecode(t, v.Hash)
		if !h.match(v.Password) {
			t.Errorf("%s: %q does not match %s", v.Command, v.Password, v.Hash)
		}
		if !slow(h) && h.match("x"+v.Password) {
			t.Errorf("%s: another password matches %s", v.Command, v.Hash)
		}
	}
	for _, format := range []string{
		"pbkdf2_sha256$", "pbkdf2_sha1$", "argon2$argon2id$", "bcrypt_sha256$", "bcrypt$", "scrypt$",
		"$argon2id$", "$argon2i$", "$2a$", "$2b$", "$2y$",
	} {
		if !slices.ContainsFunc(vectors(t), func(v vector) bool { return strings.HasPrefix(v.Hash, format) }) {
			t.Errorf("testdata has no hash of the format %s", format)
		}
	}
}

// TestBcryptBeyond72Bytes checks that bcrypt ignores all but the first 72 bytes of a
// password, as in other implementations, and that Django's bcrypt_sha256 does not: users
// with longer passwords must be able to log in as they could there.
func TestBcryptBeyond72Bytes(t *testing.T) {
	long, prehashed := 0, 0
	for _, v := range vectors(t) {
		h, ok := mustDecode(t, v.Hash).(bcryptHash)
		if !ok || len(v.Password) <= 72 {
			continue
		}
		long++
		if h.prehash {
			prehashed++
		}
		if got := h.match(v.Password[:72] + "another end"); got == h.prehash {
			t.Errorf("%s: got match %v for a password that differs after 72 bytes", v.Hash, got)
		}
		if h.match("x" + v.Password[1:72]) {
			t.Errorf("%s: a password that differs in the first byte matches", v.Hash)
		}
	}
	if long < 5 || prehashed == 0 {
		t.Errorf("testdata has %d bcrypt hashes of long passwords, %d of them bcrypt_sha256; want 5 and 1", long, prehashed)
	}
}

func TestNewHash(t *testing.T) {
	first, second := NewHash("pässword"), NewHash("pässword")
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") || first == second {
		t.Errorf("got hashes %s and %s, want different ones with the parameters of new hashes", first, second)
	}
	if err := ValidateHash(first); err != nil {
		t.Error(err)
	}
	if h := mustDecode(t, first); !h.match("pässword") || h.match("password") {
		t.Error("a new hash does not match its password, or matches another one")
	}
	if len(first) > 128 {
		t.Errorf("a new hash has %d characters, and Django's column only 128", len(first))
	}
}

const (
	sum16 = "AAAAAAAAAAAAAAAAAAAAAA"
	sum20 = "AAAAAAAAAAAAAAAAAAAAAAAAAAA"
	sum32 = sum16 + "AAAAAAAAAAAAAAAAAAAAA"
)

func TestParametersAreBounded(t *testing.T) {
	salt53 := strings.Repeat("a", 53)
	sum64 := strings.Repeat("A", 86) + "=="
	for encoded, want := range map[string]string{
		"pbkdf2_sha256$4000000$s$" + sum32 + "=":              "",
		"pbkdf2_sha256$4000001$s$" + sum32 + "=":              "pbkdf2 iterations is 4000001: it must be between 1 and 4000000; set a new password, or lower the cost",
		"pbkdf2_sha1$4000001$s$" + sum20 + "=":                "iterations is 4000001",
		"pbkdf2_sha256$0$s$" + sum32 + "=":                    "iterations is 0",
		"$argon2id$v=19$m=262144,t=4,p=64$" + pair:            "",
		"$argon2id$v=19$m=65536,t=16,p=1$" + pair:             "",
		"$argon2id$v=19$m=65536,t=17,p=1$" + pair:             "argon2 t is 17: it must be between 1 and 16;",
		"$argon2id$v=19$m=262145,t=1,p=1$" + pair:             "m is 262145",
		"$argon2id$v=19$m=262144,t=5,p=1$" + pair:             "t is 5: it must be between 1 and 4;",
		"$argon2id$v=19$m=65536,t=4294967295,p=1$" + pair:     "t is 4294967295",
		"$argon2id$v=19$m=65536,t=0,p=1$" + pair:              "t is 0",
		"$argon2id$v=19$m=65536,t=1,p=0$" + pair:              "p is 0",
		"$argon2id$v=19$m=65536,t=1,p=65$" + pair:             "p is 65",
		"$argon2id$v=19$m=31,t=1,p=4$" + pair:                 "m is 31",
		"scrypt$262144$s$8$1$" + sum64:                        "",
		"scrypt$131072$s$8$2$" + sum64:                        "",
		"scrypt$262144$s$9$1$" + sum64:                        "r is 9",
		"scrypt$4194304$s$1$1$" + sum64:                       "N is 4194304",
		"scrypt$262144$s$8$2$" + sum64:                        "scrypt p is 2:",
		"scrypt$131072$s$8$3$" + sum64:                        "p is 3:",
		"scrypt$2$s$1$1048577$" + sum64:                       "p is 1048577",
		"scrypt$1000$s$8$1$" + sum64:                          "malformed",
		"scrypt$1$s$8$1$" + sum64:                             "N is 1",
		"$2b$14$" + salt53:                                    "",
		"$2b$15$" + salt53:                                    "bcrypt cost is 15: it must be between 4 and 14;",
		"bcrypt_sha256$$2b$15$" + salt53:                      "cost is 15",
		"bcrypt_sha256$$2b$31$" + salt53:                      "cost is 31",
		"$2b$03$" + salt53:                                    "cost is 3",
		"pbkdf2_sha256$18446744073709551617$s$" + sum32 + "=": "malformed",
	} {
		checkHashError(t, encoded, want)
	}
}

// TestUsualHashesAreAccepted checks that the bounds are well above what Django (up to version
// 6.0) and OWASP's Password Storage Cheat Sheet use: twice as much is accepted too.
func TestUsualHashesAreAccepted(t *testing.T) {
	sum64 := strings.Repeat("A", 86) + "=="
	for _, h := range []struct {
		format string
		usual  int
	}{
		{"pbkdf2_sha256$%d00000$s$" + sum32 + "=", 12},        // Django 6.0; OWASP: 6
		{"pbkdf2_sha1$%d00000$s$" + sum20 + "=", 13},          // OWASP
		{"argon2$argon2id$v=19$m=102400,t=%d,p=8$" + pair, 2}, // Django
		{"$argon2id$v=19$m=47104,t=%d,p=1$" + pair, 1},        // OWASP
		{"$argon2id$v=19$m=7168,t=%d,p=1$" + pair, 5},         // OWASP
		{"$argon2id$v=19$m=65536,t=%d,p=4$" + pair, 3},        // RFC 9106
		{"scrypt$16384$s$8$%d$" + sum64, 5},                   // Django and OWASP
		{"scrypt$131072$s$8$%d$" + sum64, 1},                  // OWASP
	} {
		checkHashError(t, fmt.Sprintf(h.format, h.usual), "")
		checkHashError(t, fmt.Sprintf(h.format, 2*h.usual), "")
	}
	for _, cost := range []string{"10", "12", "13"} { // Django: 12
		checkHashError(t, "bcrypt_sha256$$2b$"+cost+"$"+strings.Repeat("a", 53), "")
	}
}

const pair = sum16 + "$" + sum16

func TestInvalidHashesAreRejected(t *testing.T) {
	for encoded, want := range map[string]string{
		"":                                                        "unknown format",
		"plain-text":                                              "unknown format",
		"hunter2$and$more":                                        "unknown format",
		"$1$salt$digest":                                          "unknown format",
		"$6$salt$digest":                                          "unknown format",
		"md5$salt$digest":                                         "the hash format md5 is too weak",
		"sha1$salt$digest":                                        "the hash format sha1 is too weak",
		"pbkdf2_sha256$1000$s":                                    "malformed",
		"pbkdf2_sha256$1000$$" + sum32 + "=":                      "malformed",
		"pbkdf2_sha256$1000$s$" + sum16 + "==":                    "malformed", // too short for the digest
		"pbkdf2_sha256$1000$s$" + sum32:                           "malformed", // no padding
		"pbkdf2_sha1$1000$s$" + sum32 + "=":                       "malformed",
		"pbkdf2_sha256$+1000$s$" + sum32 + "=":                    "malformed",
		"$argon2d$v=19$m=64,t=1,p=1$" + pair:                      "variant",
		"$argon2id$v=16$m=64,t=1,p=1$" + pair:                     "version",
		"$argon2id$m=64,t=1,p=1$" + pair:                          "malformed",
		"$argon2id$v=19$t=1,m=64,p=1$" + pair:                     "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16:                    "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16 + "$AAAA":          "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$AAAA$" + sum16:               "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$" + pair + "=":               "malformed",
		"pbkdf2_sha256$1000$s$" + sum32[1:] + "B=":                "malformed", // bits beyond the digest
		"scrypt$2$s$1$1$" + sum16[1:] + "B==":                     "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$" + pair[1:] + "B":           "malformed",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16[1:] + "B$" + sum16: "malformed",
		"$2x$10$" + strings.Repeat("a", 53):                       "malformed",
		"$2b$10$" + strings.Repeat("a", 52):                       "malformed",
		"$2b$10$" + strings.Repeat("a", 52) + "!":                 "malformed",
		"bcrypt$2b$10$" + strings.Repeat("a", 53):                 "unknown format",
		"scrypt$16384$s$8$1$" + strings.Repeat("A", 2000):         "malformed",
	} {
		checkHashError(t, encoded, want)
	}
}

// checkHashError checks that the error of ValidateHash contains want, or is nil if want is
// empty, and that it repeats only numbers of encoded.
func checkHashError(t *testing.T, encoded, want string) {
	t.Helper()
	err := ValidateHash(encoded)
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", encoded, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got error %v, want one with %q", encoded, err, want)
		return
	}
	for _, part := range strings.Split(encoded, "$") {
		if len(part) > 8 && strings.Trim(part, "0123456789") != "" && !strings.HasPrefix(part, "argon2") && strings.Contains(err.Error(), part) {
			t.Errorf("error %q repeats %q", err, part)
		}
	}
}

// TestUnusablePassword checks that Django's mark of an unusable password is valid but is
// not a hash.
func TestUnusablePassword(t *testing.T) {
	const mark = "!FAd4JCMioSCALN03ha1p5xDdNfNSb4elTPUTsbIn"
	if err := ValidateHash(mark); err != nil {
		t.Error(err)
	}
	if h, err := decode(mark); err == nil {
		t.Errorf("got the hash %v, want an error", h)
	}
}

func FuzzHash(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Hash)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := decode(encoded)
		if err != nil {
			if len(encoded) > 12 && strings.Contains(err.Error(), encoded) {
				t.Errorf("the error repeats the hash: %v", err)
			}
			return
		}
		if !bounded(h) {
			t.Fatalf("%+v exceeds the bounds", h)
		}
		if fast(h) && h.match("no") && h.match("neither") {
			t.Errorf("%+v matches two passwords", h)
		}
	})
}

// bounded reports whether the parameters of h are within the bounds.
func bounded(h decodedHash) bool {
	switch h := h.(type) {
	case pbkdf2Hash:
		return h.iterations <= maxIterations && len(h.sum) >= minSum
	case argon2Hash:
		return h.memory<<10 <= maxMemory && uint64(h.memory)<<10*uint64(h.passes) <= maxPasses && h.lanes <= maxThreads && len(h.sum) >= minSum
	case scryptHash:
		return 128*h.n*h.r <= maxMemory && 128*h.r*h.p <= maxMemory && 128*h.n*h.r*h.p <= maxMixing && len(h.sum) >= minSum
	case bcryptHash:
		return string(h.text[4:6]) <= "14" && len(h.text) == 60
	}
	return false
}

// fast reports whether a comparison is fast enough for a fuzz test.
func fast(h decodedHash) bool {
	switch h := h.(type) {
	case pbkdf2Hash:
		return h.iterations <= 100
	case argon2Hash:
		return h.memory*h.passes <= 256
	case scryptHash:
		return h.n*h.r*h.p <= 1024
	case bcryptHash:
		return string(h.text[4:6]) == "04"
	}
	return false
}

// slow reports whether a comparison takes about a second under the race detector, so that
// one comparison per hash must suffice.
func slow(h decodedHash) bool {
	switch h := h.(type) {
	case pbkdf2Hash:
		return h.iterations > 10_000
	case scryptHash:
		return h.n > 10_000
	case bcryptHash:
		return string(h.text[4:6]) > "10"
	}
	return false
}

func BenchmarkMatch(b *testing.B) {
	for _, v := range vectors(b) {
		if v.Password != "correct horse" || strings.HasPrefix(v.Command, "passlib") {
			continue
		}
		name := v.Hash[:min(len(v.Hash), 34)]
		b.Run(name[:strings.LastIndex(name, "$")], func(b *testing.B) {
			h := mustDecode(b, v.Hash)
			b.ReportAllocs()
			for b.Loop() {
				if !h.match(v.Password) {
					b.Fatal("the password does not match")
				}
			}
		})
	}
}
