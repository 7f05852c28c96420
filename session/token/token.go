// Package token signs and checks one app's JWTs: a session.Signer.
//
// A token is a JWS in compact form (RFC 7515) over the claims that simplejwt
// knows, so an app that verified the seed's tokens verifies these. jwx keeps
// the keys and makes and checks the signatures; header and claims are put
// together and taken apart here, since jwx's own way costs fifteen times the
// hash itself.
//
// The words: a keyring is every key whose tokens are good, the first of which
// signs; all are of one algorithm, so no header can choose another (RFC 8725
// section 3.1). A key's kid is computed from the key and nothing else, so all
// instances, and all forms of the same key, agree on it. A profile says which
// claims an access token has; refresh tokens, which only the gateway reads,
// are the same in both.
//
// Verify looks at nothing inside a token before its signature is good, except
// for the header's alg, typ, kid and crit. It fetches nothing: jku, x5u, jwk
// and x5c are members like any other unknown one. A bad token yields an error,
// never a panic, and costs no more than one signature check per key.
package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tokengate/session"
)

// The profiles of access tokens.
const (
	SimpleJWT = "simplejwt" // the seed's claims, and sid
	RFC9068   = "rfc9068"   // typ at+jwt; iss sub aud client_id iat exp jti sid auth_time
)

// MaxLength bounds a token, in bytes: a longer one is refused unread, and none
// is signed. HTTP servers refuse headers of about this length anyway.
const MaxLength = 16 << 10

// maxLeeway is what settings allow, too: more would make short lives pointless.
const maxLeeway = 10 * time.Minute

// Options is what a Signer is made of. Only SigningKey is required; errors
// name the options as settings do (SIGNING_KEY), and never show a key.
type Options struct {
	// App names the app: RFC9068's client_id, and its aud where Audience is empty.
	App string
	// Algorithm is HS256, HS384, HS512, RS256, PS256, ES256 or EdDSA (Ed25519);
	// empty: HS256.
	Algorithm string
	// SigningKey is, for HS*, the secret itself, byte for byte, at least as long
	// as the hash (RFC 7518 section 3.2). Else PEM blocks (PKCS #1, PKCS #8,
	// SEC 1, PKIX, certificates), a JWK or a JWK Set: the first private key
	// signs, the others only verify.
	SigningKey string
	// VerifyingKeys are retired keys in the same forms, public or private; for
	// HS* a JWK Set of oct keys, or secrets separated by commas or line ends
	// (one that holds a comma needs the JWK form). Their tokens stay good and
	// their public halves published. The rules for key types and lengths hold.
	VerifyingKeys string
	// Issuer is written as iss and then required; empty: neither.
	Issuer string
	// Audience is written as aud, and then one of it is required; empty: neither.
	Audience []string
	// Leeway forgives clock differences at exp, iat and nbf; 0 to 10m.
	Leeway time.Duration
	// Profile is SimpleJWT or RFC9068; empty: SimpleJWT.
	Profile string
	// UserIDClaim, TokenTypeClaim and JTIClaim rename the seed's claims; empty:
	// user_id, token_type, jti. RFC9068's access tokens keep the standard's.
	UserIDClaim, TokenTypeClaim, JTIClaim string
}

// Signer signs and checks tokens. It is safe for concurrent use and changes
// nothing after New but its pool of buffers and what it has seen.
type Signer struct {
	ring     *keyring
	leeway   time.Duration
	rfc9068  bool
	client   string
	issuer   string
	audience []string
	own      names    // of every token with typ JWT
	standard names    // of RFC9068's access tokens
	reserved []string // members that a user's own claims may not set
	json     fixed
	pool     sync.Pool // of *scratch
	seen     *session.Recent[verified]
}

var _ session.Signer = (*Signer)(nil)

// names are the claims whose names an app can choose.
type names struct{ kind, user, jti string }

// fixed is JSON text that is the same in every token.
type fixed struct {
	access, refresh  string // up to the value of exp
	jti, user        string // from the comma to the value
	iss, aud, client string // the values
	tail             string // aud and iss with commas, as configured
}

// scratch is what one Sign or Verify works in, so that it need not allocate.
type scratch struct {
	token, claims, part []byte
	random              [16]byte
}

// Trusts is session.Signer's. Signers of another make are strangers.
func (s *Signer) Trusts(other session.Signer) bool {
	o, ok := other.(*Signer)
	if !ok || s.ring.algorithm != o.ring.algorithm || s.issuer != "" && s.issuer != o.issuer {
		return false
	}
	ours := func(name string) bool { return slices.Contains(s.audience, name) }
	if len(s.audience) > 0 && !slices.ContainsFunc(o.audience, ours) {
		return false
	}
	return slices.ContainsFunc(o.ring.keys, func(k *key) bool { return s.ring.byKID[k.kid] != nil })
}

