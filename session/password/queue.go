package password

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"

	"tokengate/session"
)

// DefaultQueueWait is the longest time that a login waits in a [Queue] by default.
const DefaultQueueWait = 2 * time.Second

var errBusy = errors.New("too many passwords are being checked")

// Queue runs hashing on a bounded number of threads at a time, first come, first
// served. One Queue serves every app of a process.
type Queue struct {
	size   int64
	wait   time.Duration
	slots  *semaphore.Weighted
	worker *Worker
}

// NewQueue returns a queue that uses at most the given number of threads and in which
// work waits at most wait; 0 means [DefaultQueueWait]. Passwords are compared by w, or
// by this process if w is nil.
//
// If threads is 0, the queue uses one thread less than GOMAXPROCS, but at least one.
// One processor is left to everything else. Without a worker, a Go program whose
// processors are all computing polls the network only every 10 ms: under a burst of
// logins on two processors, one exchange with a neighbor takes 0.02 ms if one of them is
// free and 30 ms if none is, and a refresh makes several exchanges. The price is that
// processor's share of the logins.
//
// No queue can hold back a single hash that has more lanes than there are processors,
// such as Django's argon2 with its eight: it occupies all processors.
func NewQueue(threads int, wait time.Duration, w *Worker) *Queue {
	if threads <= 0 {
		threads = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if wait <= 0 {
		wait = DefaultQueueWait
	}
	return &Queue{size: int64(threads), wait: wait, slots: semaphore.NewWeighted(int64(threads)), worker: w}
}

// Do runs work, which keeps the given number of threads busy, as soon as they are free.
// Work that needs more threads than the queue has gets all of them. Do fails, without
// running work, with [session.Busy] if the work has waited for the queue's longest wait,
// and with [session.Unavailable] if ctx is done.
func (q *Queue) Do(ctx context.Context, threads int, work func()) error {
	width := min(max(int64(threads), 1), q.size)
	waiting, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	if err := q.slots.Acquire(waiting, width); err != nil {
		if ctx.Err() != nil {
			return session.Fail(session.Unavailable, ctx.Err())
		}
		return session.Fail(session.Busy, errBusy)
	}
	defer q.slots.Release(width)
	work()
	return nil
}

// Match waits for its turn and reports whether password, or its trimmed form, matches h
// and allowed is true. If allowed is false, the comparison takes the same time as one
// that fails. The errors are those of [Queue.Do].
func (q *Queue) Match(ctx context.Context, h Hash, password string, allowed bool) (matched bool, err error) {
	err = q.Do(ctx, h.threads(), func() { matched = q.worker.matches(h, password, allowed) })
	return matched, err
}

// Rehash returns a new hash of password, which must match h, or of its trimmed form if it
// is that which matches. It does not wait: since the new hash is not urgent, it fails with
// [session.Busy] if logins need the threads. It fails with [session.Unavailable] if ctx is
// done, or if the worker process fails.
func (q *Queue) Rehash(ctx context.Context, h Hash, password string) (encoded string, err error) {
	if ctx.Err() != nil {
		return "", session.Fail(session.Unavailable, ctx.Err())
	}
	width := int64(1)
	if len(Forms(password)) > 1 { // a comparison finds the one that matches
		width = min(int64(h.threads()), q.size)
	}
	if !q.slots.TryAcquire(width) {
		return "", session.Fail(session.Busy, errBusy)
	}
	defer q.slots.Release(width)
	return q.worker.rehash(h, password)
}
