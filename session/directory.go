package session

import (
	"context"
	"encoding/json"
)

// Directory keeps the users of apps whose user source is Redis (USERS=redis:). A
// [Store] reads it within each step that has CheckUser set. Usernames are compared
// byte by byte. Errors are as in Store, including Unavailable.
type Directory interface {
	// FindAccount returns the account with a username. It fails with UserUnknown.
	FindAccount(ctx context.Context, app, username string) (Account, error)

	// Account returns the account with an ID. It fails with UserUnknown.
	Account(ctx context.Context, app string, id UserID) (Account, error)

	// PutAccount writes an account as a whole in place of was: the account with
	// this ID as the caller has read it, or the zero Account if there must be
	// none. If another one is stored, it fails as [Account.CheckUnchanged] does
	// and writes nothing, so that it never undoes a change that the caller has
	// not seen. It also fails with UserExists if an account with another ID has
	// the username or has reserved it. A retry fails if the first try was done.
	PutAccount(ctx context.Context, app string, a, was Account) (Durability, error)

	// Accounts returns every account of an app, ordered by username. It is not
	// atomic: an account that is written meanwhile may be missing.
	Accounts(ctx context.Context, app string) ([]Account, error)

	// RemoveAccount removes the account with an ID. It fails with UserUnknown, and
	// so does a retry if the first try was done.
	RemoveAccount(ctx context.Context, app string, id UserID) (Durability, error)

	// NextID returns a number for the ID of a new user: at least 1, above the given
	// number, and above every number that it has returned for the app before. It fails
	// with UserExists if that would be a number above MaxNextID. A retry returns another
	// number. It does not look at accounts; see [AccountManager].
	NextID(ctx context.Context, app string, above int64) (int64, error)
}

// MaxNextID is the highest number that [Directory].NextID returns. JavaScript can't
// represent every higher whole number, and neither can Lua, in which Redis runs scripts.
const MaxNextID = 1<<53 - 1

// Account is a user as a [Directory] keeps it.
type Account struct {
	ID       UserID          `json:"id"`
	Username string          `json:"username"`
	Password string          `json:"password"` // a hash; see package password
	Active   bool            `json:"is_active"`
	Claims   json.RawMessage `json:"claims,omitempty"`

	// Credential changes whenever the password is changed, but not when its hash is
	// replaced by another one of the same password; see RandomFingerprint. Zero means
	// that no password was ever set.
	Credential Fingerprint `json:"-"`
}

// CheckUnchanged returns nil if stored is still equal to a. Either may be the zero
// Account, which means that there is no account. It fails with UserExists if a is
// the zero Account, otherwise with UserUnknown.
func (a Account) CheckUnchanged(stored Account) error {
	switch {
	case a.ID == stored.ID && a.Username == stored.Username && a.Password == stored.Password &&
		a.Active == stored.Active && string(a.Claims) == string(stored.Claims) && a.Credential == stored.Credential:
		return nil
	case a.ID.IsZero():
		return Fail(UserExists, nil)
	}
	return Fail(UserUnknown, nil)
}
