package password

import (
	"context"
	"runtime"
	"time"

	"tokengate/session"
	"tokengate/session/fairqueue"
)

// DefaultQueueWait is the longest time that a login waits in a [Queue] by default.
const DefaultQueueWait = fairqueue.DefaultWait

// Queue runs hashing on a bounded number of threads at a time, in fair turns: see package
// fairqueue, whose default bounds it has. One Queue serves every app of a process.
type Queue struct {
	size   int
	turns  *fairqueue.Queue
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
	turns := fairqueue.New(fairqueue.Options{Slots: threads, Wait: wait, Reason: "too many passwords are being checked"})
	return &Queue{size: threads, turns: turns, worker: w}
}

// Place is the place of one login in a [Queue].
type Place struct {
	*fairqueue.Place
	queue *Queue
}

// Enter gives a login that holds so many bytes a place, before its user is looked for. It is
// documented at [fairqueue.Queue.Enter].
func (q *Queue) Enter(ctx context.Context, c fairqueue.Client, bytes int) (context.Context, *Place, error) {
	ctx, p, err := q.turns.Enter(ctx, c, bytes)
	if err != nil {
		return ctx, nil, err
	}
	return ctx, &Place{p, q}, nil
}

// Match waits for the login's turn and reports whether password, or its trimmed form, matches
// h and allowed is true. If allowed is false, the comparison takes the same time as one
// that fails. The errors are those of [fairqueue.Place.Wait]; the code is Unavailable also if
// the worker process does not answer in time. A hash with more lanes than the queue has
// threads gets all of them.
func (p *Place) Match(ctx context.Context, h Hash, password string, allowed bool) (matched bool, err error) {
	if err := p.Wait(ctx, h.threads()); err != nil {
		return false, err
	}
	return p.queue.worker.matches(h, password, allowed)
}

// Do runs work of no app's login, such as the hash of a new password, when it is its turn. It
// keeps the given number of threads busy; more than the queue has means all of them. Do fails
// as [Queue.Enter] and [fairqueue.Place.Wait] do, without running work.
func (q *Queue) Do(ctx context.Context, threads int, work func()) error {
	ctx, p, err := q.Enter(ctx, fairqueue.Client{}, 0)
	if err != nil {
		return err
	}
	defer p.Leave()
	if err := p.Wait(ctx, threads); err != nil {
		return err
	}
	work()
	return nil
}

// Rehash returns a new hash of password, which must match h, or of its trimmed form if it
// is that which matches. It does not wait: since the new hash is not urgent, it fails with
// [session.Busy] if logins need the threads. It fails with [session.Unavailable] if ctx is
// done, or if the worker process fails.
func (q *Queue) Rehash(ctx context.Context, h Hash, password string) (encoded string, err error) {
	if ctx.Err() != nil {
		return "", session.Fail(session.Unavailable, ctx.Err())
	}
	threads := 1
	if len(Forms(password)) > 1 { // a comparison finds the one that matches
		threads = min(h.threads(), q.size)
	}
	if !q.turns.TryAcquire(threads) {
		return "", session.Fail(session.Busy, nil)
	}
	defer q.turns.Release(threads)
	return q.worker.rehash(h, password)
}
