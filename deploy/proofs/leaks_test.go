package proofs

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

	"tokengate/deploy/rig"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// leak fills a store in every way there is and looks whether anything stays.
type leak struct {
	*testing.T
	url      string
	servers  []*redistest.Server
	masters  int // how many of the servers are no replicas
	store    *redisstore.Store
	life     time.Duration // of the longest session; the shortest lives half as long
	sessions int
}

// TestNothingLeaks begins sessions of mixed lifetimes, refreshes some and ends
// some, by the gateways, which are killed on the way, and by the scripts, whose
// traces live for seconds here. Then nobody asks for anything any more, and
// when the lifetimes have passed Redis is empty.
func TestNothingLeaks(t *testing.T) {
	n, life := scale("LEAKS", 20_000, 1_000_000), time.Duration(scale("LEAK_SECONDS", 6, 180))*time.Second
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
	for name, open := range topologies {
		t.Run(name, func(t *testing.T) {
			if n < 100_000 {
				t.Parallel()
			}
			l := &leak{T: t, life: life, sessions: n / len(topologies)}
			l.url, l.servers = open(t)
			l.masters = map[string]int{"standalone": 1, "sentinel": 1, "cluster": 3}[name]
			l.openStore()
			l.load()
			l.churn()
			l.overHTTP(l.sessions / 8)
			l.wantEmpty()
		})
	}
}

// openStore opens the store with traces that can be waited for.
func (l *leak) openStore() {
	o := redisstore.Defaults()
	o.URL, o.TraceLife, o.Horizon, o.EpochLife = l.url, 2*time.Second, 2*time.Second, 2*time.Second
	var err error
	if l.store, err = redisstore.New(o); err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = l.store.Close() })
}

func (l *leak) policy() session.Policy {
	life := l.life/2 + rand.N(l.life/2)
	return session.Policy{
		Lifetime: life, AbsoluteLifetime: l.life, Rotate: true, ReuseDetection: true, UpdateLastLogin: true,
		Extend: rand.IntN(2) == 0, ExtendEveryTime: true,
	}
}

func (l *leak) create(o session.Owner, kind session.Type, p session.Policy) session.Session {
	created, err := l.store.Create(context.Background(), session.CreateStep{
		Owner: o, Policy: p,
		Session: session.Session{
			ID: session.NewID(), Type: kind, Info: "a device of forty characters, or about..",
		},
	})
	if err != nil {
		l.Error(err)
	}
	return created.Session
}

// load begins plain sessions, one to five per user and all of one type, and says
// what one takes.
func (l *leak) load() {
	before, start := l.memory(), time.Now()
	var n atomic.Int64
	each(32, l.sessions/3, func(i int) {
		for range 1 + i%5 {
			l.create(session.Owner{App: rig.App, User: fmt.Sprint("load-", i)}, session.Types[i%2], l.policy())
			n.Add(1)
		}
	})
	bytes := (l.memory() - before) / int(n.Load())
	l.Logf("%d sessions in %s, %d bytes each", n.Load(), time.Since(start).Round(time.Millisecond), bytes)
	if l.masters == 1 && n.Load() > 100_000 && bytes > 250 { // fewer sessions share the cost of the connections
		l.Errorf("a session takes %d bytes, more than 250", bytes)
	}
}

// memory is what the masters' data and connections take.
func (l *leak) memory() (n int) {
	for _, s := range l.servers[:l.masters] {
		_, rest, _ := strings.Cut(s.Do("INFO", "memory"), "used_memory:")
		text, _, _ := strings.Cut(rest, "\r")
		one, _ := strconv.Atoi(text)
		n += one
	}
	return n
}

// keys counts every server's.
func (l *leak) keys() (n int) {
	for _, s := range l.servers {
		one, _ := strconv.Atoi(s.Do("DBSIZE"))
		n += one
	}
	return n
}

