package memstore

import (
	"context"
	"slices"

	"tokengate/session"
)

// Tombstones implements [session.Store]. Sessions that RevokeApp revoked are
// included until they would have expired.
func (s *Store) Tombstones(_ context.Context, owner session.Owner) ([]session.Tombstone, error) {
	now, end := s.begin()
	defer end()
	o := s.owners[owner]
	if o == nil {
		return nil, nil
	}
	out := slices.Clone(o.tombstones)
	for _, r := range o.sessions {
		if _, expired := session.ExpiryCause(r.Session, now); expired {
			continue
		}
		if cause, _ := s.endCause(r, now); cause == session.CauseApp {
			out = append(out, session.Tombstone{ID: r.ID, Cause: cause, At: s.notBefore[owner.App].at})
		}
	}
	out = slices.DeleteFunc(out, func(t session.Tombstone) bool { return !now.Before(t.At.Add(tombstoneLifetime)) })
	slices.SortStableFunc(out, func(a, b session.Tombstone) int { return b.At.Compare(a.At) })
	return out[:min(len(out), maxTombstones)], nil
}
