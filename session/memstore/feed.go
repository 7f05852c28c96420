package memstore

import (
	"context"
	"slices"
	"time"

	"tokengate/session"
)

// heartbeat is how often a follower hears that there is no news.
const heartbeat = time.Second

// outbox keeps the endings that a follower may not have been told of yet.
type outbox struct {
	endings []posted
	trimmed uint64        // how many endings were there before endings[0]
	news    chan struct{} // closed at the next ending
}

type posted struct {
	session.Ending
	at time.Time
}

// publish adds an ending and wakes the followers.
func (s *Store) publish(e session.Ending, now time.Time) {
	s.endings = append(s.endings, posted{e, now})
	close(s.news)
	s.news = make(chan struct{})
}

// trim forgets the endings whose access tokens are all dead.
func (s *Store) trim(now time.Time) {
	n := 0
	for n < len(s.endings) && now.After(s.endings[n].at.Add(s.horizon)) {
		n++
	}
	s.endings = s.endings[n:] // append copies the rest some day, and lets go of the front
	s.trimmed += uint64(n)
}

// Follow is session.Feed's: it begins with the endings within the horizon,
// then tells each at once. Returns ctx's error.
func (s *Store) Follow(ctx context.Context, apps []string, sink session.Sink) error {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	var next uint64
	for {
		asOf := time.Now() // before reading: what is acknowledged by now is in the outbox
		endings, news := s.since(&next)
		for _, e := range endings {
			if slices.Contains(apps, e.App) {
				sink.Ended(e.Ending)
			}
		}
		sink.CaughtUp(asOf)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-news:
		case <-tick.C:
		}
	}
}

// since gives the endings from number next on, moves next behind them, and
// says where to wait for more.
func (s *Store) since(next *uint64) ([]posted, <-chan struct{}) {
	_, end := s.begin()
	defer end()
	from := max(*next, s.trimmed)
	*next = s.trimmed + uint64(len(s.endings))
	return slices.Clone(s.endings[from-s.trimmed:]), s.news
}
