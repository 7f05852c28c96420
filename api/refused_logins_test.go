package api

import (
	"context"
	"testing"
	"time"
)

// TestRefusalIsHeldBack checks that an answer is held back for the delay, that it ends when
// the client disconnects, and that further answers than maxRefusals are sent at once.
func TestRefusalIsHeldBack(t *testing.T) {
	short := newRefusedLogins(20 * time.Millisecond)
	start := time.Now()
	short.hold(t.Context())
	if took := time.Since(start); took < short.delay {
		t.Errorf("the answer was held back for %s, want at least %s", took, short.delay)
	}
	long := newRefusedLogins(time.Hour)
	ctx, disconnect := context.WithCancel(t.Context())
	done := make(chan struct{}, maxRefusals)
	for range maxRefusals {
		go func() {
			long.hold(ctx)
			done <- struct{}{}
		}()
	}
	for len(long.held) < maxRefusals {
		time.Sleep(time.Millisecond)
	}
	long.hold(t.Context()) // returns, because too many are held back
	disconnect()
	for range maxRefusals {
		<-done
	}
	if n := len(long.held); n != 0 {
		t.Errorf("%d answers are held back, want none", n)
	}
}
