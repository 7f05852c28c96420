package memstore

import (
	"cmp"
	"context"
	"time"

	"tokengate/session"
)

// RevokeApp implements [session.Store]. Its cost does not depend on the number of
// sessions: later steps compare each session with the app's not-before, and purge
// frees each session when it would have expired.
func (s *Store) RevokeApp(_ context.Context, app string) (session.RevokeResult, error) {
	now, end := s.begin()
	defer end()
	at := now.Truncate(time.Millisecond)
	s.notBefore[app] = notBefore{step: s.steps, at: at}
	s.publish(session.Revocation{
		Owner:     session.Owner{App: app},
		Tombstone: session.Tombstone{Cause: session.CauseApp, At: at},
	}, now)
	return session.RevokeResult{Now: now}, nil
}

// Revoke implements [session.Store].
func (s *Store) Revoke(_ context.Context, step session.RevokeStep) (session.RevokeResult, error) {
	now, end := s.begin()
	defer end()
	if err := s.checkCaller(step.Owner, step.Caller, step.CheckUser, now); err != nil {
		return session.RevokeResult{}, err
	}
	r, err := s.find(step.Owner, step.ID, now)
	if session.CodeOf(err) == session.Expired {
		err = session.Fail(session.Unknown, nil)
	}
	if err != nil {
		return session.RevokeResult{}, err
	}
	return session.RevokeResult{Revoked: []session.Tombstone{s.revokeRecord(r, step.Cause, step.By, now)}, Now: now}, nil
}

// RevokeOthers implements [session.Store].
func (s *Store) RevokeOthers(_ context.Context, step session.RevokeOthersStep) (session.RevokeResult, error) {
	now, end := s.begin()
	defer end()
	if err := s.checkUser(step.Owner, step.CheckUser); err != nil {
		return session.RevokeResult{}, err
	}
	if step.Keep != "" && !s.keepIsValid(step, now) {
		return session.RevokeResult{}, session.Fail(session.Unknown, nil)
	}
	if err := s.checkCaller(step.Owner, step.Caller, false, now); err != nil {
		return session.RevokeResult{}, err
	}
	out := session.RevokeResult{Now: now}
	for _, r := range s.live(step.Owner, step.Types, now) {
		if r.ID != step.Keep {
			out.Revoked = append(out.Revoked, s.revokeRecord(r, step.Cause, step.By, now))
		}
	}
	return out, nil
}

// keepIsValid reports whether Keep's refresh token is good.
func (s *Store) keepIsValid(step session.RevokeOthersStep, now time.Time) bool {
	r, err := s.find(step.Owner, step.Keep, now)
	if err != nil {
		return false
	}
	switch step.KeepPolicy.Outcome(r.Session, step.KeepToken, now) {
	case session.OK, session.Healed, session.Retried:
		return true
	}
	return false
}

// Logout implements [session.Store].
func (s *Store) Logout(_ context.Context, step session.LogoutStep) (session.RevokeResult, error) {
	now, end := s.begin()
	defer end()
	r, _, err := s.checkToken(step.Owner, step.ID, step.Type, step.Presented, step.Policy, now)
	if err != nil {
		return session.RevokeResult{}, s.applyTokenError(r, err, now)
	}
	return session.RevokeResult{Revoked: []session.Tombstone{s.revokeRecord(r, cmp.Or(step.Cause, session.CauseLogout), "", now)}, Now: now}, nil
}
