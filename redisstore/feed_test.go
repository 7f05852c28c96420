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

// listener is a Sink that remembers.
type listener struct {
	mu       sync.Mutex
	heard    map[session.ID]session.Ending
	caughtUp time.Time
	sweeps   int
}

func (l *listener) Ended(e session.Ending) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[e.ID] = e
}

func (l *listener) CaughtUp(asOf time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.caughtUp = asOf
	l.sweeps++
}

func (l *listener) has(id session.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.heard[id]
	return ok
}

func (l *listener) sweptSince(moment time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.caughtUp.After(moment)
}

// follow lets a listener follow until the test ends.
func follow(t *testing.T, s *redisstore.Store) *listener {
	t.Helper()
	l := &listener{heard: map[session.ID]session.Ending{}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Follow(ctx, []string{"shop"}, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow: %v", err)
		}
	})
	return l
}

func sweeping(every time.Duration) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Sweep = every }
}

func subscribers(srv *redistest.Server) int {
	n, _ := strconv.Atoi(srv.Do("PUBSUB", "NUMPAT"))
	_, err := fmt.Sscanf(srv.Do("PUBSUB", "NUMSUB", "tg:endings"), "tg:endings\n%d", &n)
	if err != nil {
		return -1
	}
	return n
}

// TestFeedIsImmediate: the channel alone brings an ending, long before a sweep.
func TestFeedIsImmediate(t *testing.T) {
	for name, url := range map[string]string{
		"standalone": redistest.Standalone(t).URL, "cluster": redistest.Cluster(t, 3).URL,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, url, sweeping(time.Hour))
			l := follow(t, s)
			soon(t, "the first sweep is done", func() bool { return l.sweptSince(time.Time{}) })
			for user := range 20 { // in several slots
				o := session.Owner{App: "shop", User: strconv.Itoa(user)}
				var id session.ID
				soon(t, "an ending is heard of", func() bool {
					id = login(t, s, o, long).Session.ID
					if _, err := s.End(ctx, session.EndStep{Owner: o, ID: id, Cause: session.CauseUser}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(5 * time.Millisecond)
					return l.has(id)
				})
			}
		})
	}
}

// TestFeedSurvivesItsSubscription: endings come by the sweeps when the channel
// is cut, and by the channel again later.
func TestFeedSurvivesItsSubscription(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, sweeping(50*time.Millisecond))
	l := follow(t, s)
	soon(t, "the subscription is there", func() bool { return subscribers(srv) == 1 })
	srv.Do("CLIENT", "KILL", "TYPE", "pubsub")
	id := login(t, s, alice, long).Session.ID
	end(t, s, id)
	soon(t, "the ending is heard of", func() bool { return l.has(id) })
	soon(t, "the subscription is back", func() bool { return subscribers(srv) == 1 })
}

func TestFeedSurvivesARestart(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, sweeping(50*time.Millisecond))
	l := follow(t, s)
	soon(t, "the first sweep is done", func() bool { return l.sweptSince(time.Time{}) })
	srv.Kill()
	time.Sleep(100 * time.Millisecond)
	dead := time.Now()
	time.Sleep(200 * time.Millisecond)
	if l.sweptSince(dead) {
		t.Error("caught up with a server that is dead")
	}
	srv.Restart()
	soon(t, "it has caught up again", func() bool { return l.sweptSince(dead) })
	id := login(t, s, alice, long).Session.ID
	end(t, s, id)
	soon(t, "an ending is heard of", func() bool { return l.has(id) })
}

// TestFeedBegins: who follows later is told what happened within the horizon.
func TestFeedBegins(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := long
	p.Max = 1
	var ids []session.ID
	for range 5 {
		ids = append(ids, login(t, s, alice, p).Session.ID)
	}
	before := time.Now()
	if _, err := s.EndApp(ctx, "shop"); err != nil {
		t.Fatal(err)
	}
	l := follow(t, s)
	soon(t, "the first sweep is done", func() bool { return l.sweptSince(before) })
	for i, id := range ids[:4] {
		e := l.heard[id]
		if e.Owner != alice || e.Cause != session.CauseEvicted || e.By != string(ids[i+1]) || time.Since(e.At) > time.Minute {
			t.Errorf("heard %+v", e)
		}
	}
	if l.has(ids[4]) {
		t.Error("heard of a session that was not ended by itself")
	}
	e, ok := l.heard[""]
	if !ok || e.Cause != session.CauseApp || e.App != "shop" || e.User != "" || e.At.Before(before.Truncate(time.Millisecond)) {
		t.Errorf("heard %+v of the app", e)
	}
}

// TestFeedAfterALossyFailover: the outbox that a new primary has may lack what
// was read of the old one, and go on with lower entry IDs.
func TestFeedAfterALossyFailover(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, sweeping(50*time.Millisecond))
	l := follow(t, s)
	first := login(t, s, alice, long).Session.ID
	end(t, s, first)
	soon(t, "the first ending is read", func() bool { return l.has(first) })
	swept := time.Now()
	soon(t, "a sweep has read it too", func() bool { return l.sweptSince(swept) })
	outbox := slices.DeleteFunc(keys(srv), func(k string) bool { return srv.Do("TYPE", k) != "stream" })
	if len(outbox) != 1 {
		t.Fatalf("outboxes: %q", outbox)
	}
	lost := session.NewID()
	entry := fmt.Sprintf("%d|user||%s|shop|42", time.Now().UnixMilli(), lost)
	srv.Do("EVAL", "redis.call('DEL', KEYS[1]) redis.call('XADD', KEYS[1], '1-1', 'e', ARGV[1])", "1", outbox[0], entry)
	soon(t, "the entry with a lower ID is read", func() bool { return l.has(lost) })
}

// TestFeedReadsOn: many endings of one bucket, more than one reading takes.
func TestFeedReadsOn(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	p := long
	p.Max = 1
	const n = 2500
	logins(t, s, p, n)
	l := follow(t, s)
	soon(t, "the first sweep is done", func() bool { return l.sweptSince(time.Time{}) })
	if len(l.heard) != n-1 {
		t.Errorf("heard of %d endings, want %d", len(l.heard), n-1)
	}
}
