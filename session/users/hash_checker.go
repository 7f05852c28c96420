package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"tokengate/session"
	"tokengate/session/password"
)

// accountSource is a source whose accounts have hashes.
type accountSource interface {
	// find returns a user by name. It fails with UserUnknown or Unavailable.
	find(ctx context.Context, username string) (session.Account, error)
	// recheck does what session.Checker documents for Recheck.
	recheck(ctx context.Context, id session.UserID, fresh bool) (session.Status, error)
}

// hashChecker implements [session.Checker] for an accountSource.
type hashChecker struct {
	accounts   accountSource
	queue      *password.Queue
	dummies    *password.DummyHashes
	log        *slog.Logger
	returnHash bool // set User.Hash: the accounts are in the store's Directory
}

// errInvalidCredentials is the error of every refused login. It is always the same, so
// that the log reveals no more to its readers than the response does to the client.
var errInvalidCredentials = session.Fail(session.InvalidCredentials, errors.New("no active user with this name and password"))

// errNoUser is the reason in errors with the code UserUnknown.
var errNoUser = errors.New("the source has no such user")

// Check implements [session.Checker].
func (c *hashChecker) Check(ctx context.Context, username, pw string) (session.User, error) {
	account, err := c.accounts.find(ctx, username)
	if err != nil && session.CodeOf(err) != session.UserUnknown {
		return session.User{}, err
	}
	h, usable := c.hashToCompare(username, account, err == nil)
	matched, err := c.queue.Match(ctx, h, pw, usable && account.Active)
	if err != nil {
		return session.User{}, err
	}
	if !matched {
		return session.User{}, errInvalidCredentials
	}
	user := session.User{ID: account.ID, Claims: account.Claims}
	if c.returnHash {
		user.Hash = account.Password
	}
	return user, nil
}

// Recheck implements [session.Checker].
func (c *hashChecker) Recheck(ctx context.Context, id session.UserID, fresh bool) (session.Status, error) {
	return c.accounts.recheck(ctx, id, fresh)
}

// hashToCompare returns the account's hash or, if the account was not found or has no
// usable hash, a dummy hash. A dummy hash is picked in any case, so that picking one adds
// the same time to every login.
func (c *hashChecker) hashToCompare(username string, account session.Account, found bool) (h password.Hash, usable bool) {
	dummy := c.dummies.Pick(username)
	if !found {
		return dummy, false
	}
	h, err := password.ParseHash(account.Password)
	if err == nil {
		c.dummies.Add(h)
		return h, true
	}
	if !errors.Is(err, password.ErrUnusable) {
		c.log.Warn("a user cannot log in: the password hash is not usable", "user", account.ID.String(), "error", err)
	}
	return dummy, false
}

// unavailable returns an error that says why a source could not answer. It leaves out
// the address that net/http puts into its errors, since a part of it may be secret.
func unavailable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return session.Fail(session.Unavailable, fmt.Errorf("user source: %w", err))
}
