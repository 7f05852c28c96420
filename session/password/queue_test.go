package password

import (
	"context"
	"errors"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
)

func wantCode(t *testing.T, err error, want session.Code) {
	t.Helper()
	if got := session.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
}

func TestQueueBoundsThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(3, time.Hour, nil)
		var busy, most atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			width := 1 + i%5 // 4 and 5 are more than the queue has
			wg.Go(func() {
				err := q.Do(t.Context(), width, func() {
					now := busy.Add(int64(min(width, 3)))
					if now > most.Load() {
						most.Store(now)
					}
					time.Sleep(time.Millisecond)
					busy.Add(-int64(min(width, 3)))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most.Load() != 3 {
			t.Errorf("%d threads were busy at once, want 3", most.Load())
		}
	})
}

func TestQueueServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, time.Hour, nil)
		var served []int
		for i := range 10 {
			go func() { _ = q.Do(t.Context(), 1, func() { time.Sleep(time.Second); served = append(served, i) }) }()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.IsSorted(served) || len(served) != 10 {
			t.Errorf("got the order %v, want the order of arrival", served)
		}
	})
}

func TestQueueFailsAfterItsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, 0, nil)
		go func() { _ = q.Do(t.Context(), 1, func() { time.Sleep(time.Minute) }) }()
		synctest.Wait()
		start := time.Now()
		err := q.Do(t.Context(), 1, func() { t.Error("the work ran") })
		wantCode(t, err, session.Busy)
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("waited %s, want 2s", waited)
		}
		time.Sleep(time.Minute)
		if err := q.Do(t.Context(), 1, func() {}); err != nil {
			t.Errorf("after the work has finished: %v", err)
		}
	})
}

func TestQueueFailsWhenContextIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(1, time.Hour, nil)
		go func() { _ = q.Do(t.Context(), 1, func() { time.Sleep(time.Minute) }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := q.Do(ctx, 1, func() { t.Error("the work ran") })
		wantCode(t, err, session.Unavailable)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %s, want DeadlineExceeded after 1s", err, time.Since(start))
		}
		cancelled, stop := context.WithCancel(t.Context())
		stop()
		wantCode(t, NewQueue(1, 0, nil).Do(cancelled, 1, func() { t.Error("the work ran") }), session.Unavailable)
		time.Sleep(time.Minute)
	})
}

func TestQueueSurvivesPanic(t *testing.T) {
	q := NewQueue(1, time.Second, nil)
	func() {
		defer func() { _ = recover() }()
		_ = q.Do(t.Context(), 1, func() { panic("test") })
	}()
	if err := q.Do(t.Context(), 1, func() {}); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

// TestQueueLeavesOneProcessor checks that network exchanges stay fast while a queue of the
// default size is full. With hashing on all processors, each exchange of a refresh would
// wait for about 10 ms at a time; the median measured here would be 30 ms.
func TestQueueLeavesOneProcessor(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("needs two processors")
	}
	q := NewQueue(0, time.Hour, nil)
	h, _ := DjangoDummy().decodedHash.(pbkdf2Hash)
	h.iterations = 100_000
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for q.Do(ctx, 1, func() { h.match("x") }) == nil {
				continue
			}
		})
	}
	median := medianRoundTrip(t, 200)
	stop()
	wg.Wait()
	if median > 8*time.Millisecond {
		t.Errorf("a round trip over loopback takes %s, want at most 8ms", median)
	}
}

// medianRoundTrip returns the median time of sending a byte over loopback and back.
func medianRoundTrip(t *testing.T, times int) time.Duration {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		conn, err := listener.Accept()
		for b := make([]byte, 1); err == nil; {
			if _, err = conn.Read(b); err == nil {
				_, err = conn.Write(b)
			}
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	var took []time.Duration
	for range times {
		start := time.Now()
		b := []byte{1}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(b); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
		time.Sleep(2 * time.Millisecond)
	}
	slices.Sort(took)
	return took[len(took)/2]
}
