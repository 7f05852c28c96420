package redisstore

import (
	"context"

	"tokengate/session"
)

// Live implements [session.Store]. With Options.WaitReplicas it fails with Unavailable
// unless replicas confirm that the server is the primary: one that a failover has replaced
// may not have received that yet.
func (s *Store) Live(ctx context.Context, step session.LiveStep) error {
	c, keys := newCall(), s.schema.owner(step.Owner)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	for _, t := range session.Types {
		keys.addData(c, t)
	}
	s.addFirstArgs(c, step.Owner)
	c.addID(step.ID)
	c.add(string(step.Credential[:]))
	_, err := s.run(ctx, s.live, c, proof)
	return err
}
