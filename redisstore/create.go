package redisstore

import (
	"context"
	"errors"

	"tokengate/session"
)

// Create implements [session.Store]. It fails with Unavailable, and changes nothing, if
// the user has a session of this type whose ID begins with the same 10 characters.
func (s *Store) Create(ctx context.Context, step session.CreateStep) (session.CreateResult, error) {
	policy, created := step.Policy, step.Session
	if !created.ID.Valid() {
		return session.CreateResult{}, session.Fail(session.Internal, errors.New("invalid session ID: use session.NewID"))
	}
	types := []session.Type{created.Type}
	revokeChanged := !step.RevokeChanged.IsZero() && !created.Credential.IsZero()
	if revokeChanged {
		types = requestedFirst(types)
	}
	c := s.newStepCall(step.Owner, types...)
	c.addBool(step.CheckUser)
	c.add(string(created.ID))
	c.addMillis(policy.Lifetime)
	c.addMillis(policy.AbsoluteLifetime)
	c.addMillis(extendWithin(policy))
	if policy.Limit {
		c.addInt(int64(policy.Max))
	} else {
		c.add("")
	}
	c.addBool(policy.DestroyOldest && (policy.Max > 0 || !policy.Limit))
	c.add(created.Info)
	c.add(string(created.Claims))
	c.add(string(created.Secret[:]))
	c.add(string(created.Credential[:]))
	if revokeChanged {
		c.addInt(step.RevokeChanged.UnixMilli())
	} else {
		c.add("")
	}
	r, err := s.run(ctx, s.create, c, ownWrites)
	if err != nil {
		return session.CreateResult{}, err
	}
	now, err := r.session(&created)
	if err != nil {
		return session.CreateResult{}, err
	}
	revoked := r.tombstones(3, session.CauseEvicted, string(created.ID), now)
	revoked = append(revoked, r.tombstones(4, session.CauseAccount, "", now)...)
	return session.CreateResult{Session: created, Revoked: revoked, Now: now, Durability: r.replicas.written()}, nil
}
