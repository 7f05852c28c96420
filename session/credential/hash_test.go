package credential

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// vector is a hash that another implementation made.
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

func mustParse(t testing.TB, encoded string) hash {
	t.Helper()
	h, err := parseHash(encoded)
	if err != nil {
		t.Fatalf("%s: %v", encoded, err)
	}
	return h
}

// Every format matches what others made of a password, and nothing else.
func TestHashesOfOtherImplementations(t *testing.T) {
	for _, v := range vectors(t) {
		h := mustParse(t, v.Hash)
		if !h.match(v.Password) {
			t.Errorf("%s: %q does not match %s", v.Command, v.Password, v.Hash)
		}
		if !dear(h) && h.match("x"+v.Password) {
			t.Errorf("%s: another password matches %s", v.Command, v.Hash)
		}
	}
	for _, format := range []string{
		"pbkdf2_sha256$", "pbkdf2_sha1$", "argon2$argon2id$", "bcrypt_sha256$", "bcrypt$", "scrypt$",
		"$argon2id$", "$argon2i$", "$2a$", "$2b$", "$2y$",
	} {
		if !slices.ContainsFunc(vectors(t), func(v vector) bool { return strings.HasPrefix(v.Hash, format) }) {
			t.Errorf("no vector of the format %s", format)
		}
	}
}

// The makers' bcrypt takes 72 bytes of a password and drops the rest; only
// Django's bcrypt_sha256 takes all of it. A user whose password is longer must
// be let in as they let him in.
func TestBcryptBeyond72Bytes(t *testing.T) {
	long, whole := 0, 0
	for _, v := range vectors(t) {
		h, ok := mustParse(t, v.Hash).(bcryptHash)
		if !ok || len(v.Password) <= 72 {
			continue
		}
		long++
		if h.digest {
			whole++
		}
		if got := h.match(v.Password[:72] + "another end"); got == h.digest {
			t.Errorf("%s: another end after 72 bytes: %v", v.Hash, got)
		}
		if h.match("x" + v.Password[1:72]) {
			t.Errorf("%s: another beginning matches", v.Hash)
		}
	}
	if long < 5 || whole == 0 {
		t.Errorf("%d vectors with long passwords, %d of bcrypt_sha256", long, whole)
	}
}

func TestNewHash(t *testing.T) {
	first, second := Hash("pässword"), Hash("pässword")
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") || first == second {
		t.Errorf("hashes %s and %s", first, second)
	}
	if err := CheckHash(first); err != nil {
		t.Error(err)
	}
	if h := mustParse(t, first); !h.match("pässword") || h.match("password") {
		t.Error("a new hash matches the wrong password, or not the right one")
	}
	if len(first) > 128 {
		t.Errorf("%d characters: Django's column has 128", len(first))
	}
}

const (
	sum16 = "AAAAAAAAAAAAAAAAAAAAAA"
	sum32 = sum16 + "AAAAAAAAAAAAAAAAAAAAA"
)

func TestParametersAreBounded(t *testing.T) {
	salt53 := strings.Repeat("a", 53)
	sum64 := strings.Repeat("A", 86) + "=="
	for encoded, want := range map[string]string{
		"pbkdf2_sha256$10000000$s$" + sum32 + "=":             "",
		"pbkdf2_sha256$10000001$s$" + sum32 + "=":             "iterations is 10000001",
		"pbkdf2_sha256$0$s$" + sum32 + "=":                    "iterations is 0",
		"$argon2id$v=19$m=262144,t=16,p=64$" + pair:           "",
		"$argon2id$v=19$m=262145,t=1,p=1$" + pair:             "m is 262145",
		"$argon2id$v=19$m=262144,t=17,p=1$" + pair:            "t is 17",
		"$argon2id$v=19$m=65536,t=4294967295,p=1$" + pair:     "t is 4294967295",
		"$argon2id$v=19$m=65536,t=0,p=1$" + pair:              "t is 0",
		"$argon2id$v=19$m=65536,t=1,p=0$" + pair:              "p is 0",
		"$argon2id$v=19$m=65536,t=1,p=65$" + pair:             "p is 65",
		"$argon2id$v=19$m=31,t=1,p=4$" + pair:                 "m is 31",
		"scrypt$262144$s$8$4$" + sum64:                        "",
		"scrypt$262144$s$9$1$" + sum64:                        "r is 9",
		"scrypt$4194304$s$1$1$" + sum64:                       "N is 4194304",
		"scrypt$262144$s$8$5$" + sum64:                        "p is 5:",
		"scrypt$2$s$1$4194304$" + sum64:                       "p is 4194304", // memory by way of p
		"scrypt$1000$s$8$1$" + sum64:                          "mangled",
		"scrypt$1$s$8$1$" + sum64:                             "N is 1",
		"$2b$16$" + salt53:                                    "",
		"$2b$17$" + salt53:                                    "cost is 17",
		"bcrypt_sha256$$2b$31$" + salt53:                      "cost is 31",
		"$2b$03$" + salt53:                                    "cost is 3",
		"pbkdf2_sha256$18446744073709551617$s$" + sum32 + "=": "mangled",
	} {
		checkHashError(t, encoded, want)
	}
}

