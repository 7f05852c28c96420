package session_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tokengate/session"
)

var limiterStart = time.Date(2030, 1, 2, 3, 4, 5, 678_000, time.UTC)

// TestFailureWaits checks the wait after each attempt of a row, of attempts that are made as
// early as they are allowed.
func TestFailureWaits(t *testing.T) {
	for _, limit := range []session.FailureLimit{1, 2, 100, 1000} {
		var row session.Failures
		now, wait := limiterStart, session.FirstFailureWait
		for n := range int(limit) + 15 {
			after, refused := limit.Reserve(row, now)
			if refused != 0 || after.InRow != n+1 {
				t.Fatalf("limit %d: attempt %d is refused for %s, or makes the row %d", limit, n+1, refused, after.InRow)
			}
			row = after
			if n+1 < int(limit) {
				continue
			}
			for _, early := range []time.Duration{wait, time.Microsecond} {
				if same, left := limit.Reserve(row, now.Add(wait-early)); left != early || same != row {
					t.Fatalf("limit %d: after %d attempts, got a wait of %s and the row %v, want %s and %v", limit, n+1, left, same, early, row)
				}
			}
			now, wait = now.Add(wait), min(2*wait, session.LastFailureWait)
		}
	}
}

// TestFailureMemory checks how long a row is remembered.
func TestFailureMemory(t *testing.T) {
	const limit = session.FailureLimit(math.MaxInt)
	for n, days := range map[int]int{1: 1, 2: 2, 399: 399, 400: 400, 401: 400, math.MaxInt - 1: 400} {
		row, _ := limit.Reserve(session.Failures{InRow: n - 1, Until: limiterStart.Add(1)}, limiterStart)
		if got := row.Until.Sub(limiterStart); row.InRow != n || got != time.Duration(days)*session.FailureMemory {
			t.Errorf("a row of %d is remembered for %s, want %d days", row.InRow, got, days)
		}
		if same, _ := limit.Reserve(row, row.Until.Add(-1)); same.InRow != n+1 {
			t.Errorf("a row of %d is forgotten too early", n)
		}
		if fresh, _ := limit.Reserve(row, row.Until); fresh.InRow != 1 {
			t.Errorf("a row of %d is not forgotten", n)
		}
	}
}

// TestFailuresReleased checks that a released attempt leaves the row as it was, also if it
// began a wait, and that no row has fewer than no attempts.
func TestFailuresReleased(t *testing.T) {
	const limit = session.FailureLimit(3)
	var row session.Failures
	now := limiterStart
	for n := range 8 {
		after, _ := limit.Reserve(row, now)
		released := limit.Release(after)
		again, wait := limit.Reserve(released, now)
		if released.InRow != n || wait != 0 || again != after {
			t.Fatalf("after %d attempts and a released one, got the row %v, and with another attempt %v after %s; want %v at once", n, released, again, wait, after)
		}
		row, now = after, now.Add(20*time.Hour)
	}
	if got := limit.Release(session.Failures{}); got != (session.Failures{}) {
		t.Errorf("an empty row became %v", got)
	}
}

// TestFailureRateInTheLongRun makes attempts at random times and checks that the limit allows
// no more of them than the limit, one for each wait that is shorter than a day, and one a day.
func TestFailureRateInTheLongRun(t *testing.T) {
	const shorter = 12 // 1 min, 2 min … 1024 min, and the attempt that begins the first day
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		limit := session.FailureLimit(1 + random.IntN([]int{3, 100, 390}[seed%3]))
		var row session.Failures
		now, passed := limiterStart, 0
		for range 3000 {
			after, wait := limit.Reserve(row, now)
			if wait == 0 {
				row = after
				passed++
			}
			if bound := int(limit) + shorter + int(now.Sub(limiterStart)/session.LastFailureWait); passed > bound {
				t.Fatalf("seed %d: limit %d allowed %d attempts in %s, want at most %d", seed, limit, passed, now.Sub(limiterStart), bound)
			}
			switch random.IntN(8) {
			case 0: // as early as the next attempt is allowed
				now = now.Add(wait)
			case 1: // as early as the row is forgotten
				if random.IntN(20) == 0 && row.Until.After(now) {
					now = row.Until
				}
			case 2:
				now = now.Add(time.Duration(random.Int64N(int64(time.Hour))))
			}
		}
	}
}