// churn drives the steps that leave traces, each of them many times.
func (l *leak) churn() {
	ctx := context.Background()
	each(16, l.sessions/16, func(i int) {
		o := session.Owner{App: rig.App, User: fmt.Sprint("churn-", i/4)}
		p := l.policy()
		p.Limit, p.Max, p.DestroyOldest = true, 2, true
		s := l.create(o, session.Types[rand.IntN(2)], p)
		with := session.Presented{Generation: s.Generation, Expires: s.Expires}
		step := session.RefreshStep{Owner: o, ID: s.ID, Type: s.Type, Presented: with, Policy: p}
		_, _ = l.store.Refresh(ctx, step)
		switch i % 7 {
		case 0:
			_, _ = l.store.Refresh(ctx, step) // a replay
		case 1:
			_, _ = l.store.End(ctx, session.EndStep{Owner: o, ID: s.ID, Cause: session.CauseUser})
		case 2:
			_, _ = l.store.EndOthers(ctx, session.EndOthersStep{Owner: o, Types: session.Types, Cause: session.CauseOperator, By: "eve"})
		case 3:
			_, _ = l.store.Logout(ctx, session.LogoutStep{Owner: o, ID: s.ID, Type: s.Type, Presented: with, Policy: p})
		case 4:
			_ = l.store.Live(ctx, o, s.ID)
		}
	})
	if _, err := l.store.EndApp(ctx, rig.App); err != nil {
		l.Error(err)
	}
}

// overHTTP logs in and refreshes by gateways that differ in their lifetimes,
// and kills one after the other.
func (l *leak) overHTTP(n int) {
	users := userFile(l, max(1, n/4))
	var all []*rig.Gateway
	for i := range 3 {
		life := (l.life - time.Duration(i)*l.life/6).Truncate(time.Second)
		all = append(all, rig.Start(l, l.url, with(unlimited, rig.Settings{
			"APP_USERS": users,
			"APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME":         life.String(),
			"APP_LONG_SESSION_ABSOLUTE_LIFETIME":              l.life.String(),
			"APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME":      strconv.FormatBool(i == 1),
			"APP_SHORT_SESSION_REFRESH_TOKEN_LIFETIME":        (life / 2).Truncate(time.Second).String(),
			"APP_SHORT_SESSION_ABSOLUTE_LIFETIME":             life.String(),
			"APP_LONG_SESSION_EXTEND_SESSION_ONCE_AFTER_EACH": life.String(),
		})))
	}
	quit := make(chan struct{})
	var killing sync.WaitGroup
	killing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			case <-time.After(200 * time.Millisecond):
				all[i%len(all)].Kill()
				all[i%len(all)].Launch()
			}
		}
	})
	c := clients(all)
	var done atomic.Int64
	each(16, n, func(i int) {
		kind := string(session.Types[i%2])
		in := c[i%len(c)].Login(context.Background(), i%max(1, n/4), kind, "leak")
		if in.Status == http.StatusOK && i%3 == 0 {
			c[(i+1)%len(c)].Refresh(context.Background(), kind, in.Refresh)
		}
		if in.Status == http.StatusOK {
			done.Add(1)
		}
	})
	close(quit)
	killing.Wait()
	for _, g := range all {
		g.Kill()
	}
	l.Logf("%d of %d logins over HTTP were answered", done.Load(), n)
}

// wantEmpty waits for the lifetimes to pass and for Redis to be empty. How long
// its own cycle takes to free what has expired is its own affair, within limits.
func (l *leak) wantEmpty() {
	held := l.keys()
	if held == 0 {
		l.Error("nothing was held, so nothing was tried")
	}
	_ = l.store.Close()
	start := time.Now()
	for left := held; left > 0; left = l.keys() {
		if time.Since(start) > l.life+time.Minute {
			l.Fatalf("%d of %d keys are left %s after the last request: %.300q", left, held, time.Since(start), l.servers[0].Do("KEYS", "*"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	l.Logf("%d keys in silence: none left after %s, the longest life was %s", held, time.Since(start).Round(100*time.Millisecond), l.life)
}
