package credential

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
		t.Errorf("%v: code %q, want %q", err, got, want)
	}
}

func TestLaneHoldsNoMoreThanItsThreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := NewLane(3, time.Hour, nil)
		var busy, most atomic.Int64
		var wg sync.WaitGroup
		for i := range 40 {
			width := 1 + i%5 // 4 and 5 are wider than the lane: they get the whole of it
			wg.Go(func() {
				err := lane.Do(t.Context(), width, func() {
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

func TestLaneServesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := NewLane(1, time.Hour, nil)
		var served []int
		for i := range 10 {
			go func() { _ = lane.Do(t.Context(), 1, func() { time.Sleep(time.Second); served = append(served, i) }) }()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.IsSorted(served) || len(served) != 10 {
			t.Errorf("served in the order %v", served)
		}
	})
}

func TestLaneRefusesAfterItsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := NewLane(1, 0, nil)
		go func() { _ = lane.Do(t.Context(), 1, func() { time.Sleep(time.Minute) }) }()
		synctest.Wait()
		start := time.Now()
		err := lane.Do(t.Context(), 1, func() { t.Error("it ran") })
		wantCode(t, err, session.Busy)
		if waited := time.Since(start); waited != 2*time.Second {
			t.Errorf("it waited %s, want 2s", waited)
		}
		time.Sleep(time.Minute)
		if err := lane.Do(t.Context(), 1, func() {}); err != nil {
			t.Errorf("the lane is free again: %v", err)
		}
	})
}

func TestLaneLeavesWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lane := NewLane(1, time.Hour, nil)
		go func() { _ = lane.Do(t.Context(), 1, func() { time.Sleep(time.Minute) }) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := lane.Do(ctx, 1, func() { t.Error("it ran") })
		wantCode(t, err, session.Unavailable)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		cancelled, stop := context.WithCancel(t.Context())
		stop()
		wantCode(t, NewLane(1, 0, nil).Do(cancelled, 1, func() { t.Error("it ran") }), session.Unavailable)
		time.Sleep(time.Minute)
	})
}

func TestLaneSurvivesAPanic(t *testing.T) {
	lane := NewLane(1, time.Second, nil)
	func() {
		defer func() { _ = recover() }()
		_ = lane.Do(t.Context(), 1, func() { panic("in the work") })
	}()
	if err := lane.Do(t.Context(), 1, func() {}); err != nil {
		t.Errorf("the place was not given back: %v", err)
	}
}

// A lane of the default size leaves the network to the rest of the program. It
// is what keeps a storm of logins from slowing refreshes, whose every exchange
// would otherwise wait for some 10 ms: the median here is 30 ms then.
func TestStormOfLoginsLeavesTheNetworkAlone(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("one processor can't be shared without waiting")
	}
	lane := NewLane(0, time.Hour, nil)
	storm, _ := usualInDjango().hash.(pbkdf2Hash)
	storm.iterations = 100_000
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for lane.Do(ctx, 1, func() { storm.match("x") }) == nil {
				continue
			}
		})
	}
	median := exchange(t, 200)
	stop()
	wg.Wait()
	if median > 8*time.Millisecond {
		t.Errorf("an exchange over loopback takes %s", median)
	}
}

// exchange gives the median time of sending a byte over loopback and back.
func exchange(t *testing.T, times int) time.Duration {
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
