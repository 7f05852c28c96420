package session

import (
	"context"
	"time"
)

// Feed brings the revocations of all instances to this one.
type Feed interface {
	// Follow reports the revocations of some apps to sink: first those within the
	// outbox's retention, then each new one. It reconnects by itself, and returns
	// ctx's error when ctx is done.
	Follow(ctx context.Context, apps []string, sink Sink) error
}

// Sink receives what a [Feed] reports. A Feed calls its methods from one goroutine
// at a time. They must not block.
type Sink interface {
	// Revoked reports a revocation. Each is reported at least once, in no
	// particular order.
	Revoked(Revocation)

	// Restart begins the report anew: the store may have lost some of what was reported, as
	// in a failover. What is not reported again before the next CaughtUp does not hold.
	Restart()

	// CaughtUp reports that every revocation that was acknowledged before asOf has
	// been reported. asOf is a time of this instance with a monotonic clock
	// reading.
	CaughtUp(asOf time.Time)
}

// Revocation is one revocation as the outbox has it. If ID is empty, it is of many
// sessions, which were created before At: of any sessions of the owner except Keep, or,
// if User is empty too, of every session of the app.
type Revocation struct {
	Owner
	Tombstone
	Keep ID // empty if no session was kept, or if ID is set
}
