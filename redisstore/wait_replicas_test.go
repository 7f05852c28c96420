package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// waiting makes a store wait up to 2 s for one replica.
func waiting(o *redisstore.Options) { o.WaitReplicas, o.WaitTimeout = 1, 2*time.Second }

// durabilities runs the steps that write, in cases where they change something and in
// cases where they don't. It returns the durability of each.
func durabilities(t *testing.T, s *redisstore.Store) map[string]session.Durability {
	t.Helper()
	found := map[string]session.Durability{}
	created := login(t, s, alice, policy)
	found["create"] = created.Durability
	step := refreshStep(alice, created.Session, policy)
	for _, name := range []string{"refresh", "retried refresh"} {
		refreshed, err := s.Refresh(ctx, step)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = refreshed.Durability
	}
	noRotation := policy
	noRotation.Rotate, noRotation.UpdateLastLogin = false, false
	current := created.Session
	current.Generation++
	refreshed, err := s.Refresh(ctx, refreshStep(alice, current, noRotation))
	if err != nil {
		t.Fatal(err)
	}
	found["refresh without rotation"] = refreshed.Durability
	found["revoke"] = revoke(t, s, login(t, s, alice, policy).Session.ID).Durability
	others := session.RevokeOthersStep{
		Owner: alice, Types: session.Types, Cause: session.CauseOthers, Keep: current.ID, KeepPolicy: policy,
		KeepToken: session.Presented{Secret: current.Secret, Generation: current.Generation, Expires: current.Expires},
	}
	login(t, s, alice, policy)
	for _, name := range []string{"revoke others", "revoke no others"} {
		revoked, err := s.RevokeOthers(ctx, others)
		if err != nil {
			t.Fatal(err)
		}
		found[name] = revoked.Durability
	}
	for _, name := range []string{"logout", "repeated logout"} {
		revoked, err := s.Logout(ctx, logoutStep(current, policy))
		if err != nil && name == "logout" || err == nil && name != "logout" {
			t.Fatalf("%s: %v", name, err)
		}
		found[name] = revoked.Durability
	}
	repeated, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: current.ID, Cause: session.CauseUser})
	if session.CodeOf(err) != session.Revoked {
		t.Fatalf("Revoke of a revoked session: %v", err)
	}
	found["repeated revoke"] = repeated.Durability
	revoked, err := s.RevokeApp(ctx, alice.App)
	if err != nil {
		t.Fatal(err)
	}
	found["revoke app"] = revoked.Durability
	accountDurabilities(t, s, found)
	return found
}

// accountDurabilities adds the durability of the steps that change an account.
func accountDurabilities(t *testing.T, s *redisstore.Store, found map[string]session.Durability) {
	t.Helper()
	ann, disabled, renamed := account(7, "ann"), account(7, "ann"), account(7, "anna")
	disabled.Active = false
	var err error
	for _, c := range []struct {
		step   string
		a, was session.Account
	}{{"create account", ann, noAccount}, {"disable account", disabled, ann}, {"rename account", renamed, disabled}} {
		if found[c.step], err = s.Directory().PutAccount(ctx, "shop", c.a, c.was); err != nil {
			t.Fatal(err)
		}
	}
	if found["remove account"], err = s.Directory().RemoveAccount(ctx, "shop", ann.ID); err != nil {
		t.Fatal(err)
	}
}

// wantDurability checks the durability of all steps that change something, or find that it
// was changed before.
func wantDurability(t *testing.T, s *redisstore.Store, want session.Durability) {
	t.Helper()
	for step, got := range durabilities(t, s) {
		want := want
		if step == "refresh without rotation" {
			want = session.NotRequested
		}
		if got != want {
			t.Errorf("%s: got durability %q, want %q", step, got, want)
		}
	}
}

func TestDurability(t *testing.T) {
	r := redistest.Sentinel(t)
	wantDurability(t, open(t, r.URL), session.NotRequested)
	wantDurability(t, open(t, r.URL, waiting), session.Replicated)
	wantDurability(t, open(t, r.URL+"?auto_pipeline=false", waiting), session.Replicated)
	r.Replica.Kill()
	wantDurability(t, open(t, r.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = 20 * time.Millisecond }), session.Pending)
}

func TestDurabilityInCluster(t *testing.T) {
	c := redistest.Cluster(t, 2)
	quick := func(o *redisstore.Options) { o.WaitTimeout = 10 * time.Millisecond }
	wantDurability(t, open(t, c.URL, waiting, quick), session.Pending)
	c.Replicate(t)
	wantDurability(t, open(t, c.URL, waiting), session.Replicated)
}