// TestFailureClockSetBack checks that a row does not wait for a time that no clock that runs
// on could have set.
func TestFailureClockSetBack(t *testing.T) {
	row, _ := session.FailureLimit(1).Reserve(session.Failures{}, limiterStart)
	for back, refused := range map[time.Duration]bool{
		session.LastFailureWait - session.FirstFailureWait:     true,
		session.LastFailureWait - session.FirstFailureWait + 1: false,
		10 * 365 * 24 * time.Hour:                              false,
	} {
		if _, wait := session.FailureLimit(1).Reserve(row, limiterStart.Add(-back)); (wait > 0) != refused {
			t.Errorf("set back by %s: got a wait of %s, refused must be %t", back, wait, refused)
		}
	}
}

// TestRateBurst checks that a rate allows exactly its attempts at once, and that they come back
// one by one, also where the period is no multiple of them.
func TestRateBurst(t *testing.T) {
	for _, l := range []session.RateLimit{
		{1, time.Minute}, {3, 10 * time.Second}, {7, time.Minute}, {300, 10 * time.Minute}, {29999, 10 * time.Minute}, {1000, time.Millisecond}, {1500, time.Millisecond},
	} {
		var full time.Time
		for n := range l.Attempts {
			var wait time.Duration
			if full, wait = l.Reserve(full, limiterStart); wait != 0 {
				t.Fatalf("%v: attempt %d is refused for %s", l, n+1, wait)
			}
		}
		interval := l.Interval()
		if interval < l.Period/time.Duration(l.Attempts) || interval%time.Microsecond != 0 || interval > l.Period/time.Duration(l.Attempts)+time.Microsecond {
			t.Errorf("%v: the interval is %s", l, interval)
		}
		for n := range 3 {
			now := limiterStart.Add(time.Duration(n) * interval)
			if same, wait := l.Reserve(full, now); wait != interval || !same.Equal(full) {
				t.Errorf("%v: got a wait of %s, want %s", l, wait, interval)
			}
			if _, wait := l.Reserve(full, now.Add(interval-time.Microsecond)); wait != time.Microsecond {
				t.Errorf("%v: got a wait of %s, want 1 µs", l, wait)
			}
			var wait time.Duration
			if full, wait = l.Reserve(full, now.Add(interval)); wait != 0 {
				t.Errorf("%v: refused for %s when an attempt has come back", l, wait)
			}
		}
	}
}

// TestRateInAnyPeriod makes attempts at random times, and checks each stretch of time: no
// more pass than the burst and those that come back in it.
func TestRateInAnyPeriod(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 2))
		l := session.RateLimit{Attempts: 1 + random.IntN(20), Period: time.Duration(1 + random.Int64N(int64(time.Minute)))}
		var full time.Time
		var passed []time.Time
		now := limiterStart
		for range 400 {
			after, wait := l.Reserve(full, now)
			if wait == 0 {
				full = after
				passed = append(passed, now)
				for i, first := range passed {
					n, bound := len(passed)-i, l.Attempts+int(now.Sub(first)/l.Interval())
					if n > bound {
						t.Fatalf("seed %d: %v allowed %d attempts in %s, want at most %d", seed, l, n, now.Sub(first), bound)
					}
				}
			}
			switch random.IntN(6) {
			case 0:
				now = now.Add(wait)
			case 1:
				now = now.Add(time.Duration(random.Int64N(int64(l.Period))).Truncate(time.Microsecond))
			}
		}
	}
}

