package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

// TestAnyTime checks that the context of a step that completes another one has no Arrival.
func TestAnyTime(t *testing.T) {
	ctx := session.WithArrival(t.Context(), session.Arrival{Read: time.Now()})
	if _, ok := session.ArrivalFrom(ctx); !ok {
		t.Error("WithArrival: got no Arrival")
	}
	if _, ok := session.ArrivalFrom(session.AnyTime(ctx)); ok {
		t.Error("AnyTime: got an Arrival")
	}
	if _, ok := session.ArrivalFrom(t.Context()); ok {
		t.Error("a context of no request: got an Arrival")
	}
}