// TestWaitTakesNoRoundTrip checks that a step sends its script and WAIT only.
func TestWaitTakesNoRoundTrip(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting)
	current := refresh(t, s, alice, login(t, s, alice, policy).Session, policy)
	got := countCommands(t, r.Primary, func() { refresh(t, s, alice, current, policy) })
	if got["evalsha"] != 1 || got["wait"] != 1 || got["eval"] != 0 || got["multi"] != 0 {
		t.Errorf("a refresh runs %v, want one evalsha and one wait", got)
	}
}

// TestReplicatedStepSurvivesFailover checks that a revocation that was reported as
// replicated holds on the new primary, and that stores find the new primary.
func TestReplicatedStepSurvivesFailover(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting)
	revoked, kept := login(t, s, alice, policy).Session, login(t, s, alice, policy).Session
	kept = refresh(t, s, alice, kept, policy)
	if got := revoke(t, s, revoked.ID).Durability; got != session.Replicated {
		t.Fatalf("Revoke: got durability %q, want %q", got, session.Replicated)
	}
	r.FailOver()
	opened := open(t, r.URL)
	for name, s := range map[string]*redisstore.Store{"old": s, "new": opened} {
		waitFor(t, "the "+name+" store finds the new primary", func() bool {
			_, err := s.Refresh(ctx, refreshStep(alice, revoked, policy))
			return session.CodeOf(err) == session.Revoked
		})
	}
	kept = refresh(t, opened, alice, kept, policy)
	if got := revoke(t, s, kept.ID).Durability; got != session.Pending {
		t.Errorf("Revoke without a replica: got durability %q, want %q", got, session.Pending)
	}
	if err := s.Live(ctx, session.LiveStep{Owner: alice, ID: kept.ID}); session.CodeOf(err) != session.Unavailable {
		t.Errorf("Live without a replica: got %v, want unavailable", err)
	}
}

// TestRepeatLearnsDurability checks that the repeat of a revocation that was pending says that
// it is replicated once it is.
func TestRepeatLearnsDurability(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = 100 * time.Millisecond })
	current := login(t, s, alice, policy).Session
	r.Replica.Suspend()
	revoked, err := s.Logout(ctx, logoutStep(current, policy))
	if err != nil || revoked.Durability != session.Pending {
		t.Fatalf("without the replica: got %q, %v; want %q", revoked.Durability, err, session.Pending)
	}
	revoked, err = s.Logout(ctx, logoutStep(current, policy))
	if session.CodeOf(err) != session.Revoked || revoked.Durability != session.Pending {
		t.Errorf("repeated without the replica: got %q, %v; want %q", revoked.Durability, err, session.Pending)
	}
	r.Replica.Resume()
	waitFor(t, "the repeat is replicated", func() bool {
		revoked, err = s.Logout(ctx, logoutStep(current, policy))
		return session.CodeOf(err) == session.Revoked && revoked.Durability == session.Replicated
	})
}

// TestLaggingReplicasCostNoWait checks that steps send no WAIT while replicas lag, except
// one step per second, and that a step that writes nothing does not change that.
func TestLaggingReplicasCostNoWait(t *testing.T) {
	srv := redistest.Standalone(t) // has no replica
	s := open(t, srv.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = time.Millisecond })
	current := login(t, s, alice, policy).Session
	start := time.Now()
	got := countCommands(t, srv, func() {
		for range 20 {
			current = refresh(t, s, alice, current, policy)
			_, _ = s.Logout(ctx, logoutStep(session.Session{ID: session.NewID(), Type: session.Long}, policy)) // unknown
		}
	})
	if most := 1 + int(time.Since(start)/time.Second); got["wait"] > most {
		t.Errorf("got %d WAITs in %s, want at most %d", got["wait"], time.Since(start), most)
	}
}

// TestRefreshWithoutRotationDoesNotWait checks that no WAIT is sent for a refresh that need
// not be replicated.
func TestRefreshWithoutRotationDoesNotWait(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting)
	current := login(t, s, alice, policy).Session
	p := policy
	p.Rotate = false
	if got := countCommands(t, r.Primary, func() { refresh(t, s, alice, current, p) }); got["wait"] != 0 {
		t.Errorf("got %d WAITs, want none", got["wait"])
	}
}

// TestReplicasRecover checks that steps are reported as replicated again after the
// replica was out of reach, even if it takes longer to answer than a step waits while
// replicas lag, and even if there is always a next step.
func TestReplicasRecover(t *testing.T) {
	primary := redistest.Standalone(t, "--repl-diskless-sync-delay", "0")
	network := newProxy(t, primary.Addr)
	h, port, _ := net.SplitHostPort(network.addr)
	redistest.Standalone(t, "--replicaof", h, port)
	s := open(t, primary.URL, waiting)
	durability := func() session.Durability {
		time.Sleep(20 * time.Millisecond)
		return login(t, s, alice, policy).Durability
	}
	waitFor(t, "the replica is in sync", func() bool { return durability() == session.Replicated })
	keepBusy(t, primary.URL)
	network.delay.Store(int64(50 * time.Millisecond))
	network.frozen.Store(true)
	if got := durability(); got != session.Pending {
		t.Fatalf("with the replica out of reach: got durability %q, want %q", got, session.Pending)
	}
	network.frozen.Store(false)
	waitFor(t, "a step is replicated again", func() bool { return durability() == session.Replicated })
	for range 10 {
		if got := durability(); got != session.Replicated {
			t.Fatalf("with the replica back: got durability %q, want %q", got, session.Replicated)
		}
	}
}

