package redisstore_test

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// behindProxy is a deployment whose clients connect through a proxy.
type behindProxy struct {
	proxy  *proxy
	server *redistest.Server // that the proxy leads to
	url    string            // through the proxy, with a parameter
}

// behindProxies starts one deployment of each kind, and returns it twice, with pipelining
// and without.
func behindProxies(t *testing.T) map[string]behindProxy {
	t.Helper()
	single, replicated := redistest.Standalone(t), redistest.Sentinel(t)
	node, toNode := proxiedCluster(t)
	toSingle, toPrimary := newProxy(t, single.Addr), newProxy(t, replicated.Primary.Addr)
	h, port, _ := net.SplitHostPort(toPrimary.addr)
	replicated.Sentinel.Do("SENTINEL", "MONITOR", "proxied", h, port, "1")
	all := map[string]behindProxy{}
	for name, d := range map[string]behindProxy{
		"standalone": {toSingle, single, "redis://" + toSingle.addr},
		"cluster":    {toNode, node, "redis+cluster://" + toNode.addr},
		"sentinel":   {toPrimary, replicated.Primary, "redis+sentinel://" + replicated.Sentinel.Addr + "/proxied"},
	} {
		all[name] = behindProxy{d.proxy, d.server, d.url + "?auto_pipeline=true"}
		all[name+", no pipeline"] = behindProxy{d.proxy, d.server, d.url + "?auto_pipeline=false"}
	}
	return all
}

// TestLostReply checks that a step whose reply was lost has run once, because the client
// does not repeat it, and fails with Unavailable.
func TestLostReply(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			s, o := open(t, d.url), session.Owner{App: "shop", User: strings.ReplaceAll(name, " ", "")}
			first := login(t, s, o, policy).Session
			current := refresh(t, s, o, first, policy) // loads the script
			var err error
			runs := countCommands(t, d.server, func() {
				d.proxy.lose.Store(1)
				_, err = s.Refresh(ctx, refreshStep(o, current, policy))
				time.Sleep(100 * time.Millisecond) // a second run would arrive
			})["evalsha"]
			if session.CodeOf(err) != session.Unavailable || runs != 1 || d.proxy.lose.Load() > 0 {
				t.Fatalf("got %v after %d runs of the script, want %s after 1", err, runs, session.Unavailable)
			}
			retried, err := s.Refresh(ctx, refreshStep(o, current, policy))
			if err != nil || retried.Code != session.Retried || retried.Session.Generation != first.Generation+2 {
				t.Errorf("retry: got %+v, %v; want %s and generation %d", retried, err, session.Retried, first.Generation+2)
			}
		})
	}
}

// together is a number of sessions that are refreshed at the same time.
type together struct {
	store    *redisstore.Store
	owners   []session.Owner
	sessions []session.Session
}

// loginTogether creates n sessions of as many users, and loads the script and dials the
// connections of a refresh of all.
func loginTogether(t *testing.T, d behindProxy, n int) *together {
	t.Helper()
	g := &together{store: open(t, d.url)}
	for range n {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		g.owners, g.sessions = append(g.owners, o), append(g.sessions, login(t, g.store, o, policy).Session)
	}
	for _, err := range g.refresh(d, func() {}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// refresh refreshes all sessions while the proxy is frozen, so that a pipeline sends them
// together, then calls before, and lets them go on. It returns the errors, and for each
// success keeps the refreshed session.
func (g *together) refresh(d behindProxy, before func()) []error {
	d.proxy.frozen.Store(true)
	errs := make([]error, len(g.owners))
	var wg sync.WaitGroup
	for i := range g.owners {
		wg.Go(func() {
			var refreshed session.RefreshResult
			if refreshed, errs[i] = g.store.Refresh(ctx, refreshStep(g.owners[i], g.sessions[i], policy)); errs[i] == nil {
				g.sessions[i] = refreshed.Session
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // the steps are on their way
	before()
	d.proxy.frozen.Store(false)
	wg.Wait()
	return errs
}

// TestLostReplyOfMany checks that each of many steps at the same time runs once if the reply
// to some of them is lost, and that no step gets the reply to another.
func TestLostReplyOfMany(t *testing.T) {
	const n = 20
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			g, want := loginTogether(t, d, n), 3 // more than two connections would carry of one step each
			if strings.Contains(name, "no pipeline") {
				want = 2
			}
			lost := 0
			for round := 0; lost < want; round++ { // until the steps share the connection whose reply is lost
				if round == 20 {
					t.Fatalf("the replies to %d steps were lost together, want at least %d", lost, want)
				}
				var errs []error
				g.refresh(d, func() {}) // dials
				before := slices.Clone(g.sessions)
				runs := countCommands(t, d.server, func() {
					errs = g.refresh(d, func() { d.proxy.lose.Store(2) })
					d.proxy.lose.Store(0)
					time.Sleep(100 * time.Millisecond) // a second run would arrive
				})["evalsha"]
				var unsent int
				lost, unsent = g.retry(t, errs)
				if runs != n-unsent {
					t.Fatalf("the script has run %d times for %d steps", runs, n-unsent)
				}
				for i, got := range g.sessions {
					if was := before[i]; got.ID != was.ID || got.Secret != was.Secret || got.Generation != was.Generation+1 {
						t.Fatalf("step %d: got session %s, generation %d; want %s and %d", i, got.ID, got.Generation, was.ID, was.Generation+1)
					}
				}
			}
		})
	}
}

// retry repeats the steps that failed with Unavailable. It returns how many of them had run,
// and how many were never sent, because the reply to the greeting of a new connection was lost.
func (g *together) retry(t *testing.T, errs []error) (lost, unsent int) {
	t.Helper()
	for i, err := range errs {
		if err == nil {
			continue
		}
		retried, second := g.store.Refresh(ctx, refreshStep(g.owners[i], g.sessions[i], policy))
		if session.CodeOf(err) != session.Unavailable || second != nil {
			t.Fatalf("got %v, and %v from the retry; want %s, and then success", err, second, session.Unavailable)
		}
		g.sessions[i] = retried.Session
		if retried.Code == session.Retried {
			lost++
		} else {
			unsent++
		}
	}
	return lost, unsent
}
