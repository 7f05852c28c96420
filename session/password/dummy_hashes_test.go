package password

import (
	"bytes"
	"fmt"
	"testing"

	"tokengate/session"
)

var testKey = bytes.Repeat([]byte("k"), 32)

// Hashes of four kinds. No test compares a password with them.
const (
	argonText  = "$argon2id$v=19$m=19456,t=2,p=1$MDAwMDAwMDAwMDAwMDAwMA$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA"
	slowText   = "pbkdf2_sha256$1000000$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	scryptText = "scrypt$16384$salt$8$5$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA="
	argonKind  = "argon2id 19456 2 1" // the kind of argonText
	bcryptText = "$2b$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0"
)

// TestDummyKindsAreBounded checks that a DummyHashes keeps at most maxDummyKinds kinds, and
// that SetAll keeps those with the most users.
func TestDummyKindsAreBounded(t *testing.T) {
	added, complete := &DummyHashes{key: testKey}, &DummyHashes{key: testKey}
	var list []session.Account
	for i := range 3 * maxDummyKinds {
		text := fmt.Sprintf("pbkdf2_sha256$%d$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=", i+1)
		h, err := ParseHash(text)
		if err != nil {
			t.Fatal(err)
		}
		added.Add(h)
		list = append(list, session.Account{Password: text})
	}
	list = append(list, session.Account{Password: bcryptText}, session.Account{Password: bcryptText})
	complete.SetAll(list)
	if len(added.kinds) != maxDummyKinds || len(complete.kinds) != maxDummyKinds || complete.kinds[0].name != "bcrypt 12" {
		t.Errorf("got %d and %d kinds, want %d; the first is %q, want bcrypt 12",
			len(added.kinds), len(complete.kinds), maxDummyKinds, complete.kinds[0].name)
	}
}

// TestHashKind checks that a kind contains what decides the time of a comparison, but not
// the salt, the digest or Django's name of the format.
func TestHashKind(t *testing.T) {
	for text, want := range map[string]string{
		argonText: "argon2id 19456 2 1", "argon2" + argonText: "argon2id 19456 2 1", slowText: "pbkdf2 32 1000000",
		scryptText: "scrypt 16384 8 5", bcryptText: "bcrypt 12", "bcrypt$" + bcryptText: "bcrypt 12", "bcrypt_sha256$" + bcryptText: "bcrypt 12",
		"pbkdf2_sha1$1000000$0123456789abcdef$MDAwMDAwMDAwMDAwMDAwMDAwMDA=": "pbkdf2 20 1000000",
		"$argon2i" + argonText[len("$argon2id"):]:                           "argon2i 19456 2 1",
	} {
		h, err := ParseHash(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if h.Kind() != want {
			t.Errorf("%s: got kind %q, want %q", text, h.Kind(), want)
		}
	}
	if Argon2Dummy().Kind() != argonKind {
		t.Errorf("new hashes have the kind %q, want %q", Argon2Dummy().Kind(), argonKind)
	}
}
