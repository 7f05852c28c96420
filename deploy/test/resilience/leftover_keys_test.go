package resilience

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// leakTest writes every kind of key to Redis and checks that none remains.
type leakTest struct {
	*testing.T
	url      string
	servers  []*redistest.Server
	masters  int // how many of the servers are not replicas; they come first
	store    *redisstore.Store
	lifetime time.Duration // of the longest session; the shortest lives half as long
	sessions int
}

// TestNothingLeaks creates sessions of mixed lifetimes, refreshes some and revokes some. It does so through
// gateways, which are killed meanwhile, and through a store whose tombstones live for only two seconds.
// Then it sends no further requests and checks that Redis is empty after the lifetimes have passed.
func TestNothingLeaks(t *testing.T) {
	n, lifetime := gatewaytest.RunSize("LEAKS", 20_000, 1_000_000), time.Duration(gatewaytest.RunSize("LEAK_SECONDS", 6, 180))*time.Second
	topologies := map[string]func(t *testing.T) (string, []*redistest.Server){
		"standalone": func(t *testing.T) (string, []*redistest.Server) {
			s := redistest.Standalone(t)
			return s.URL, []*redistest.Server{s}
		},
		"sentinel": func(t *testing.T) (string, []*redistest.Server) {
			r := redistest.Sentinel(t)
			return r.URL, []*redistest.Server{r.Primary, r.Replica}
		},
		"cluster": func(t *testing.T) (string, []*redistest.Server) {
			c := redistest.Cluster(t, 3)
			return c.URL, c.Nodes
		},
	}
	for name, start := range topologies {
		t.Run(name, func(t *testing.T) {
			if n < 100_000 {
				t.Parallel()
			}
			l := &leakTest{T: t, lifetime: lifetime, sessions: n / len(topologies)}
			l.url, l.servers = start(t)
			l.masters = map[string]int{"standalone": 1, "sentinel": 1, "cluster": 3}[name]
			l.openStore()
			l.createSessions()
			l.revokeSessions()
			l.useGateways(l.sessions / 8)
			l.checkEmpty()
		})
	}
}

// openStore opens a store whose tombstones, outboxes and not-before keys expire after two seconds.
func (l *leakTest) openStore() {
	o := redisstore.Defaults()
	o.URL, o.TombstoneLifetime, o.Retention, o.NotBeforeLifetime = l.url, 2*time.Second, 2*time.Second, 2*time.Second
	var err error
	if l.store, err = redisstore.New(o); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = l.store.Close() })
}

// policy returns a policy with a random lifetime, which half of the time extends sessions.
func (l *leakTest) policy() session.Policy {
	lifetime := l.lifetime/2 + rand.N(l.lifetime/2)
	return session.Policy{
		Lifetime: lifetime, AbsoluteLifetime: l.lifetime, Rotate: true, ReuseDetection: true, UpdateLastLogin: true,
		Extend: rand.IntN(2) == 0, ExtendEveryTime: true,
	}
}

func (l *leakTest) create(o session.Owner, typ session.Type, p session.Policy) session.Session {
	created, err := l.store.Create(context.Background(), session.CreateStep{
		Owner: o, Policy: p,
		Session: session.Session{
			ID: session.NewID(), Type: typ, Info: "a device of forty characters, or about..",
		},
	})
	if err != nil {
		l.Error(err)
	}
	return created.Session
}

// createSessions creates one to five sessions of one type for each user, and logs the memory that a session
// takes.
func (l *leakTest) createSessions() {
	before, start := l.memory(), time.Now()
	var n atomic.Int64
	forEach(32, l.sessions/3, func(i int) {
		for range 1 + i%5 {
			l.create(session.Owner{App: gatewaytest.App, User: fmt.Sprint("created-", i)}, session.Types[i%2], l.policy())
			n.Add(1)
		}
	})
	bytes := (l.memory() - before) / int(n.Load())
	l.Logf("%d sessions in %s, %d bytes each", n.Load(), time.Since(start).Round(time.Millisecond), bytes)
	// With fewer sessions, the memory of the connections has too large a share.
	if l.masters == 1 && n.Load() > 100_000 && bytes > 250 {
		l.Errorf("a session takes %d bytes, want at most 250", bytes)
	}
}

// memory returns the bytes that the masters use for data and connections.
func (l *leakTest) memory() (n int) {
	for _, s := range l.servers[:l.masters] {
		_, rest, _ := strings.Cut(s.Do("INFO", "memory"), "used_memory:")
		text, _, _ := strings.Cut(rest, "\r")
		used, _ := strconv.Atoi(text)
		n += used
	}
	return n
}

// keys returns the number of keys on all servers.
func (l *leakTest) keys() (n int) {
	for _, s := range l.servers {
		size, _ := strconv.Atoi(s.Do("DBSIZE"))
		n += size - l.budgets(s)
	}
	return n
}

