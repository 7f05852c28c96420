package session

import (
	"fmt"
	"time"
)

// signable tells whether tokens with a user's claims can be signed, by signing
// one, before a session is made for them, and an old one ended. User sources
// check claims too, but a store may hold what an earlier version let through,
// and a token's length is a matter of the app's own settings as well. The price
// is a second signature at the login of a user who has claims: the store's times
// are not known yet, so the first can't be handed out.
func (a *App) signable(user User, now time.Time) error {
	switch {
	case len(user.Claims) == 0:
		return nil
	case len(user.Claims) > MaxClaims:
		return Fail(Internal, fmt.Errorf("the user's claims have %d bytes, more than %d", len(user.Claims), MaxClaims))
	}
	_, err := a.issue(user.ID, Session{ID: NewID(), Claims: user.Claims, Created: now}, now, false)
	return err
}
