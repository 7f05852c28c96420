package users

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"tokengate/session"
	"tokengate/session/fairqueue"
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
	app       string
	accounts  accountSource
	queue     *password.Queue
	dummies   *password.DummyHashes
	log       *slog.Logger
	directory *directorySource // equal to accounts if these are in the store's Directory, otherwise nil
}

// errInvalidCredentials is the error of every refused login. It is always the same, so
// that the log reveals no more to its readers than the response does to the client.
var errInvalidCredentials = session.Fail(session.InvalidCredentials, errors.New("no active user with this name and password"))

// errNoUser is the reason in errors with the code UserUnknown.
var errNoUser = errors.New("the source has no such user")

// errNoUsers is the reason why a recheck fails if there are no users at all: their data is
// more likely to be lost than all users to be removed, which would end every session.
var errNoUsers = errors.New("the user source has no users; if that is right, end the sessions of its former users with tokengate sessions end")

// Check implements [session.Checker]. The login has a place in the hash queue before its user
// is looked for, so the source is asked by no more logins at once than the queue has places.
func (c *hashChecker) Check(ctx context.Context, presented session.Credentials, found func(session.Found) error) (session.User, error) {
	username, pw := presented.Username, presented.Password
	if len(username) > maxUsername {
		return session.User{}, refuseLongUsername(found)
	}
	searching, place, err := c.queue.Enter(ctx, clientOf(c.app, presented), sizeOf(presented))
	if err != nil {
		return session.User{}, err
	}
	defer place.Leave()
	account, err := c.accounts.find(searching, username)
	if lost := place.Err(); lost != nil {
		return session.User{}, lost
	}
	known := err == nil
	switch {
	case session.CodeOf(err) == session.UserUnknown:
		account = session.Account{}
	case err != nil:
		return session.User{}, err
	}
	if err := found(session.Found{ID: account.ID, Credential: account.Credential}); err != nil {
		return session.User{}, err
	}
	h, usable := c.hashToCompare(username, account, known)
	matched, err := place.Match(ctx, h, pw, usable && account.Active)
	if err != nil {
		return session.User{}, err
	}
	if !matched {
		return session.User{}, errInvalidCredentials
	}
	user := session.User{ID: account.ID, Claims: account.Claims, Credential: account.Credential}
	if c.directory != nil {
		user.InStore = true
		if h.Outdated(pw) {
			user.Rehash = func(ctx context.Context) { c.rehash(ctx, account, h, pw) }
		}
	}
	return user, nil
}

// clientOf returns what a login counts as in a queue.
func clientOf(app string, presented session.Credentials) fairqueue.Client {
	return fairqueue.Client{App: app, Network: presented.Network}
}

// sizeOf returns the bytes of what a client presents.
func sizeOf(presented session.Credentials) int {
	return len(presented.Username) + len(presented.Password)
}

// refuseLongUsername returns the error of a login with a username longer than maxUsername. It
// compares no password: since no user can have such a name, the time reveals nothing.
func refuseLongUsername(found func(session.Found) error) error {
	if err := found(session.Found{}); err != nil {
		return err
	}
	return errInvalidCredentials
}

// rehashTimeout bounds a rehash. The worker process and the store have shorter bounds of
// their own, so it is reached only if both are slow.
const rehashTimeout = 30 * time.Second

// rehash replaces the hash h of an account by a new one of pw, which matched it. It gives
// up without a word if logins need the hash queue, or if the account has changed since: a
// later login rehashes the password then. The Credential stays the same, because the
// password does.
func (c *hashChecker) rehash(ctx context.Context, was session.Account, h password.Hash, pw string) {
	ctx, cancel := context.WithTimeout(ctx, rehashTimeout)
	defer cancel()
	encoded, err := c.queue.Rehash(ctx, h, pw)
	if err == nil {
		a := was
		a.Password = encoded
		err = c.directory.replace(ctx, a, was)
	}
	switch session.CodeOf(err) {
	case session.OK, session.Busy, session.UserUnknown:
	default:
		c.log.Warn("a user's outdated password hash could not be replaced: a later login will try again", "user", was.ID.String(), "error", err)
	}
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
