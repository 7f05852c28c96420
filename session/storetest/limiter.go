package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"tokengate/session"
)

var limiterTests = map[string]func(*fixture){
	"attempts at once get exactly the budget": limiterAtOnce,
	"waits double": limiterWaitsDouble,
	"a row is forgotten after a day for each":       limiterForgets,
	"a success ends the row":                        limiterSucceed,
	"Release gives an attempt back":                 limiterRelease,
	"Forget ends the row of an account":             limiterForget,
	"a known device has its own budget":             limiterDevice,
	"attempts come back to a network one by one":    limiterNetwork,
	"a success gives its attempt to the network":    limiterNetworkSucceed,
	"a refusal by a network does not count":         limiterNetworkRefuses,
	"a refusal of an account costs a network none":  limiterAccountRefuses,
	"of two waits the longer one counts":            limiterLongerWait,
	"no network has no budget":                      limiterNoNetwork,
	"what is over, or never was, is not given back": limiterNothingToRelease,
	"apps, accounts and networks have own budgets":  limiterSeparate,
	"a clock that is set back keeps no user out":    limiterClockSetBack,
	"Refusals":                              limiterRefusals,
	"Refusals lists the most often refused": limiterMostRefused,
}

// attempt returns an attempt with limits that are reached soon: 3 failures in a row, and 4 in
// 20 minutes from a network.
func attempt() session.Attempt {
	return session.Attempt{
		App: "shop", Account: "ann", Network: "192.0.2.1/32", Failures: 3,
		NetworkLimit: session.RateLimit{Attempts: 4, Period: 20 * time.Minute},
	}
}

// ofDevice returns the attempt as it is made from a known device.
func ofDevice(a session.Attempt, id string) session.Attempt {
	a.Device = id
	return a
}

// without returns the attempt without a network.
func withoutNetwork(a session.Attempt) session.Attempt {
	a.Network = ""
	return a
}

func (f *fixture) reserve(a session.Attempt) error { return f.Limiter.Reserve(f.ctx, a) }

// mustReserve makes attempts, none of which may be refused.
func (f *fixture) mustReserve(a session.Attempt, times int) {
	f.Helper()
	for i := range times {
		f.noError(f.reserve(a), fmt.Sprintf("Reserve %d of %d", i+1, times))
	}
}

// wantThrottled makes an attempt, which must be refused by a limit for a time, and returns
// that time.
func (f *fixture) wantThrottled(a session.Attempt, l session.Limit, wait time.Duration) time.Duration {
	f.Helper()
	err := f.reserve(a)
	f.wantError(err, session.Throttled, "")
	var e *session.Error
	if e, _ = err.(*session.Error); e == nil || e.Limit != l {
		f.Fatalf("Reserve: got %#v, want a refusal by the limit %q", err, l)
	}
	if got := e.RetryAfter; f.Clock != nil && got != wait || got > wait || got < wait-10*time.Second || got <= 0 {
		f.Fatalf("Reserve: got a wait of %s, want %s", got, wait)
	}
	return e.RetryAfter
}

// passWait checks that an attempt is refused until its wait is over, and not from then on.
func (f *fixture) passWait(a session.Attempt, l session.Limit, wait time.Duration) {
	f.Helper()
	rest := f.wantThrottled(a, l, wait)
	if f.Clock != nil {
		f.Advance(rest - time.Microsecond)
		f.wantThrottled(a, l, time.Microsecond)
		f.Advance(time.Microsecond)
	} else {
		f.Advance(rest)
	}
	f.mustReserve(a, 1)
}

// limiterAtOnce checks that of many attempts at the same time, exactly as many pass as a
// budget allows: of an account, of a device and of a network.
func limiterAtOnce(f *fixture) {
	const budget, more = 40, 200
	a := attempt()
	a.Failures, a.NetworkLimit.Attempts = budget, 2*(budget+more)
	f.wantPassed(a, budget, budget+more)
	f.wantPassed(ofDevice(a, "d"), budget, budget+more)
	a.Network, a.Failures, a.NetworkLimit.Attempts = "198.51.100.0/32", 2*(budget+more), budget
	a.Account = "bob"
	f.wantPassed(a, budget, budget+more)
}

