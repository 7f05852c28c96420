package users

import (
	"context"
	"errors"

	"tokengate/session"
	"tokengate/session/password"
)

// directorySource is the users of one app in the store's Directory.
type directorySource struct {
	directory session.Directory
	app       string
}

func openDirectory(rest string, o Options) (*Source, error) {
	if rest != "" {
		return nil, errors.New("USERS is redis: followed by more text: the users are kept in the Redis of the sessions (REDIS_URL); give redis: alone")
	}
	if o.Directory == nil || o.App == "" {
		return nil, errors.New("users: redis: requires Options.Directory and App")
	}
	c := o.newChecker(password.Argon2Dummy())
	c.directory = &directorySource{o.Directory, o.App}
	c.accounts = c.directory
	s := o.newSource(c)
	s.managed, s.usersInStore = true, !o.Recheck.Off
	return s, nil
}

func (d *directorySource) find(ctx context.Context, username string) (session.Account, error) {
	return d.directory.FindAccount(ctx, d.app, username)
}

// replace writes an account unless it has changed since it was read as was; see PutAccount
// of [session.Directory].
func (d *directorySource) replace(ctx context.Context, a, was session.Account) error {
	_, err := d.directory.PutAccount(ctx, d.app, a, was)
	return err
}

// recheck does nothing: the store checks the user within its own steps.
func (d *directorySource) recheck(context.Context, session.UserID, bool) (session.Status, error) {
	return session.Status{}, nil
}
