package session

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"
)

// Session is one login of one user on one device, as a [Store] keeps it.
//
// All times come from the store's clock, never from an instance's. Updated has
// microseconds. Expires and Absolute are whole seconds, as the dates in a token
// are. The others have milliseconds.
type Session struct {
	ID         ID
	Type       Type
	Info       string          // what the client said about its device at login; at most MaxInfo bytes
	Claims     json.RawMessage // a JSON object of further access-token claims: those of the login, though a refresh may issue tokens with newer ones; empty means none
	Generation uint32          // of the current refresh token; 1 after login
	Created    time.Time
	Updated    time.Time // the login, or the last refresh if the policy updates it
	Rotated    time.Time // when Generation was reached
	Expires    time.Time
	Absolute   time.Time // the latest value that Expires can have
	Secret     Secret
	Credential Fingerprint // of the user's credential at login, or at the first refresh where it was known; zero means not known
}

// MaxInfo is the maximum length of [Session].Info, in bytes.
const MaxInfo = 4096

// MaxClaims is the maximum length of [Session].Claims, in bytes. The claims are
// part of every access token, which has to fit into an HTTP header.
const MaxClaims = 4096

// Owner is one user of one app, to whom sessions belong. The user's ID is a text
// here, so 42 and "42" are the same owner.
type Owner struct {
	App  string
	User string
}

// Type is a session type. It selects a session's policy; the engine attaches no
// further meaning to it.
type Type string

// The session types, which are the Django app's.
const (
	Long  Type = "LONG"
	Short Type = "SHORT"
)

// Types lists every session type, in the order in which responses show them.
var Types = []Type{Short, Long}

// ParseType parses a session type as a client writes it: in upper or lower case,
// and with or without white space around it. ok is false if s is not a session type.
func ParseType(s string) (t Type, ok bool) {
	switch t := Type(strings.ToUpper(TrimSpace(s))); t {
	case Long, Short:
		return t, true
	}
	return "", false
}

// TrimSpace returns s without leading and trailing white space, as Python's
// str.strip defines it: Unicode's white space and U+001C to U+001F. The Django
// app trims every field that way.
func TrimSpace(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f })
}

// Tombstone records the revocation of one session.
type Tombstone struct {
	ID    ID
	Cause Cause
	By    string // the new session's ID for an eviction, the operator's name, or empty
	At    time.Time
}
