package session

import (
	"context"
	"time"
)

// Arrival says when the request that a step belongs to was read. A [Store] that several
// instances share needs it: a client that gets no answer sends its request to another
// instance, and goes on from that one's answer. A step that this instance takes
// afterwards would check a token that is spent by now, or evict the client's new session.
type Arrival struct {
	Read    time.Time      // when the request was read
	Checked time.Duration  // how long the user source took since; it does not count towards StepDelay
	Pauses  *PauseDetector // nil means that pauses of the process are not noticed
}

// StepDelay is the longest time, by the store's clock, from reading a request until a step
// of it begins. Later the step fails with Unavailable and changes nothing.
const StepDelay = time.Second

type arrivalKey struct{}

// WithArrival returns a context for the steps of a request.
func WithArrival(ctx context.Context, a Arrival) context.Context {
	return context.WithValue(ctx, arrivalKey{}, a)
}

// AnyTime returns a context for a step that must complete an earlier one, however late.
func AnyTime(ctx context.Context) context.Context { return context.WithValue(ctx, arrivalKey{}, nil) }

// ArrivalFrom returns the Arrival of a context. ok is false for a step that belongs to no
// request, such as that of a command, which may begin at any time.
func ArrivalFrom(ctx context.Context) (a Arrival, ok bool) {
	a, ok = ctx.Value(arrivalKey{}).(Arrival)
	return a, ok
}

// Latest returns the latest time, by this instance's clock, at which a step may begin.
func (a Arrival) Latest() time.Time { return a.Read.Add(StepDelay + a.Checked) }

// Interrupted reports whether the process was paused since the request was read, or
// while it may have been waiting to be read.
func (a Arrival) Interrupted() bool { return a.Pauses != nil && a.Pauses.PausedSince(a.Read) }

// withoutCheck returns ctx with the time that a user source took not counted. A short time
// does not matter.
func withoutCheck(ctx context.Context, took time.Duration) context.Context {
	a, ok := ArrivalFrom(ctx)
	if !ok || took < StepDelay/100 {
		return ctx
	}
	a.Checked += took
	return WithArrival(ctx, a)
}