// wantPassed makes attempts at the same time, and checks how many of them pass. The others
// must be throttled.
func (f *fixture) wantPassed(a session.Attempt, want, attempts int) {
	f.Helper()
	errs := make([]error, attempts)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = f.reserve(a) })
	}
	wg.Wait()
	passed := 0
	for _, err := range errs {
		switch session.CodeOf(err) {
		case session.OK:
			passed++
		case session.Throttled:
		default:
			f.Fatalf("Reserve: got %v, want ok or throttled", err)
		}
	}
	if passed != want {
		f.Errorf("%d of %d attempts at once passed, want %d", passed, attempts, want)
	}
}

func limiterWaitsDouble(f *fixture) {
	a := withoutNetwork(attempt())
	f.mustReserve(a, 3)
	for wait := time.Minute; wait < session.LastFailureWait; wait *= 2 {
		f.passWait(a, session.LimitAccount, wait)
	}
	for range 3 {
		f.passWait(a, session.LimitAccount, session.LastFailureWait)
	}
}

// limiterForgets checks that a row of two is remembered for two days after its last attempt.
func limiterForgets(f *fixture) {
	a := withoutNetwork(attempt())
	for _, c := range []struct {
		after time.Duration
		left  int
	}{{2*session.FailureMemory - time.Minute, 1}, {2 * session.FailureMemory, 3}} {
		f.mustReserve(a, 2)
		f.Advance(c.after)
		f.mustReserve(a, c.left)
		f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
		f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	}
}

func limiterSucceed(f *fixture) {
	a := withoutNetwork(attempt())
	for range 2 {
		f.mustReserve(a, 3)
		f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
		f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	}
}

// limiterRelease checks that released attempts leave both budgets as they were, also when the
// last one had begun a wait.
func limiterRelease(f *fixture) {
	a := attempt()
	f.mustReserve(a, 2)
	for range 5 {
		f.mustReserve(a, 1)
		f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
		f.noError(f.Limiter.Release(f.ctx, a), "Release")
	}
	f.mustReserve(a, 1)
	f.passWait(withoutNetwork(a), session.LimitAccount, session.FirstFailureWait)
	f.noError(f.Limiter.Release(f.ctx, withoutNetwork(a)), "Release")
	f.mustReserve(withoutNetwork(a), 1)
	f.wantThrottled(withoutNetwork(a), session.LimitAccount, 2*session.FirstFailureWait)
	a.Account = "bob"
	f.mustReserve(a, 1)
	f.wantThrottled(a, session.LimitNetwork, 4*time.Minute)
}

func limiterForget(f *fixture) {
	a := withoutNetwork(attempt())
	f.mustReserve(a, 3)
	f.mustReserve(ofDevice(a, "d"), 3)
	f.noError(f.Limiter.Forget(f.ctx, "other", "ann"), "Forget")
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
	f.noError(f.Limiter.Forget(f.ctx, a.App, "ann"), "Forget")
	f.mustReserve(a, 3)
	f.wantThrottled(ofDevice(a, "d"), session.LimitDevice, session.FirstFailureWait)
}

// limiterDevice checks that attempts from a known device and those from elsewhere do not use
// each other's budget, and that neither ends the other's row.
func limiterDevice(f *fixture) {
	a := withoutNetwork(attempt())
	known := ofDevice(a, "d")
	f.mustReserve(a, 3)
	f.mustReserve(known, 2)
	f.noError(f.Limiter.Succeed(f.ctx, known), "Succeed")
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
	f.noError(f.Limiter.Release(f.ctx, known), "Release")
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
	f.mustReserve(known, 3)
	f.wantThrottled(known, session.LimitDevice, session.FirstFailureWait)
	f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	f.wantThrottled(known, session.LimitDevice, session.FirstFailureWait)
	f.mustReserve(ofDevice(a, "e"), 3)
	f.mustReserve(ofDevice(a, "ann"), 3) // not the account's, although the keys are equal
	f.mustReserve(a, 3)
}

