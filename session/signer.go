package session

import (
	"encoding/json"
	"time"
)

// Signer signs and verifies the tokens of one app. It must be safe for concurrent
// use.
type Signer interface {
	// Sign returns the token for c. A refresh token, its jti included, depends on
	// c and the signer's keys only, so that a retry gets the same token. An access
	// token has a jti of its own.
	Sign(c Claims) (string, error)

	// Verify checks a token's signature and kind, and its times against the clock.
	// An access token's audience and issuer are checked as well; a refresh token is
	// read by the gateway alone, so that changes of settings do not invalidate it.
	// It fails with TokenInvalid or TokenWrongKind; for an access token also with
	// TokenNoExpiry, TokenNoID, TokenNoKind or TokenNoUser, or with UserUnknown for an
	// ID that no user can have; with Unknown for a refresh token that names no session
	// of the gateway; with Expired for a refresh token with which nothing else is
	// wrong, and then it also returns the claims; or as the clock does.
	Verify(token string, kind Kind, clock Clock) (Claims, error)

	// Headers returns what the app's own tokens can begin with: the encoded JOSE
	// header for each key in use. It is how the app of a token is found.
	Headers() []string

	// SecretSetting returns the name of the setting in which a text is one of the
	// signer's secret keys, in use or retired, with or without white space around it.
	// It returns empty if the text is none of them.
	SecretSetting(text string) string

	// Trusts reports whether a token that other signed, with a key in use or a
	// retired one, could be valid for this signer, or whether one of the two could
	// make the other's refresh tokens. If so, the tokens of the two apps can't be
	// distinguished.
	Trusts(other Signer) bool
}

// Clock has the times with which a [Signer] checks tokens.
type Clock interface {
	// Now returns the time of this instance. Tokens that other programs issued are
	// checked with it.
	Now() time.Time

	// StoreNow returns the time of the store for a user's sessions. The gateway's own
	// tokens are checked with it. It fails with Unavailable.
	StoreNow(user UserID) (time.Time, error)
}

// Claims is the content of a token. Times are whole seconds in the token.
type Claims struct {
	Kind       Kind
	User       UserID
	Session    ID     // may be empty in an access token that another program issued
	Type       Type   // refresh tokens only
	Generation uint32 // refresh tokens only
	Secret     Secret // refresh tokens only; the session's
	Issued     time.Time
	Expires    time.Time
	AuthTime   time.Time       // when the user logged in
	Extra      json.RawMessage // a JSON object that is merged into an access token; empty means none
}

// presented returns what a refresh token carries for its session.
func (c Claims) presented() Presented { return Presented{c.Secret, c.Generation, c.Expires} }

// Kind is the purpose of a token.
type Kind string

// The kinds of tokens, with the values of the Django app's "token_type" claim.
const (
	KindAccess  Kind = "access"
	KindRefresh Kind = "refresh"
)
