package session

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestPausedSince checks which requests a pause of the process concerns.
func TestPausedSince(t *testing.T) {
	const second = time.Second
	var d PauseDetector
	for ticked := time.Duration(1); ticked <= 10*second; ticked += pauseTick {
		d.tick(ticked)
	}
	for _, test := range []struct {
		name      string
		read, now time.Duration
		want      bool
	}{
		{"the process runs", 9 * second, 10 * second, false},
		{"no tick for half a second", 9 * second, 10*second + longestPause - pauseTick, false},
		{"no tick for longer", 9 * second, 10*second + longestPause + pauseTick, true},
		{"no tick for longer, read since", 11 * second, 11 * second, true},
	} {
		if got := d.pausedSince(test.read, test.now); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
	const resumed = 12 * second
	d.tick(resumed)
	for _, test := range []struct {
		name string
		read time.Duration
		want bool
	}{
		{"read before the pause", 9 * second, true},
		{"read just after it", resumed + afterPause - 1, true},
		{"read later", resumed + afterPause, false},
	} {
		d.tick(resumed + second/4)
		if got := d.pausedSince(test.read, resumed+second/4); got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

// TestPauseDetectorRuns checks that a detector notices nothing while the process runs, or
// when it does not run itself.
func TestPauseDetectorRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d PauseDetector
		start := time.Now()
		time.Sleep(time.Minute)
		if d.PausedSince(start) {
			t.Error("before Run: got a pause")
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { d.Run(ctx); close(done) }()
		time.Sleep(time.Minute)
		if d.PausedSince(start) {
			t.Error("while Run runs: got a pause")
		}
		stop()
		<-done
		time.Sleep(time.Minute)
		if d.PausedSince(start) {
			t.Error("after Run: got a pause")
		}
	})
}
