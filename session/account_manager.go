package session

import (
	"context"
	"encoding/json"
	"strings"
)

// AccountManager manages the accounts of the apps whose users are in a [Directory], for
// operators. It hashes passwords, checks values, and revokes sessions with CauseAccount
// when an account changes so that they must end.
//
// Every method fails with UsersElsewhere if the app's users are not in the Directory, and
// with Unavailable if it can't tell: then the change may have been made or not, and a retry
// is safe. Values that are not accepted result in [InvalidFields], and then nothing has
// changed. by is the operator's name for the tombstones.
type AccountManager interface {
	// Accounts returns every account of an app, ordered by username; see
	// [Directory].Accounts.
	Accounts(ctx context.Context, app string) ([]Account, error)

	// FindAccount returns the account with a username. It fails with UserUnknown.
	FindAccount(ctx context.Context, app, username string) (Account, error)

	// Account returns the account with an ID. It fails with UserUnknown.
	Account(ctx context.Context, app string, id UserID) (Account, error)

	// AddAccount adds a user and returns the account. It fails with UserExists if another
	// user has the username or the ID.
	AddAccount(ctx context.Context, app string, n NewAccount) (Account, Durability, error)

	// ChangeAccount changes some fields of an account and returns it. A new password, and
	// Active set to false, revoke the user's sessions, including those that were created
	// meanwhile. It fails with UserUnknown, with UserExists if another user has the new
	// username, or with UserChanged.
	ChangeAccount(ctx context.Context, app string, id UserID, c AccountChange, by string) (Account, Durability, error)

	// RemoveAccount removes an account and revokes the user's sessions. It fails with
	// UserUnknown or with UserChanged. After another error the user may be disabled and
	// not removed.
	RemoveAccount(ctx context.Context, app string, id UserID, by string) (RevokeResult, error)
}

// NewAccount describes a user to add.
type NewAccount struct {
	ID        UserID // zero means a new one: random text, or a number with IntegerID
	IntegerID bool   // the new ID is a number, which no user of the app has had; must be false if ID is set
	Username  string
	Password  string          // as the user types it
	Claims    json.RawMessage // a JSON object; empty means none
	Inactive  bool
}

// AccountChange describes the changes of an account. A field that is nil stays as it is.
type AccountChange struct {
	Username *string
	Password *string // as the user types it
	Active   *bool
	Claims   *json.RawMessage // a JSON object; empty means none
}

// RevokesSessions reports whether the user's sessions must end with the change.
func (c AccountChange) RevokesSessions() bool {
	return c.Password != nil || c.Active != nil && !*c.Active
}

// InvalidFields is the error of an [AccountManager] that lists the values that it did not
// accept. It repeats none of them.
type InvalidFields []InvalidField

// InvalidField is a value that was not accepted.
type InvalidField struct {
	Name string // as in the admin API, such as "username"
	Err  error  // its text names the field
}

// Error implements the interface error.
func (e InvalidFields) Error() string {
	texts := make([]string, len(e))
	for i, f := range e {
		texts[i] = f.Err.Error()
	}
	return strings.Join(texts, "; ")
}
