package redisstore_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// readAgo returns the context of a request that was read some time ago.
func readAgo(ago time.Duration) context.Context {
	return session.WithArrival(ctx, &session.Arrival{Read: time.Now().Add(-ago)})
}

// TestLateStepsChangeNothing checks that a step does nothing, and fails with Unavailable, if it
// reaches Redis more than session.StepDelay after its request was read.
func TestLateStepsChangeNothing(t *testing.T) {
	srv := redistest.Standalone(t)
	network := newProxy(t, srv.Addr)
	for name, s := range map[string]interface {
		session.Store
		Ping(context.Context) error
	}{
		"pipeline":    open(t, "redis://"+network.addr+"?auto_pipeline=true"),
		"connections": open(t, "redis://"+network.addr+"?auto_pipeline=false"),
	} {
		t.Run(name, func(t *testing.T) {
			created, err := s.Create(ctx, createStep(alice, policy))
			if err != nil {
				t.Fatal(err)
			}
			current, full := created.Session, policy
			full.Max = 1
			steps := map[string]func(context.Context) error{
				"Create": func(ctx context.Context) error { _, err := s.Create(ctx, createStep(alice, full)); return err },
				"Refresh": func(ctx context.Context) error {
					_, err := s.Refresh(ctx, refreshStep(alice, current, policy))
					return err
				},
				"Logout": func(ctx context.Context) error { _, err := s.Logout(ctx, logoutStep(current, policy)); return err },
				"Revoke": func(ctx context.Context) error {
					_, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: current.ID, Cause: session.CauseUser})
					return err
				},
				"RevokeOthers": func(ctx context.Context) error {
					_, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseUser})
					return err
				},
			}
			before := dump(srv)
			for step, run := range steps {
				if err := run(readAgo(2 * session.StepDelay)); session.CodeOf(err) != session.Unavailable {
					t.Errorf("%s that begins late: got %v, want unavailable", step, err)
				}
			}
			network.delay.Store(int64(session.StepDelay + 200*time.Millisecond))
			for step, run := range steps {
				if err := run(readAgo(0)); session.CodeOf(err) != session.Unavailable {
					t.Errorf("%s that arrives late: got %v, want unavailable", step, err)
				}
			}
			network.delay.Store(0)
			if after := dump(srv); !maps.Equal(before, after) {
				t.Errorf("late steps have changed\n%v into\n%v", before, after)
			}
			checked := &session.Arrival{Read: time.Now().Add(-time.Minute)}
			checked.Checked.Store(int64(time.Minute))
			if err := steps["Refresh"](session.WithArrival(ctx, checked)); err != nil {
				t.Errorf("a step whose user was checked for a minute: %v", err)
			}
		})
	}
}
