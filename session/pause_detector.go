package session

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	pauseTick = 50 * time.Millisecond
	// longestPause is how long the process may not run before that counts as a pause.
	longestPause = 500 * time.Millisecond
	// afterPause is how long after a pause requests are taken for such that have waited for
	// its end: when they were sent is not known. Reading them may take that long on a busy
	// machine.
	afterPause = time.Second
)

// PauseDetector notices that the process did not run for more than half a second: it was
// stopped, or others took all of the processor time. It does not notice that a machine was
// suspended whose monotonic clock stops meanwhile. It notices nothing unless Run runs. It is
// safe for concurrent use.
type PauseDetector struct {
	ticked  atomic.Int64 // when the process was last known to run, in ns since processStart; 0 if Run does not run
	resumed atomic.Int64 // when the last pause ended, in ns since processStart; 0 if there was none
}

var processStart = time.Now()

// Run notices pauses until ctx is done.
func (d *PauseDetector) Run(ctx context.Context) {
	ticker := time.NewTicker(pauseTick)
	defer ticker.Stop()
	defer d.ticked.Store(0)
	d.ticked.Store(int64(time.Since(processStart)))
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.tick(time.Since(processStart))
		}
	}
}

// tick records that the process runs, and whether it did not before.
func (d *PauseDetector) tick(now time.Duration) {
	if now-time.Duration(d.ticked.Load()) > longestPause {
		d.resumed.Store(int64(now)) // before ticked: PausedSince sees one or the other
	}
	d.ticked.Store(int64(now))
}

// PausedSince reports whether the process was paused at or after t, or less than a second
// before t.
func (d *PauseDetector) PausedSince(t time.Time) bool {
	return d.pausedSince(t.Sub(processStart), time.Since(processStart))
}

func (d *PauseDetector) pausedSince(t, now time.Duration) bool {
	if ticked := time.Duration(d.ticked.Load()); ticked == 0 || now-ticked > longestPause {
		return ticked != 0
	}
	resumed := time.Duration(d.resumed.Load())
	return resumed != 0 && t < resumed+afterPause
}
