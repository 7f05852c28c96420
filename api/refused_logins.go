package api

import (
	"context"
	"time"
)

// refusedLogins holds back the answers to logins that a limit has refused. A client that
// repeats its login at once then costs little: such answers cost no password hash, so
// nothing else would slow the client down.
type refusedLogins struct {
	delay time.Duration
	held  chan struct{} // has an element for each answer that is held back
}

// How long an answer is held back, and how many are at a time. Further ones are sent at once.
const (
	refusalDelay = time.Second
	maxRefusals  = 1000
)

func newRefusedLogins(delay time.Duration) *refusedLogins {
	return &refusedLogins{delay, make(chan struct{}, maxRefusals)}
}

// hold waits until the answer may be sent, or the client has disconnected.
func (r *refusedLogins) hold(ctx context.Context) {
	select {
	case r.held <- struct{}{}:
	default:
		return
	}
	defer func() { <-r.held }()
	timer := time.NewTimer(r.delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