// keepBusy sends commands to a server until the test ends. An idle server checks its
// WAITs only when a replica acknowledges something, however late that is.
func keepBusy(t *testing.T, url string) {
	t.Helper()
	s := open(t, url)
	busy, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		for busy.Err() == nil {
			_ = s.Ping(ctx)
			time.Sleep(time.Millisecond)
		}
	})
	t.Cleanup(func() { stop(); wg.Wait() })
}

// TestOneStepWaitsForAll checks that only one step per second waits in full for replicas
// that do not answer.
func TestOneStepWaitsForAll(t *testing.T) {
	srv := redistest.Standalone(t) // has no replica
	const timeout = 2 * time.Second
	s := open(t, srv.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = timeout })
	keepBusy(t, srv.URL)
	login(t, s, alice, policy) // finds that no replica answers
	time.Sleep(1100 * time.Millisecond)
	var waited atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			start := time.Now()
			if c, err := s.Create(ctx, createStep(alice, policy)); err != nil || c.Durability != session.Pending {
				t.Errorf("Create: got durability %q, %v; want %q", c.Durability, err, session.Pending)
			}
			if time.Since(start) > timeout/2 {
				waited.Add(1)
			}
		})
	}
	wg.Wait()
	if n := waited.Load(); n != 1 {
		t.Errorf("%d of 8 steps waited in full, want 1", n)
	}
}

// TestShardsWaitSeparately checks that a shard without a replica does not shorten the
// waits of the other shards.
func TestShardsWaitSeparately(t *testing.T) {
	c := redistest.Cluster(t, 2)
	c.Replicate(t)
	c.Nodes[3].Kill()
	s := open(t, c.URL, waiting, func(o *redisstore.Options) { o.WaitTimeout = 2 * time.Second })
	owners := map[session.Durability]session.Owner{} // one of each shard
	for _, user := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		o := session.Owner{App: "shop", User: user}
		owners[login(t, s, o, policy).Durability] = o
	}
	if len(owners) != 2 {
		t.Fatalf("got durabilities %v, want replicated on one shard and pending on the other", owners)
	}
	keepBusy(t, c.URL)
	time.Sleep(1100 * time.Millisecond)
	login(t, s, owners[session.Pending], policy)
	go c.Nodes[2].Do("EVAL", "for i = 1, 1e8 do end", "0") // takes some tenths of a second
	time.Sleep(50 * time.Millisecond)
	if got := login(t, s, owners[session.Replicated], policy).Durability; got != session.Replicated {
		t.Errorf("with a replica that answers late: got durability %q, want %q", got, session.Replicated)
	}
}

// TestUnwrittenStepIsNotConfirmed checks that the answer to the WAIT of a step that has written
// nothing does not mark lagging replicas as back. Redis 7.2 and newer answer such a WAIT at
// once, with all replicas, also with those that do not answer.
func TestUnwrittenStepIsNotConfirmed(t *testing.T) {
	var wrote, waits atomic.Int64
	addr := fakeServer(t, func(line string) string {
		switch {
		case line == "wait":
			waits.Add(1)
			return fmt.Sprintf(":%d", 1-wrote.Load())
		case line == "evalsha" && wrote.Load() == 1:
			return "*2\r\n$2\r\nok\r\n:1764536400000000"
		case line == "evalsha":
			return "*1\r\n$7\r\nunknown"
		}
		return ""
	})
	s := open(t, "redis://"+addr, waiting, func(o *redisstore.Options) { o.WaitTimeout = time.Millisecond })
	wrote.Store(1)
	revoked := revoke(t, s, session.NewID()) // finds that the replicas lag
	if revoked.Durability != session.Pending {
		t.Fatalf("got durability %q, want %q", revoked.Durability, session.Pending)
	}
	wrote.Store(0)
	for before := waits.Load(); waits.Load() == before; time.Sleep(10 * time.Millisecond) {
		_, _ = s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: session.NewID()}) // in the end one step waits again
	}
	wrote.Store(1)
	before := waits.Load()
	if revoke(t, s, session.NewID()); waits.Load() != before {
		t.Error("a step has waited, as if the replicas were back")
	}
}
