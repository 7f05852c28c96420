package users

import (
	"context"
	"errors"
	"fmt"

	"tokengate/session"
	"tokengate/session/password"
)

// userList is a list of users in memory, by name and by id. It is not modified after
// newUserList has returned it.
type userList struct {
	byName map[string]session.Account
	active map[string]bool // by id
}

// newUserList returns a list of users whose names and ids must be distinct.
func newUserList(list []session.Account) *userList {
	l := &userList{byName: make(map[string]session.Account, len(list)), active: make(map[string]bool, len(list))}
	for _, a := range list {
		l.byName[a.Username] = a
		l.active[a.ID.String()] = a.Active
	}
	return l
}

func (l *userList) find(_ context.Context, username string) (session.Account, error) {
	a, ok := l.byName[username]
	if !ok {
		return session.Account{}, session.Fail(session.UserUnknown, errNoUser)
	}
	return a, nil
}

// recheck looks the user up by id only, since the name may have changed.
func (l *userList) recheck(_ context.Context, id session.UserID, _ bool) (session.Status, error) {
	active, ok := l.active[id.String()]
	switch {
	case !ok:
		return session.Status{}, session.Fail(session.UserUnknown, errNoUser)
	case !active:
		return session.Status{}, session.Fail(session.UserInactive, nil)
	}
	return session.Status{}, nil
}

// Static returns a source of users that are part of the program, such as those of the
// demo app. It requires Queue and DummyKey of o. It rejects users that a user file may
// not contain.
func Static(list []session.Account, o Options) (*Source, error) {
	if err := o.check("static"); err != nil {
		return nil, err
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i, a := range list {
		_, claims := CompactClaims(a.Claims)
		if err := errors.Join(password.ValidateHash(a.Password), ValidateUsername(a.Username), claims); err != nil {
			return nil, fmt.Errorf("user %d: %w", i, err)
		}
		if names[a.Username] || ids[a.ID.String()] || a.ID.IsZero() {
			return nil, fmt.Errorf("user %d: name and id are required, and must differ from those of all other users", i)
		}
		names[a.Username], ids[a.ID.String()] = true, true
	}
	c := o.newChecker(password.Argon2Dummy())
	c.dummies.SetAll(list)
	c.accounts = newUserList(list)
	return o.newSource(c), nil
}
