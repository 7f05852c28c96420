package memstore

import (
	"context"

	"tokengate/session"
)

// Live implements [session.Store].
func (s *Store) Live(_ context.Context, owner session.Owner, id session.ID) error {
	now, end := s.begin()
	defer end()
	_, err := s.find(owner, id, now)
	return err
}
