package memstore

import (
	"slices"
	"time"

	"tokengate/session"
)

// room is what a login does about the owner's other sessions of the type.
type room struct {
	ended   []*record // to be removed
	evicted []*record
	latest  time.Time // when the newest of those that count toward the maximum was updated
}

// roomFor returns how a login gets a place beside the owner's sessions, except those that it
// ends for another reason. ok is false if it gets none.
func (s *Store) roomFor(step session.CreateStep, without []*record, now time.Time) (m room, ok bool) {
	if !step.Policy.Limit {
		return s.roomBelowCeiling(step, without, now)
	}
	var live []*record
	for _, r := range s.live(step.Owner, []session.Type{step.Session.Type}, now) {
		if _, expired := step.Policy.ExpiryCause(r.Session, now); expired || slices.Contains(without, r) {
			continue
		}
		live = append(live, r)
		if r.Updated.After(m.latest) {
			m.latest = r.Updated
		}
	}
	surplus, ok := step.Policy.Surplus(len(live))
	if surplus > 0 {
		sortRecords(live, session.ByUpdated)
		m.evicted = live[:surplus]
	}
	return m, ok
}

// roomBelowCeiling is roomFor under a policy without a maximum.
func (s *Store) roomBelowCeiling(step session.CreateStep, without []*record, now time.Time) (m room, ok bool) {
	o := s.owners[step.Owner]
	if o == nil || len(o.sessions) < session.MaxSessions {
		return m, true
	}
	var stored, live []*record
	for _, r := range o.sessions {
		if _, expired := session.ExpiryCause(r.Session, now); !expired && r.Type == step.Session.Type {
			stored = append(stored, r)
		}
	}
	sortRecords(stored, session.ByExpires)
	number, first := 0, stored[:min(len(stored), session.MaxEvicted)]
	for _, r := range stored {
		if !slices.Contains(without, r) {
			number++
		}
	}
	if number < session.MaxSessions {
		return m, true
	}
	for _, r := range first {
		if slices.Contains(without, r) {
			continue
		}
		_, ended := s.endCause(r, now)
		if _, expired := step.Policy.ExpiryCause(r.Session, now); ended || expired {
			m.ended = append(m.ended, r)
		} else {
			live = append(live, r)
		}
	}
	surplus, ok := step.Policy.Surplus(number - len(m.ended))
	ok = ok || len(live) == 0 // all that it has looked at have ended
	m.evicted = live[:min(surplus, len(live))]
	return m, ok
}

// withOtherCredential returns the owner's live sessions, of all types, that a login ends because
// they were created with another credential.
func (s *Store) withOtherCredential(step session.CreateStep, now time.Time) (changed []*record) {
	if step.RevokeChanged.IsZero() {
		return nil
	}
	for _, r := range s.live(step.Owner, session.Types, now) {
		if r.Created.Before(step.RevokeChanged.Truncate(time.Millisecond)) && !r.Credential.Matches(step.Session.Credential) {
			changed = append(changed, r)
		}
	}
	return changed
}
