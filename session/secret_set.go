package session

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
)

// SecretSet holds the settings of secrets by the digests of their forms. Two texts are
// the same secret if they have a form in common: the text without white space and byte
// order marks around it and without the NUL bytes at its end, with which HMAC pads a key;
// its hashes, which HMAC uses in place of a long key; and what it is the base64 or
// hexadecimal form of. An empty text is no secret.
type SecretSet map[[sha256.Size]byte]string

// Add adds secrets of a setting.
func (s SecretSet) Add(setting string, secrets ...string) {
	for _, secret := range secrets {
		for _, form := range secretForms([]byte(secret)) {
			s[sha256.Sum256(form)] = setting
		}
	}
}

// Setting returns the setting of a secret that is the same as text, or empty.
func (s SecretSet) Setting(text string) string {
	for _, form := range secretForms([]byte(text)) {
		if setting := s[sha256.Sum256(form)]; setting != "" && len(form) > 0 {
			return setting
		}
	}
	return ""
}

// secretForms returns the forms of a text that SecretSet compares.
func secretForms(text []byte) [][]byte {
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
	return []byte(TrimSpace(string(text)))
}
