package credential

import (
	"context"
	"errors"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"

	"tokengate/session"
)

// DefaultWait is how long a login waits for its turn in a Lane.
const DefaultWait = 2 * time.Second

var errBusy = errors.New("too many passwords are being checked")

// Lane is where hashing runs: a bounded number of threads at a time, first
// come first served. One Lane serves every app of a process.
type Lane struct {
	size   int64
	wait   time.Duration
	free   *semaphore.Weighted
	worker *Worker
}

// NewLane makes a lane of that many threads, in which work waits for at most
// wait (0: DefaultWait), and whose passwords w compares (nil: this process).
//
// With threads 0 it has one less than GOMAXPROCS, and at least one. The one is
// left to everything else. Without a worker a Go program whose processors all
// compute looks at its network only every 10 ms: under a storm of logins on two
// processors, one exchange with a neighbour takes 0.02 ms with one of them free
// and 30 ms with none, and a refresh makes several. The price is that
// processor's share of the logins.
//
// No lane can hold back a single hash with more lanes of its own than there
// are processors, such as Django's argon2 with its eight: it takes them all.
func NewLane(threads int, wait time.Duration, w *Worker) *Lane {
	if threads <= 0 {
		threads = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if wait <= 0 {
		wait = DefaultWait
	}
	return &Lane{size: int64(threads), wait: wait, free: semaphore.NewWeighted(int64(threads)), worker: w}
}

// Do runs work, which keeps that many threads busy, when there is room for it;
// work that is wider than the lane gets the whole of it. Fails, without running
// work, with Busy after the lane's longest wait, Unavailable when ctx is done.
func (l *Lane) Do(ctx context.Context, threads int, work func()) error {
	width := min(max(int64(threads), 1), l.size)
	waiting, cancel := context.WithTimeout(ctx, l.wait)
	defer cancel()
	if err := l.free.Acquire(waiting, width); err != nil {
		if ctx.Err() != nil {
			return session.Fail(session.Unavailable, ctx.Err())
		}
		return session.Fail(session.Busy, errBusy)
	}
	defer l.free.Release(width)
	work()
	return nil
}

// match compares a password with a hash in its turn.
func (l *Lane) match(ctx context.Context, h stored, password string, allowed bool) (matched bool, err error) {
	err = l.Do(ctx, h.threads(), func() { matched = l.worker.matches(h, password, allowed) })
	return matched, err
}
