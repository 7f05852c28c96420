package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// UserID is the ID of a user in an app's user source. Its text is the identity.
// Whether it is a JSON number or a JSON string is kept only so that tokens carry
// it as the source wrote it. The zero value means no user.
type UserID struct {
	text   string
	number bool
}

// NumberID returns a numeric user ID, as Django's default primary key is.
func NumberID(n int64) UserID { return UserID{strconv.FormatInt(n, 10), true} }

// TextID returns a user ID that is a JSON string, such as a UUID.
func TextID(s string) UserID { return UserID{text: s} }

// maxUserID is the maximum length of a user ID's text, in bytes. It is part of
// Redis keys.
const maxUserID = 512

var errUserID = errors.New("a user id is a string or a whole number within 64 bits")

// ParseUserID parses a JSON number, or a JSON string of 1 to 512 bytes. A number
// with a fraction or an exponent must equal a whole number below 2^53, which it
// then becomes, as in Python. Text that is not UTF-8 is rejected, and so is
// U+FFFD, which decoders put in its place: two users could otherwise get one ID.
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

// String returns the ID's text, which is the same for 42 and "42".
func (u UserID) String() string { return u.text }

// IsZero reports whether u is the zero value.
func (u UserID) IsZero() bool { return u.text == "" }

// AppendJSON appends the ID in JSON, as its source wrote it.
func (u UserID) AppendJSON(b []byte) []byte {
	if u.number {
		return append(b, u.text...)
	}
	if !strings.ContainsFunc(u.text, needsEscape) { // a UUID, for example; json.Marshal would allocate
		return append(append(append(b, '"'), u.text...), '"')
	}
	quoted, _ := json.Marshal(u.text) // never fails for a string
	return append(b, quoted...)
}

// needsEscape reports whether r is not printable ASCII, or json.Marshal escapes it.
func needsEscape(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) }

// MarshalJSON implements [json.Marshaler] with AppendJSON.
func (u UserID) MarshalJSON() ([]byte, error) { return u.AppendJSON(nil), nil }

// UnmarshalJSON implements [json.Unmarshaler] with [ParseUserID].
func (u *UserID) UnmarshalJSON(raw []byte) (err error) {
	*u, err = ParseUserID(raw)
	return err
}
