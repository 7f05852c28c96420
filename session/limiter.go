package session

import (
	"context"
	"time"
)

// Limiter counts failed logins for all instances, so that passwords can't be guessed.
// Package storetest tests that an implementation keeps the contract that is written here.
//
// Each method uses a budget in one atomic step; two budgets of one method may change one
// after the other. All times are those of the Limiter's own clock. Every error is an
// [*Error]. Unavailable means that the Limiter can't tell, and that it may have counted.
type Limiter interface {
	// Reserve takes one attempt from each budget of a login, before its password is
	// compared: otherwise more attempts than a budget allows could be on their way at the
	// same time. If a budget is used up, it fails with Throttled, the [Limit] and the
	// time after which that budget allows another attempt; of two, the later one. The
	// budgets are then as if the attempt had not been made, and the refusal is counted for
	// Refusals.
	Reserve(ctx context.Context, a Attempt) error

	// Succeed ends the row of failures that a reserved attempt belongs to, and gives the
	// attempt back to its network.
	Succeed(ctx context.Context, a Attempt) error

	// Release gives a reserved attempt back to each budget, because no password was
	// compared.
	Release(ctx context.Context, a Attempt) error

	// Forget ends the row of failures of an account.
	Forget(ctx context.Context, app, account string) error

	// Refusals returns which accounts, devices and networks of an app were refused in about
	// the last hour, the most often refused first, and at most MaxRefusals of them. Where
	// many were refused, those that were refused least may be left out.
	Refusals(ctx context.Context, app string) ([]Refusals, error)
}

// MaxRefusals is how many entries [Limiter].Refusals returns at most.
const MaxRefusals = 100

// Attempt is one login, as a [Limiter] counts it. A login from a known device uses the
// budget of the device only, so that failures elsewhere can't keep its user out.
type Attempt struct {
	App     string
	Account string // AccountKey of the username as the client sent it
	Device  string // Device.ID of a known device; empty means that the device is not known
	Network string // of the client; empty means that it is not known, and has no budget

	Failures     FailureLimit // of Account, or of Device if that is set
	NetworkLimit RateLimit    // of Network
}

// Limit names what a budget of failed logins belongs to.
type Limit string

// The limits. The user source may have limits of its own, which are not among them.
const (
	LimitAccount Limit = "account" // of an account, without its known devices
	LimitDevice  Limit = "device"  // of one known device of an account
	LimitNetwork Limit = "network" // of the network that a client is in
)

// Refusals counts the logins that a limit has refused.
type Refusals struct {
	Limit Limit
	Key   string // Attempt.Account, Attempt.Device or Attempt.Network
	Count int
}

// FailureLimit is a limit of failures in a row. After that many, one attempt is allowed
// after a wait, which doubles each time.
type FailureLimit int

// The waits of a [FailureLimit].
const (
	FirstFailureWait = time.Minute
	LastFailureWait  = 24 * time.Hour
)

// failureMemory is how long each failure in a row makes it remembered. So a row that is
// interrupted allows no more guesses in the long run than the longest wait does.
const failureMemory = 24 * time.Hour

// maxFailureMemory is how long a row is remembered at most, as long as a device.
const maxFailureMemory = DeviceLifetime

// Failures is a row of failed logins. The zero value is an empty row.
type Failures struct {
	InRow int
	Next  time.Time // when the next attempt is allowed; zero means at once
}

// Reserve returns the row with one more attempt, or the time until an attempt is allowed.
// Redis runs the same rule in lua/reserve_attempt.lua.
func (l FailureLimit) Reserve(f Failures, now time.Time) (after Failures, wait time.Duration) {
	if now.Before(f.Next) {
		return f, f.Next.Sub(now)
	}
	f.InRow++
	f.Next = time.Time{}
	if f.InRow >= int(l) {
		f.Next = now.Add(failureWait(f.InRow - int(l)))
	}
	return f, 0
}

// failureWait returns the wait after the limit and a number of attempts beyond it.
func failureWait(beyond int) time.Duration {
	wait := FirstFailureWait
	for range beyond {
		if wait *= 2; wait >= LastFailureWait {
			return LastFailureWait
		}
	}
	return wait
}

// Release returns the row without one of its attempts. The next one is allowed at once.
func (l FailureLimit) Release(f Failures) Failures {
	return Failures{InRow: max(f.InRow-1, 0)}
}

// Lifetime returns how long after its last attempt a row is remembered.
func (f Failures) Lifetime() time.Duration {
	return min(time.Duration(min(f.InRow, 1000))*failureMemory, maxFailureMemory)
}

// RateLimit is a limit of attempts in a time. The attempts come back one by one, at equal
// intervals: this is the generic cell rate algorithm (GCRA).
type RateLimit struct {
	Attempts int
	Period   time.Duration
}

// interval returns the time after which one attempt comes back, in whole microseconds.
func (l RateLimit) interval() time.Duration {
	return (l.Period / time.Duration(l.Attempts)).Truncate(time.Microsecond)
}

// Reserve takes one attempt. full is the time at which all attempts will have come back,
// or zero. It returns the new one, or the time until an attempt is allowed. Redis runs the
// same rule in lua/reserve_attempt.lua.
func (l RateLimit) Reserve(full, now time.Time) (after time.Time, wait time.Duration) {
	after = later(full, now).Add(l.interval())
	if wait = after.Add(-l.Period).Sub(now); wait > 0 {
		return full, wait
	}
	return after, 0
}

// Release gives one attempt back.
func (l RateLimit) Release(full time.Time) time.Time { return full.Add(-l.interval()) }
