package redisstore_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

func waiting(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, 2*time.Second }

// durabilities runs the steps that change something, and some that don't.
func durabilities(t *testing.T, s *redisstore.Store) map[string]session.Durability {
	t.Helper()
	found := map[string]session.Durability{}
	created := login(t, s, alice, long)
	found["create"] = created.Durability
	step := refreshStep(alice, created.Session, long)
	for _, name := range []string{"refresh", "retry"} {
		done, err := s.Refresh(ctx, step)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = done.Durability
	}
	still := long
	still.Rotate, still.UpdateLastLogin = false, false
	current := created.Session
	current.Generation++
	done, err := s.Refresh(ctx, refreshStep(alice, current, still))
	if err != nil {
		t.Fatal(err)
	}
	found["no rotation"] = done.Durability
	found["end"] = end(t, s, login(t, s, alice, long).Session.ID).Durability
	keep := session.EndOthersStep{
		Owner: alice, Types: session.Types, Cause: session.CauseOthers, Keep: current.ID, KeepGeneration: current.Generation,
	}
	login(t, s, alice, long)
	for _, name := range []string{"others", "no others"} {
		receipt, err := s.EndOthers(ctx, keep)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = receipt.Durability
	}
	receipt, err := s.Logout(ctx, session.LogoutStep{Owner: alice, ID: current.ID, Type: current.Type, Policy: long,
		Presented: session.Presented{Generation: current.Generation, Expires: current.Expires}})
	if err != nil {
		t.Fatal(err)
	}
	found["logout"] = receipt.Durability
	if receipt, err = s.EndApp(ctx, alice.App); err != nil {
		t.Fatal(err)
	}
	found["app"] = receipt.Durability
	accountDurabilities(t, s, found)
	return found
}

// accountDurabilities runs the steps that change a user of the directory.
func accountDurabilities(t *testing.T, s *redisstore.Store, found map[string]session.Durability) {
	t.Helper()
	ann, disabled, renamed := account(7, "ann"), account(7, "ann"), account(7, "anna")
	disabled.Active = false
	var err error
	for _, c := range []struct {
		step   string
		a, was session.Account
	}{{"new user", ann, nobody}, {"disabled user", disabled, ann}, {"renamed user", renamed, disabled}} {
		if found[c.step], err = s.Put(ctx, "shop", c.a, c.was); err != nil {
			t.Fatal(err)
		}
	}
	if found["removed user"], err = s.Remove(ctx, "shop", ann.ID); err != nil {
		t.Fatal(err)
	}
}

func wantDurability(t *testing.T, s *redisstore.Store, changed session.Durability) {
	t.Helper()
	for step, got := range durabilities(t, s) {
		want := changed
		if step == "retry" || step == "no rotation" || step == "no others" {
			want = session.NotAsked
		}
		if got != want {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
}

func TestDurability(t *testing.T) {
	r := redistest.Sentinel(t)
	wantDurability(t, open(t, r.URL), session.NotAsked)
	wantDurability(t, open(t, r.URL, waiting), session.Replicated)
	wantDurability(t, open(t, r.URL+"?auto_pipeline=true", waiting), session.Replicated)
	r.Replica.Kill()
	wantDurability(t, open(t, r.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = 20 * time.Millisecond }), session.Pending)
}

func TestDurabilityInACluster(t *testing.T) {
	c := redistest.Cluster(t, 2)
	quick := func(o *redisstore.Options) { o.WaitTimeout = 10 * time.Millisecond }
	wantDurability(t, open(t, c.URL, waiting, quick), session.Pending)
	c.Replicate(t)
	wantDurability(t, open(t, c.URL, waiting), session.Replicated)
}

// TestWaitCostsNoRoundTrip: the script and WAIT travel together.
func TestWaitCostsNoRoundTrip(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting)
	now := refresh(t, s, login(t, s, alice, long).Session, long)
	got := counts(t, r.Primary, func() { refresh(t, s, now, long) })
	if got["evalsha"] != 1 || got["wait"] != 1 || got["eval"] != 0 || got["multi"] != 0 {
		t.Errorf("a refresh runs %v", got)
	}
}

