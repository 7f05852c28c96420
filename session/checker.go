package session

import (
	"context"
	"encoding/json"
	"time"
)

// Checker checks users against the user source of one app. It must be safe for
// concurrent use.
type Checker interface {
	// Check returns the active user with this username and password. It fails
	// with InvalidCredentials for an unknown user, a wrong password or an
	// inactive user, and takes the same time for each of them; with Busy; with
	// Throttled if the source limits logins; or with Unavailable.
	//
	// It calls found once, after it has looked for the user and before the password is
	// compared with anything, and fails with the error of found. The argument is zero if
	// there is no such user, or if the source learns who the user is together with the result.
	Check(ctx context.Context, c Credentials, found func(Found) error) (User, error)

	// Recheck returns what the source knows about a user after a login.
	// It fails with UserUnknown or UserInactive; or with Unavailable if the source
	// does not answer, at the latest when ctx is done, or if it has no users at
	// all, because then its data may be lost. If fresh is set, the answer is not
	// taken from a cache. A source that can't be asked without the password
	// returns the zero Status.
	Recheck(ctx context.Context, id UserID, fresh bool) (Status, error)
}

// Credentials is what a client presents at a login.
type Credentials struct {
	Username, Password string
	Network            string // of the client, so that no network delays the logins of others; may be empty
}

// Found is what a [Checker] knows of a user before it compares the password.
type Found struct {
	ID         UserID
	Credential Fingerprint // as in User
}

// MaxPassword is the maximum length of a password in bytes.
const MaxPassword = 1024

// User is a user whom a [Checker] has found.
type User struct {
	ID         UserID
	Claims     json.RawMessage // a JSON object of further access-token claims; empty means none
	Credential Fingerprint     // of the password or of what the source has in its place; zero means unknown
	InStore    bool            // the user is in the store's Directory, and Credential is that of the account

	// LoginOnly is set if the source can't be asked about the user at a refresh. A
	// login with another Credential then revokes the user's older sessions.
	LoginOnly bool

	// Rehash, if not nil, replaces the stored hash, which is outdated, by a new one
	// of the same password. Login calls it in the background once the session
	// exists. It logs its own errors.
	Rehash func(context.Context)
}

// Status is the answer of a [Checker] about an active user. The zero value
// means that the source knows no more than that.
type Status struct {
	Credential Fingerprint     // as in User
	Claims     json.RawMessage // the present claims, if HasClaims is set
	HasClaims  bool            // false means that the claims of the login still apply

	// Changed is the latest moment at which an instance may have relied on another
	// Credential than the present one, by this instance's clock; zero if this instance
	// has seen no change.
	Changed time.Time
}
