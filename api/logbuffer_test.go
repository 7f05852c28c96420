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

// sizes notes how much each write brings.
type sizes struct {
	mu   sync.Mutex
	all  bytes.Buffer
	each []int
}

// soFar gives all that was written, and in what sizes.
func (s *sizes) soFar() (string, []int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String(), slices.Clone(s.each)
}

func (s *sizes) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.each = append(s.each, len(b))
	return s.all.Write(b)
}

func TestLogBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sizes
		b := &LogBuffer{W: &out}
		write := func(line string) { _, _ = b.Write([]byte(line)) }
		write("one\n")
		write("two\n")
		time.Sleep(logDelay - 1)
		if all, _ := out.soFar(); all != "" {
			t.Errorf("written at once: %q", all)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if all, each := out.soFar(); all != "one\ntwo\n" || len(each) != 1 {
			t.Errorf("after the delay: %q in %v", all, each)
		}
		time.Sleep(time.Second)
		write("three\n")
		b.Flush()
		b.Flush()
		if all, each := out.soFar(); !strings.HasSuffix(all, "three\n") || len(each) != 2 {
			t.Errorf("flushed: %q in %v", all, each)
		}
		for range logAtOnce/4 + 1 {
			write("abc\n")
		}
		if _, each := out.soFar(); len(each) != 3 || each[2] != logAtOnce {
			t.Errorf("many lines were written in %v", each)
		}
		time.Sleep(logDelay)
		synctest.Wait()
		if all, _ := out.soFar(); len(all) != len("one\ntwo\nthree\n")+logAtOnce+4 {
			t.Error("the last line was lost")
		}
	})
}

func TestLogBufferTogether(t *testing.T) {
	var out sizes
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
	all, _ := out.soFar()
	if n := strings.Count(all, "a line of one of many\n"); n != 16000 || len(all) != n*len("a line of one of many\n") {
		t.Errorf("%d whole lines of 16000, %d bytes", n, len(all))
	}
}
