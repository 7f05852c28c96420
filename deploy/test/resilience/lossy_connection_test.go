package resilience

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// soak runs clients on connections that lose a tenth of the responses.
type soak struct {
	*testing.T
	gateways                       []*gatewaytest.Client
	until                          time.Time
	refreshes, lost, forcedLogouts atomic.Int64
}

// refresh presents a token once and returns its successor, which is empty if no answer came.
func (s *soak) refresh(token string) (successor string) {
	a := s.gateways[rand.IntN(len(s.gateways))].Refresh(context.Background(), "LONG", token)
	s.refreshes.Add(1)
	switch {
	case a.Status == http.StatusOK:
		return a.Refresh
	case unanswered(a):
		s.lost.Add(1)
	default:
		s.forcedLogouts.Add(1)
		s.Errorf("forced logout: a refresh got %d %s %s", a.Status, a.Code, a.Cause)
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

// running reports whether the clients should go on.
func (s *soak) running() bool { return time.Now().Before(s.until) && s.forcedLogouts.Load() == 0 }

// runClient runs a client that sends one refresh at a time.
func (s *soak) runClient(user int) {
	for token := s.login(user); s.running(); {
		if next := s.refresh(token); next != "" {
			token = next
			time.Sleep(rand.N(20 * time.Millisecond))
		}
	}
}

// tabStorage is the storage that the tabs of one browser share.
type tabStorage struct {
	mu    sync.Mutex
	token string
	since time.Time
}

// load returns the token and its age.
func (st *tabStorage) load() (string, time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.token, time.Since(st.since)
}

func (st *tabStorage) store(token string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.token, st.since = token, time.Now()
}

const (
	tabs            = 4
	refreshInterval = time.Second // the age of a token at which every tab refreshes it
)

// runBrowser runs tabs that share only the storage. When the token is old enough, each tab refreshes it.
func (s *soak) runBrowser(user int) {
	var st tabStorage
	st.store(s.login(user))
	var done sync.WaitGroup
	for range tabs {
		done.Go(func() {
			for s.running() {
				token, age := st.load()
				if age < refreshInterval {
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

// TestLossyConnection drops a tenth of all responses to eight clients that send one refresh at a time, and
// to eight browsers whose tabs all refresh at once. It checks that the default retry window prevents every
// forced logout.
func TestLossyConnection(t *testing.T) {
	t.Parallel()
	s := &soak{T: t}
	gateways := startGateways(t, 2, redistest.Standalone(t).URL, gatewaytest.Settings{"LOG_LEVEL": "error"})
	for _, g := range gateways {
		proxy := gatewaytest.NewProxy(t, strings.TrimPrefix(g.URL, "http://"))
		proxy.Set(gatewaytest.Faults{Jitter: 5 * time.Millisecond, Lose: .1})
		s.gateways = append(s.gateways, gatewaytest.NewClient("http://"+proxy.Addr))
	}
	duration := time.Duration(gatewaytest.RunSize("SOAK", 6, 600)) * time.Second
	s.until = time.Now().Add(duration)
	var done sync.WaitGroup
	for user := range 8 {
		done.Go(func() { s.runClient(user) })
		done.Go(func() { s.runBrowser(8 + user) })
	}
	done.Wait()
	retried := countSteps(t, gateways[0], "retried") + countSteps(t, gateways[1], "retried")
	t.Logf("%d refreshes in %s, %d responses lost, %d retries answered with the same successor, %d forced logouts",
		s.refreshes.Load(), duration, s.lost.Load(), retried, s.forcedLogouts.Load())
	if s.lost.Load() == 0 || retried == 0 {
		t.Error("no response was lost or no refresh was retried, so nothing was tested")
	}
}
