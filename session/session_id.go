package session

import (
	"crypto/rand"
	"encoding/base64"
	"slices"
	"strings"
)

// ID identifies one session. It is 22 characters of base64url, which hold 128
// random bits and the session type. It is not a secret; what protects a session
// is the signature of its refresh token.
type ID string

const idBytes = 16

// NewID returns a random ID without a session type.
func NewID() ID {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return ID(base64.RawURLEncoding.EncodeToString(b[:]))
}

// WithType returns id, which must be valid, with a session type in the bits that its
// 128 bits leave unused. An access token has no claim for the type, so only the
// session's ID shows it.
func (id ID) WithType(t Type) ID {
	last := len(id) - 1
	code := strings.IndexByte(alphabet, id[last])&^typeBits | max(slices.Index(typeCodes[:], t), 0)
	return id[:last] + ID(alphabet[code])
}

// Type returns the session type in id, or empty if there is none.
func (id ID) Type() Type {
	if !id.Valid() {
		return ""
	}
	return typeCodes[strings.IndexByte(alphabet, id[len(id)-1])&typeBits]
}

// alphabet lists the characters of base64url in the order of their values.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// typeBits are the bits of an ID's last character that its 128 bits leave unused.
const typeBits = 0xf

// typeCodes maps the values of typeBits to session types. The values are part of
// issued tokens, so they must never change.
var typeCodes = [typeBits + 1]Type{1: Long, 2: Short}

// Valid reports whether id has the form of the IDs that [NewID] returns. The
// "sid" of a token that another program issued with the same key may have any
// other form.
func (id ID) Valid() bool {
	if len(id) != base64.RawURLEncoding.EncodedLen(idBytes) {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
