// Package token signs and verifies the JWTs of one app. [Signer] implements
// [session.Signer].
//
// A token is a JWS in compact form (RFC 7515) with the claims of simplejwt, so
// an app that verified the Django app's tokens verifies these as well. The jwx
// library parses JWKs, and makes and checks the signatures of key pairs. Headers
// and claims are encoded and decoded here, because doing that with jwx costs
// fifteen times as much as the hash itself.
//
// # Keys
//
// A keyring holds all keys whose access tokens are accepted; the first key signs. All
// keys of a keyring are for the same algorithm, so the header of a token cannot
// choose another one (RFC 8725 section 3.1). A key's kid is computed from the
// key alone, so all instances, and all formats of the same key, agree on it.
//
// # Refresh tokens
//
// A refresh token belongs to the gateway: it is signed by HMAC with a refresh key, which
// no verifier of access tokens has. The refresh key is REFRESH_KEY, or else derived
// (HKDF, RFC 5869) from the signing key and the app's name. Retired keys derive theirs as
// well, whatever their algorithm. The token carries the session's secret in masked form,
// so the derived key alone is not enough to make one. Who holds both the signing key of
// an HS* app and a refresh token of a session can go on making that session's tokens,
// unless the app has a REFRESH_KEY of its own.
//
// # Profiles
//
// A profile defines the claims of access tokens. Refresh tokens are the same in both
// profiles.
//
// # Verification
//
// [Signer.Verify] reads nothing in a token before its signature has been
// checked, except the header's alg, typ, kid, crit and b64. It fetches nothing:
// jku, x5u, jwk and x5c are ignored like any other unknown header member. An
// invalid token yields an error, never a panic, and costs at most one signature
// check per key.
package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"tokengate/session"
)

// The profiles of access tokens.
const (
	SimpleJWT = "simplejwt" // the Django app's claims, and sid
	RFC9068   = "rfc9068"   // typ at+jwt; iss sub aud client_id iat exp jti sid auth_time
)

// MaxLength is the maximum length of a token in bytes. Verify rejects longer
// tokens without reading them, and Sign returns none. HTTP servers reject
// headers of about this length anyway.
const MaxLength = 16 << 10

// maxLeeway is the maximum of the setting LEEWAY. A longer leeway would make
// short token lifetimes pointless.
const maxLeeway = 10 * time.Minute

// Options configures a [Signer]. Only SigningKey is required. Error texts call
// the options by the names of their settings (SIGNING_KEY), and never contain a
// key.
type Options struct {
	// App is the app's name. Derived keys depend on it. It is the client_id of RFC9068
	// tokens, and their aud if Audience is empty.
	App string
	// Algorithm is HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA (Ed25519).
	// An empty value means HS256.
	Algorithm string
	// SigningKey is, for HS*, the secret itself, byte for byte. It must be at
	// least as long as the hash (RFC 7518 section 3.2). For other algorithms it
	// holds PEM blocks (PKCS #1, PKCS #8, SEC 1, PKIX, certificates), a JWK or a
	// JWK Set; the first private key signs, and the others only verify.
	SigningKey string
	// VerifyingKeys holds retired keys: PEM blocks, a JWK or a JWK Set, or secrets
	// separated by commas or line ends; a secret that contains a comma must be given
	// as a JWK. Access tokens of those that fit Algorithm are accepted, and their
	// public keys are published. Refresh tokens are accepted for each secret and each
	// private key, also of another algorithm. A public key of another algorithm is
	// rejected, because it would have no effect.
	VerifyingKeys string
	// RefreshKeys holds the secrets that sign refresh tokens, of at least 32 bytes; the
	// first signs, and has at least the length of the hash of an HS* Algorithm. [Derived]
	// stands for the key that is derived from SigningKey. It signs if it is the first,
	// or if RefreshKeys is empty, and is accepted in any case.
	RefreshKeys []string
	// Issuer is written as iss, and then required of a token. An empty value
	// means neither.
	Issuer string
	// Audience is written as aud, and then a token must have at least one of its
	// values. An empty list means neither.
	Audience []string
	// Leeway is the clock difference that is tolerated at exp, iat and nbf, from
	// 0 to 10m.
	Leeway time.Duration
	// Profile is SimpleJWT or RFC9068. An empty value means SimpleJWT.
	Profile string
	// UserIDClaim, TokenTypeClaim and JTIClaim rename the Django app's claims.
	// Empty values mean user_id, token_type and jti. Access tokens of RFC9068
	// always use the standard's names.
	UserIDClaim, TokenTypeClaim, JTIClaim string
}

