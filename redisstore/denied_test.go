package redisstore_test

import (
	"maps"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestNoStepBeginsWithoutRights checks that steps that write, and Ready, fail before they
// write once Redis has denied a command for lack of a right, and go on when the right is given
// back. Steps that only read go on meanwhile.
func TestNoStepBeginsWithoutRights(t *testing.T) {
	for _, right := range []string{"hset", "zadd", "zrem", "hdel", "pexpireat", "pexpire", "zrevrange", "xadd", "time", "unlink", "zcount"} {
		needed := right == "time" || right == "zrem" // by steps that only read
		t.Run(right, func(t *testing.T) {
			srv := redistest.Standalone(t)
			s := open(t, srv.URL)
			current := login(t, s, alice, policy).Session
			srv.Do("ACL", "SETUSER", "default", "-"+right)
			if err := s.Ping(ctx); session.CodeOf(err) != session.Unavailable {
				t.Fatalf("Ping: got %v, want unavailable", err)
			}
			before := dump(srv)
			full := policy
			full.Max = 1
			for name, step := range map[string]func() error{
				"Create":  func() error { _, err := s.Create(ctx, createStep(alice, full)); return err },
				"Revoke":  func() error { _, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: current.ID}); return err },
				"Logout":  func() error { _, err := s.Logout(ctx, logoutStep(current, policy)); return err },
				"Ready":   func() error { return s.Ready(ctx, alice) },
				"Reserve": func() error { return s.Limiter().Reserve(ctx, attempt) },
			} {
				if err := step(); session.CodeOf(err) != session.Unavailable {
					t.Errorf("%s: got %v, want unavailable", name, err)
				}
			}
			if after := dump(srv); !maps.Equal(before, after) {
				t.Errorf("the steps have changed\n%v into\n%v", before, after)
			}
			if err := s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID}); err != nil && !needed {
				t.Errorf("Live: got %v, want nil", err)
			}
			srv.Do("ACL", "SETUSER", "default", "+"+right)
			if err := s.Ready(ctx, alice); err != nil {
				t.Errorf("Ready with the right: got %v, want nil", err)
			}
			refresh(t, s, alice, current, policy)
			reserve(t, s, attempt, 1)
		})
	}
}
