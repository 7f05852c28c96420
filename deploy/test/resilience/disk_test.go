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
	"tokengate/deploy/test/preload"
	"tokengate/redisstore/redistest"
)

const (
	slowSync     = 250 * time.Millisecond  // how much longer a slow disk takes to flush
	verySlowSync = 1800 * time.Millisecond // under everysec, Redis waits up to 2 s for the disk and answers meanwhile
	killWorkers  = 16
	killSessions = 12 // of each worker

	longestThought = 100 * time.Millisecond // of a worker between two logouts
)

// killedSession is a session that is revoked, or not, while Redis is killed.
type killedSession struct {
	refresh string
	logout  gatewaytest.Response // zero if there was none
	after   gatewaytest.Response // to its token, once Redis works again
}

// killRound is one kill of Redis while clients log out.
type killRound struct {
	*testing.T
	gateway  *gatewaytest.Client
	sessions [killWorkers][killSessions]*killedSession
}

// logIn creates all sessions. With replicated set, it repeats a login until a replica has the session.
func (k *killRound) logIn(replicated bool) {
	forEach(killWorkers, killWorkers, func(user int) {
		for i := range k.sessions[user] {
			gatewaytest.WaitUntil(k, 20*time.Second, "a login succeeds", func() bool {
				in := k.gateway.Login(context.Background(), user, "LONG", "disk")
				k.sessions[user][i] = &killedSession{refresh: in.Refresh}
				return in.Status == http.StatusOK && (!replicated || in.Header.Get("Durability") == "replicated")
			})
		}
	})
}

// killWhileLoggingOut logs out one session of each worker after the other. When a part of the logouts, chosen at
// random, has been answered, it calls kill. It returns when no logout is in flight any more.
func (k *killRound) killWhileLoggingOut(kill func()) {
	var answered atomic.Int64
	enough := killWorkers*killSessions/4 + rand.Int64N(killWorkers*killSessions/2)
	killed := make(chan struct{})
	var done sync.WaitGroup
	for _, sessions := range k.sessions {
		done.Go(func() {
			for _, s := range sessions {
				select {
				case <-killed:
					return
				case <-time.After(rand.N(longestThought)):
				}
				if s.logout = k.gateway.Logout(context.Background(), s.refresh); s.logout.Status == http.StatusOK {
					answered.Add(1)
				}
			}
		})
	}
	gatewaytest.WaitUntil(k, 60*time.Second, "enough logouts are answered", func() bool { return answered.Load() >= enough })
	kill()
	close(killed)
	done.Wait()
}

// killCounts counts the outcomes for sessions whose logout was acknowledged, and for those that were not logged
// out.
type killCounts struct {
	mu                                   sync.Mutex
	acknowledged, undone, kept, rejected int
}

// check presents the token of each session, and counts the outcome of the logouts for which acknowledged returns
// true.
func (n *killCounts) check(k *killRound, acknowledged func(a gatewaytest.Response) bool) {
	forEach(killWorkers, killWorkers, func(user int) {
		for _, s := range k.sessions[user] {
			a := sendUntilAnswered(func() gatewaytest.Response { return k.gateway.Refresh(context.Background(), "LONG", s.refresh) })
			s.after = a
			n.mu.Lock()
			switch {
			case a.Status != http.StatusOK && a.Status != http.StatusUnauthorized:
				k.Errorf("a refresh got %d %s, so the effect of the logout is unknown", a.Status, a.Code)
			case s.logout.Status == 0 && s.logout.Err == nil && a.Status == http.StatusOK: // it was not logged out
				n.kept++
			case s.logout.Status == 0 && s.logout.Err == nil:
				n.rejected++
			case acknowledged(s.logout):
				n.acknowledged++
				if a.Status == http.StatusOK {
					n.undone++
				}
			}
			n.mu.Unlock()
		}
	})
}

func succeededOnly(a gatewaytest.Response) bool { return a.Status == http.StatusOK }

func replicatedOnly(a gatewaytest.Response) bool {
	return a.Status == http.StatusOK && a.Header.Get("Durability") == "replicated"
}

// report logs the counts. If lossy is set, the setup does not promise to keep the logouts, and some must be
// undone: otherwise the test would detect no loss. If not, none may be.
func (n *killCounts) report(t *testing.T, rounds int, lossy bool) {
	t.Helper()
	t.Logf("%d kills: %d logouts acknowledged, %d of them undone; %d other sessions kept, %d lost", rounds, n.acknowledged, n.undone, n.kept, n.rejected)
	switch {
	case n.acknowledged == 0:
		t.Error("no logout was acknowledged, so nothing was tested")
	case lossy && n.undone == 0:
		t.Error("no logout was undone, so this test would not detect any loss")
	case !lossy && n.undone > 0:
		t.Errorf("%d of %d acknowledged logouts were undone", n.undone, n.acknowledged)
	case n.rejected > 0:
		t.Errorf("%d valid sessions were lost", n.rejected)
	}
}

// waitUntilFlushing waits until a server with everysec is flushing its file. What it answers then is not in
// the file before that is done.
func waitUntilFlushing(t *testing.T, server *redistest.Server) {
	t.Helper()
	gatewaytest.WaitUntil(t, 20*time.Second, "Redis flushes its file", func() bool {
		server.Do("INCR", "resilience") // there must be something to flush
		return strings.Contains(server.Do("INFO", "persistence"), "aof_pending_bio_fsync:1")
	})
}

// TestRedisKilledOnSlowDisk kills Redis alone, which has the settings of deploy/redis.conf and a slow disk, while
// clients log out, and starts it again with its file. No acknowledged logout may be undone. With everysec some
// are.
func TestRedisKilledOnSlowDisk(t *testing.T) {
	for name, args := range map[string][]string{"as shipped": nil, "everysec": {"--appendfsync", "everysec"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults := preload.New(t)
			server := redistest.Start(t, redistest.Options{File: "../../redis.conf", Args: args, Env: faults.Env()})
			client := gatewaytest.Start(t, server.URL, unlimitedSettings).Client()
			rounds, counts, lossy := gatewaytest.RunSize("KILLS", 3, 100), &killCounts{}, args != nil
			if lossy {
				rounds = max(1, rounds/10)
			}
			for range rounds {
				k := &killRound{T: t, gateway: client}
				k.logIn(false)
				if lossy {
					faults.SetSyncDelay(verySlowSync)
					waitUntilFlushing(t, server)
				} else {
					faults.SetSyncDelay(slowSync)
				}
				k.killWhileLoggingOut(server.Kill)
				faults.SetSyncDelay(0)
				server.Restart()
				counts.check(k, succeededOnly)
			}
			counts.report(t, rounds, lossy)
		})
	}
}
