package session

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Limiter counts failed logins for all instances, so that passwords can't be guessed.
// Package storetest tests that an implementation keeps the contract that is written here.
//
// Each method uses a budget in one atomic step; two budgets of one method may change one
// after the other. All times are those of the Limiter's own clock, except the slices of time in
// which refusals are counted. Every error is an [*Error]. Unavailable means that the Limiter
// can't tell, and that it may have counted.
type Limiter interface {
	// Reserve takes one attempt from each budget of a login, before its password is
	// compared: otherwise more attempts than a budget allows could be on their way at the
	// same time. If a budget is used up, it fails with Throttled, the [Limit] and the
	// time after which that budget allows another attempt; of two, the later one. The
	// budgets are then as if the attempt had not been made, except that a row may be
	// remembered longer, and the refusal is counted for Refusals.
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

// Attempt is one login, as a [Limiter] counts it. One from a known device has no Network: it
// uses the budget of the device only, so that failures elsewhere can't keep its user out.
type Attempt struct {
	App     string
	Account string // App.AccountKey of the username as the client sent it, whether or not a user has it
	Device  string // Device.ID of a known device; empty means that the device is not known
	Network string // of the client; empty if it is not known or does not count

	Failures     FailureLimit // of Account, or of Device if that is set
	NetworkLimit RateLimit    // of Network
}

// Budget returns the limit that a login's failures count for, and the key of its row.
func (a Attempt) Budget() (Limit, string) {
	if a.Device != "" {
		return LimitDevice, a.Device
	}
	return LimitAccount, a.Account
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

// FailureMemory is how long each failure in a row makes it remembered. So a row that is
// interrupted allows no more guesses in the long run than the longest wait does.
const FailureMemory = 24 * time.Hour

// MaxFailureMemory is how long a row is remembered at most, as long as a device.
const MaxFailureMemory = DeviceLifetime

// Failures is a row of failed logins. The zero value is an empty row.
type Failures struct {
	InRow int
	Next  time.Time // when the next attempt is allowed; zero means at once
	Until time.Time // when the row is forgotten
}

// Reserve returns the row with one more attempt, or the time until an attempt is allowed.
// Redis runs the same rule in lua/reserve_failure.lua.
func (l FailureLimit) Reserve(f Failures, now time.Time) (after Failures, wait time.Duration) {
	if !now.Before(f.Until) {
		f = Failures{}
	}
	// A longer wait means that the clock was set back.
	if wait = f.Next.Sub(now); wait > 0 && wait <= LastFailureWait {
		return f, wait
	}
	after = Failures{InRow: f.InRow + 1, Until: now.Add(failureMemory(f.InRow + 1))}
	if after.InRow >= int(l) {
		after.Next = now.Add(failureWait(after.InRow - int(l)))
	}
	return after, 0
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

// failureMemory returns how long after its last attempt a row is remembered.
func failureMemory(inRow int) time.Duration {
	return time.Duration(min(inRow, int(MaxFailureMemory/FailureMemory))) * FailureMemory
}

// Release returns the row without one of its attempts. The next one is allowed at once. The
// row is remembered as long as before. Redis runs the same rule in lua/release_failure.lua.
func (l FailureLimit) Release(f Failures) Failures {
	if f.InRow <= 1 {
		return Failures{}
	}
	return Failures{InRow: f.InRow - 1, Until: f.Until}
}

// RateLimit is a limit of attempts in a time. The attempts come back one by one, at equal
// intervals: this is the generic cell rate algorithm (GCRA).
type RateLimit struct {
	Attempts int // less than 1 counts as 1
	Period   time.Duration
}

// Interval returns the time after which one attempt comes back, in whole microseconds.
func (l RateLimit) Interval() time.Duration {
	n := time.Duration(max(l.Attempts, 1))
	return max((l.Period/n + time.Microsecond - 1).Truncate(time.Microsecond), time.Microsecond)
}

// Burst returns the time after which all attempts have come back.
func (l RateLimit) Burst() time.Duration { return l.Interval() * time.Duration(max(l.Attempts, 1)) }

// Reserve takes one attempt. full is the time at which all attempts will have come back,
// or zero. It returns the new one, or the time until an attempt is allowed. Redis runs the
// same rule in lua/reserve_rate.lua.
func (l RateLimit) Reserve(full, now time.Time) (after time.Time, wait time.Duration) {
	start := later(full, now)
	if start.Sub(now) > l.Burst() { // the clock was set back
		start = now
	}
	after = start.Add(l.Interval())
	if wait = after.Sub(now) - l.Burst(); wait > 0 {
		return full, wait
	}
	return after, 0
}

// Release gives one attempt back. Redis runs the same rule in lua/release_rate.lua.
func (l RateLimit) Release(full time.Time) time.Time { return full.Add(-l.Interval()) }

// RefusalSlice is the time over which refusals are counted together, and RefusalSlices is
// how many slices [Limiter].Refusals adds up. The last of them is not over.
const (
	RefusalSlice  = 10 * time.Minute
	RefusalSlices = 7
)

// MostRefused returns the entries of a map with their counts, as [Limiter].Refusals returns
// them. The keys of the map have no counts.
func MostRefused(counts map[Refusals]int) []Refusals {
	all := make([]Refusals, 0, len(counts))
	for r, n := range counts {
		r.Count = n
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b Refusals) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Limit, b.Limit), cmp.Compare(a.Key, b.Key))
	})
	return all[:min(len(all), MaxRefusals)]
}