// New checks o and makes a Signer of it.
func New(o Options) (*Signer, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	ring, err := newKeyring(o)
	if err != nil {
		return nil, err
	}
	s := &Signer{
		ring: ring, leeway: o.Leeway, rfc9068: o.Profile == RFC9068, client: o.App,
		issuer: o.Issuer, audience: o.Audience,
		own:      names{o.TokenTypeClaim, o.UserIDClaim, o.JTIClaim},
		standard: names{o.TokenTypeClaim, "sub", "jti"},
		json:     o.fixed(),
		seen:     session.NewRecent[verified](seenTokens),
	}
	s.reserved = append(s.reserved, registered...)
	s.reserved = append(s.reserved, ours...)
	s.reserved = append(s.reserved, s.own.kind, s.own.user, s.own.jti)
	s.pool.New = func() any { return new(scratch) }
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
		o.Audience = []string{o.App} // RFC 9068 section 3: never without aud
	}
	return o
}

// Names that a claim can't be given: RFC 7519's, and those of our own tokens.
var (
	registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}
	ours       = []string{"sid", "type", "gen", "auth_time", "client_id"}
)

func (o Options) validate() error {
	switch {
	case o.Profile != SimpleJWT && o.Profile != RFC9068:
		return fmt.Errorf("TOKEN_PROFILE is %q: give %s or %s", o.Profile, SimpleJWT, RFC9068)
	case o.Profile == RFC9068 && o.Issuer == "":
		return errors.New("ISSUER is empty: TOKEN_PROFILE=rfc9068 needs it, give the gateway's public https address")
	case o.Profile == RFC9068 && o.App == "":
		return errors.New("the app has no name: TOKEN_PROFILE=rfc9068 needs it as client_id")
	case o.Leeway < 0 || o.Leeway > maxLeeway:
		return fmt.Errorf("LEEWAY is %s: give 0s to 10m", o.Leeway)
	}
	for _, audience := range o.Audience {
		if audience == "" {
			return errors.New("AUDIENCE holds an empty name: remove it, or the comma too many")
		}
	}
	return o.validateNames()
}

func (o Options) validateNames() error {
	taken := map[string]bool{}
	for _, name := range append(append([]string{}, registered...), ours...) {
		taken[name] = name != "jti" && name != "sub"
	}
	if kind := o.TokenTypeClaim; o.Profile == RFC9068 && (kind == "sub" || kind == "jti") { // whatever the others are called
		return fmt.Errorf("TOKEN_TYPE_CLAIM is %q, which holds something else in an access token of TOKEN_PROFILE=rfc9068: give another name", kind)
	}
	for _, claim := range []struct{ setting, name string }{
		{"TOKEN_TYPE_CLAIM", o.TokenTypeClaim}, {"USER_ID_CLAIM", o.UserIDClaim}, {"JTI_CLAIM", o.JTIClaim},
	} {
		plain := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
		switch {
		case strings.ContainsFunc(claim.name, plain):
			return fmt.Errorf("%s is %q: give printable ASCII without quotes, backslashes and spaces", claim.setting, claim.name)
		case taken[claim.name]:
			return fmt.Errorf("%s is %q, which the tokens use for something else: give another name", claim.setting, claim.name)
		}
		taken[claim.name] = true
	}
	return nil
}

func (o Options) fixed() fixed {
	f := fixed{
		access:  `{"` + o.TokenTypeClaim + `":"access","exp":`,
		refresh: `{"` + o.TokenTypeClaim + `":"refresh","exp":`,
		jti:     `,"` + o.JTIClaim + `":"`,
		user:    `,"` + o.UserIDClaim + `":`,
		iss:     quote(o.Issuer),
		client:  quote(o.App),
	}
	switch len(o.Audience) {
	case 0:
	case 1:
		f.aud = quote(o.Audience[0])
	default:
		f.aud = quote(o.Audience)
	}
	if f.aud != "" {
		f.tail += `,"aud":` + f.aud
	}
	if o.Issuer != "" {
		f.tail += `,"iss":` + f.iss
	}
	return f
}

// quote is v as JSON, with <, > and & as they are.
func quote(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // strings always encode
	return strings.TrimSuffix(b.String(), "\n")
}

// Headers gives the encoded JOSE header of every key, retired ones included,
// for every typ that the profile uses.
func (s *Signer) Headers() []string {
	var headers []string
	for _, k := range s.ring.keys {
		headers = append(headers, k.headers[typJWT])
		if s.rfc9068 {
			headers = append(headers, k.headers[typAccess])
		}
	}
	return headers
}

// JWKS gives the public keys as a JWK Set (RFC 7517 section 5), the signing key
// first, retired ones after it; kid is the RFC 7638 thumbprint. For HS* the set
// is empty.
func (s *Signer) JWKS() []byte { return bytes.Clone(s.ring.jwks) }
