package api

import (
	"io"
	"sync"
	"time"
)

// LogBuffer writes lines on to W a few at a time: a system call for each line
// is a twentieth of what a refresh costs. A line waits for at most logDelay; a
// process that is killed takes those with it. Call Flush before the program
// ends. It is safe for concurrent use.
type LogBuffer struct {
	W io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // runs while lines wait
}

const (
	logDelay  = 2 * time.Millisecond
	logAtOnce = 32 << 10 // bytes
)

// Write takes whole lines. It never fails: a log that can't be written has
// nobody to be told.
func (b *LogBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(logDelay, b.Flush)
		} else {
			b.timer.Reset(logDelay)
		}
	}
	if b.lines = append(b.lines, line...); len(b.lines) >= logAtOnce {
		b.flush()
	}
	return len(line), nil
}

// Flush writes what waits.
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
