package session

import (
	"context"
	"sync"
	"time"
)

// lazyTimeout is a [context.Context] with a timeout that starts when Deadline,
// Done or Err is first called, which a function does only when it has to wait.
// Nearly all rechecks of a user are answered from memory, and a timer for each of
// them would cost every request to an app 0.7 µs and four allocations.
type lazyTimeout struct {
	context.Context // the parent
	timeout         time.Duration

	once   sync.Once
	timed  context.Context // the parent with the timeout; set by start or stop
	cancel context.CancelFunc
}

// newLazyTimeout returns a lazyTimeout. The caller must call stop in the end.
func newLazyTimeout(parent context.Context, timeout time.Duration) *lazyTimeout {
	return &lazyTimeout{Context: parent, timeout: timeout}
}

// start starts the timeout if it has not started yet.
func (c *lazyTimeout) start() context.Context {
	c.once.Do(func() { c.timed, c.cancel = context.WithTimeout(c.Context, c.timeout) })
	return c.timed
}

// stop releases the timer if the timeout has started. Otherwise it never starts.
func (c *lazyTimeout) stop() {
	c.once.Do(func() { c.timed, c.cancel = c.Context, func() {} })
	c.cancel()
}

// Deadline implements [context.Context] and starts the timeout.
func (c *lazyTimeout) Deadline() (time.Time, bool) { return c.start().Deadline() }

// Done implements [context.Context] and starts the timeout.
func (c *lazyTimeout) Done() <-chan struct{} { return c.start().Done() }

// Err implements [context.Context] and starts the timeout.
func (c *lazyTimeout) Err() error { return c.start().Err() }
