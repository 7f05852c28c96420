package redisstore

import (
	"context"
	"encoding/binary"
	"time"

	"tokengate/session"
)

// Refresh implements [session.Store]. The result has a Durability only if the policy
// rotates tokens.
func (s *Store) Refresh(ctx context.Context, step session.RefreshStep) (session.RefreshResult, error) {
	c := s.newTokenCall(step.Owner, step.Type, step.CheckUser)
	c.addID(step.ID)
	c.addTerms(step)
	wait := noReplicas
	if step.Policy.Rotate {
		wait = ownWrites
	}
	r, err := s.run(ctx, s.refresh, c, wait)
	if err != nil {
		return session.RefreshResult{}, err
	}
	result := session.RefreshResult{Code: r.code, Session: session.Session{ID: step.ID, Type: step.Type}}
	moved, _ := element[int64](r.elements, 4)
	result.Moved = moved == 1
	if result.Now, err = r.session(&result.Session); err != nil {
		return session.RefreshResult{}, err
	}
	if result.Session.Generation != step.Generation {
		result.Durability = r.replicas.written()
	}
	return result, nil
}

// CheckToken implements [session.Store].
func (s *Store) CheckToken(ctx context.Context, step session.RefreshStep) error {
	c, keys := newCall(), s.schema.owner(step.Owner)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addAccount(c)
	keys.addData(c, step.Type)
	s.addFirstArgs(c, step.Owner)
	c.addID(step.ID)
	c.addTerms(step)
	_, err := s.run(ctx, s.checkToken, c, noReplicas)
	return err
}

// addTerms adds the argument that lua/include/terms.lua and refused_terms.lua unpack: the
// refresh token, and what it is checked against.
func (c *call) addTerms(step session.RefreshStep) {
	p, b := step.Policy, binary.BigEndian
	c.buf = b.AppendUint32(c.buf, step.Generation)
	c.buf = b.AppendUint64(c.buf, uint64(step.Expires.UnixMilli()))
	c.buf = append(c.buf, step.Secret[:]...)
	c.buf = b.AppendUint64(c.buf, uint64(p.Lifetime.Milliseconds()))
	c.buf = b.AppendUint64(c.buf, uint64(p.AbsoluteLifetime.Milliseconds()))
	c.buf = b.AppendUint64(c.buf, uint64(extendWithin(p).Milliseconds()))
	c.buf = append(c.buf, step.Credential[:]...)
	c.buf = append(c.buf, boolByte(step.CheckUser), boolByte(p.Rotate), boolByte(p.UpdateLastLogin))
	c.buf = append(c.buf, step.Client[:]...)
	c.buf = append(b.AppendUint32(c.buf, step.Generation+1), 0) // that of the next token, and no repeats of the last one
	c.buf = b.AppendUint32(c.buf, uint32(p.RetryWindow.Milliseconds()))
	c.buf = append(c.buf, boolByte(p.ReuseDetection), boolByte(step.Tentative))
	c.ends = append(c.ends, len(c.buf))
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// extendWithin returns the remaining time below which a refresh extends a session. It
// is 0 if the policy extends no session, and longer than any session lasts if the
// policy extends one at each refresh.
func extendWithin(p session.Policy) time.Duration {
	switch {
	case !p.Extend:
		return 0
	case p.ExtendEveryTime:
		return 2 * session.MaxAbsoluteLifetime
	}
	return p.ExtendOnceAfter
}
