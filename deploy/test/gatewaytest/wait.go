package gatewaytest

import (
	"testing"
	"time"
)

// WaitUntil waits until holds returns true, which it calls every 2 ms. After limit it stops the
// test.
func WaitUntil(tb testing.TB, limit time.Duration, condition string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("timed out after %s, waiting until %s", limit, condition)
		}
	}
}
