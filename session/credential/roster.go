package credential

import (
	"context"
	"errors"
	"fmt"

	"tokengate/session"
)

// roster is a list of users that is in memory, by name and by id. It is not
// changed once made.
type roster struct {
	byName map[string]session.Account
	active map[string]bool // by id
}

// newRoster is for users that are known to be distinct.
func newRoster(list []session.Account) *roster {
	r := &roster{byName: make(map[string]session.Account, len(list)), active: make(map[string]bool, len(list))}
	for _, a := range list {
		r.byName[a.Username] = a
		r.active[a.ID.String()] = a.Active
	}
	return r
}

var errNoUser = errors.New("the source has no such user")

func (r *roster) find(_ context.Context, username string) (session.Account, error) {
	a, ok := r.byName[username]
	if !ok {
		return session.Account{}, session.Fail(session.UserUnknown, errNoUser)
	}
	return a, nil
}

// recheck goes by the id alone: a user may have been given another name.
func (r *roster) recheck(_ context.Context, id session.UserID) error {
	active, ok := r.active[id.String()]
	switch {
	case !ok:
		return session.Fail(session.UserUnknown, errNoUser)
	case !active:
		return session.Fail(session.UserInactive, nil)
	}
	return nil
}

// Static is a source of users that are part of the program, as the demo app's
// are. Of o it needs Lane and DecoyKey. It refuses what a user file may not hold.
func Static(list []session.Account, o Options) (*Source, error) {
	if err := o.check("static"); err != nil {
		return nil, err
	}
	names, ids := map[string]bool{}, map[string]bool{}
	for i, a := range list {
		_, claims := compactClaims(a.Claims)
		if err := errors.Join(CheckHash(a.Password), checkName(a.Username), claims); err != nil {
			return nil, fmt.Errorf("user %d: %w", i, err)
		}
		if names[a.Username] || ids[a.ID.String()] || a.ID.IsZero() {
			return nil, fmt.Errorf("user %d: name and id must be given, and differ from every other user's", i)
		}
		names[a.Username], ids[a.ID.String()] = true, true
	}
	p := o.passwords(usualHere())
	p.decoys.learnAll(list)
	p.accounts = newRoster(list)
	return o.source(p), nil
}
