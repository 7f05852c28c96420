package users

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"tokengate/session"
)

// accountKeyBytes is the length of an account key before it is encoded. Two usernames with
// the same key would only share a limit.
const accountKeyBytes = 10

// AccountKey returns a function for [session.App].AccountKey. The keys of usernames are part
// of an HMAC with a secret key, so they do not disclose usernames. Usernames that differ only
// in case, in outer white space or in the form of characters (Unicode's NFKC) have the same
// key: to some user sources they name the same user, who would otherwise have a budget of
// failures for each spelling.
func AccountKey(secret []byte) func(username string) string {
	return func(username string) string {
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write([]byte(normalize(username))) // never fails
		return hex.EncodeToString(mac.Sum(nil)[:accountKeyBytes])
	}
}

func normalize(username string) string {
	if len(username) > maxUsername { // no user can have it, and normalizing takes time
		return username
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(session.TrimSpace(username))))
}
