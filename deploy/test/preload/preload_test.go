package preload_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/preload"
	"tokengate/redisstore/redistest"
)

// TestClock checks that a server's clock follows SetClock while it runs, in what it answers and in what its
// scripts and expiries see.
func TestClock(t *testing.T) {
	t.Parallel()
	faults := preload.New(t)
	s := redistest.Start(t, redistest.Options{Env: faults.Env()})
	for _, ahead := range []time.Duration{0, time.Hour, -2 * time.Second, 1500 * time.Millisecond} {
		faults.SetClock(ahead)
		for _, command := range [][]string{{"TIME"}, {"EVAL", "return redis.call('TIME')", "0"}} {
			before := time.Now()
			seconds, micros, _ := strings.Cut(s.Do(command...), "\n")
			sec, _ := strconv.ParseInt(seconds, 10, 64)
			us, _ := strconv.ParseInt(micros, 10, 64)
			if got := time.UnixMicro(sec*1e6 + us).Add(-ahead); got.Before(before.Truncate(time.Microsecond)) || got.After(time.Now()) {
				t.Errorf("%v: the clock is %s ahead, want %s", command, got.Add(ahead).Sub(before), ahead)
			}
		}
	}
	faults.SetClock(0)
	s.Do("SET", "k", "v", "EX", "60")
	faults.SetClock(2 * time.Minute)
	if got := s.Do("GET", "k"); got != "" {
		t.Errorf("after the key's time to live: got %q, want none", got)
	}
}

// TestSyncDelay checks that a server's disk becomes as slow as SetSyncDelay says, and fast again.
func TestSyncDelay(t *testing.T) {
	t.Parallel()
	faults := preload.New(t)
	s := redistest.Start(t, redistest.Options{Args: []string{"--appendonly", "yes", "--appendfsync", "always"}, Env: faults.Env()})
	fastest := func() time.Duration {
		shortest := time.Hour
		for range 3 {
			start := time.Now()
			if got := s.Do("INCR", "k"); got == "" {
				t.Fatal("the server does not answer")
			}
			shortest = min(shortest, time.Since(start))
		}
		return shortest
	}
	const delay = 250 * time.Millisecond
	faults.SetSyncDelay(delay)
	if got := fastest(); got < delay {
		t.Errorf("with a slow disk: a write took %s, want at least %s", got, delay)
	}
	faults.SetSyncDelay(0)
	if got := fastest(); got >= delay {
		t.Errorf("with a fast disk: a write took %s, want less than %s", got, delay)
	}
}
