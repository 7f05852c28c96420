package users

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tokengate/session"
	"tokengate/session/password"
)

// userList is a list of users in memory, by name and by id. It is not modified once it is
// in use.
type userList struct {
	byName map[string]session.Account
	byID   map[string]listedUser
}

// listedUser is what a recheck returns about one user of a userList.
type listedUser struct {
	active bool
	status session.Status
}

// newUserList returns a list of users whose names and ids must be distinct. It sets their
// Credential.
func newUserList(list []session.Account, f fingerprints) *userList {
	l := &userList{byName: make(map[string]session.Account, len(list)), byID: make(map[string]listedUser, len(list))}
	for _, a := range list {
		a.Credential = f.of(a.ID, a.Password)
		l.byName[a.Username] = a
		l.byID[a.ID.String()] = listedUser{a.Active, session.Status{Credential: a.Credential, Claims: a.Claims, HasClaims: true}}
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
	user, ok := l.byID[id.String()]
	switch {
	case len(l.byID) == 0:
		return session.Status{}, session.Fail(session.Unavailable, errNoUsers)
	case !ok:
		return session.Status{}, session.Fail(session.UserUnknown, errNoUser)
	case !user.active:
		return session.Status{}, session.Fail(session.UserInactive, nil)
	}
	return user.status, nil
}

// Static returns a source of users that are part of the program, such as those of the
// demo app. It requires Queue and DummyKey of o, and App with EndOnChange. It rejects
// users that a user file may not contain.
func Static(list []session.Account, o Options) (*Source, error) {
	if err := o.check("static"); err != nil {
		return nil, err
	}
	o, list = o.withDefaults(), slices.Clone(list)
	names, ids := map[string]bool{}, map[string]bool{}
	for i, a := range list {
		claims, err := CompactClaims(a.Claims)
		if err := errors.Join(password.ValidateHash(a.Password), ValidateUsername(a.Username), err); err != nil {
			return nil, fmt.Errorf("user %d: %w", i, err)
		}
		if names[a.Username] || ids[a.ID.String()] || a.ID.IsZero() {
			return nil, fmt.Errorf("user %d: name and id are required, and must differ from those of all other users", i)
		}
		names[a.Username], ids[a.ID.String()] = true, true
		list[i].Claims = claims
	}
	c := o.newChecker(password.Argon2Dummy())
	c.dummies.SetAll(list)
	c.accounts = newUserList(list, o.fingerprints())
	return o.newSource(c), nil
}
