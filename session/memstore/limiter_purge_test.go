package memstore

import (
	"fmt"
	"testing"
	"time"

	"tokengate/session"
)

// TestLimiterMemoryIsBounded makes attempts for names and networks that are never seen again,
// and checks that the limiter keeps no more than those that are not over.
func TestLimiterMemoryIsBounded(t *testing.T) {
	s, now := newTestStore()
	l, most := s.Limiter(), 0
	a := session.Attempt{App: "shop", Failures: 100, NetworkLimit: session.RateLimit{Attempts: 300, Period: 10 * time.Minute}}
	for i := range 20_000 {
		a.Account, a.Network = fmt.Sprint(i), fmt.Sprint(i)
		if err := l.Reserve(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		*now = now.Add(5 * time.Minute)
		most = max(most, len(l.budgets))
	}
	if needed := int(session.FailureMemory / (5 * time.Minute)); most > 3*needed || most < needed {
		t.Errorf("the limiter held up to %d budgets, want %d to %d", most, needed, 3*needed)
	}
}

// TestLimiterFreesAll checks that nothing is kept when rows, rates and refusals are over or
// were given back.
func TestLimiterFreesAll(t *testing.T) {
	const accounts = 500
	s, now := newTestStore()
	l := s.Limiter()
	a := session.Attempt{App: "shop", Network: "n", Failures: 1, NetworkLimit: session.RateLimit{Attempts: 2 * accounts, Period: time.Minute}}
	for i := range accounts {
		a.Account = fmt.Sprint(i)
		for _, want := range []session.Code{session.OK, session.Throttled} {
			if err := l.Reserve(t.Context(), a); session.CodeOf(err) != want {
				t.Fatalf("got %v, want %s", err, want)
			}
		}
	}
	if len(l.budgets) != accounts+1 || l.purgeOrder.Len() != accounts+1 || len(l.refusals) != 1 {
		t.Errorf("the limiter holds %d budgets, %d in order, %d slices", len(l.budgets), l.purgeOrder.Len(), len(l.refusals))
	}
	if err := l.Forget(t.Context(), "shop", "0"); err != nil || len(l.budgets) != accounts {
		t.Errorf("after Forget: %v, %d budgets", err, len(l.budgets))
	}
	*now = now.Add(session.FailureMemory)
	for range accounts {
		if err := l.Forget(t.Context(), "shop", "none"); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.budgets)+l.purgeOrder.Len()+len(l.refusals) != 0 {
		t.Errorf("the limiter still holds %d budgets, %d in order, %d slices", len(l.budgets), l.purgeOrder.Len(), len(l.refusals))
	}
}
