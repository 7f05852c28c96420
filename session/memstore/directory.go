package memstore

import (
	"cmp"
	"context"
	"slices"

	"tokengate/session"
)

// Find is session.Directory's.
func (s *Store) Find(_ context.Context, app, username string) (session.Account, error) {
	_, end := s.begin()
	defer end()
	for _, a := range s.users[app] {
		if a.Username == username {
			return clone(a), nil
		}
	}
	return session.Account{}, session.Fail(session.UserUnknown, nil)
}

// Account is session.Directory's.
func (s *Store) Account(_ context.Context, app string, id session.UserID) (session.Account, error) {
	_, end := s.begin()
	defer end()
	a, ok := s.users[app][id.String()]
	if !ok {
		return session.Account{}, session.Fail(session.UserUnknown, nil)
	}
	return clone(a), nil
}

// Put is session.Directory's.
func (s *Store) Put(_ context.Context, app string, a, was session.Account) (session.Durability, error) {
	_, end := s.begin()
	defer end()
	if err := was.Still(s.users[app][a.ID.String()]); err != nil {
		return session.NotAsked, err
	}
	for id, other := range s.users[app] {
		if other.Username == a.Username && id != a.ID.String() {
			return session.NotAsked, session.Fail(session.UserExists, nil)
		}
	}
	if s.users[app] == nil {
		s.users[app] = map[string]session.Account{}
	}
	s.users[app][a.ID.String()] = clone(a)
	return session.NotAsked, nil
}

// Accounts is session.Directory's.
func (s *Store) Accounts(_ context.Context, app string) ([]session.Account, error) {
	_, end := s.begin()
	defer end()
	var out []session.Account
	for _, a := range s.users[app] {
		out = append(out, clone(a))
	}
	slices.SortFunc(out, func(a, b session.Account) int { return cmp.Compare(a.Username, b.Username) })
	return out, nil
}

// Remove is session.Directory's.
func (s *Store) Remove(_ context.Context, app string, id session.UserID) (session.Durability, error) {
	_, end := s.begin()
	defer end()
	if _, ok := s.users[app][id.String()]; !ok {
		return session.NotAsked, session.Fail(session.UserUnknown, nil)
	}
	delete(s.users[app], id.String())
	return session.NotAsked, nil
}

// clone keeps the caller's bytes and the store's apart.
func clone(a session.Account) session.Account {
	a.Claims = slices.Clone(a.Claims)
	return a
}