// TestRateReleased checks that a released attempt can be made again, and that a rate never
// gets more than its attempts.
func TestRateReleased(t *testing.T) {
	l := session.RateLimit{Attempts: 3, Period: 30 * time.Second}
	var full time.Time
	take := func(want int) {
		t.Helper()
		for n := range want + 1 {
			after, wait := l.Reserve(full, limiterStart)
			if refused := n == want; (wait > 0) != refused {
				t.Fatalf("attempt %d: got a wait of %s, want %d attempts", n+1, wait, want)
			}
			full = after
		}
	}
	take(3)
	full = l.Release(l.Release(full))
	take(2)
	for range 9 {
		full = l.Release(full)
	}
	take(3)
}

// TestRateLimitsAreNeverEmpty checks limits that leave no time between two attempts, or no
// attempt at all.
func TestRateLimitsAreNeverEmpty(t *testing.T) {
	for _, l := range []session.RateLimit{{}, {0, time.Minute}, {-5, time.Minute}, {2_000_000_000, time.Second}} {
		if l.Interval() < time.Microsecond || l.Burst() < l.Interval() {
			t.Errorf("%v: the interval is %s and the burst %s", l, l.Interval(), l.Burst())
		}
		if _, wait := l.Reserve(time.Time{}, limiterStart); wait != 0 {
			t.Errorf("%v: the first attempt is refused for %s", l, wait)
		}
		if _, wait := l.Reserve(limiterStart.Add(l.Burst()), limiterStart); wait != l.Interval() {
			t.Errorf("%v: got a wait of %s without attempts left, want %s", l, wait, l.Interval())
		}
	}
}

// TestRateClockSetBack checks that a network does not wait for a time that the clock was
// ahead in.
func TestRateClockSetBack(t *testing.T) {
	l := session.RateLimit{Attempts: 2, Period: time.Minute}
	full, _ := l.Reserve(limiterStart.Add(l.Interval()), limiterStart)
	for _, back := range []time.Duration{time.Microsecond, time.Hour} {
		now := limiterStart.Add(-back)
		after, wait := l.Reserve(full, now)
		if wait != 0 || after.Sub(now) != l.Interval() {
			t.Errorf("set back by %s: got a wait of %s, and full in %s", back, wait, after.Sub(now))
		}
	}
}

// TestMostRefused checks the order and the number of entries.
func TestMostRefused(t *testing.T) {
	counts := map[session.Refusals]int{}
	for i := range session.MaxRefusals {
		counts[session.Refusals{Limit: session.LimitNetwork, Key: fmt.Sprint(i)}] = i + 10
	}
	few := []session.Refusals{
		{session.LimitAccount, "a", 9}, {session.LimitAccount, "b", 9}, {session.LimitDevice, "a", 9},
	}
	counts[session.Refusals{Limit: session.LimitNetwork, Key: "most"}] = 1000
	if got := session.MostRefused(counts); len(got) != session.MaxRefusals || got[0].Key != "most" || got[1].Count != 109 || got[99].Count != 11 {
		t.Errorf("got %v", got)
	}
	clear(counts)
	for _, r := range few {
		n := r.Count
		r.Count = 0
		counts[r] = n
	}
	if got := session.MostRefused(counts); !slices.Equal(got, few) {
		t.Errorf("got %v, want %v", got, few)
	}
}

// TestAttemptBudget checks whose failures an attempt counts for.
func TestAttemptBudget(t *testing.T) {
	a := session.Attempt{Account: "a", Network: "n"}
	if limit, key := a.Budget(); limit != session.LimitAccount || key != "a" {
		t.Errorf("got %s %s, want the account", limit, key)
	}
	a.Device = "d"
	if limit, key := a.Budget(); limit != session.LimitDevice || key != "d" {
		t.Errorf("got %s %s, want the device", limit, key)
	}
}
