package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Type names a kind of session that has a policy of its own. The engine gives
// the two names no further meaning.
type Type string

// The seed's two session types.
const (
	Long  Type = "LONG"
	Short Type = "SHORT"
)

// Types lists every session type in the order in which answers show them.
var Types = []Type{Short, Long}

// ParseType reads a type as a client writes it: any case, outer white space
// ignored. ok is false when it names neither type.
func ParseType(s string) (t Type, ok bool) {
	switch t := Type(strings.ToUpper(strings.TrimSpace(s))); t {
	case Long, Short:
		return t, true
	}
	return "", false
}

// ID identifies one session: 22 characters of base64url, 128 random bits and the
// session type. It is not a secret; the signature of the refresh token is.
type ID string

const idBytes = 16

// NewID draws an ID from the system's CSPRNG.
func NewID() ID {
	var b [idBytes]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return ID(base64.RawURLEncoding.EncodeToString(b[:]))
}

// alphabet is base64url's.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// spare is the bits of an ID's last character that its 128 bits leave free.
const spare = 0xf

// typeCodes stand there, as indexes. They are part of issued tokens, so they
// never change.
var typeCodes = [spare + 1]Type{1: Long, 2: Short}

// As gives id with a session type written into the bits that were free, so that
// an access token, which has no claim for it, tells the type all the same.
func (id ID) As(t Type) ID {
	last := len(id) - 1
	code := strings.IndexByte(alphabet, id[last])&^spare | max(slices.Index(typeCodes[:], t), 0)
	return id[:last] + ID(alphabet[code])
}

// Type is the session type that As wrote; empty where none was.
func (id ID) Type() Type {
	if !id.Valid() {
		return ""
	}
	return typeCodes[strings.IndexByte(alphabet, id[len(id)-1])&spare]
}

// Valid tells whether id has the form that NewID gives. A token issued by
// another program with the same key may carry a "sid" of any other form.
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

// UserID is what an app's user source calls a user. Its text is the identity;
// whether it is a JSON number or a string is kept only so that tokens carry it
// as the source wrote it. The zero value is no user.
type UserID struct {
	text   string
	number bool
}

// errUserID is what ParseUserID says of any other JSON value.
var errUserID = errors.New("a user id is a string or a whole number within 64 bits")

// maxUserID bounds a user id's text, in bytes: it becomes part of Redis keys.
const maxUserID = 512

// NumberID is a numeric user id, as Django's default primary key is.
func NumberID(n int64) UserID { return UserID{strconv.FormatInt(n, 10), true} }

// TextID is a user id that is a JSON string, such as a UUID.
func TextID(s string) UserID { return UserID{text: s} }

// ParseUserID reads a JSON number or string of 1 to 512 bytes. A float without
// a fraction is the whole number it equals, as in Python. Text that is not UTF-8
// is refused, and so is U+FFFD, which decoders put in its place: it would make
// one user of two.
func ParseUserID(raw []byte) (UserID, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return UserID{}, errUserID
	}
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil || s == "" || len(s) > maxUserID || strings.ContainsRune(s, utf8.RuneError) {
			return UserID{}, errUserID
		}
		return TextID(s), nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
		return NumberID(n), nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 || (raw[0] != '-' && (raw[0] < '0' || raw[0] > '9')) {
		return UserID{}, errUserID
	}
	return NumberID(int64(f)), nil
}

// String is the id's text, the same for 42 and "42".
func (u UserID) String() string { return u.text }

// IsZero tells whether u is no user.
func (u UserID) IsZero() bool { return u.text == "" }

// AppendJSON appends the id as its source wrote it.
func (u UserID) AppendJSON(b []byte) []byte {
	if u.number {
		return append(b, u.text...)
	}
	quoted, _ := json.Marshal(u.text) // a string always marshals
	return append(b, quoted...)
}

// MarshalJSON is AppendJSON for encoding/json.
func (u UserID) MarshalJSON() ([]byte, error) { return u.AppendJSON(nil), nil }

// UnmarshalJSON is ParseUserID for encoding/json.
func (u *UserID) UnmarshalJSON(raw []byte) (err error) {
	*u, err = ParseUserID(raw)
	return err
}

// Owner is one user of one app: whose sessions a step is about. Steps name
// users by text, so that 42 and "42" are the same owner.
type Owner struct {
	App  string
	User string
}

// Session is one login of one user on one device, as a Store keeps it. Times
// come from the store's clock, never from an instance's. Updated has
// microseconds, Expires and Absolute are whole seconds (a token can say no
// finer), the others have milliseconds.
type Session struct {
	ID         ID
	Type       Type
	Info       string          // what the client said of its device at login; at most MaxInfo bytes
	Claims     json.RawMessage // a JSON object of further access-token claims, fixed at login; empty: none
	Generation uint32          // counts refresh tokens issued; 1 after login
	Created    time.Time
	Updated    time.Time // login, or the last refresh where the policy says so
	Rotated    time.Time // when Generation began
	Expires    time.Time
	Absolute   time.Time // nothing moves Expires past this
}

// MaxInfo bounds Session.Info, in bytes.
const MaxInfo = 4096

// MaxClaims bounds Session.Claims, in bytes: they are part of every access
// token, which has to fit into a header.
const MaxClaims = 4096

// Trace is what is left of one session that an acting step ended.
type Trace struct {
	ID    ID
	Cause Cause
	By    string // the new session's ID for an eviction, an operator's name, or empty
	At    time.Time
}

// Tokens is what a login or a refresh hands out.
type Tokens struct {
	Session    ID
	Access     string
	Refresh    string // empty when the presented refresh token stays current
	Durability Durability
}
