package password

import (
	"tokengate/session"
)

// matches reports whether a form of password matches h and allowed is true. If the
// result can only be false it compares all forms, even after a match: otherwise the
// time of a refusal would distinguish an inactive user's password from a wrong one.
func matches(h decodedHash, password string, allowed bool) bool {
	for _, form := range Forms(password) {
		if h.match(form) && allowed {
			return true
		}
	}
	return false
}

// rehash returns a new hash of the form of password that matches h. One of them must: the
// second is not compared. If there is only one, nothing is compared.
func rehash(h decodedHash, password string) string {
	forms := Forms(password)
	if len(forms) > 1 && !h.match(forms[0]) {
		return NewHash(forms[1])
	}
	return NewHash(forms[0])
}

// Forms returns the texts that are compared for password: password itself, then
// password without outer white space, which the Django app would have compared. The
// second is left out if it is the same as the first or empty.
func Forms(password string) []string {
	trimmed := session.TrimSpace(password)
	if trimmed == password || trimmed == "" {
		return []string{password}
	}
	return []string{password, trimmed}
}
