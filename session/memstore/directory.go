package memstore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"tokengate/session"
)

// Directory implements [session.Directory] with the users of a [Store].
type Directory struct{ store *Store }

var _ session.Directory = (*Directory)(nil)

// Directory returns the directory of the users that the store's steps check.
func (s *Store) Directory() *Directory { return &Directory{s} }

// FindAccount implements [session.Directory].
func (d *Directory) FindAccount(_ context.Context, app, username string) (session.Account, error) {
	_, end := d.store.begin()
	defer end()
	for _, a := range d.store.users[app] {
		if a.Username == username {
			return clone(a), nil
		}
	}
	return session.Account{}, session.Fail(session.UserUnknown, nil)
}

// Account implements [session.Directory].
func (d *Directory) Account(_ context.Context, app string, id session.UserID) (session.Account, error) {
	_, end := d.store.begin()
	defer end()
	a, ok := d.store.users[app][id.String()]
	if !ok {
		return session.Account{}, session.Fail(session.UserUnknown, nil)
	}
	return clone(a), nil
}

// PutAccount implements [session.Directory].
func (d *Directory) PutAccount(_ context.Context, app string, a, was session.Account) (session.Durability, error) {
	_, end := d.store.begin()
	defer end()
	if err := was.CheckUnchanged(d.store.users[app][a.ID.String()]); err != nil {
		return session.NotRequested, err
	}
	for id, other := range d.store.users[app] {
		if other.Username == a.Username && id != a.ID.String() {
			return session.NotRequested, session.Fail(session.UserExists, nil)
		}
	}
	if d.store.users[app] == nil {
		d.store.users[app] = map[string]session.Account{}
	}
	d.store.users[app][a.ID.String()] = clone(a)
	return session.NotRequested, nil
}

// Accounts implements [session.Directory].
func (d *Directory) Accounts(_ context.Context, app string) ([]session.Account, error) {
	_, end := d.store.begin()
	defer end()
	var out []session.Account
	for _, a := range d.store.users[app] {
		out = append(out, clone(a))
	}
	slices.SortFunc(out, func(a, b session.Account) int { return cmp.Compare(a.Username, b.Username) })
	return out, nil
}

// RemoveAccount implements [session.Directory].
func (d *Directory) RemoveAccount(_ context.Context, app string, id session.UserID) (session.Durability, error) {
	_, end := d.store.begin()
	defer end()
	if _, ok := d.store.users[app][id.String()]; !ok {
		return session.NotRequested, session.Fail(session.UserUnknown, nil)
	}
	delete(d.store.users[app], id.String())
	return session.NotRequested, nil
}

// NextID implements [session.Directory].
func (d *Directory) NextID(_ context.Context, app string, above int64) (int64, error) {
	_, end := d.store.begin()
	defer end()
	last := max(d.store.lastIDs[app], above)
	if last >= session.MaxNextID {
		return 0, session.Fail(session.UserExists, errors.New("no integer id is left"))
	}
	d.store.lastIDs[app] = last + 1
	return last + 1, nil
}

// clone returns a copy of a, so that the caller and the store share no bytes.
func clone(a session.Account) session.Account {
	a.Claims = slices.Clone(a.Claims)
	return a
}
