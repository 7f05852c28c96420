package redisstore_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// clockAhead makes a store use a clock that is ahead of this machine's by d.
func clockAhead(d time.Duration) func(*redisstore.Options) {
	return func(o *redisstore.Options) { o.Now = func() time.Time { return time.Now().Add(d) } }
}

func wantOffset(t *testing.T, s *redisstore.Store, o session.Owner, want time.Duration) {
	t.Helper()
	if got, err := s.ClockOffset(ctx, o); err != nil || (got-want).Abs() > 500*time.Millisecond {
		t.Errorf("%v: got offset %s, %v, want about %s", o, got, err, want)
	}
}

// TestClockOffset checks that the offset of a server's clock is learned by the first
// question about it, and from the reply of a step.
func TestClockOffset(t *testing.T) {
	srv, cluster := redistest.Standalone(t), redistest.Cluster(t, 3)
	for _, url := range []string{srv.URL, srv.URL + "?auto_pipeline=false", cluster.URL} {
		for _, ahead := range []time.Duration{0, 2 * time.Second, 400 * time.Second, -400 * time.Second} {
			wantOffset(t, open(t, url, clockAhead(ahead)), alice, ahead)

			s := open(t, url, clockAhead(ahead))
			login(t, s, session.Owner{App: "shop", User: fmt.Sprint(ahead)}, policy)
			wantOffset(t, s, session.Owner{App: "shop", User: fmt.Sprint(ahead)}, ahead)
		}
	}
}

// TestClockOffsetFollowsSteps checks that the offset changes with the replies if the clock
// jumps, as it does when another server takes over.
func TestClockOffsetFollowsSteps(t *testing.T) {
	var mu sync.Mutex
	ahead := time.Duration(0)
	set := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		ahead = d
	}
	for _, url := range []string{redistest.Standalone(t).URL, redistest.Cluster(t, 3).URL} {
		s := open(t, url, func(o *redisstore.Options) {
			o.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(ahead)
			}
		})
		for _, d := range []time.Duration{0, time.Hour, 10 * time.Second, 0} {
			set(d)
			login(t, s, alice, policy)
			wantOffset(t, s, alice, d)
		}
	}
}

// TestOnlyTimesAreLearned checks that a number in the reply of another script is not taken
// for the time.
func TestOnlyTimesAreLearned(t *testing.T) {
	for _, url := range []string{redistest.Standalone(t).URL, redistest.Cluster(t, 3).URL} {
		s := open(t, url)
		for bucket := range 70 {
			login(t, s, session.Owner{App: alice.App, User: fmt.Sprint(bucket)}, policy)
		}
		if _, err := s.Directory().NextID(ctx, alice.App, 41); err != nil {
			t.Fatal(err)
		}
		for bucket := range 70 {
			wantOffset(t, s, session.Owner{App: alice.App, User: fmt.Sprint(bucket)}, 0)
		}
	}
}

// TestClockOffsetUnknown checks that the offset is not guessed while the server is away.
func TestClockOffsetUnknown(t *testing.T) {
	for _, url := range []string{"redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"} {
		if got, err := open(t, url).ClockOffset(ctx, alice); session.CodeOf(err) != session.Unavailable {
			t.Errorf("%s: got %s, %v, want %s", url, got, err, session.Unavailable)
		}
	}
}

// measured records what a store reports about clocks.
type measured struct {
	mu      sync.Mutex
	offsets map[string]time.Duration
	log     bytes.Buffer
}

func (m *measured) observe(node string, offset time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offsets[node] = offset
}

// Write implements [io.Writer] for the log.
func (m *measured) Write(line []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.Write(line)
}

// TestFollowMeasuresClocks checks that a follower measures the clock of each node, for the
// metric and for the buckets of its apps, and warns once if it is far off.
func TestFollowMeasuresClocks(t *testing.T) {
	for url, nodes := range map[string]int{redistest.Standalone(t).URL: 1, redistest.Cluster(t, 3).URL: 3} {
		t.Run(fmt.Sprint(nodes, " nodes"), func(t *testing.T) {
			m := &measured{offsets: map[string]time.Duration{}}
			s := open(t, url, clockAhead(-time.Minute), polling(10*time.Millisecond), func(o *redisstore.Options) {
				o.Logger, o.ObserveClock = slog.New(slog.NewTextHandler(m, nil)), m.observe
			})
			r := follow(t, s)
			for range 3 {
				start := time.Now()
				waitFor(t, "a poll", func() bool { return r.caughtUpSince(start) })
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if len(m.offsets) != nodes {
				t.Errorf("got the clocks of %v, want %d nodes", m.offsets, nodes)
			}
			for node, offset := range m.offsets {
				if (offset + time.Minute).Abs() > time.Second {
					t.Errorf("node %s: got offset %s, want about -1m", node, offset)
				}
			}
			if n := strings.Count(m.log.String(), "behind this machine's"); n != 1 {
				t.Errorf("got %d warnings, want 1: %s", n, m.log.String())
			}
			for user := range 20 {
				wantOffset(t, s, session.Owner{App: alice.App, User: fmt.Sprint(user)}, -time.Minute)
			}
		})
	}
}

// TestWarningsAboutClock checks that Warnings names a clock that is more than a second off.
func TestWarningsAboutClock(t *testing.T) {
	srv := redistest.Standalone(t, "--appendonly", "yes", "--maxmemory-policy", "noeviction")
	for ahead, want := range map[time.Duration]string{
		0: "", 500 * time.Millisecond: "", 90 * time.Second: "ahead of this machine's", -90 * time.Second: "behind this machine's",
	} {
		warnings, err := open(t, srv.URL, clockAhead(ahead)).Warnings(ctx)
		if text := strings.Join(warnings, "\n"); err != nil || (want == "") != (text == "") || !strings.Contains(text, want) {
			t.Errorf("clock %s ahead: got warnings %q, %v, want %q", ahead, text, err, want)
		}
	}
}