// budgets returns the number of keys with attempts to log in. A login that a killed gateway had counts as a failure,
// which is kept for a day in the row of its account, and for 2 s in the rate of its network, which holds up to 10
// minutes. Each key must expire.
func (l *leakTest) budgets(s *redistest.Server) (n int) {
	for pattern, most := range map[string]time.Duration{"*:failures:*": 100 * session.FailureMemory, "*:rate:*": 10 * time.Minute} {
		for _, key := range strings.Fields(s.Do("KEYS", pattern)) {
			n++
			if ttl, err := strconv.Atoi(s.Do("TTL", key)); err != nil || ttl == -1 || ttl > int(most/time.Second) {
				l.Errorf("the key %s expires in %d s, want at most %s", key, ttl, most)
			}
		}
	}
	return n
}

// revokeSessions revokes many sessions with each of the store's methods, and finally all sessions of the app.
func (l *leakTest) revokeSessions() {
	ctx := context.Background()
	forEach(16, l.sessions/16, func(i int) {
		o := session.Owner{App: gatewaytest.App, User: fmt.Sprint("revoked-", i/4)}
		p := l.policy()
		p.Limit, p.Max, p.DestroyOldest = true, 2, true
		s := l.create(o, session.Types[rand.IntN(2)], p)
		presented := session.Presented{Secret: s.Secret, Generation: s.Generation, Expires: s.Expires}
		step := session.RefreshStep{Owner: o, ID: s.ID, Type: s.Type, Presented: presented, Policy: p}
		_, _ = l.store.Refresh(ctx, step)
		switch i % 7 {
		case 0:
			_, _ = l.store.Refresh(ctx, step) // a replay
		case 1:
			_, _ = l.store.Revoke(ctx, session.RevokeStep{Owner: o, ID: s.ID, Cause: session.CauseUser})
		case 2:
			_, _ = l.store.RevokeOthers(ctx, session.RevokeOthersStep{Owner: o, Types: session.Types, Cause: session.CauseOperator, By: "eve"})
		case 3:
			_, _ = l.store.Logout(ctx, session.LogoutStep{Owner: o, ID: s.ID, Type: s.Type, Presented: presented, Policy: p})
		case 4:
			_ = l.store.Live(ctx, session.LiveStep{Owner: o, ID: s.ID})
		}
	})
	if _, err := l.store.RevokeApp(ctx, gatewaytest.App); err != nil {
		l.Error(err)
	}
}

// startGateways starts three gateways with different lifetimes and the given number of users.
func (l *leakTest) startGateways(users int) []*gatewaytest.Gateway {
	file := userFile(l, users)
	var gateways []*gatewaytest.Gateway
	for i := range 3 {
		lifetime := (l.lifetime - time.Duration(i)*l.lifetime/6).Truncate(time.Second)
		gateways = append(gateways, gatewaytest.Start(l, l.url, merge(unlimitedSettings, gatewaytest.Settings{
			"APP_USERS": file,
			"APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME":         lifetime.String(),
			"APP_LONG_SESSION_ABSOLUTE_LIFETIME":              l.lifetime.String(),
			"APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME":      strconv.FormatBool(i == 1),
			"APP_SHORT_SESSION_REFRESH_TOKEN_LIFETIME":        (lifetime / 2).Truncate(time.Second).String(),
			"APP_SHORT_SESSION_ABSOLUTE_LIFETIME":             lifetime.String(),
			"APP_LONG_SESSION_EXTEND_SESSION_ONCE_AFTER_EACH": lifetime.String(),
		})))
	}
	return gateways
}

// useGateways sends n logins and some refreshes over HTTP. Meanwhile it kills one gateway after the other.
func (l *leakTest) useGateways(n int) {
	users := max(1, n/4)
	gateways := l.startGateways(users)
	quit := make(chan struct{})
	var killing sync.WaitGroup
	killing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(200 * time.Millisecond):
				gateways[i%len(gateways)].Kill()
				gateways[i%len(gateways)].Launch()
			}
		}
	})
	clients := clientsOf(gateways)
	var answered atomic.Int64
	forEach(16, n, func(i int) {
		typ := string(session.Types[i%2])
		in := clients[i%len(clients)].Login(context.Background(), i%users, typ, "leak")
		if in.Status == http.StatusOK && i%3 == 0 {
			clients[(i+1)%len(clients)].Refresh(context.Background(), typ, in.Refresh)
		}
		if in.Status == http.StatusOK {
			answered.Add(1)
		}
	})
	close(quit)
	killing.Wait()
	for _, g := range gateways {
		g.Kill()
	}
	l.Logf("%d of %d logins over HTTP succeeded", answered.Load(), n)
}

// checkEmpty waits until the lifetimes have passed and Redis is empty. It waits for another minute, because
// Redis frees expired keys in the background.
func (l *leakTest) checkEmpty() {
	total := l.keys()
	if total == 0 {
		l.Error("Redis had no keys, so nothing was tested")
	}
	_ = l.store.Close()
	start := time.Now()
	for left := total; left > 0; left = l.keys() {
		if time.Since(start) > l.lifetime+time.Minute {
			var all []string
			for _, s := range l.servers {
				all = append(all, s.Do("KEYS", "*"))
			}
			l.Fatalf("%d of %d keys are left %s after the last request; all keys: %.2000q", left, total, time.Since(start), all)
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.Logf("%d keys after the last request, none %s later; the longest lifetime was %s", total, time.Since(start).Round(100*time.Millisecond), l.lifetime)
}
