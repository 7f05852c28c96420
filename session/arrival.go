package session

import (
	"context"
	"sync/atomic"
	"time"
)

// Arrival says when the request that a step belongs to was read. A [Store] that several
// instances share needs it: a client that gets no answer sends its request to another
// instance, and goes on from that one's answer. A step that this instance takes
// afterwards would check a token that is spent by now, or evict the client's new session.
type Arrival struct {
	Read    time.Time      // when the request was read
	Pauses  *PauseDetector // nil means that pauses of the process are not noticed
	Checked atomic.Int64   // how long its user was checked since, in ns, which does not count towards StepDelay
}

// StepDelay is the longest time, by the store's clock, from reading a request until a step
// of it begins. Later the step fails with Unavailable and changes nothing.
const StepDelay = time.Second

type arrivalKey struct{}

// WithArrival returns a context for the steps of a request.
func WithArrival(ctx context.Context, a *Arrival) context.Context {
	return context.WithValue(ctx, arrivalKey{}, a)
}

// AnyTime returns a context for a step that must complete an earlier one, however late.
func AnyTime(ctx context.Context) context.Context { return WithArrival(ctx, nil) }

// ArrivalFrom returns the Arrival of a context. It is nil for a step that belongs to no
// request, such as that of a command, which may begin at any time.
func ArrivalFrom(ctx context.Context) *Arrival {
	a, _ := ctx.Value(arrivalKey{}).(*Arrival)
	return a
}

// Latest returns the latest time, by this instance's clock, at which a step may begin.
func (a *Arrival) Latest() time.Time {
	return a.Read.Add(StepDelay + time.Duration(a.Checked.Load()))
}

// Interrupted reports whether the process was paused since the request was read, or
// while it may have been waiting to be read.
func (a *Arrival) Interrupted() bool { return a.Pauses != nil && a.Pauses.PausedSince(a.Read) }

// timedChecker is a Checker whose answers do not count towards StepDelay: a user source may
// take longer than that.
type timedChecker struct{ Checker }

// Check implements [Checker].
func (c timedChecker) Check(ctx context.Context, presented Credentials, found func(Found) error) (User, error) {
	defer addChecked(ctx, time.Now())
	return c.Checker.Check(ctx, presented, found)
}

// Recheck implements [Checker].
func (c timedChecker) Recheck(ctx context.Context, id UserID, fresh bool) (Status, error) {
	defer addChecked(ctx, time.Now())
	return c.Checker.Recheck(ctx, id, fresh)
}

// addChecked records that the user of a request was checked from start until now.
func addChecked(ctx context.Context, start time.Time) {
	if a := ArrivalFrom(ctx); a != nil {
		a.Checked.Add(int64(time.Since(start)))
	}
}
