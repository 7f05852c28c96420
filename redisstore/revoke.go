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
	r, err := s.run(ctx, s.revoke, c, true)
	if err != nil {
		return session.RevokeResult{}, err
	}
	return r.revokeResult(step.ID, step.Cause, step.By)
}

// Logout implements [session.Store].
func (s *Store) Logout(ctx context.Context, step session.LogoutStep) (session.RevokeResult, error) {
	cause := cmp.Or(step.Cause, session.CauseLogout)
	c := s.newTokenCall(step.Owner, step.Type, false)
	c.addID(step.ID)
	c.addTerms(session.RefreshStep{Presented: step.Presented, Policy: step.Policy})
	c.add(string(cause))
	r, err := s.run(ctx, s.logout, c, true)
	if err != nil {
		return session.RevokeResult{}, err
	}
	return r.revokeResult(step.ID, cause, "")
}

// revokeResult reads the reply of a script that revoked one session.
func (r *reply) revokeResult(id session.ID, cause session.Cause, by string) (session.RevokeResult, error) {
	now, err := r.now()
	revoked := []session.Tombstone{{ID: id, Cause: cause, By: by, At: now.Truncate(time.Millisecond)}}
	return session.RevokeResult{Revoked: revoked, Now: now, Durability: r.durability}, err
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
	r, err := s.run(ctx, s.revokeOthers, c, true)
	if err != nil {
		return session.RevokeResult{}, err
	}
	now, err := r.now()
	result := session.RevokeResult{Revoked: r.tombstones(2, step.Cause, step.By, now), Now: now}
	if len(result.Revoked) > 0 {
		result.Durability = r.durability
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
	r, err := s.run(ctx, s.revokeApp, c, true)
	if err != nil {
		return session.RevokeResult{}, err
	}
	now, err := r.now()
	return session.RevokeResult{Now: now, Durability: r.durability}, err
}
