package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"tokengate/session"
)

// Validate returns an error for a new password with fewer than minLength characters, and
// for one that no login can have or no person can type: one that is not UTF-8, has control
// characters, begins with a byte order mark, has no visible character, or has more than
// [session.MaxPassword] bytes. An empty password is always rejected. A character is a Unicode code point. Errors say what to change and repeat
// nothing of the password.
func Validate(text string, minLength int) error {
	switch {
	case text == "":
		return fmt.Errorf("the password is empty: give at least %d characters", max(1, minLength))
	case len(text) > session.MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes: give a shorter one", session.MaxPassword)
	case !utf8.ValidString(text):
		return errors.New("the password is not valid UTF-8: give it in that encoding")
	case !strings.ContainsFunc(text, isVisible):
		return errors.New("the password has only white space or invisible characters: give one with other characters")
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("the password has a control character, such as NUL or a line end, which login forms do not accept: leave it out")
	case strings.HasPrefix(text, "\ufeff"):
		return errors.New("the password begins with a byte order mark, which some programs write: leave it out")
	case utf8.RuneCountInString(text) < minLength:
		return fmt.Errorf("the password is too short: give at least %d characters", minLength)
	}
	return nil
}

// isVisible reports whether a character is neither white space nor of a kind that is not
// displayed.
func isVisible(r rune) bool {
	return !unicode.In(r, unicode.Z, unicode.Cc, unicode.Cf) && r != '\ufffe' && r != '\uffff'
}
