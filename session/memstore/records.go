package memstore

import (
	"container/list"
	"slices"
	"time"

	"tokengate/session"
)

// ownerState returns the state of an owner and creates it if there is none.
func (s *Store) ownerState(owner session.Owner) *ownerState {
	o := s.owners[owner]
	if o == nil {
		o = &ownerState{owner: owner, sessions: map[session.ID]*record{}}
		s.owners[owner] = o
	}
	return o
}

// endCause reports whether r has ended although it is still stored, and why:
// CauseApp, CauseExpired or CauseAbsolute.
func (s *Store) endCause(r *record, now time.Time) (session.Cause, bool) {
	if r.createdAtStep < s.notBefore[r.owner.App].step {
		return session.CauseApp, true
	}
	return session.ExpiryCause(r.Session, now)
}

// find returns a live session. It fails with Expired, Revoked or Unknown.
func (s *Store) find(owner session.Owner, id session.ID, now time.Time) (*record, error) {
	o := s.owners[owner]
	if o == nil {
		return nil, session.Fail(session.Unknown, nil)
	}
	if r := o.sessions[id]; r != nil {
		cause, ended := s.endCause(r, now)
		switch {
		case !ended:
			return r, nil
		case cause == session.CauseApp:
			return nil, &session.Error{Code: session.Revoked, Cause: cause}
		}
		return nil, &session.Error{Code: session.Expired, Cause: cause}
	}
	for _, t := range o.tombstones {
		if t.ID == id && now.Before(t.At.Add(tombstoneLifetime)) {
			return nil, &session.Error{Code: session.Revoked, Cause: t.Cause}
		}
	}
	return nil, session.Fail(session.Unknown, nil)
}

// live returns the owner's live sessions of the given types, in no particular order.
func (s *Store) live(owner session.Owner, types []session.Type, now time.Time) []*record {
	o := s.owners[owner]
	if o == nil {
		return nil
	}
	var out []*record
	for _, r := range o.sessions {
		if _, ended := s.endCause(r, now); !ended && slices.Contains(types, r.Type) {
			out = append(out, r)
		}
	}
	return out
}

func sortRecords(rs []*record, compare func(a, b session.Session) int) {
	slices.SortFunc(rs, func(a, b *record) int { return compare(a.Session, b.Session) })
}

// checkUser checks, if check is set, that the owner is an active user of the
// directory. It fails with UserUnknown or UserInactive.
func (s *Store) checkUser(owner session.Owner, check bool) error {
	if !check {
		return nil
	}
	a, ok := s.users[owner.App][owner.User]
	switch {
	case !ok:
		return session.Fail(session.UserUnknown, nil)
	case !a.Active:
		return session.Fail(session.UserInactive, nil)
	}
	return nil
}

// checkCaller checks the holder of an access token: that the user is active, if
// check is set, and that the token's session is live, unless caller is empty.
func (s *Store) checkCaller(owner session.Owner, caller session.ID, check bool, now time.Time) error {
	if err := s.checkUser(owner, check); err != nil || caller == "" {
		return err
	}
	if _, err := s.find(owner, caller, now); err != nil {
		return &session.Error{Code: session.TokenRevoked, Cause: session.CauseOf(err)}
	}
	return nil
}

// revokeRecord replaces a session by a tombstone and publishes the revocation.
func (s *Store) revokeRecord(r *record, cause session.Cause, by string, now time.Time) session.Tombstone {
	t := session.Tombstone{ID: r.ID, Cause: cause, By: by, At: now.Truncate(time.Millisecond)}
	o := s.owners[r.owner]
	if o.element == nil {
		o.element = s.revokedOwners.PushBack(o)
	}
	s.revokedOwners.MoveToBack(o.element)
	o.tombstones = append(o.tombstones, t)
	if surplus := len(o.tombstones) - maxTombstones; surplus > 0 {
		o.tombstones = slices.Delete(o.tombstones, 0, surplus)
	}
	s.remove(r)
	s.publish(session.Revocation{Owner: r.owner, Tombstone: t}, now)
	return t
}

// remove deletes a session, and the state of its owner if nothing else is in it.
func (s *Store) remove(r *record) {
	s.purgeOrder.Remove(r.element)
	o := s.owners[r.owner]
	delete(o.sessions, r.ID)
	s.removeIfEmpty(o)
}

func (s *Store) removeIfEmpty(o *ownerState) {
	if len(o.sessions) == 0 && len(o.tombstones) == 0 {
		delete(s.owners, o.owner)
	}
}

// purge frees the memory of a few expired sessions and old tombstones, and of the
// revocations older than the retention.
func (s *Store) purge(now time.Time) {
	for range min(purgeBatch, s.purgeOrder.Len()) {
		r := s.purgeOrder.Front().Value.(*record)
		s.purgeOrder.MoveToBack(r.element)
		if _, expired := session.ExpiryCause(r.Session, now.Add(-purgeDelay)); expired {
			s.remove(r)
		}
	}
	for range purgeBatch {
		s.purgeTombstones(s.revokedOwners.Front(), now)
	}
	s.trim(now)
}

// purgeTombstones removes the tombstones of one owner once the latest of them is
// older than tombstoneLifetime. It does nothing if e is nil.
func (s *Store) purgeTombstones(e *list.Element, now time.Time) {
	if e == nil {
		return
	}
	o := e.Value.(*ownerState)
	if now.Before(o.tombstones[len(o.tombstones)-1].At.Add(tombstoneLifetime)) {
		return
	}
	s.revokedOwners.Remove(e)
	o.element, o.tombstones = nil, nil
	s.removeIfEmpty(o)
}
