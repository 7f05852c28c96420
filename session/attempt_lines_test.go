package session_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// heldChecker accepts every password, but ends no comparison before the test says so.
type heldChecker struct {
	checker
	comparing, most atomic.Int64
	end             chan struct{}
}

func (c *heldChecker) Check(_ context.Context, _ session.Credentials, found func(session.Found) error) (session.User, error) {
	if err := found(session.Found{ID: session.NumberID(1)}); err != nil {
		return session.User{}, err
	}
	n := c.comparing.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	<-c.end
	c.comparing.Add(-1)
	return session.User{ID: session.NumberID(1)}, nil
}

// heldEngines are processes that share a store and its limiter. They allow 20 failed logins
// of an account, and 40 from a network.
type heldEngines struct {
	*testing.T
	*heldChecker
	engines []*session.Engine
}

func newHeldEngines(t *testing.T, number int) *heldEngines {
	h := &heldEngines{T: t, heldChecker: &heldChecker{end: make(chan struct{})}}
	store := memstore.New(memstore.Options{})
	for range number {
		e, err := session.New(session.Config{
			Apps: []session.App{{
				Name: "shop", Secrets: []string{"s"}, AccessLifetime: retention, AccountKey: sameKey,
				Policies: map[session.Type]session.Policy{session.Long: validPolicy(), session.Short: validPolicy()},
				Signer:   &signer{key: "k"}, Devices: &signer{key: "k"}, Checker: h.heldChecker,
				LoginAttempts: 20, LoginAttemptsPerNetwork: 40,
			}},
			Store: store, Limiter: store.Limiter(), Revocations: session.NewRevocationList(retention, bound, time.Now),
		})
		if err != nil {
			t.Fatal(err)
		}
		h.engines = append(h.engines, e)
	}
	return h
}

// begin begins a login at one of the engines, and checks the code that it ends with.
func (h *heldEngines) begin(ctx context.Context, engine int, username, network string, want session.Code) {
	go func() {
		_, err := h.engines[engine].Login(ctx, session.LoginRequest{Secret: "s", Username: username, Password: "p", Type: "LONG", Network: network})
		if session.CodeOf(err) != want {
			h.Errorf("login of %s from %s: got %v, want code %s", username, network, err, want)
		}
	}()
}

// wantComparing checks how many passwords are being compared once all logins have to wait.
func (h *heldEngines) wantComparing(want int64) {
	h.Helper()
	synctest.Wait()
	if got := h.comparing.Load(); got != want {
		h.Errorf("%d passwords are being compared, want %d", got, want)
	}
}

// TestRightPasswordsAtOnce checks that no right password is refused because many logins of
// one account, or from one network, come at once to ten processes.
func TestRightPasswordsAtOnce(t *testing.T) {
	for name, c := range map[string]struct {
		username func(i int) string
		network  func(i int) string
		want     int64 // passwords that are compared at once
	}{
		"account": {func(int) string { return "alice" }, func(i int) string { return fmt.Sprint("n", i) }, 20},
		"network": {func(i int) string { return fmt.Sprint("user", i) }, func(int) string { return "n" }, 40},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHeldEngines(t, 10)
				for i := range 200 {
					h.begin(t.Context(), i%10, c.username(i), c.network(i), session.OK)
				}
				h.wantComparing(c.want)
				close(h.end)
				h.wantComparing(0)
				if got := h.most.Load(); got != c.want {
					t.Errorf("%d passwords were compared at once, want %d", got, c.want)
				}
			})
		})
	}
}

// TestLoginWaitsForOthers checks that a login waits for others of its account neither
// forever nor longer than its client, and that logins of other accounts go on.
func TestLoginWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeldEngines(t, 1)
		h.begin(t.Context(), 0, "alice", "home", session.OK)
		h.begin(t.Context(), 0, "alice", "office", session.OK)
		h.wantComparing(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h.begin(t.Context(), 0, "alice", "away", session.Busy)
		h.begin(ctx, 0, "alice", "away", session.Unavailable)
		h.begin(t.Context(), 0, "bob", "away", session.OK)
		h.wantComparing(3)
		time.Sleep(2 * time.Second)
		h.begin(t.Context(), 0, "alice", "away", session.OK)
		h.wantComparing(3)
		close(h.end)
		h.wantComparing(0)
	})
}

// TestBusyNetworkHoldsNoAccount checks that logins that wait for others of their network
// don't hold up an account.
func TestBusyNetworkHoldsNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeldEngines(t, 1)
		for i := range 4 {
			h.begin(t.Context(), 0, fmt.Sprint("user", i), "n", session.OK)
		}
		h.wantComparing(4)
		for range 2 { // as many of an account as are compared at once
			h.begin(t.Context(), 0, "alice", "n", session.OK)
		}
		h.wantComparing(4)
		h.begin(t.Context(), 0, "alice", "home", session.OK)
		h.wantComparing(5)
		close(h.end)
		h.wantComparing(0)
	})
}
