package session_test

import (
	"fmt"
	"strings"
	"testing"

	"tokengate/session"
)

// TestEventsHoldNoSecret looks in all events for the secrets, passwords and tokens
// of the requests and responses.
func TestEventsHoldNoSecret(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	_, _ = f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "pass-word", Type: "LONG"})
	_, _ = f.refresh(tokens.Refresh)
	_, _ = f.refresh("garbage-token")
	_, _ = f.Logout(t.Context(), "s-old", tokens.Refresh)
	_, _ = f.Login(t.Context(), session.LoginRequest{Secret: "se-cret", Username: "alice", Password: "pass-word", Type: "LONG"})
	for _, e := range f.events.events {
		for _, secret := range []string{"s-new", "s-old", "se-cret", "pass-word", "garbage-token", tokens.Refresh, tokens.Access} {
			if strings.Contains(fmt.Sprintf("%+v", e), secret) {
				t.Errorf("an event contains %q: %+v", secret, e)
			}
		}
	}
	if n := len(f.events.events); n < 5 {
		t.Errorf("got %d events, want at least 5", n)
	}
}
