package redisstore

import (
	"context"

	"tokengate/session"
)

// Live implements [session.Store].
func (s *Store) Live(ctx context.Context, o session.Owner, id session.ID) error {
	c, keys := newCall(), s.schema.owner(o)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	for _, t := range session.Types {
		keys.addData(c, t)
	}
	s.addFirstArgs(c, o)
	c.addID(id)
	_, err := s.run(ctx, s.live, c, false)
	return err
}
