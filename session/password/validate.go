package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// Validate returns an error for a new password with fewer than minLength characters, and
// for one that no login can have: logins accept only UTF-8 without NUL that is not white
// space alone, and at most [session.MaxPassword] bytes. An empty password is always
// rejected. A character is a Unicode code point. Errors say what to change and repeat
// nothing of the password.
func Validate(text string, minLength int) error {
	switch {
	case text == "":
		return fmt.Errorf("the password is empty: give at least %d characters", max(1, minLength))
	case len(text) > session.MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes: give a shorter one", session.MaxPassword)
	case !utf8.ValidString(text):
		return errors.New("the password is not valid UTF-8: give it in that encoding")
	case strings.IndexByte(text, 0) >= 0:
		return errors.New("the password has a NUL, which logins do not accept: leave it out")
	case session.TrimSpace(text) == "":
		return errors.New("the password is white space alone, which logins do not accept: give one with other characters")
	case utf8.RuneCountInString(text) < minLength:
		return fmt.Errorf("the password is too short: give at least %d characters", minLength)
	}
	return nil
}