// Signer signs and verifies tokens. It is safe for concurrent use. After New only
// its buffer pool and its cache of verified tokens change.
type Signer struct {
	app              string
	keyring          *keyring
	refresh          *refreshKeys
	refreshSecrets   []string // REFRESH_KEY
	secrets          session.SecretSet
	warnings         []string
	leeway           time.Duration
	rfc9068          bool
	issuer           string
	audience         []string
	claimNames       claimNames // of tokens with typ JWT
	accessClaimNames claimNames // of tokens with typ at+jwt
	reserved         []string   // claims that a user's own claims may not set
	constant         constantJSON
	pool             sync.Pool // of *buffers
	cache            *session.Cache[cachedClaims]
}

var (
	_ session.Signer       = (*Signer)(nil)
	_ session.DeviceSigner = (*Signer)(nil)
)

// claimNames holds the names of the claims that an app can rename.
type claimNames struct{ kind, user, jti string }

// constantJSON holds the JSON text that is the same in all tokens.
type constantJSON struct {
	accessPrefix, refreshPrefix string // from the beginning to the value of exp
	jtiPrefix, userPrefix       string // from the comma to the value
	iss, aud, clientID          string // values
	suffix                      string // aud and iss with names and commas, if configured
}

// buffers holds the memory that one call of Sign or Verify works in, to save
// allocations.
type buffers struct {
	token, claims []byte
	part          []byte // decoded header, signature, or input of a hash
	random        [16]byte
}

// Trusts implements [session.Signer]. It returns false if other is not a *Signer.
func (s *Signer) Trusts(other session.Signer) bool {
	o, ok := other.(*Signer)
	if ok && s.sharesRefreshKey(o) {
		return true
	}
	if !ok || s.keyring.algorithm != o.keyring.algorithm || s.issuer != "" && s.issuer != o.issuer {
		return false
	}
	inAudience := func(name string) bool { return slices.Contains(s.audience, name) }
	if len(s.audience) > 0 && !slices.ContainsFunc(o.audience, inAudience) {
		return false
	}
	return slices.ContainsFunc(o.keyring.keys, func(k *key) bool { return s.keyring.byKID[k.kid] != nil })
}

// sharesRefreshKey reports whether one of the signers could make the other's refresh
// tokens: a REFRESH_KEY of one is a secret of the other. Derived keys depend on the app.
func (s *Signer) sharesRefreshKey(o *Signer) bool {
	known := func(by *Signer) func(string) bool {
		return func(secret string) bool { return by.SecretSetting(secret) != "" }
	}
	return slices.ContainsFunc(s.refreshSecrets, known(o)) || slices.ContainsFunc(o.refreshSecrets, known(s))
}

// SecretSetting implements [session.Signer].
func (s *Signer) SecretSetting(text string) string { return s.secrets.Setting(text) }

// Warnings returns what an operator should change about the keys, or know before they
// change them.
func (s *Signer) Warnings() []string { return s.warnings }

// New returns a Signer for o. It fails if an option is invalid.
func New(o Options) (*Signer, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	a, err := findAlgorithm(o.Algorithm)
	if err != nil {
		return nil, err
	}
	derivedSigns := len(o.RefreshKeys) == 0 || o.RefreshKeys[0] == Derived
	o.RefreshKeys = slices.DeleteFunc(slices.Clone(o.RefreshKeys), func(secret string) bool { return secret == Derived })
	keys, err := readKeys(o, a)
	if err != nil {
		return nil, err
	}
	ring, err := newKeyring(a, keys)
	if err != nil {
		return nil, err
	}
	refresh, err := newRefreshKeys(o, a, keys.derivable, derivedSigns)
	if err != nil {
		return nil, err
	}
	secrets := keys.secrets(o)
	if slices.ContainsFunc(o.RefreshKeys, func(secret string) bool { return secrets.Setting(secret) != "" }) {
		return nil, errors.New("REFRESH_KEY is also a key of the app's access tokens (SIGNING_KEY or VERIFYING_KEYS), which its apps may hold: make one of its own with `openssl rand -base64 48`")
	}
	secrets.Add("REFRESH_KEY", o.RefreshKeys...)
	s := &Signer{
		app: o.App, keyring: ring, refresh: refresh, refreshSecrets: o.RefreshKeys, secrets: secrets, warnings: keys.warnings(o, a, derivedSigns),
		leeway: o.Leeway, rfc9068: o.Profile == RFC9068, issuer: o.Issuer, audience: o.Audience,
		claimNames:       claimNames{o.TokenTypeClaim, o.UserIDClaim, o.JTIClaim},
		accessClaimNames: claimNames{o.TokenTypeClaim, "sub", "jti"},
		constant:         o.constantJSON(),
		cache:            session.NewCache[cachedClaims](maxCachedTokens),
	}
	s.reserved = append(s.reserved, registeredClaims...)
	s.reserved = append(s.reserved, gatewayClaims...)
	s.reserved = append(s.reserved, s.claimNames.kind, s.claimNames.user, s.claimNames.jti)
	s.pool.New = func() any { return new(buffers) }
	return s, nil
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		option *string
		value  string
	}{
		{&o.Algorithm, "HS256"}, {&o.Profile, SimpleJWT},
		{&o.UserIDClaim, "user_id"}, {&o.TokenTypeClaim, "token_type"}, {&o.JTIClaim, "jti"},
	} {
		if *d.option == "" {
			*d.option = d.value
		}
	}
	if o.Profile == RFC9068 && len(o.Audience) == 0 && o.App != "" {
		o.Audience = []string{o.App} // RFC 9068 section 3 requires aud
	}
	return o
}

