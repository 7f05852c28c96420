// Package memstore keeps sessions, users, revocations and failed logins in this process's
// memory. It is the store for trying the gateway out, and the model that every other store
// is compared with. One mutex makes every step atomic; the rules themselves are in
// [session.Policy].
//
// All data is lost when the process ends, and two processes share nothing. Each step
// frees a little of the memory that is no longer needed. Without steps nothing is
// freed, but nothing grows either.
package memstore

import (
	"container/list"
	"context"
	"sync"
	"time"

	"tokengate/session"
)

// Options configures a Store. The zero value is valid.
type Options struct {
	// Now is the store's clock. Nil means time.Now.
	Now func() time.Time
	// Retention is how long the revocation outbox is kept: a new Follow starts with the
	// revocations of that time. It must be at least the longest lifetime of an access
	// token. Zero means one hour.
	Retention time.Duration
}

const (
	maxTombstones     = 32 // per owner
	tombstoneLifetime = 7 * 24 * time.Hour
	defaultRetention  = time.Hour
	purgeDelay        = time.Minute // how long an expired session is kept, and reported as Expired
	purgeBatch        = 2           // sessions, and owners, that each step checks; above 1, so that purging outruns creating
)

// Store implements [session.Store] and [session.Feed].
type Store struct {
	now func() time.Time

	mu            sync.Mutex
	retention     time.Duration
	steps         uint64 // numbers the steps: orders Create and RevokeApp at equal times of the clock
	owners        map[session.Owner]*ownerState
	purgeOrder    *list.List // of *record: every session, in the order in which purge checks them
	revokedOwners *list.List // of *ownerState: those with tombstones, in the order of their latest revocations
	notBefore     map[string]notBefore
	users         map[string]map[string]session.Account // app → id as text → user
	lastIDs       map[string]int64                      // app → the highest number that NextID has returned
	outbox

	limiter *Limiter
}

var (
	_ session.Store = (*Store)(nil)
	_ session.Feed  = (*Store)(nil)
)

// ownerState holds the sessions and tombstones of one owner. It is removed when it is empty.
type ownerState struct {
	owner      session.Owner
	sessions   map[session.ID]*record
	tombstones []session.Tombstone // the oldest first, at most maxTombstones
	element    *list.Element       // in revokedOwners; nil without tombstones
}

type record struct {
	session.Session
	repeats       session.Repeats
	owner         session.Owner
	createdAtStep uint64        // Store.steps at Create
	element       *list.Element // in purgeOrder
}

// notBefore is the moment of an app's last RevokeApp: sessions created at an earlier
// step are revoked.
type notBefore struct {
	step uint64
	at   time.Time
}

// New returns an empty Store.
func New(opts Options) *Store {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Retention <= 0 {
		opts.Retention = defaultRetention
	}
	return &Store{
		now:           opts.Now,
		retention:     opts.Retention,
		owners:        map[session.Owner]*ownerState{},
		purgeOrder:    list.New(),
		revokedOwners: list.New(),
		notBefore:     map[string]notBefore{},
		users:         map[string]map[string]session.Account{},
		lastIDs:       map[string]int64{},
		outbox:        outbox{changed: make(chan struct{})},
		limiter:       newLimiter(opts.Now),
	}
}

// begin starts a step. No other step runs until end is called.
func (s *Store) begin() (now time.Time, end func()) {
	s.mu.Lock()
	s.steps++
	now = s.now().UTC().Truncate(time.Microsecond)
	s.purge(now)
	return now, s.mu.Unlock
}

// Create implements [session.Store].
func (s *Store) Create(_ context.Context, step session.CreateStep) (session.CreateResult, error) {
	now, end := s.begin()
	defer end()
	if step.CheckUser {
		if a, ok := s.users[step.App][step.User]; !ok || a.Credential != step.Session.Credential {
			return session.CreateResult{}, session.Fail(session.UserUnknown, nil)
		}
		if err := s.checkUser(step.Owner, true); err != nil {
			return session.CreateResult{}, err
		}
	}
	changed := s.withOtherCredential(step, now)
	room, ok := s.roomFor(step, changed, now)
	if !ok {
		return session.CreateResult{}, session.Fail(session.LimitReached, nil)
	}
	out := session.CreateResult{Session: step.Policy.StartAfter(room.latest, step.Session, now), Now: now}
	for _, r := range room.ended {
		s.remove(r)
	}
	for _, r := range changed {
		out.Revoked = append(out.Revoked, s.revokeRecord(r, session.CauseAccount, "", now))
	}
	for _, r := range room.evicted {
		out.Revoked = append(out.Revoked, s.revokeRecord(r, session.CauseEvicted, string(step.Session.ID), now))
	}
	r := &record{Session: out.Session, owner: step.Owner, createdAtStep: s.steps}
	r.element = s.purgeOrder.PushBack(r)
	s.ownerState(step.Owner).sessions[r.ID] = r
	return out, nil
}

// List implements [session.Store].
func (s *Store) List(_ context.Context, step session.ListStep) (session.ListResult, error) {
	now, end := s.begin()
	defer end()
	if err := s.checkCaller(step.Owner, step.Caller, step.CheckUser, now); err != nil {
		return session.ListResult{}, err
	}
	live := s.live(step.Owner, step.Types, now)
	sortRecords(live, session.ByCreated)
	out := session.ListResult{Now: now}
	for _, r := range live {
		shown, ended := r.Session, false
		if p, ok := step.Policies[r.Type]; ok {
			shown = p.Clamp(shown)
			_, ended = session.ExpiryCause(shown, now)
		}
		if !ended {
			out.Sessions = append(out.Sessions, shown)
		}
	}
	return out, nil
}

// Ready implements [session.Store]. Memory can always be written.
func (s *Store) Ready(context.Context, session.Owner) error { return nil }

// ClockOffset implements [session.Store]. The store's clock is the instance's.
func (s *Store) ClockOffset(context.Context, session.Owner) (time.Duration, error) { return 0, nil }
