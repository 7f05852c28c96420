package api

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recordingWriter records what is written and the size of each write.
type recordingWriter struct {
	mu      sync.Mutex
	written bytes.Buffer
	sizes   []int
}

// state returns everything written so far and the size of each write.
func (w *recordingWriter) state() (text string, sizes []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.String(), slices.Clone(w.sizes)
}

func (w *recordingWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sizes = append(w.sizes, len(b))
	return w.written.Write(b)
}

func TestLogBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out recordingWriter
		b := &LogBuffer{W: &out}
		write := func(line string) { _, _ = b.Write([]byte(line)) }
		write("one\n")
		write("two\n")
		time.Sleep(maxLogDelay - 1)
		if text, _ := out.state(); text != "" {
			t.Errorf("before the delay: got %q, want nothing", text)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if text, sizes := out.state(); text != "one\ntwo\n" || len(sizes) != 1 {
			t.Errorf("after the delay: got %q in writes of %v, want both lines in one write", text, sizes)
		}
		time.Sleep(time.Second)
		write("three\n")
		b.Flush()
		b.Flush()
		if text, sizes := out.state(); !strings.HasSuffix(text, "three\n") || len(sizes) != 2 {
			t.Errorf("after Flush: got %q in writes of %v, want the third line in a second write", text, sizes)
		}
		for range maxLogBytes/4 + 1 {
			write("abc\n")
		}
		if _, sizes := out.state(); len(sizes) != 3 || sizes[2] != maxLogBytes {
			t.Errorf("after many lines: got writes of %v, want a third of %d bytes", sizes, maxLogBytes)
		}
		time.Sleep(maxLogDelay)
		synctest.Wait()
		if text, _ := out.state(); len(text) != len("one\ntwo\nthree\n")+maxLogBytes+4 {
			t.Error("the last line is missing")
		}
	})
}

// TestLogBufferConcurrent checks that lines from several goroutines stay whole.
func TestLogBufferConcurrent(t *testing.T) {
	var out recordingWriter
	b := &LogBuffer{W: &out}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 1000 {
				_, _ = b.Write([]byte("a line of one of many\n"))
			}
		})
	}
	wg.Wait()
	b.Flush()
	text, _ := out.state()
	if n := strings.Count(text, "a line of one of many\n"); n != 16000 || len(text) != n*len("a line of one of many\n") {
		t.Errorf("got %d whole lines and %d bytes, want 16000 lines and nothing else", n, len(text))
	}
}
