package memstore

import (
	"context"
	"slices"
	"time"

	"tokengate/session"
)

// Live is session.Ledger's.
func (s *Store) Live(_ context.Context, owner session.Owner, id session.ID) error {
	now, end := s.begin()
	defer end()
	_, err := s.find(owner, id, now)
	return err
}

// Traces is session.Ledger's. Sessions that EndApp ended are in it for as long
// as they would have lived.
func (s *Store) Traces(_ context.Context, owner session.Owner) ([]session.Trace, error) {
	now, end := s.begin()
	defer end()
	h := s.holders[owner]
	if h == nil {
		return nil, nil
	}
	out := slices.Clone(h.traces)
	for _, r := range h.sessions {
		if _, past := session.Over(r.Session, now); past {
			continue
		}
		if cause, _ := s.over(r, now); cause == session.CauseApp {
			out = append(out, session.Trace{ID: r.ID, Cause: cause, At: s.epochs[owner.App].at})
		}
	}
	out = slices.DeleteFunc(out, func(t session.Trace) bool { return !now.Before(t.At.Add(traceLife)) })
	slices.SortStableFunc(out, func(a, b session.Trace) int { return b.At.Compare(a.At) })
	return out[:min(len(out), maxTraces)], nil
}

// EndApp is session.Ledger's. It costs the same however many sessions end:
// they are over by a comparison, and freed when their own time has come.
func (s *Store) EndApp(_ context.Context, app string) (session.Receipt, error) {
	now, end := s.begin()
	defer end()
	at := now.Truncate(time.Millisecond)
	s.epochs[app] = epoch{step: s.steps, at: at}
	s.publish(session.Ending{
		Owner: session.Owner{App: app},
		Trace: session.Trace{Cause: session.CauseApp, At: at},
	}, now)
	return session.Receipt{Now: now}, nil
}
