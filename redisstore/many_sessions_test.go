package redisstore_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestRevokeOthersOfMany checks that the cost of revoking many sessions does not depend on their
// number, that one revocation of all is in the outbox, and that the keys expire with the kept
// session.
func TestRevokeOthersOfMany(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := policy
	p.Limit = false
	short := p
	short.Lifetime = 1000 * time.Second
	keep := loginAs(t, s, alice, session.Long, short)
	others := session.RevokeOthersStep{
		Owner: alice, Caller: keep.ID, Keep: keep.ID, KeepToken: refreshStep(alice, keep, p).Presented, KeepPolicy: p,
		Types: session.Types, Cause: session.CauseOthers,
	}
	revokeMany := func(n int) map[string]int {
		loginMany(t, s, p, n)
		return countCommands(t, srv, func() {
			if result, err := s.RevokeOthers(ctx, others); err != nil || result.Count() != n || (result.Many == nil) != (n == 1) {
				t.Errorf("got %+v, %v; want %d sessions revoked", result, err, n)
			}
		})
	}
	revokeMany(1) // Redis gets the script
	few, many := revokeMany(600), revokeMany(3000)
	total := 0
	for _, n := range many {
		total += n
	}
	if !maps.Equal(few, many) || total > 30 {
		t.Errorf("600 sessions: %v, 3000 sessions: %v; want the same, and at most 30", few, many)
	}
	bucket := "tg:{shop:" + bucketHex(alice.User) + "}:"
	if got := srv.Do("XREVRANGE", bucket+"revocations", "+", "-", "COUNT", "1"); !strings.HasSuffix(got, "|others||*"+string(keep.ID)+"|shop|42") {
		t.Errorf("got the outbox entry %q, want one of all sessions but %s", got, keep.ID)
	}
	if got := keys(srv); len(got) != 4 {
		t.Errorf("got the keys %q, want those of the kept session, the tombstones and the outbox", got)
	}
	for _, key := range []string{"LONG:42", "data:LONG:42"} {
		got, want := srv.Do("PEXPIRETIME", bucket+key), fmt.Sprint(keep.Expires.UnixMilli())
		if got != want && !strings.HasPrefix(got, "ERR unknown command") { // which Redis 6.2 says
			t.Errorf("%s expires at %s, want %s", key, got, want)
		}
	}
}

// TestListOfManySessions checks that a list is read in steps that are bounded.
func TestListOfManySessions(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := policy
	p.Limit = false
	caller := loginAs(t, s, alice, session.Short, p)
	loginMany(t, s, p, 1700)
	step := session.ListStep{Owner: alice, Caller: caller.ID, Types: session.Types}
	got := countCommands(t, srv, func() {
		listed, err := s.List(ctx, step)
		if err != nil || len(listed.Sessions) != 1701 {
			t.Errorf("got %d sessions, %v; want 1701", len(listed.Sessions), err)
		}
		if i := slices.IndexFunc(listed.Sessions, func(s session.Session) bool { return s.ID == caller.ID }); i < 0 || string(listed.Sessions[i].Claims) != string(caller.Claims) {
			t.Errorf("the caller's session is not in the list with its claims")
		}
	})
	if got["time"] != 18 || got["hmget"] != 18 || got["hgetall"] != 1 {
		t.Errorf("got %v, want 18 scripts that read 18 parts of the sessions, and all of the other type", got)
	}
	if listed, err := s.List(ctx, session.ListStep{Owner: alice, Types: []session.Type{session.Long}}); err != nil || listed.Sessions[0].Info == "" || listed.Sessions[1699].Info == "" {
		t.Errorf("got %d sessions, %v; want each with its info", len(listed.Sessions), err)
	}
}

// TestLargeListIsEntered checks that a list asks before it reads a second page, once, and reads
// no more if it is refused.
func TestLargeListIsEntered(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := policy
	p.Limit = false
	step := session.ListStep{Owner: alice, Types: session.Types}
	for _, c := range []struct {
		sessions, entered int
		err               error
		scripts           int
	}{{99, 0, nil, 1}, {300, 1, nil, 4}, {300, 1, session.Fail(session.Busy, nil), 1}} {
		loginMany(t, s, p, c.sessions-len(list(t, s)))
		entered := 0
		got := countCommands(t, srv, func() {
			listed, err := s.List(session.WithLargeList(ctx, func() error { entered++; return c.err }), step)
			if session.CodeOf(err) != session.CodeOf(c.err) || err == nil && len(listed.Sessions) != c.sessions {
				t.Errorf("got %d sessions, %v; want %d, %v", len(listed.Sessions), err, c.sessions, c.err)
			}
		})
		if entered != c.entered || got["time"] != c.scripts {
			t.Errorf("%d sessions: entered %d times, read %d pages; want %d, %d", c.sessions, entered, got["time"], c.entered, c.scripts)
		}
	}
}

// TestEvictionOfManySessions evicts more sessions than Lua takes as arguments of one
// call.
func TestEvictionOfManySessions(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
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
