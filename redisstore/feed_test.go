package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// recorder implements [session.Sink] and records the calls.
type recorder struct {
	mu          sync.Mutex
	revocations map[session.ID]session.Revocation
	caughtUp    time.Time
	restarts    int
}

func (r *recorder) Revoked(revocation session.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revocations[revocation.ID] = revocation
}

func (r *recorder) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.revocations)
	r.restarts++
}

func (r *recorder) CaughtUp(asOf time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caughtUp = asOf
}

func (r *recorder) has(id session.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.revocations[id]
	return ok
}

func (r *recorder) caughtUpSince(moment time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.caughtUp.After(moment)
}

// follow runs Follow with a recorder until the test ends.
func follow(t *testing.T, s *redisstore.Store) *recorder {
	t.Helper()
	r := &recorder{revocations: map[session.ID]session.Revocation{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Follow(ctx, []string{"shop"}, r) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow: got %v, want %v", err, context.Canceled)
		}
	})
	return r
}

func polling(interval time.Duration) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.PollInterval = interval }
}

// subscribers returns the number of subscribers to the channel, or -1 if it is unknown.
func subscribers(srv *redistest.Server) int {
	n, _ := strconv.Atoi(srv.Do("PUBSUB", "NUMPAT"))
	_, err := fmt.Sscanf(srv.Do("PUBSUB", "NUMSUB", "tg:revocations"), "tg:revocations\n%d", &n)
	if err != nil {
		return -1
	}
	return n
}

// TestFollowReportsAtOnce checks that the channel brings revocations long before the next
// poll.
func TestFollowReportsAtOnce(t *testing.T) {
	for name, url := range map[string]string{
		"standalone": redistest.Standalone(t).URL, "cluster": redistest.Cluster(t, 3).URL,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, url, polling(time.Hour))
			r := follow(t, s)
			waitFor(t, "the first poll is done", func() bool { return r.caughtUpSince(time.Time{}) })
			for user := range 20 { // in several slots
				o := session.Owner{App: "shop", User: strconv.Itoa(user)}
				var id session.ID
				waitFor(t, "a revocation is reported", func() bool {
					id = login(t, s, o, policy).Session.ID
					if _, err := s.Revoke(ctx, session.RevokeStep{Owner: o, ID: id, Cause: session.CauseUser}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Millisecond)
					return r.has(id)
				})
			}
		})
	}
}

// TestFollowResubscribes checks that revocations are reported after the subscription was
// cut, and that Follow subscribes again.
func TestFollowResubscribes(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, polling(50*time.Millisecond))
	r := follow(t, s)
	waitFor(t, "Follow has subscribed", func() bool { return subscribers(srv) == 1 })
	srv.Do("CLIENT", "KILL", "TYPE", "pubsub")
	id := login(t, s, alice, policy).Session.ID
	revoke(t, s, id)
	waitFor(t, "the revocation is reported", func() bool { return r.has(id) })
	waitFor(t, "Follow has subscribed again", func() bool { return subscribers(srv) == 1 })
}

// TestFollowSurvivesRestart checks that Follow does not call CaughtUp while the server is
// down, and goes on after it has restarted.
func TestFollowSurvivesRestart(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, polling(50*time.Millisecond))
	r := follow(t, s)
	waitFor(t, "the first poll is done", func() bool { return r.caughtUpSince(time.Time{}) })
	srv.Kill()
	time.Sleep(100 * time.Millisecond)
	down := time.Now()
	time.Sleep(200 * time.Millisecond)
	if r.caughtUpSince(down) {
		t.Error("CaughtUp was called while the server was down")
	}
	srv.Restart()
	waitFor(t, "Follow has caught up again", func() bool { return r.caughtUpSince(down) })
	var id session.ID
	waitFor(t, "a login succeeds", func() bool { // the client tries again to connect within a second
		created, err := s.Create(ctx, createStep(alice, policy))
		id = created.Session.ID
		return err == nil
	})
	revoke(t, s, id)
	waitFor(t, "a revocation is reported", func() bool { return r.has(id) })
}

// TestFollowReportsPastRevocations checks that Follow begins with the revocations within
// the retention.
func TestFollowReportsPastRevocations(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Max = 1
	var ids []session.ID
	for range 5 {
		ids = append(ids, login(t, s, alice, p).Session.ID)
	}
	before := time.Now()
	if _, err := s.RevokeApp(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	r := follow(t, s)
	waitFor(t, "the first poll is done", func() bool { return r.caughtUpSince(before) })
	for i, id := range ids[:4] {
		got := r.revocations[id]
		if got.Owner != alice || got.Cause != session.CauseEvicted || got.By != string(ids[i+1]) || time.Since(got.At) > time.Minute {
			t.Errorf("got %+v, want the eviction of %s by %s", got, id, ids[i+1])
		}
	}
	if r.has(ids[4]) {
		t.Error("a session that was revoked with its app was reported by its ID")
	}
	got, ok := r.revocations[""]
	if !ok || got.Cause != session.CauseApp || got.App != "shop" || got.User != "" || got.At.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("got %+v, want the revocation of the app", got)
	}
}

// TestFollowAfterLossyFailover checks that Follow reads an outbox from the start if it
// lacks the last entry read: after a failover, the new primary may continue with lower
// entry IDs.
func TestFollowAfterLossyFailover(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, polling(50*time.Millisecond))
	r := follow(t, s)
	first := login(t, s, alice, policy).Session.ID
	revoke(t, s, first)
	waitFor(t, "the first revocation is reported", func() bool { return r.has(first) })
	reported := time.Now()
	waitFor(t, "a poll has read it, too", func() bool { return r.caughtUpSince(reported) })
	outboxes := slices.DeleteFunc(keys(srv), func(k string) bool { return srv.Do("TYPE", k) != "stream" })
	if len(outboxes) != 1 {
		t.Fatalf("got outboxes %q, want one", outboxes)
	}
	later := session.NewID()
	entry := fmt.Sprintf("%d|user||%s|shop|42", time.Now().UnixMilli(), later)
	srv.Do("EVAL", "redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '1-1', 'e', ARGV[1])", "1", outboxes[0], entry)
	waitFor(t, "the entry with a lower ID is reported", func() bool { return r.has(later) })
}

// TestFollowReadsManyEntries checks that Follow reads an outbox with more revocations than
// one read returns.
func TestFollowReadsManyEntries(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Max = 1
	const n = 2500
	loginMany(t, s, p, n)
	r := follow(t, s)
	waitFor(t, "the first poll is done", func() bool { return r.caughtUpSince(time.Time{}) })
	if len(r.revocations) != n-1 {
		t.Errorf("got %d revocations, want %d", len(r.revocations), n-1)
	}
}