const pair = sum16 + "$" + sum16

func TestHashesThatAreRefused(t *testing.T) {
	for encoded, want := range map[string]string{
		"":                                                        "none of the known formats",
		"plain-text":                                              "none of the known formats",
		"hunter2$and$more":                                        "none of the known formats",
		"$1$salt$digest":                                          "none of the known formats",
		"$6$salt$digest":                                          "none of the known formats",
		"md5$salt$digest":                                         "Django's md5, too weak",
		"sha1$salt$digest":                                        "Django's sha1, too weak",
		"pbkdf2_sha256$1000$s":                                    "mangled",
		"pbkdf2_sha256$1000$$" + sum32 + "=":                      "mangled",
		"pbkdf2_sha256$1000$s$" + sum16 + "==":                    "mangled", // too short for the digest
		"pbkdf2_sha256$1000$s$" + sum32:                           "mangled", // no padding
		"pbkdf2_sha1$1000$s$" + sum32 + "=":                       "mangled",
		"pbkdf2_sha256$+1000$s$" + sum32 + "=":                    "mangled",
		"$argon2d$v=19$m=64,t=1,p=1$" + pair:                      "variant",
		"$argon2id$v=16$m=64,t=1,p=1$" + pair:                     "version",
		"$argon2id$m=64,t=1,p=1$" + pair:                          "mangled",
		"$argon2id$v=19$t=1,m=64,p=1$" + pair:                     "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16:                    "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16 + "$AAAA":          "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$AAAA$" + sum16:               "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$" + pair + "=":               "mangled",
		"pbkdf2_sha256$1000$s$" + sum32[1:] + "B=":                "mangled", // bits beyond the digest
		"scrypt$2$s$1$1$" + sum16[1:] + "B==":                     "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$" + pair[1:] + "B":           "mangled",
		"$argon2id$v=19$m=64,t=1,p=1$" + sum16[1:] + "B$" + sum16: "mangled",
		"$2x$10$" + strings.Repeat("a", 53):                       "mangled",
		"$2b$10$" + strings.Repeat("a", 52):                       "mangled",
		"$2b$10$" + strings.Repeat("a", 52) + "!":                 "mangled",
		"bcrypt$2b$10$" + strings.Repeat("a", 53):                 "none of the known formats",
		"scrypt$16384$s$8$1$" + strings.Repeat("A", 2000):         "mangled",
	} {
		checkHashError(t, encoded, want)
	}
}

// checkHashError also holds the error to repeating nothing but numbers.
func checkHashError(t *testing.T, encoded, want string) {
	t.Helper()
	err := CheckHash(encoded)
	if want == "" {
		if err != nil {
			t.Errorf("%s: %v", encoded, err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want …%s…", encoded, err, want)
		return
	}
	for _, part := range strings.Split(encoded, "$") {
		if len(part) > 8 && strings.Trim(part, "0123456789") != "" && !strings.HasPrefix(part, "argon2") && strings.Contains(err.Error(), part) {
			t.Errorf("%q repeats %q", err, part)
		}
	}
}

// Django's mark of a password that nobody knows.
func TestUnusablePassword(t *testing.T) {
	const mark = "!FAd4JCMioSCALN03ha1p5xDdNfNSb4elTPUTsbIn"
	if err := CheckHash(mark); err != nil {
		t.Error(err)
	}
	if h, err := parseHash(mark); err == nil {
		t.Errorf("it is a hash: %v", h)
	}
}

func FuzzHash(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.Hash)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		h, err := parseHash(encoded)
		if err != nil {
			if len(encoded) > 12 && strings.Contains(err.Error(), encoded) {
				t.Errorf("the error repeats the hash: %v", err)
			}
			return
		}
		if !bounded(h) {
			t.Fatalf("%+v is out of bounds", h)
		}
		if cheap(h) && h.match("no") && h.match("neither") {
			t.Errorf("%+v matches anything", h)
		}
	})
}

func bounded(h hash) bool {
	switch h := h.(type) {
	case pbkdf2Hash:
		return h.iterations <= maxIterations && len(h.sum) >= minSum
	case argon2Hash:
		return h.memory<<10 <= maxMemory && uint64(h.memory)<<10*uint64(h.passes) <= maxPasses && h.lanes <= maxThreads && len(h.sum) >= minSum
	case scryptHash:
		return 128*h.n*h.r <= maxMemory && 128*h.r*h.p <= maxMemory && 128*h.n*h.r*h.p <= maxMixing && len(h.sum) >= minSum
	case bcryptHash:
		return string(h.text[4:6]) <= "16" && len(h.text) == 60
	}
	return false
}

// cheap tells what may be run thousands of times.
func cheap(h hash) bool {
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

// dear tells what takes a second under the race detector: once is enough.
func dear(h hash) bool {
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
			h := mustParse(b, v.Hash)
			b.ReportAllocs()
			for b.Loop() {
				if !h.match(v.Password) {
					b.Fatal("no match")
				}
			}
		})
	}
}
