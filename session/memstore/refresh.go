package memstore

import (
	"context"
	"time"

	"tokengate/session"
)

// Refresh implements [session.Store].
func (s *Store) Refresh(_ context.Context, step session.RefreshStep) (session.RefreshResult, error) {
	now, end := s.begin()
	defer end()
	r, code, err := s.checkToken(step.Owner, step.ID, step.Type, step.Presented, step.Policy, now)
	if err != nil {
		return session.RefreshResult{}, s.applyTokenError(r, err, now)
	}
	credential, claims := step.Credential, r.Claims
	if step.CheckUser {
		a := s.users[step.App][step.User]
		credential, claims = a.Credential, a.Claims
	}
	if err := s.checkAccount(step, r, credential); err != nil {
		if session.CauseOf(err) != "" {
			s.revokeRecord(r, session.CauseAccount, "", now)
		}
		return session.RefreshResult{}, err
	}
	moved := false
	if code == session.Retried {
		var ok bool
		if r.repeats, moved, ok = r.repeats.Add(step.Client); !ok {
			return session.RefreshResult{}, session.Fail(session.Throttled, nil)
		}
	} else {
		s.advance(r, step, now)
		if r.Credential.IsZero() {
			r.Credential = credential
		}
	}
	out := session.RefreshResult{Code: code, Moved: moved, Session: r.Session, Now: now}
	out.Session.Claims = claims
	return out, nil
}

// advance applies a refresh with a token that is not spent. If the generation then is not
// that of the step's own rotation, it is not known which client has spent the token before.
func (s *Store) advance(r *record, step session.RefreshStep, now time.Time) {
	before := r.Generation
	r.Session, _ = step.Policy.Refresh(r.Session, step.Presented, now)
	if r.Generation == step.Generation+1 {
		r.repeats = session.Repeats{Client: step.Client}
	} else if r.Generation != before {
		r.repeats = session.Repeats{}
	}
}

// checkAccount checks the user of a refresh with a good token, and their credential. An
// error with a cause means that the session must be revoked.
func (s *Store) checkAccount(step session.RefreshStep, r *record, credential session.Fingerprint) error {
	if err := s.checkUser(step.Owner, step.CheckUser); err != nil {
		return &session.Error{Code: session.CodeOf(err), Cause: session.CauseAccount}
	}
	switch {
	case r.Credential.Matches(credential):
		return nil
	case step.Tentative && !step.CheckUser:
		return session.Fail(session.CredentialChanged, nil)
	}
	return &session.Error{Code: session.CredentialChanged, Cause: session.CauseAccount}
}

// CheckToken implements [session.Store].
func (s *Store) CheckToken(_ context.Context, step session.RefreshStep) error {
	now, end := s.begin()
	defer end()
	r, code, err := s.checkToken(step.Owner, step.ID, step.Type, step.Presented, step.Policy, now)
	switch {
	case session.CodeOf(err) == session.Replayed, code == session.Retried:
		return session.Fail(session.Spent, nil)
	case err != nil:
		return err
	}
	if err := s.checkUser(step.Owner, step.CheckUser); err != nil {
		return err
	}
	credential := step.Credential
	if step.CheckUser {
		credential = s.users[step.App][step.User].Credential
	}
	if !r.Credential.Matches(credential) {
		return session.Fail(session.CredentialChanged, nil)
	}
	return nil
}

// checkToken finds the session of a refresh token, and returns it and the token's
// outcome under the policy: OK, Healed or Retried, or else an error. It changes nothing;
// see applyTokenError.
func (s *Store) checkToken(
	owner session.Owner, id session.ID, t session.Type, presented session.Presented, p session.Policy, now time.Time,
) (*record, session.Code, error) {

	r, err := s.find(owner, id, now)
	if code := session.CodeOf(err); code == session.Expired || session.CauseOf(err) == session.CauseApp {
		r = s.owners[owner].sessions[id] // still stored
	}
	switch {
	case r == nil:
		return nil, "", err
	case r.Type != t, r.Secret != presented.Secret:
		return nil, "", session.Fail(session.Unknown, nil)
	case session.CauseOf(err) == session.CauseApp:
		return nil, "", err
	}
	switch code := p.Outcome(r.Session, presented, now); code {
	case session.OK, session.Healed, session.Retried:
		return r, code, nil
	case session.Replayed:
		return r, "", &session.Error{Code: code, Cause: session.CauseReplay}
	case session.Expired:
		cause, _ := p.ExpiryCause(r.Session, now)
		return r, "", &session.Error{Code: code, Cause: cause}
	default:
		return r, "", session.Fail(code, nil)
	}
}

// applyTokenError does what a refresh or a logout does to a session when checkToken
// fails, and returns the error.
func (s *Store) applyTokenError(r *record, err error, now time.Time) error {
	switch session.CodeOf(err) {
	case session.Replayed:
		s.revokeRecord(r, session.CauseReplay, "", now)
	case session.Expired:
		s.remove(r)
	}
	return err
}
