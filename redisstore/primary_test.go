package redisstore_test

import (
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestPrimaryWithoutReplicasDecidesNothing checks that every step fails with Unavailable on a
// primary that takes no writes because it has lost its replicas, whatever it would have
// found.
func TestPrimaryWithoutReplicasDecidesNothing(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, polling(50*time.Millisecond))
	r := follow(t, s)
	unchanging := policy
	unchanging.Rotate, unchanging.UpdateLastLogin, unchanging.Extend = false, false, false
	current, revoked := login(t, s, alice, policy).Session, login(t, s, alice, policy).Session
	revoke(t, s, revoked.ID)
	unknown := session.Session{ID: session.NewID(), Type: session.Long}
	current = refresh(t, s, alice, current, policy)
	spent := current
	spent.Generation--
	refreshOf := func(of session.Session, p session.Policy) func() error {
		return func() error { _, err := s.Refresh(ctx, refreshStep(alice, of, p)); return err }
	}
	steps := map[string]func() error{
		"Refresh":                      refreshOf(current, policy),
		"Refresh that changes nothing": refreshOf(current, unchanging),
		"Refresh again":                refreshOf(spent, policy),
		"Refresh of a revoked session": refreshOf(revoked, policy),
		"Refresh of an unknown one":    refreshOf(unknown, policy),
		"CheckToken":                   func() error { return s.CheckToken(ctx, refreshStep(alice, current, policy)) },
		"Live":                         func() error { return s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID}) },
		"Logout":                       func() error { _, err := s.Logout(ctx, logoutStep(current, policy)); return err },
		"Logout of an unknown session": func() error { _, err := s.Logout(ctx, logoutStep(unknown, policy)); return err },
		"Tombstones":                   func() error { _, err := s.Tombstones(ctx, alice); return err },
		"Ready":                        func() error { return s.Ready(ctx, alice) },
		"List": func() error {
			_, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
			return err
		},
		"Revoke": func() error {
			_, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: unknown.ID, Cause: session.CauseUser})
			return err
		},
		"RevokeOthers": func() error {
			_, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types[:0], Cause: session.CauseUser})
			return err
		},
	}
	waitFor(t, "the first poll is done", func() bool { return r.caughtUpSince(time.Time{}) })
	srv.Do("CONFIG", "SET", "min-replicas-to-write", "1")
	lost := time.Now()
	for name, step := range steps {
		if err := step(); session.CodeOf(err) != session.Unavailable {
			t.Errorf("%s: got %v, want unavailable", name, err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	if r.caughtUpSince(lost) {
		t.Error("the feed has caught up with a primary that takes no writes")
	}
	srv.Do("CONFIG", "SET", "min-replicas-to-write", "0")
	waitFor(t, "the feed has caught up again", func() bool { return r.caughtUpSince(lost) })
	refresh(t, s, alice, current, policy)
}

// TestFollowNeedsReplicas checks that the feed does not catch up with a primary whose
// replicas do not confirm that it is one.
func TestFollowNeedsReplicas(t *testing.T) {
	r := redistest.Sentinel(t)
	s := open(t, r.URL, waiting, polling(50*time.Millisecond))
	f := follow(t, s)
	start := time.Now()
	waitFor(t, "the feed has caught up", func() bool { return f.caughtUpSince(start) })
	r.Replica.Suspend()
	time.Sleep(100 * time.Millisecond) // a poll in progress may have got its answer before
	suspended := time.Now()
	time.Sleep(3500 * time.Millisecond) // each poll waits for a second
	if f.caughtUpSince(suspended) {
		t.Error("the feed has caught up without a replica")
	}
	r.Replica.Resume()
	waitFor(t, "the feed has caught up again", func() bool { return f.caughtUpSince(suspended) })
}

// TestFollowRestartsAfterLoss checks that the feed begins its report anew when a server
// continues with an older dataset, which lacks a revocation, on one server and in a Cluster.
func TestFollowRestartsAfterLoss(t *testing.T) {
	single, c := redistest.Standalone(t), redistest.Cluster(t, 2)
	for name, test := range map[string]struct {
		url    string
		server *redistest.Server
	}{
		"standalone": {single.URL, single},
		"cluster":    {c.URL, c.Nodes[0]},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, test.url, polling(50*time.Millisecond))
			f := follow(t, s)
			owner := alice
			for i := 0; test.server.Do("EXISTS", "tg:{shop:"+bucketHex(owner.User)+"}:LONG:"+owner.User) != "1"; i++ {
				owner.User = strconv.Itoa(i)
				login(t, s, owner, policy)
			}
			kept, lost := login(t, s, owner, policy).Session.ID, login(t, s, owner, policy).Session.ID
			end := func(id session.ID) {
				if _, err := s.Revoke(ctx, session.RevokeStep{Owner: owner, ID: id, Cause: session.CauseUser}); err != nil {
					t.Fatal(err)
				}
			}
			end(kept)
			if got := test.server.Do("SAVE"); got != "OK" {
				t.Fatalf("SAVE: %s", got)
			}
			end(lost)
			waitFor(t, "both revocations are reported", func() bool { return f.has(kept) && f.has(lost) })
			reported := time.Now()
			waitFor(t, "a poll has read them", func() bool { return f.caughtUpSince(reported) })
			test.server.Restart()
			waitFor(t, "the report has begun anew", func() bool { return f.has(kept) && !f.has(lost) })
			restarted := time.Now()
			waitFor(t, "the feed has caught up", func() bool { return f.caughtUpSince(restarted) })
			if f.has(lost) || !f.has(kept) {
				t.Errorf("the feed reports %v, want %s and not %s", f.revocations, kept, lost)
			}
		})
	}
}