// limiterNetwork makes each attempt with another account.
func limiterNetwork(f *fixture) {
	a := attempt()
	for i := range 4 {
		a.Account = fmt.Sprint("user ", i)
		f.mustReserve(a, 1)
	}
	a.Account = "another"
	f.passWait(a, session.LimitNetwork, 5*time.Minute)
	f.noError(f.Limiter.Succeed(f.ctx, withoutNetwork(a)), "Succeed")
	f.Advance(time.Hour)
	a.Failures = 9
	f.mustReserve(a, 4)
	f.wantThrottled(a, session.LimitNetwork, 5*time.Minute)
}

func limiterNetworkSucceed(f *fixture) {
	a := attempt()
	for range 9 {
		f.mustReserve(a, 1)
		f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	}
	a.Failures = 9
	f.mustReserve(a, 4)
	f.wantThrottled(a, session.LimitNetwork, 5*time.Minute)
}

// limiterNetworkRefuses checks that attempts that a network's limit refuses do not raise the
// row of the account.
func limiterNetworkRefuses(f *fixture) {
	a := attempt()
	f.mustReserve(withoutNetwork(a), 2)
	blocked := a
	blocked.Account, blocked.Failures = "bob", 9
	f.mustReserve(blocked, 4)
	blocked.Account, blocked.Failures = a.Account, a.Failures
	for range 5 {
		f.wantThrottled(blocked, session.LimitNetwork, 5*time.Minute)
	}
	a.Network = "192.0.2.2/32"
	f.mustReserve(a, 1)
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
}

func limiterAccountRefuses(f *fixture) {
	a := attempt()
	f.mustReserve(a, 3)
	for range 5 {
		f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
	}
	a.Account = "bob"
	f.mustReserve(a, 1)
	f.wantThrottled(a, session.LimitNetwork, 5*time.Minute)
}

func limiterLongerWait(f *fixture) {
	a := attempt()
	a.NetworkLimit.Attempts = 3
	f.mustReserve(a, 3)
	f.wantThrottled(a, session.LimitNetwork, 400*time.Second)
	a.NetworkLimit = session.RateLimit{Attempts: 1, Period: 20 * time.Second}
	a.Network = "192.0.2.2/32"
	other := a
	other.Account = "bob"
	f.mustReserve(other, 1)
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
}

func limiterNoNetwork(f *fixture) {
	a := withoutNetwork(attempt())
	a.Failures, a.NetworkLimit.Attempts = 9, 1
	f.mustReserve(a, 8)
	f.noError(f.Limiter.Release(f.ctx, a), "Release")
	f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	f.mustReserve(a, 9)
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
}

// limiterNothingToRelease checks that an attempt that is not there can't be given back, so
// that no budget grows.
func limiterNothingToRelease(f *fixture) {
	a := attempt()
	a.Failures = 4
	check := func() {
		f.mustReserve(a, 4)
		f.wantThrottled(withoutNetwork(a), session.LimitAccount, session.FirstFailureWait)
		other := a
		other.Account = "bob"
		f.wantThrottled(other, session.LimitNetwork, 5*time.Minute)
	}
	for range 5 {
		f.noError(f.Limiter.Release(f.ctx, a), "Release")
		f.noError(f.Limiter.Succeed(f.ctx, a), "Succeed")
	}
	check()
	f.Advance(5 * session.FailureMemory)
	for range 5 {
		f.noError(f.Limiter.Release(f.ctx, a), "Release")
	}
	check()
}

