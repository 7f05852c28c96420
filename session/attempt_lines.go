package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// unsettledPart is the part of a budget that one process may use for attempts whose
// passwords are still being compared: a tenth. Each of them is counted as a failure until it
// is settled. So ten processes never refuse a right password only because many logins of one
// account or network come at once.
const unsettledPart = 10

// lineWait is how long a login waits for others of the same budget, as long as for its turn
// to have its password compared.
const lineWait = 2 * time.Second

var errLineWait = errors.New("too many logins of one account or network at once")

// attemptLines makes the logins of a budget wait while as many of them as the budget allows
// are unsettled. The zero value is ready for use, and it is safe for concurrent use.
type attemptLines struct {
	mu    sync.Mutex
	lines map[lineKey]*attemptLine // those that logins are in
}

// lineKey is the budget that a line belongs to.
type lineKey struct {
	app   string
	limit Limit
	key   string
}

// attemptLine is the line of one budget.
type attemptLine struct {
	unsettled chan struct{} // has one element for each unsettled attempt
	logins    int           // that are unsettled or wait; guarded by attemptLines.mu
}

// enter waits until a login may use its budget, and returns the function that lets the next
// one do so. It fails with Busy at the timeout, and with Unavailable if ctx is done.
func (l *attemptLines) enter(ctx context.Context, key lineKey, budget int, timeout <-chan time.Time) (leave func(), err error) {
	line := l.join(key, budget)
	select {
	case line.unsettled <- struct{}{}:
		return func() { <-line.unsettled; l.part(key, line) }, nil
	case <-ctx.Done():
		err = Fail(Unavailable, ctx.Err())
	case <-timeout:
		err = Fail(Busy, errLineWait)
	}
	l.part(key, line)
	return nil, err
}

// join adds a login to a line.
func (l *attemptLines) join(key lineKey, budget int) *attemptLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.lines[key]
	if line == nil {
		line = &attemptLine{unsettled: make(chan struct{}, max(budget/unsettledPart, 1))}
		if l.lines == nil {
			l.lines = map[lineKey]*attemptLine{}
		}
		l.lines[key] = line
	}
	line.logins++
	return line
}

// part takes a login out of a line, and removes the line if it was the last one.
func (l *attemptLines) part(key lineKey, line *attemptLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if line.logins--; line.logins == 0 {
		delete(l.lines, key)
	}
}
