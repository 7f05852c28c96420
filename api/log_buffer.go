package api

import (
	"io"
	"sync"
	"time"
)

// LogBuffer collects log lines and writes them to W a few at a time, because one
// system call per line is a twentieth of the cost of a refresh. A line waits for
// at most 2 ms. Lines that wait are lost if the process is killed. Call Flush
// before the program ends. A LogBuffer is safe for concurrent use.
type LogBuffer struct {
	W io.Writer // required

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // flushes; runs while lines wait
}

const (
	maxLogDelay = 2 * time.Millisecond
	maxLogBytes = 32 << 10 // flush at once from this size on
)

// Write implements [io.Writer]. Each call must pass whole lines. It never fails:
// errors of W are ignored, because there is no other place to report them.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(maxLogDelay, b.Flush)
		} else {
			b.timer.Reset(maxLogDelay)
		}
	}
	if b.lines = append(b.lines, line...); len(b.lines) >= maxLogBytes {
		b.flush()
	}
	return len(line), nil
}

// Flush writes the waiting lines.
func (b *LogBuffer) Flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flush()
}

func (b *LogBuffer) flush() {
	if len(b.lines) == 0 {
		return
	}
	b.timer.Stop()
	_, _ = b.W.Write(b.lines)
	b.lines = b.lines[:0]
}