func limiterSeparate(f *fixture) {
	a := attempt()
	a.NetworkLimit.Attempts = 3
	names := []string{"ann", "Ann", "{", "}", ":", "a:b", "a|b", "%", "%3A", "2001:db8::/64", strings.Repeat("n", 150)}
	for _, app := range []string{"shop", "other"} {
		for _, name := range names {
			a.App, a.Account, a.Network = app, name, name
			f.mustReserve(a, 3)
		}
	}
	for _, name := range names {
		a.App, a.Account, a.Network = "shop", name, name
		f.wantThrottled(withoutNetwork(a), session.LimitAccount, session.FirstFailureWait)
		f.wantThrottled(a, session.LimitNetwork, 400*time.Second)
	}
}

// limiterClockSetBack checks that times that the clock was ahead in do not count after it is
// set back by days.
func limiterClockSetBack(f *fixture) {
	a := attempt()
	f.mustReserve(a, 3)
	f.wantThrottled(a, session.LimitAccount, session.FirstFailureWait)
	f.Advance(-3 * session.LastFailureWait)
	f.mustReserve(withoutNetwork(a), 1)
	f.wantThrottled(withoutNetwork(a), session.LimitAccount, 2*session.FirstFailureWait)
	a.Failures = 9
	a.Account = "bob"
	f.mustReserve(a, 4)
	f.wantThrottled(a, session.LimitNetwork, 5*time.Minute)
}

// wantRefusals compares what Refusals returns.
func (f *fixture) wantRefusals(app string, want ...session.Refusals) {
	f.Helper()
	got, err := f.Limiter.Refusals(f.ctx, app)
	f.noError(err, "Refusals")
	if !slices.Equal(got, want) {
		f.Fatalf("Refusals: got %v, want %v", got, want)
	}
}

// refuse makes attempts that must be refused.
func (f *fixture) refuse(a session.Attempt, times int) {
	f.Helper()
	for range times {
		f.wantError(f.reserve(a), session.Throttled, "")
	}
}

func limiterRefusals(f *fixture) {
	a := attempt()
	a.Account = "a|b"
	f.wantRefusals("shop")
	f.mustReserve(a, 3)
	f.refuse(a, 2)
	device := ofDevice(withoutNetwork(a), "d")
	f.mustReserve(device, 3)
	f.refuse(device, 4)
	network := attempt()
	network.Failures = 9
	f.mustReserve(network, 1)
	f.refuse(network, 3)
	want := []session.Refusals{
		{Limit: session.LimitDevice, Key: "d", Count: 4},
		{Limit: session.LimitNetwork, Key: a.Network, Count: 3},
		{Limit: session.LimitAccount, Key: "a|b", Count: 2},
	}
	f.wantRefusals("shop", want...)
	f.wantRefusals("other")
	f.refuse(a, 1) // by both limits
	want[1].Count, want[2].Count = 4, 3
	f.wantRefusals("shop", want...)
	f.Advance(55 * time.Minute)
	f.mustReserve(device, 1)
	f.refuse(device, 1)
	want[0].Count = 5
	f.wantRefusals("shop", want...)
	f.Advance(16 * time.Minute)
	f.wantRefusals("shop", session.Refusals{Limit: session.LimitDevice, Key: "d", Count: 1})
	f.Advance(2 * time.Hour)
	f.wantRefusals("shop")
}

// limiterMostRefused checks the number and the order of entries.
func limiterMostRefused(f *fixture) {
	a := withoutNetwork(attempt())
	a.Failures = 1
	var want []session.Refusals
	for i := range session.MaxRefusals + 50 {
		a.Account = fmt.Sprintf("%03d", i)
		f.mustReserve(a, 1)
		n := 1
		if i >= 60 {
			n = 2
		}
		f.refuse(a, n)
		want = append(want, session.Refusals{Limit: session.LimitAccount, Key: a.Account, Count: n})
	}
	f.wantRefusals("shop", append(want[60:], want[:10]...)...)
}
