package memstore

import (
	"context"
	"slices"
	"time"

	"tokengate/session"
)

// heartbeat is how often Follow calls CaughtUp while there are no revocations.
const heartbeat = time.Second

// outbox holds the revocations of the last [Options.Retention].
type outbox struct {
	revocations []outboxEntry
	trimmed     uint64        // number of revocations removed from the front so far
	changed     chan struct{} // closed and replaced at each revocation
}

type outboxEntry struct {
	session.Revocation
	at time.Time
}

// publish adds a revocation and wakes the followers.
func (s *Store) publish(r session.Revocation, now time.Time) {
	s.revocations = append(s.revocations, outboxEntry{r, now})
	close(s.changed)
	s.changed = make(chan struct{})
}

// trim removes the revocations that are older than the retention: by then every
// access token of their sessions has expired.
func (s *Store) trim(now time.Time) {
	n := 0
	for n < len(s.revocations) && now.After(s.revocations[n].at.Add(s.retention)) {
		n++
	}
	s.revocations = s.revocations[n:] // the front is freed when a later append reallocates
	s.trimmed += uint64(n)
}

// Follow implements [session.Feed]. It first reports the revocations within the
// retention, then each further one at once. It returns the error of ctx.
func (s *Store) Follow(ctx context.Context, apps []string, sink session.Sink) error {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	var next uint64
	for {
		asOf := time.Now() // read before the outbox, which by then has every acknowledged revocation
		entries, changed := s.since(&next)
		for _, e := range entries {
			if slices.Contains(apps, e.App) {
				sink.Revoked(e.Revocation)
			}
		}
		sink.CaughtUp(asOf)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-ticker.C:
		}
	}
}

// since returns the revocations from number next on, and a channel that is closed
// when there are more. It sets next to the number of the first one to come.
func (s *Store) since(next *uint64) ([]outboxEntry, <-chan struct{}) {
	_, end := s.begin()
	defer end()
	from := max(*next, s.trimmed)
	*next = s.trimmed + uint64(len(s.revocations))
	return slices.Clone(s.revocations[from-s.trimmed:]), s.changed
}

// ExtendRetention keeps revocations for at least the given time from now on.
func (s *Store) ExtendRetention(least time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retention = max(s.retention, least)
}
