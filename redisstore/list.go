package redisstore

import (
	"context"
	"slices"

	"tokengate/session"
)

// List implements [session.Store].
func (s *Store) List(ctx context.Context, step session.ListStep) (session.ListResult, error) {
	c, keys := newCall(), s.schema.owner(step.Owner)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addAccount(c)
	keys.addTypes(c, requestedFirst(step.Types))
	s.addFirstArgs(c, step.Owner)
	c.addBool(step.CheckUser)
	c.addID(step.Caller)
	c.addInt(int64(len(step.Types)))
	r, err := s.run(ctx, s.list, c, noReplicas)
	if err != nil {
		return session.ListResult{}, err
	}
	return r.listResult(step)
}

// listResult reads the reply of lua/list.lua and drops the sessions that have expired
// or were revoked with their app.
func (r *reply) listResult(step session.ListStep) (result session.ListResult, err error) {
	if result.Now, err = r.now(); err != nil {
		return session.ListResult{}, err
	}
	var records []record
	for i, t := range step.Types {
		if records, err = r.appendSessions(records, 3+2*i, t); err != nil {
			return session.ListResult{}, err
		}
	}
	for _, rec := range records {
		if p, ok := step.Policies[rec.Type]; ok {
			rec.Session = p.Clamp(rec.Session)
		}
		if _, expired := session.ExpiryCause(rec.Session, result.Now); !expired && rec.notBefore >= r.notBefore() {
			result.Sessions = append(result.Sessions, rec.Session)
		}
	}
	slices.SortFunc(result.Sessions, session.ByCreated)
	return result, nil
}
