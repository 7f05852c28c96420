package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

// TestAnyTime checks that the context of a step that completes another one has no Arrival.
func TestAnyTime(t *testing.T) {
	ctx := session.WithArrival(t.Context(), &session.Arrival{Read: time.Now()})
	if session.ArrivalFrom(ctx) == nil {
		t.Error("WithArrival: got no Arrival")
	}
	if session.ArrivalFrom(session.AnyTime(ctx)) != nil {
		t.Error("AnyTime: got an Arrival")
	}
	if session.ArrivalFrom(t.Context()) != nil {
		t.Error("a context of no request: got an Arrival")
	}
}

// TestUserSourceIsNotCounted checks that the time in which the user source answers is recorded,
// at logins, refreshes and verifications.
func TestUserSourceIsNotCounted(t *testing.T) {
	f := newFixture(t)
	arrival := &session.Arrival{Read: time.Now()}
	ctx, checked := session.WithArrival(t.Context(), arrival), &arrival.Checked
	tokens, err := f.Login(ctx, session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
	f.wantError(err, session.OK, "")
	if checked.Swap(0) == 0 {
		t.Error("login: the time of the user source counts")
	}
	for step, run := range map[string]func() error{
		"refresh": func() error {
			_, err := f.Refresh(ctx, session.RefreshRequest{Secret: "s-new", Type: "LONG", Token: tokens.Refresh})
			return err
		},
		"authenticate": func() error { _, err := f.Authenticate(ctx, tokens.Access); return err },
	} {
		if f.wantError(run(), session.OK, ""); checked.Swap(0) == 0 {
			t.Errorf("%s: the time of the user source counts", step)
		}
	}
	checked.Store(int64(time.Minute))
	if got, want := arrival.Latest(), arrival.Read.Add(session.StepDelay+time.Minute); !got.Equal(want) {
		t.Errorf("a step may begin until %s, want %s", got, want)
	}
}
