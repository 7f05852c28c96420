package session

import "crypto/rand"

// Secret is the secret of one session: 64 random bits that its refresh tokens carry
// in masked form and that the store compares. So neither an app's key nor the store's
// content is enough to make a refresh token.
type Secret [8]byte

// NewSecret returns a random Secret.
func NewSecret() (s Secret) {
	_, _ = rand.Read(s[:]) // never fails: crypto/rand aborts the program instead
	return s
}

// String implements [fmt.Stringer]. It does not return the secret, which must not be
// logged.
func (s Secret) String() string { return "(secret)" }

// GoString implements [fmt.GoStringer] like String.
func (s Secret) GoString() string { return s.String() }