// TestFollowReportsOnce checks that the report does not begin anew while the servers stay.
func TestFollowReportsOnce(t *testing.T) {
	c := redistest.Cluster(t, 3)
	s := open(t, c.URL, polling(20*time.Millisecond))
	f := follow(t, s)
	for range 5 {
		last := time.Now()
		waitFor(t, "a poll is done", func() bool { return f.caughtUpSince(last) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.restarts != 1 {
		t.Errorf("the report began %d times, want once", f.restarts)
	}
}

// TestFollowBeginsWithProof checks that what the channel brings before the servers have shown
// that they are primaries does not hold afterwards, unless the outboxes have it.
func TestFollowBeginsWithProof(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, waiting, polling(50*time.Millisecond), func(o *redisstore.Options) { o.WaitTimeout = time.Millisecond })
	kept, lost := login(t, s, alice, policy).Session.ID, login(t, s, alice, policy).Session.ID
	revoke(t, s, kept)
	if got := srv.Do("SAVE"); got != "OK" {
		t.Fatalf("SAVE: %s", got)
	}
	f := follow(t, s)
	waitFor(t, "Follow has subscribed", func() bool { return subscribers(srv) == 1 })
	revoke(t, s, lost)
	waitFor(t, "the channel has brought the revocation", func() bool { return f.has(lost) })
	srv.Restart()
	h, port, _ := net.SplitHostPort(srv.Addr)
	redistest.Standalone(t, "--replicaof", h, port)
	waitFor(t, "the feed has caught up", func() bool { return f.caughtUpSince(time.Time{}) })
	if f.has(lost) || !f.has(kept) {
		t.Errorf("the feed reports lost: %t, kept: %t; want kept only", f.has(lost), f.has(kept))
	}
}

// slotOf returns the slot of a user's bucket.
func slotOf(c *redistest.ClusterServers, user string) int {
	slot, _ := strconv.Atoi(c.Nodes[0].Do("CLUSTER", "KEYSLOT", "tg:{shop:"+bucketHex(user)+"}:x"))
	return slot
}

// TestFollowWhileSlotMoves checks that the feed catches up while a slot moves, whichever it is.
func TestFollowWhileSlotMoves(t *testing.T) {
	c := redistest.Cluster(t, 2)
	s := open(t, c.URL, polling(20*time.Millisecond))
	f := follow(t, s)
	moved := 0
	for n := 0; n < 64 && moved < 4; n++ {
		slot, _ := strconv.Atoi(c.Nodes[0].Do("CLUSTER", "KEYSLOT", fmt.Sprintf("tg:{shop:%02x}:x", n)))
		if slot >= 16384/2 {
			continue
		}
		if err := c.StartMove(slot, c.Nodes[0], c.Nodes[1]); err != nil {
			t.Fatal(err)
		}
		started := time.Now()
		waitFor(t, "the feed has caught up", func() bool { return f.caughtUpSince(started) })
		if err := c.Move(slot, c.Nodes[0], c.Nodes[1]); err != nil {
			t.Fatal(err)
		}
		moved++
	}
}

// TestMovedStepSaysNothingAboutReplicas checks that a step that is redirected, and so is not
// confirmed, does not have the next steps on the node wait for nothing.
func TestMovedStepSaysNothingAboutReplicas(t *testing.T) {
	c := redistest.Cluster(t, 2)
	c.Replicate(t)
	s := open(t, c.URL, waiting)
	var owners []session.Owner // two of the first node, in different slots
	for i := 0; len(owners) < 2; i++ {
		o := session.Owner{App: "shop", User: strconv.Itoa(i)}
		if slotOf(c, o.User) < 16384/2 && (len(owners) == 0 || slotOf(c, o.User) != slotOf(c, owners[0].User)) {
			owners = append(owners, o)
			login(t, s, o, policy)
		}
	}
	move := func(from, to *redistest.Server) session.Durability {
		if err := c.Move(slotOf(c, owners[0].User), from, to); err != nil {
			t.Fatal(err)
		}
		return login(t, s, owners[0], policy).Durability
	}
	for move(c.Nodes[0], c.Nodes[1]) != session.Pending { // it was not redirected, because the client knew of the move
		move(c.Nodes[1], c.Nodes[0])
		waitFor(t, "the client knows of the move back", func() bool { return login(t, s, owners[0], policy).Durability == session.Replicated })
	}
	if got := login(t, s, owners[1], policy).Durability; got != session.Replicated {
		t.Errorf("after another user's step was redirected: got durability %q, want %q", got, session.Replicated)
	}
}