// TestFailover: what was acknowledged as replicated is still so on the new
// primary, and the store finds it by itself.
func TestFailover(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting)
	ended, kept := login(t, s, alice, long).Session, login(t, s, alice, long).Session
	kept = refresh(t, s, kept, long)
	if got := end(t, s, ended.ID).Durability; got != session.Replicated {
		t.Fatalf("ended as %q", got)
	}
	r.FailOver()
	plain := open(t, r.URL)
	for name, s := range map[string]*redisstore.Store{"the same": s, "another": plain} {
		soon(t, name+" store finds the new primary", func() bool { return session.CodeOf(s.Live(ctx, alice, ended.ID)) == session.Ended })
	}
	kept = refresh(t, plain, kept, long)
	if got := end(t, s, kept.ID).Durability; got != session.Pending {
		t.Errorf("without a replica: %q", got)
	}
}

// TestReplicasAreBack: after a hiccup the replicas' word is asked for again,
// also where it takes longer than a step may wait while they lag, and steps
// come without a pause.
func TestReplicasAreBack(t *testing.T) {
	primary := redistest.Standalone(t, "--repl-diskless-sync-delay", "0")
	line := newLink(t, primary.Addr)
	h, port, _ := net.SplitHostPort(line.addr)
	redistest.Standalone(t, "--replicaof", h, port)
	s := open(t, primary.URL, waiting)
	durability := func() session.Durability {
		time.Sleep(20 * time.Millisecond)
		return login(t, s, alice, long).Durability
	}
	soon(t, "the replica is in step", func() bool { return durability() == session.Replicated })
	keepAwake(t, primary.URL)
	line.delay.Store(int64(50 * time.Millisecond))
	line.frozen.Store(true)
	if got := durability(); got != session.Pending {
		t.Fatalf("out of reach of the replica: %q", got)
	}
	line.frozen.Store(false)
	soon(t, "a step is replicated again", func() bool { return durability() == session.Replicated })
	for range 10 {
		if got := durability(); got != session.Replicated {
			t.Fatalf("the replica is back, and a step is %q", got)
		}
	}
}

// keepAwake gives a server something to do: one without looks at its waits
// only when an answer comes in, however late.
func keepAwake(t *testing.T, url string) {
	t.Helper()
	s := open(t, url)
	awake, rest := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for awake.Err() == nil {
			_ = s.Ping(ctx)
			time.Sleep(time.Millisecond)
		}
	})
	t.Cleanup(func() { rest(); wg.Wait() })
}

// TestOneWaitsForAll: while replicas are gone, one step a second waits for them.
func TestOneWaitsForAll(t *testing.T) {
	srv := redistest.Standalone(t) // has none
	const all = 2 * time.Second
	s := open(t, srv.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = all })
	keepAwake(t, srv.URL)
	login(t, s, alice, long) // finds that out
	time.Sleep(1100 * time.Millisecond)
	var waited atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			start := time.Now()
			if c, err := s.Create(ctx, createStep(alice, long)); err != nil || c.Durability != session.Pending {
				t.Errorf("%q, %v", c.Durability, err)
			}
			if time.Since(start) > all/2 {
				waited.Add(1)
			}
		})
	}
	wg.Wait()
	if n := waited.Load(); n != 1 {
		t.Errorf("%d of 8 steps waited", n)
	}
}

// TestShardsWaitApart: a shard without a replica doesn't cut short the others'
// waits for theirs.
func TestShardsWaitApart(t *testing.T) {
	c := redistest.Cluster(t, 2)
	c.Replicate(t)
	c.Nodes[3].Kill()
	s := open(t, c.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = 2 * time.Second })
	ofShard := map[session.Durability]session.Owner{}
	for _, user := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		o := session.Owner{App: "shop", User: user}
		ofShard[login(t, s, o, long).Durability] = o
	}
	if len(ofShard) != 2 {
		t.Fatalf("one of the shards has a replica: %v", ofShard)
	}
	keepAwake(t, c.URL)
	time.Sleep(1100 * time.Millisecond)
	login(t, s, ofShard[session.Pending], long)
	go c.Nodes[2].Do("EVAL", "for i = 1, 1e8 do end", "0") // some tenths of a second
	time.Sleep(50 * time.Millisecond)
	if got := login(t, s, ofShard[session.Replicated], long).Durability; got != session.Replicated {
		t.Errorf("a replica that is slow to answer: %q", got)
	}
}
