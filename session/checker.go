package session

import (
	"context"
	"encoding/json"
)

// Checker checks users against the user source of one app. It must be safe for
// concurrent use.
type Checker interface {
	// Check returns the active user with this username and password. It fails
	// with InvalidCredentials for an unknown user, a wrong password or an
	// inactive user, and takes the same time for each of them; with Busy; or with
	// Unavailable.
	Check(ctx context.Context, username, password string) (User, error)

	// Recheck checks whether a user may still have sessions. It fails with
	// UserUnknown or UserInactive; or with Unavailable if the source does not
	// answer, at the latest when ctx is done. It returns nil if the source has no
	// way to check a user without the password.
	Recheck(ctx context.Context, id UserID) error
}

// User is a user whom a [Checker] has found.
type User struct {
	ID     UserID
	Claims json.RawMessage // a JSON object of further access-token claims; empty means none
	Hash   string          // the hash that the password matched, if the user is in the store's Directory; else empty
}
