package memstore

import (
	"cmp"
	"container/list"
	"slices"
	"time"

	"tokengate/session"
)

// holder gives the owner's holder, making it if need be.
func (s *Store) holder(owner session.Owner) *holder {
	h := s.holders[owner]
	if h == nil {
		h = &holder{owner: owner, sessions: map[session.ID]*record{}}
		s.holders[owner] = h
	}
	return h
}

// over tells whether r has ended without anybody having touched it since.
func (s *Store) over(r *record, now time.Time) (session.Cause, bool) {
	if r.began < s.epochs[r.owner.App].step {
		return session.CauseApp, true
	}
	return session.Over(r.Session, now)
}

// find gives a session that is not over; else Expired, Ended or Unknown.
func (s *Store) find(owner session.Owner, id session.ID, now time.Time) (*record, error) {
	h := s.holders[owner]
	if h == nil {
		return nil, session.Fail(session.Unknown, nil)
	}
	if r := h.sessions[id]; r != nil {
		cause, over := s.over(r, now)
		switch {
		case !over:
			return r, nil
		case cause == session.CauseApp:
			return nil, &session.Error{Code: session.Ended, Cause: cause}
		}
		return nil, &session.Error{Code: session.Expired, Cause: cause}
	}
	for _, t := range h.traces {
		if t.ID == id && now.Before(t.At.Add(traceLife)) {
			return nil, &session.Error{Code: session.Ended, Cause: t.Cause}
		}
	}
	return nil, session.Fail(session.Unknown, nil)
}

// live gives the owner's sessions of some types that are not over.
func (s *Store) live(owner session.Owner, types []session.Type, now time.Time) []*record {
	h := s.holders[owner]
	if h == nil {
		return nil
	}
	var out []*record
	for _, r := range h.sessions {
		if _, over := s.over(r, now); !over && slices.Contains(types, r.Type) {
			out = append(out, r)
		}
	}
	return out
}

func sortRecords(rs []*record, compare func(a, b session.Session) int) {
	slices.SortFunc(rs, func(a, b *record) int { return compare(a.Session, b.Session) })
}

// older orders sessions as a list shows them.
func older(a, b session.Session) int {
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
}

// allowed asks the directory for the owner where a step says so.
func (s *Store) allowed(owner session.Owner, check bool) error {
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

// admit lets a caller with an access token in: the user is active where that
// is asked, and the session that the token names is not over.
func (s *Store) admit(owner session.Owner, caller session.ID, check bool, now time.Time) error {
	if err := s.allowed(owner, check); err != nil || caller == "" {
		return err
	}
	if _, err := s.find(owner, caller, now); err != nil {
		return &session.Error{Code: session.TokenRevoked, Cause: session.CauseOf(err)}
	}
	return nil
}

// end ends a session: the record goes, a trace and an outbox entry come.
func (s *Store) end(r *record, cause session.Cause, by string, now time.Time) session.Trace {
	t := session.Trace{ID: r.ID, Cause: cause, By: by, At: now.Truncate(time.Millisecond)}
	h := s.holders[r.owner]
	if h.place == nil {
		h.place = s.bygone.PushBack(h)
	}
	s.bygone.MoveToBack(h.place)
	h.traces = append(h.traces, t)
	if over := len(h.traces) - maxTraces; over > 0 {
		h.traces = slices.Delete(h.traces, 0, over)
	}
	s.remove(r)
	s.publish(session.Ending{Owner: r.owner, Trace: t}, now)
	return t
}

// remove forgets a session, and its owner if that was all.
func (s *Store) remove(r *record) {
	s.round.Remove(r.place)
	h := s.holders[r.owner]
	delete(h.sessions, r.ID)
	s.release(h)
}

func (s *Store) release(h *holder) {
	if len(h.sessions) == 0 && len(h.traces) == 0 {
		delete(s.holders, h.owner)
	}
}

// sweep frees a little of what nobody will ask for again.
func (s *Store) sweep(now time.Time) {
	for range min(sweepWidth, s.round.Len()) {
		r := s.round.Front().Value.(*record)
		s.round.MoveToBack(r.place)
		if _, over := session.Over(r.Session, now.Add(-linger)); over {
			s.remove(r)
		}
	}
	for range sweepWidth {
		s.forget(s.bygone.Front(), now)
	}
	s.trim(now)
}

// forget drops the traces of the holder that has been without an ending for
// the longest, if that is long enough.
func (s *Store) forget(e *list.Element, now time.Time) {
	if e == nil {
		return
	}
	h := e.Value.(*holder)
	if now.Before(h.traces[len(h.traces)-1].At.Add(traceLife)) {
		return
	}
	s.bygone.Remove(e)
	h.place, h.traces = nil, nil
	s.release(h)
}
