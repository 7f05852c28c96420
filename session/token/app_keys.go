package token

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"tokengate/session"
)

// appKeys holds the keys of one app, as SIGNING_KEY and VERIFYING_KEYS have them.
type appKeys struct {
	access    []parsedKey // of access tokens, for ALGORITHM: the signing key, then the others
	derivable [][]byte    // the secrets and private values that derive refresh keys, the signing key's first
}

// readKeys reads and checks the keys of o.
func readKeys(o Options, a algorithm) (*appKeys, error) {
	keys := &appKeys{}
	var signing []parsedKey
	var err error
	if a.hash != nil {
		signing = []parsedKey{{public: []byte(o.SigningKey)}}
		err = a.checkKey(signing[0])
	} else {
		signing, err = parseKeys(o.SigningKey)
	}
	if err != nil {
		return nil, fmt.Errorf("SIGNING_KEY %w", err)
	}
	for i := range signing {
		signing[i].name = fmt.Sprintf("SIGNING_KEY: key %d", i+1)
		if err := a.checkKey(signing[i]); err != nil {
			return nil, fmt.Errorf("%s %w", signing[i].name, err)
		}
	}
	if a.hash == nil {
		if signing, err = moveSigningKeyFirst(signing); err != nil {
			return nil, err
		}
	}
	for _, k := range signing {
		if err := keys.add(k, true); err != nil {
			return nil, err
		}
	}
	return keys, keys.addRetired(o.VerifyingKeys, a)
}

// addRetired adds the keys of VERIFYING_KEYS. Those that fit the algorithm verify access
// tokens. One that neither does so nor derives a refresh key makes it fail: if a retired
// key were left out silently at startup, users would be logged out.
func (keys *appKeys) addRetired(text string, a algorithm) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	retired, err := parseRetiredKeys(text)
	if err != nil {
		return fmt.Errorf("VERIFYING_KEYS %w", err)
	}
	for i, k := range retired {
		k.name = fmt.Sprintf("VERIFYING_KEYS: key %d", i+1)
		misfit := a.checkKey(k)
		secret, shared := k.public.([]byte)
		if shared {
			if err := checkSecret(secret, minRefreshSecret); err != nil {
				return fmt.Errorf("%s %w", k.name, err)
			}
		}
		if misfit != nil && !shared && k.private == nil {
			return fmt.Errorf("%s %w; as a public key it has no other use", k.name, misfit)
		}
		if err := keys.add(k, misfit == nil); err != nil {
			return err
		}
	}
	return nil
}

// add adds one key; fits reports whether it is for access tokens.
func (keys *appKeys) add(k parsedKey, fits bool) error {
	if fits {
		keys.access = append(keys.access, k)
	}
	value, err := privateValue(k)
	if err != nil {
		return fmt.Errorf("%s: %w", k.name, err)
	}
	if value != nil {
		keys.derivable = append(keys.derivable, value)
	}
	return nil
}

// publicOnly returns the names of the public keys whose private half is not among the keys.
func (keys *appKeys) publicOnly() (names []string) {
	for _, k := range keys.access {
		samePair := func(other parsedKey) bool {
			public, ok := k.public.(interface{ Equal(crypto.PublicKey) bool })
			return other.private != nil && ok && public.Equal(other.public)
		}
		if _, shared := k.public.([]byte); !shared && k.private == nil && !slices.ContainsFunc(keys.access, samePair) {
			names = append(names, k.name)
		}
	}
	return names
}

// secrets returns the secrets and private values, and the texts of o that hold them.
func (keys *appKeys) secrets(o Options) session.SecretSet {
	set := session.SecretSet{}
	set.Add("VERIFYING_KEYS", privateTexts(o.VerifyingKeys)...)
	for i := len(keys.derivable) - 1; i >= 0; i-- { // the signing key last: its setting is the one to name
		setting := "VERIFYING_KEYS"
		if i == 0 {
			setting = "SIGNING_KEY"
		}
		set.Add(setting, string(keys.derivable[i]))
	}
	set.Add("SIGNING_KEY", append(privateTexts(o.SigningKey), o.SigningKey)...)
	return set
}

// warnings returns what [Signer.Warnings] returns.
func (keys *appKeys) warnings(o Options, a algorithm, derivedSigns bool) (list []string) {
	if a.hash != nil && derivedSigns {
		state := "is not set"
		if len(o.RefreshKeys) > 0 {
			state = "begins with " + Derived
		}
		list = append(list, "REFRESH_KEY "+state+": with an HS* ALGORITHM, whoever holds SIGNING_KEY and a refresh token of a session can make further ones; "+
			"set it to a secret that only the gateway has")
	}
	for _, name := range keys.publicOnly() {
		list = append(list, name+" is a public key, which derives no refresh key: the refresh tokens issued while it signed, and no REFRESH_KEY was set, are rejected; "+
			"give the private key until these sessions have ended")
	}
	return list
}

// parseKeys parses all keys of a PEM text, a JWK or a JWK Set.
func parseKeys(text string) ([]parsedKey, error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(text, "{"):
		return parseJWK(text)
	case strings.Contains(text, "-----BEGIN "):
		return parsePEM(text)
	}
	return nil, errors.New("is neither PEM nor a JWK (Set): give one of these, or set an HS* ALGORITHM for a shared secret")
}

// pemBlock matches a block of PEM, also with \n as two characters for a line end.
var pemBlock = regexp.MustCompile(`(?s)(\\n)*-----BEGIN .*?-----END [^-]*-----(\\n)*`)

// privateTexts returns what a setting may take from the private keys of a PEM text: the
// lines of each key, of which a list makes entries, and the bytes that they encode.
func privateTexts(text string) (list []string) {
	for _, block := range pemBlock.FindAllString(text, -1) {
		block = strings.ReplaceAll(block, `\n`, "\n")
		decoded, _ := pem.Decode([]byte(block))
		if decoded == nil || !strings.HasSuffix(decoded.Type, "PRIVATE KEY") {
			continue
		}
		list = append(append(list, strings.Split(block, "\n")...), string(decoded.Bytes))
	}
	return list
}

// parseRetiredKeys parses VERIFYING_KEYS: a JWK (Set), or PEM blocks and secrets, separated
// by commas or line ends. Unlike in SIGNING_KEY, white space around a secret is removed,
// because lists are written by hand. Text around PEM blocks counts as secrets, so that none
// is left out.
func parseRetiredKeys(text string) (keys []parsedKey, err error) {
	if trimmed := strings.TrimSpace(text); strings.HasPrefix(trimmed, "{") {
		return parseKeys(trimmed)
	}
	if strings.Contains(text, "-----BEGIN ") {
		if keys, err = parsePEM(text); err != nil {
			return nil, err
		}
		text = pemBlock.ReplaceAllString(text, "\n")
	}
	for secret := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if secret = strings.TrimSpace(secret); secret != "" {
			keys = append(keys, parsedKey{public: []byte(secret)})
		}
	}
	return keys, nil
}
