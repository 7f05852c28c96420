package password

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// maxPassword is the maximum length of a new password in bytes.
const maxPassword = 1024

// Validate returns an error unless text can be a user's new password: valid UTF-8 of at
// least min characters and at most 1024 bytes, with no NUL and not only white space. Logins
// do not accept other texts. The error does not repeat the text.
func Validate(text string, min int) error {
	switch {
	case text == "":
		return errors.New("the password is empty")
	case len(text) > maxPassword:
		return fmt.Errorf("the password has more than %d bytes", maxPassword)
	case !utf8.ValidString(text):
		return errors.New("the password is not valid UTF-8")
	case strings.IndexByte(text, 0) >= 0:
		return errors.New("the password contains a NUL, which logins do not accept")
	case session.TrimSpace(text) == "":
		return errors.New("the password is only white space, which logins do not accept")
	case utf8.RuneCountInString(text) < min:
		return fmt.Errorf("the password has fewer than %d characters", min)
	}
	return nil
}