// Claims that have a fixed meaning in tokens. The settings cannot give their
// names to other claims, and a user's own claims cannot set them.
var (
	registeredClaims = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} // RFC 7519 section 4.1
	gatewayClaims    = []string{"sid", "type", "gen", "auth_time", "client_id"}
)

// validate checks the options except the keys and the algorithm. The error about
// TOKEN_PROFILE does not repeat the value, which may be a secret that was given in the
// wrong setting.
func (o Options) validate() error {
	switch {
	case o.Profile != SimpleJWT && o.Profile != RFC9068:
		return errors.New("TOKEN_PROFILE: give " + SimpleJWT + " or " + RFC9068)
	case o.Profile == RFC9068 && o.Issuer == "":
		return errors.New("ISSUER is empty: TOKEN_PROFILE=rfc9068 needs it, give the gateway's public https address")
	case o.Profile == RFC9068 && o.App == "":
		return errors.New("the app has no name: TOKEN_PROFILE=rfc9068 needs it as client_id")
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return fmt.Errorf("LEEWAY is %s: give 0s to 10m", o.Leeway)
	}
	for _, audience := range o.Audience {
		if audience == "" {
			return errors.New("AUDIENCE contains an empty name: remove it, or the extra comma")
		}
	}
	return o.validateClaimNames()
}

func (o Options) validateClaimNames() error {
	taken := map[string]bool{}
	for _, name := range append(append([]string{}, registeredClaims...), gatewayClaims...) {
		taken[name] = name != "jti" && name != "sub"
	}
	// Access tokens of RFC9068 have sub and jti even if USER_ID_CLAIM and JTI_CLAIM have other names.
	if name := o.TokenTypeClaim; o.Profile == RFC9068 && (name == "sub" || name == "jti") {
		return fmt.Errorf("TOKEN_TYPE_CLAIM is %q, which is another claim in access tokens of TOKEN_PROFILE=rfc9068: give another name", name)
	}
	for _, claim := range []struct{ setting, name string }{
		{"TOKEN_TYPE_CLAIM", o.TokenTypeClaim}, {"USER_ID_CLAIM", o.UserIDClaim}, {"JTI_CLAIM", o.JTIClaim},
	} {
		forbidden := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
		switch {
		case strings.ContainsFunc(claim.name, forbidden):
			return fmt.Errorf("%s is %q: give printable ASCII without quotes, backslashes and spaces", claim.setting, claim.name)
		case taken[claim.name]:
			return fmt.Errorf("%s is %q, which is already the name of another claim: give another name", claim.setting, claim.name)
		}
		taken[claim.name] = true
	}
	return nil
}

func (o Options) constantJSON() constantJSON {
	c := constantJSON{
		accessPrefix:  `{"` + o.TokenTypeClaim + `":"access","exp":`,
		refreshPrefix: `{"` + o.TokenTypeClaim + `":"refresh","exp":`,
		jtiPrefix:     `,"` + o.JTIClaim + `":"`,
		userPrefix:    `,"` + o.UserIDClaim + `":`,
		iss:           encodeJSON(o.Issuer),
		clientID:      encodeJSON(o.App),
	}
	switch len(o.Audience) {
	case 0:
	case 1:
		c.aud = encodeJSON(o.Audience[0])
	default:
		c.aud = encodeJSON(o.Audience)
	}
	if c.aud != "" {
		c.suffix += `,"aud":` + c.aud
	}
	if o.Issuer != "" {
		c.suffix += `,"iss":` + c.iss
	}
	return c
}

// encodeJSON returns v as JSON, with <, > and & unescaped. v must be a string or
// a list of strings.
func encodeJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // cannot fail for strings
	return strings.TrimSuffix(b.String(), "\n")
}

// Headers implements [session.Signer]. It returns the header of every key, refresh keys
// and retired keys included, for every typ that the profile uses.
func (s *Signer) Headers() []string {
	headers := slices.Collect(maps.Keys(s.refresh.byHeader))
	for _, k := range s.keyring.keys {
		headers = append(headers, k.headers[typJWT])
		if s.rfc9068 {
			headers = append(headers, k.headers[typAccess])
		}
	}
	return headers
}

// JWKS returns the public keys as a JWK Set (RFC 7517 section 5), the signing
// key first, then the retired keys. Each kid is the key's RFC 7638 thumbprint.
// For HS* the set is empty.
func (s *Signer) JWKS() []byte { return bytes.Clone(s.keyring.jwks) }
