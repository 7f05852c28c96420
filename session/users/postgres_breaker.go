package users

import (
	"sync"
	"time"
)

// breakerInterval is the time between two queries to a source that could not answer.
// Each of them may wait for the whole of Options.Timeout and occupies a connection
// meanwhile. One query a second is enough to notice soon that the source answers again.
const breakerInterval = time.Second

// circuitBreaker limits the queries to a source that does not answer. The zero value is
// closed: the source answers.
type circuitBreaker struct {
	mu        sync.Mutex
	err       error     // of the latest query; nil if it was answered
	queriedAt time.Time // when the latest query was sent
	openUntil time.Time
}

// allow returns nil if a query may be sent now, and the error of the latest query if not.
// When the interval has passed, it allows one query and starts the next interval at once,
// so that other callers do not wait for that query.
func (b *circuitBreaker) allow(now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		return nil
	}
	if now.Before(b.openUntil) {
		return b.err
	}
	b.openUntil = now.Add(breakerInterval)
	return nil
}

// record records that a query that was sent at queriedAt ended now: with err if there was
// no answer, with nil if there was one. It ignores a query that was sent earlier than one
// already recorded: that query may have waited on a connection that was broken long ago.
func (b *circuitBreaker) record(queriedAt, now time.Time, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !queriedAt.Before(b.queriedAt) {
		b.err, b.queriedAt, b.openUntil = err, queriedAt, now.Add(breakerInterval)
	}
}
