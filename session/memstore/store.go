// Package memstore keeps sessions, users and endings in this process's memory:
// the store for trying the gateway out, and the model that every other store
// is compared with. One mutex makes every step atomic; the rules themselves are
// session.Policy's.
//
// Everything is gone when the process ends, and two processes share nothing.
// Memory is freed as steps run, a little at each: without any step at all
// nothing is freed, and nothing grows either.
package memstore

import (
	"cmp"
	"container/list"
	"context"
	"sync"
	"time"

	"tokengate/session"
)

// Options says how a Store keeps things. The zero value is good.
type Options struct {
	Now     func() time.Time // the store's clock; nil: time.Now
	Horizon time.Duration    // how far back a new Follow is told of endings, at least the longest access-token life; 0: an hour
}

const (
	maxTraces  = 32
	traceLife  = 7 * 24 * time.Hour
	horizon    = time.Hour
	linger     = time.Minute // for so long a session is still known to have expired
	sweepWidth = 2           // things looked at per step; above 1, so that freeing outruns creating
)

// Store is a session.Store, Ledger, Directory and Feed.
type Store struct {
	now     func() time.Time
	horizon time.Duration

	mu      sync.Mutex
	steps   uint64 // orders logins and epochs where the clock is too coarse to
	holders map[session.Owner]*holder
	round   *list.List // of *record: every session, in the order in which the sweep comes by
	bygone  *list.List // of *holder: those with traces, the longest without an ending first
	epochs  map[string]epoch
	users   map[string]map[string]session.Account // app → id as text → user
	outbox
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.Ledger    = (*Store)(nil)
	_ session.Directory = (*Store)(nil)
	_ session.Feed      = (*Store)(nil)
)

// holder is what is kept of one owner. It exists as long as it holds anything.
type holder struct {
	owner    session.Owner
	sessions map[session.ID]*record
	traces   []session.Trace // in the order of ending, at most maxTraces
	place    *list.Element   // in bygone; nil without traces
}

type record struct {
	session.Session
	owner session.Owner
	began uint64
	place *list.Element // in round
}

// epoch is the moment of an EndApp.
type epoch struct {
	step uint64
	at   time.Time
}

// New makes an empty Store.
func New(opts Options) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Horizon <= 0 {
		opts.Horizon = horizon
	}
	return &Store{
		now:     opts.Now,
		horizon: opts.Horizon,
		holders: map[session.Owner]*holder{},
		round:   list.New(),
		bygone:  list.New(),
		epochs:  map[string]epoch{},
		users:   map[string]map[string]session.Account{},
		outbox:  outbox{news: make(chan struct{})},
	}
}

// begin opens a step: nothing else happens until end is called.
func (s *Store) begin() (now time.Time, end func()) {
	s.mu.Lock()
	s.steps++
	now = s.now().UTC().Truncate(time.Microsecond)
	s.sweep(now)
	return now, s.mu.Unlock
}

// Create is session.Store's.
func (s *Store) Create(_ context.Context, step session.CreateStep) (session.Created, error) {
	now, end := s.begin()
	defer end()
	if step.Hash != "" {
		if s.users[step.App][step.User].Password != step.Hash {
			return session.Created{}, session.Fail(session.UserUnknown, nil)
		}
		if err := s.allowed(step.Owner, true); err != nil {
			return session.Created{}, err
		}
	}
	live := s.live(step.Owner, []session.Type{step.Session.Type}, now)
	surplus, ok := step.Policy.Surplus(len(live))
	if !ok {
		return session.Created{}, session.Fail(session.LimitReached, nil)
	}
	if surplus > 0 {
		sortRecords(live, session.LessRecent)
	}
	out := session.Created{Session: step.Policy.Start(step.Session, now), Now: now}
	for _, r := range live[:surplus] {
		out.Evicted = append(out.Evicted, s.end(r, session.CauseEvicted, string(step.Session.ID), now))
	}
	r := &record{Session: out.Session, owner: step.Owner, began: s.steps}
	r.place = s.round.PushBack(r)
	s.holder(step.Owner).sessions[r.ID] = r
	return out, nil
}

