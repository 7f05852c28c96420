package memstore

import (
	"context"

	"tokengate/session"
)

// Live implements [session.Store].
func (s *Store) Live(_ context.Context, step session.LiveStep) error {
	now, end := s.begin()
	defer end()
	r, err := s.find(step.Owner, step.ID, now)
	if err == nil && !r.Credential.Matches(step.Credential) {
		err = session.Fail(session.CredentialChanged, nil)
	}
	return err
}
