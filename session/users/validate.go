package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// maxUsername is the maximum length of a username in bytes. A login with a longer one is
// refused without asking the source.
const maxUsername = 1024

// ValidateUsername returns an error for a username that no login can have: logins accept
// only UTF-8 of at most 1024 bytes without NUL, and remove outer white space. Removing it from the usernames of
// a source as well could give two users the same username, or let a user log in who could
// not log in before.
func ValidateUsername(name string) error {
	switch {
	case name == "":
		return errors.New("username is empty")
	case len(name) > maxUsername:
		return fmt.Errorf("username is longer than %d bytes, which logins do not accept: give a shorter one", maxUsername)
	case !utf8.ValidString(name):
		return errors.New("username is not valid UTF-8")
	case strings.IndexByte(name, 0) >= 0:
		return errors.New("username contains a NUL, which logins do not accept: leave it out")
	case session.TrimSpace(name) != name:
		return errors.New("username has white space around it, which logins remove: leave it out")
	}
	return nil
}

// readClaims calls CompactClaims for a user's claims. Errors contain the user's id, as log
// lines do.
func readClaims(user session.UserID, raw []byte) (json.RawMessage, error) {
	claims, err := CompactClaims(raw)
	if err != nil {
		err = fmt.Errorf("user %s: %w", user.AppendJSON(nil), err)
	}
	return claims, err
}

// CompactClaims returns claims without white space. It returns an error unless raw is a
// JSON object that fits into a token. If raw is empty, null or {}, it returns nil. It also
// rejects text that is not UTF-8, which encoding/json alone would accept: each login of
// that user would fail.
func CompactClaims(raw []byte) (json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var compact bytes.Buffer
	switch {
	case !utf8.Valid(raw):
		return nil, errors.New("claims is not valid UTF-8")
	case raw[0] != '{' || json.Compact(&compact, raw) != nil:
		return nil, errors.New("claims is not a JSON object")
	case compact.Len() > session.MaxClaims:
		return nil, fmt.Errorf("claims has %d bytes, and a token carries at most %d: leave some out", compact.Len(), session.MaxClaims)
	case compact.Len() == len("{}"):
		return nil, nil
	}
	return compact.Bytes(), nil
}
