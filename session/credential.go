package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
)

// Fingerprint identifies a user's credential, such as the password, so that a
// session ends when the credential changes. It is a part of a hash. It discloses nothing
// about a stored hash, which has random salt; a user source should not name a credential
// that can be guessed. The zero value means that the source names no
// credential; it is never compared.
type Fingerprint [4]byte

// NewFingerprint returns the fingerprint of an owner's credential: a text that
// changes with the credential, such as the stored hash of a password. It is zero for
// an empty text. It depends on the owner, so that equal texts of two users have
// different fingerprints. Its key is no secret: it has to stay the same when an app's
// keys change, and a stored hash has random salt.
func NewFingerprint(owner Owner, credential string) (f Fingerprint) {
	if credential == "" {
		return f
	}
	mac := hmac.New(sha256.New, []byte("tokengate credential "+owner.App+":"+owner.User))
	_, _ = mac.Write([]byte(credential)) // never fails
	copy(f[:], mac.Sum(nil))
	return f.orOne()
}

// RandomFingerprint returns the fingerprint of a credential that was set now, for a
// source that keeps fingerprints instead of computing them.
func RandomFingerprint() (f Fingerprint) {
	_, _ = rand.Read(f[:]) // never fails: crypto/rand aborts the program instead
	return f.orOne()
}

// orOne returns f, or another value in place of zero, which has a meaning of its own.
func (f Fingerprint) orOne() Fingerprint {
	if f.IsZero() {
		f[0] = 1
	}
	return f
}

// IsZero reports whether f is the zero value.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// Matches reports whether f and other may be of the same credential: they are equal,
// or one of them is zero.
func (f Fingerprint) Matches(other Fingerprint) bool {
	return f == other || f.IsZero() || other.IsZero()
}
