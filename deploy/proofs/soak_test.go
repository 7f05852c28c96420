package proofs

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// soak is clients behind a line that loses a tenth of the answers.
type soak struct {
	*testing.T
	gateways               []*rig.Client
	until                  time.Time
	refreshes, lost, ended atomic.Int64
}

// refresh sends a token once; the successor is empty when no answer came.
func (s *soak) refresh(token string) (successor string) {
	a := s.gateways[rand.IntN(len(s.gateways))].Refresh(context.Background(), "LONG", token)
	s.refreshes.Add(1)
	switch {
	case a.Status == http.StatusOK:
		return a.Refresh
	case unanswered(a):
		s.lost.Add(1)
	default:
		s.ended.Add(1)
		s.Errorf("a forced logout: %d %s %s", a.Status, a.Code, a.Cause)
	}
	return ""
}

func (s *soak) login(user int) string {
	for {
		if a := s.gateways[0].Login(context.Background(), user, "LONG", "soak"); a.Status == http.StatusOK {
			return a.Refresh
		}
	}
}

// single is a client that has one refresh under way at a time.
func (s *soak) single(user int) {
	for token := s.login(user); time.Now().Before(s.until) && s.ended.Load() == 0; {
		if next := s.refresh(token); next != "" {
			token = next
			time.Sleep(rand.N(20 * time.Millisecond))
		}
	}
}

// storage is what the tabs of one browser share.
type storage struct {
	mu    sync.Mutex
	token string
	since time.Time
}

func (st *storage) load() (string, time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.token, time.Since(st.since)
}

func (st *storage) store(token string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.token, st.since = token, time.Now()
}

const (
	tabs     = 4
	tabEvery = time.Second // how old a token gets before every tab wants another
)

// browser is tabs that know nothing of each other but the storage: when the
// token has become old, each refreshes it.
func (s *soak) browser(user int) {
	var st storage
	st.store(s.login(user))
	var done sync.WaitGroup
	for range tabs {
		done.Go(func() {
			for time.Now().Before(s.until) && s.ended.Load() == 0 {
				token, age := st.load()
				if age < tabEvery {
					time.Sleep(rand.N(5 * time.Millisecond))
					continue
				}
				if next := s.refresh(token); next != "" {
					st.store(next)
				}
			}
		})
	}
	done.Wait()
}

// TestLossyLine loses a tenth of all answers to eight clients that refresh one
// at a time and to eight browsers whose tabs all refresh at once, with the
// default retry window: nobody is logged out.
func TestLossyLine(t *testing.T) {
	t.Parallel()
	s := &soak{T: t}
	all := gateways(t, 2, redistest.Standalone(t).URL, rig.Settings{"LOG_LEVEL": "error"})
	for _, g := range all {
		line := rig.NewProxy(t, strings.TrimPrefix(g.URL, "http://"))
		line.Set(rig.Faults{Jitter: 5 * time.Millisecond, Lose: .1})
		s.gateways = append(s.gateways, rig.NewClient("http://"+line.Addr))
	}
	length := time.Duration(scale("SOAK", 6, 600)) * time.Second
	s.until = time.Now().Add(length)
	var done sync.WaitGroup
	for user := range 8 {
		done.Go(func() { s.single(user) })
		done.Go(func() { s.browser(8 + user) })
	}
	done.Wait()
	retried := stepsOf(t, all[0], "retried") + stepsOf(t, all[1], "retried")
	t.Logf("%d refreshes in %s, %d answers lost, %d retries given the same successor, %d forced logouts",
		s.refreshes.Load(), length, s.lost.Load(), retried, s.ended.Load())
	if s.lost.Load() == 0 || retried == 0 {
		t.Error("nothing was lost, so nothing was tried")
	}
}
