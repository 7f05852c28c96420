package redisstore_test

import (
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestRevokeOthersWritesOnce checks that a step that revokes many sessions writes the
// outbox, the channel and the tombstones once.
func TestRevokeOthersWritesOnce(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Limit = false
	for range 50 {
		login(t, s, alice, p)
	}
	others := session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator, By: "ann|%7C"}
	var result session.RevokeResult
	got := countCommands(t, srv, func() {
		var err error
		if result, err = s.RevokeOthers(ctx, others); err != nil {
			t.Fatal(err)
		}
	})
	if len(result.Revoked) != 50 || got["xadd"] != 1 || got["publish"] != 1 || got["zadd"] != 1 || got["zrem"] != 2 {
		t.Errorf("revoked %d sessions with %v, want 50 with one xadd, publish and zadd, and two zrem", len(result.Revoked), got)
	}
	tombstones, err := s.Tombstones(ctx, alice)
	if err != nil || len(tombstones) != 32 || tombstones[0].By != others.By {
		t.Errorf("got %d tombstones %+v, %v; want 32 by %q", len(tombstones), tombstones, err, others.By)
	}
}

// TestEvictionOfManySessions evicts more sessions than Lua takes as arguments of one
// call.
func TestEvictionOfManySessions(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	const n = 8100
	p := policy
	p.Limit = false
	loginMany(t, s, p, n)
	p.Limit, p.Max, p.DestroyOldest = true, 2, true
	created, err := s.Create(ctx, createStep(alice, p))
	if err != nil || len(created.Revoked) != n-1 {
		t.Fatalf("evicted %d of %d sessions, want all but one: %v", len(created.Revoked), n, err)
	}
}