// Refresh is session.Store's.
func (s *Store) Refresh(_ context.Context, step session.RefreshStep) (session.Refreshed, error) {
	now, end := s.begin()
	defer end()
	if err := s.allowed(step.Owner, step.CheckUser); err != nil {
		return session.Refreshed{}, err
	}
	r, next, code, err := s.judge(step.Owner, step.ID, step.Type, step.Presented, step.Policy, now)
	if err != nil {
		return session.Refreshed{}, err
	}
	r.Session = next
	return session.Refreshed{Code: code, Session: next, Now: now}, nil
}

// judge finds a refresh token's session and runs the policy on it. It fails
// where the token is not good for its session, which a replay ends.
func (s *Store) judge(
	owner session.Owner, id session.ID, t session.Type, with session.Presented, p session.Policy, now time.Time,
) (*record, session.Session, session.Code, error) {
	r, err := s.find(owner, id, now)
	if session.CodeOf(err) == session.Expired {
		s.remove(s.holders[owner].sessions[id])
	}
	if err == nil && r.Type != t {
		err = session.Fail(session.Unknown, nil)
	}
	if err != nil {
		return nil, session.Session{}, "", err
	}
	next, code := p.Refresh(r.Session, with, now)
	switch code {
	case session.OK, session.Healed, session.Retried:
		return r, next, code, nil
	case session.Replayed:
		s.end(r, session.CauseReplay, "", now)
		return nil, next, "", &session.Error{Code: code, Cause: session.CauseReplay}
	}
	return nil, next, "", session.Fail(code, nil)
}

// List is session.Store's.
func (s *Store) List(_ context.Context, step session.ListStep) (session.Listed, error) {
	now, end := s.begin()
	defer end()
	if err := s.admit(step.Owner, step.Caller, step.CheckUser, now); err != nil {
		return session.Listed{}, err
	}
	live := s.live(step.Owner, step.Types, now)
	sortRecords(live, older)
	out := session.Listed{Now: now}
	for _, r := range live {
		out.Sessions = append(out.Sessions, r.Session)
	}
	return out, nil
}

// End is session.Store's.
func (s *Store) End(_ context.Context, step session.EndStep) (session.Receipt, error) {
	now, end := s.begin()
	defer end()
	if err := s.admit(step.Owner, step.Caller, step.CheckUser, now); err != nil {
		return session.Receipt{}, err
	}
	r, err := s.find(step.Owner, step.ID, now)
	if session.CodeOf(err) == session.Expired {
		err = session.Fail(session.Unknown, nil)
	}
	if err != nil {
		return session.Receipt{}, err
	}
	return session.Receipt{Ended: []session.Trace{s.end(r, step.Cause, step.By, now)}, Now: now}, nil
}

// EndOthers is session.Store's.
func (s *Store) EndOthers(_ context.Context, step session.EndOthersStep) (session.Receipt, error) {
	now, end := s.begin()
	defer end()
	if err := s.allowed(step.Owner, step.CheckUser); err != nil {
		return session.Receipt{}, err
	}
	if step.Keep != "" && !s.holds(step, now) {
		return session.Receipt{}, session.Fail(session.Unknown, nil)
	}
	if err := s.admit(step.Owner, step.Caller, false, now); err != nil {
		return session.Receipt{}, err
	}
	out := session.Receipt{Now: now}
	for _, r := range s.live(step.Owner, step.Types, now) {
		if r.ID != step.Keep {
			out.Ended = append(out.Ended, s.end(r, step.Cause, step.By, now))
		}
	}
	return out, nil
}

// holds tells whether the refresh token that step was given is current, ahead
// of its record, or spent within the retry window.
func (s *Store) holds(step session.EndOthersStep, now time.Time) bool {
	r, err := s.find(step.Owner, step.Keep, now)
	if err != nil {
		return false
	}
	return step.KeepGeneration >= r.Generation ||
		step.KeepGeneration+1 == r.Generation && now.Before(r.Rotated.Add(step.KeepWindow))
}

// Logout is session.Store's.
func (s *Store) Logout(_ context.Context, step session.LogoutStep) (session.Receipt, error) {
	now, end := s.begin()
	defer end()
	r, _, _, err := s.judge(step.Owner, step.ID, step.Type, step.Presented, step.Policy, now)
	if err != nil {
		return session.Receipt{}, err
	}
	return session.Receipt{Ended: []session.Trace{s.end(r, cmp.Or(step.Cause, session.CauseLogout), "", now)}, Now: now}, nil
}
