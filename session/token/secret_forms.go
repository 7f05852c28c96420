package token

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"

	"tokengate/session"
)

// secretDigests holds the settings of secrets by the digests of their forms.
type secretDigests map[[sha256.Size]byte]string

// add adds secrets of a setting.
func (d secretDigests) add(setting string, secrets ...string) {
	for _, secret := range secrets {
		for _, form := range forms([]byte(secret)) {
			d[sha256.Sum256(form)] = setting
		}
	}
}

// setting returns the setting of a secret that a text is a form of, or empty.
func (d secretDigests) setting(text string) string {
	for _, form := range forms([]byte(text)) {
		if setting := d[sha256.Sum256(form)]; setting != "" && len(form) > 0 {
			return setting
		}
	}
	return ""
}

// forms returns the values that are the same secret as a text, to a person or to HMAC: the
// text without white space and byte order marks around it and without the NUL bytes at its
// end, with which HMAC pads a key; its hashes, which HMAC uses in place of a long key; and
// what it is the base64 or hexadecimal form of. Two secrets are told apart if they have no
// form in common.
func forms(text []byte) [][]byte {
	plain := trimSecret(text)
	list := [][]byte{plain}
	if len(plain) > sha256.BlockSize {
		sum := sha256.Sum256(text)
		list = append(list, sum[:])
	}
	if len(plain) > sha512.BlockSize {
		sum, shorter := sha512.Sum512(text), sha512.Sum384(text)
		list = append(list, sum[:], shorter[:])
	}
	for _, decode := range []func(string) ([]byte, error){
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString,
	} {
		if decoded, err := decode(string(plain)); err == nil && len(trimSecret(decoded)) > 0 {
			list = append(list, trimSecret(decoded))
		}
	}
	return list
}

// trimSecret returns a secret without what does not distinguish it from another one.
func trimSecret(secret []byte) []byte {
	text := bytes.TrimRight(bytes.TrimPrefix(secret, []byte("\ufeff")), "\x00")
	return []byte(session.TrimSpace(string(text)))
}
