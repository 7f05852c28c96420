package redisstore

import (
	"cmp"
	"context"
	"sync"
	"time"

	"tokengate/session"
)

// Revoke implements [session.Store].
func (s *Store) Revoke(ctx context.Context, step session.RevokeStep) (session.RevokeResult, error) {
	c := s.newStepCall(step.Owner, session.Types...)
	c.addBool(step.CheckUser)
	c.addID(step.Caller)
	c.addID(step.ID)
	c.add(string(step.Cause))
	c.add(escapeRevokedBy(step.By))
	r, durability, err := s.runRevocation(ctx, s.revoke, c, alreadyRevoked)
	return r.revokeResult(step.ID, step.Cause, step.By, durability, err)
}

// Logout implements [session.Store].
func (s *Store) Logout(ctx context.Context, step session.LogoutStep) (session.RevokeResult, error) {
	cause := cmp.Or(step.Cause, session.CauseLogout)
	c := s.newTokenCall(step.Owner, step.Type, false)
	c.addID(step.ID)
	c.addTerms(session.RefreshStep{Presented: step.Presented, Policy: step.Policy})
	c.add(string(cause))
	r, durability, err := s.runRevocation(ctx, s.logout, c, alreadyRevoked)
	return r.revokeResult(step.ID, cause, "", durability, err)
}

// runRevocation runs a step that revokes sessions, and returns its durability. If done reports
// that the step has found its work done, as when a client repeats a request, it runs once
// more with a proof: the replicas may have the revocation by now.
func (s *Store) runRevocation(ctx context.Context, sc *script, c *call, done func(*reply, error) bool) (reply, session.Durability, error) {
	r, err := s.run(ctx, sc, c, ownWrites)
	switch {
	case s.options.WaitReplicas == 0 || err != nil && !done(&r, err):
		return r, session.NotRequested, err
	case !done(&r, err):
		return r, r.replicas.written(), nil
	}
	if r.replicas.state != nil {
		r.replicas.state.waitNext()
	}
	proven, provenErr := s.run(ctx, sc, c, proof)
	if session.CodeOf(provenErr) == session.Unavailable {
		return r, session.Pending, err
	}
	return proven, session.Replicated, provenErr
}

// alreadyRevoked reports whether a step has failed because its session was revoked before.
func alreadyRevoked(_ *reply, err error) bool { return session.CodeOf(err) == session.Revoked }

// revokeResult returns the result of a script that revoked one session, or its error.
func (r *reply) revokeResult(id session.ID, cause session.Cause, by string, d session.Durability, err error) (session.RevokeResult, error) {
	if err != nil {
		return session.RevokeResult{Durability: d}, err
	}
	now, err := r.now()
	revoked := []session.Tombstone{{ID: id, Cause: cause, By: by, At: now.Truncate(time.Millisecond)}}
	return session.RevokeResult{Revoked: revoked, Now: now, Durability: d}, err
}

// RevokeOthers implements [session.Store].
func (s *Store) RevokeOthers(ctx context.Context, step session.RevokeOthersStep) (session.RevokeResult, error) {
	c := s.newStepCall(step.Owner, requestedFirst(step.Types)...)
	c.addBool(step.CheckUser)
	c.addID(step.Caller)
	c.addInt(int64(len(step.Types)))
	c.add(string(step.Cause))
	c.add(escapeRevokedBy(step.By))
	c.addID(step.Keep)
	c.addTerms(session.RefreshStep{Presented: step.KeepToken, Policy: step.KeepPolicy})
	r, durability, err := s.runRevocation(ctx, s.revokeOthers, c, func(r *reply, err error) bool {
		revoked, _ := element[[]any](r.elements, 2)
		number, _ := element[int64](r.elements, 3)
		return err == nil && len(revoked) == 0 && number == 0
	})
	if err != nil {
		return session.RevokeResult{}, err
	}
	now, err := r.now()
	result := session.RevokeResult{Revoked: r.tombstones(2, step.Cause, step.By, now), Now: now, Durability: durability}
	if n, ok := element[int64](r.elements, 3); ok && n > 0 {
		t := session.Tombstone{Cause: step.Cause, By: step.By, At: now.Truncate(time.Millisecond)}
		result.Number, result.Many = int(n), &session.Revocation{Owner: step.Owner, Tombstone: t, Keep: step.Keep}
	}
	return result, err
}

// RevokeApp implements [session.Store]. An app's keys are in many slots, so it runs
// one script per bucket. If some buckets cannot be reached, it fails with Unavailable,
// the sessions of the others are revoked, and a retry is safe. The result does not
// list the sessions.
func (s *Store) RevokeApp(ctx context.Context, app string) (session.RevokeResult, error) {
	var wg sync.WaitGroup
	results, errs := make([]session.RevokeResult, buckets), make([]error, buckets)
	for n := range uint32(buckets) {
		wg.Go(func() { results[n], errs[n] = s.revokeBucket(ctx, app, n) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return session.RevokeResult{}, err
		}
	}
	all := results[0]
	for _, r := range results {
		if r.Now.After(all.Now) {
			all.Now = r.Now
		}
		all.Durability = all.Durability.And(r.Durability)
	}
	return all, nil
}

// revokeBucket revokes the sessions of one bucket. Its revocation names no user, and
// so applies to the whole app.
func (s *Store) revokeBucket(ctx context.Context, app string, n uint32) (session.RevokeResult, error) {
	c, keys := newCall(), s.schema.bucket(app, n)
	keys.addNotBefore(c)
	keys.addTombstones(c)
	keys.addRevocations(c)
	s.addFirstArgs(c, session.Owner{App: app})
	c.addMillis(s.options.NotBeforeLifetime)
	r, err := s.run(ctx, s.revokeApp, c, ownWrites)
	if err != nil {
		return session.RevokeResult{}, err
	}
	now, err := r.now()
	return session.RevokeResult{Now: now, Durability: r.replicas.written()}, err
}
