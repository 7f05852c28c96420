package redisstore_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// sessionsOf returns how many sessions an owner has.
func sessionsOf(t *testing.T, srv *redistest.Server, o session.Owner) int {
	t.Helper()
	url := srv.URL
	if strings.Contains(srv.Do("INFO", "cluster"), "cluster_enabled:1") {
		url = "redis+cluster://" + srv.Addr
	}
	listed, err := open(t, url).List(ctx, session.ListStep{Owner: o, Types: session.Types})
	if err != nil {
		t.Fatal(err)
	}
	return len(listed.Sessions)
}

// TestCancelledStepIsNotSent checks that a step is not sent if its caller has given up while
// it waited: for the steps before it, for a connection, or for a new connection.
func TestCancelledStepIsNotSent(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, d.url+"&pool_size=1&pool_timeout=20s&read_timeout=20s")
			owner := func() session.Owner { return session.Owner{App: "shop", User: string(session.NewID())} }
			start := func(ctx context.Context, o session.Owner) (result chan error) {
				result = make(chan error, 1)
				go func() {
					_, err := s.Create(ctx, createStep(o, policy))
					result <- err
				}()
				return result
			}
			login(t, s, owner(), policy)                    // loads the script
			d.server.Do("CLIENT", "KILL", "TYPE", "normal") // makes the next step dial
			d.proxy.frozen.Store(true)
			defer d.proxy.frozen.Store(false)
			dials, queued := owner(), owner()
			cancelled, cancel := context.WithCancel(ctx)
			results := []chan error{start(cancelled, dials)}
			time.Sleep(100 * time.Millisecond)
			for range 3 {
				results = append(results, start(cancelled, queued))
			}
			time.Sleep(100 * time.Millisecond)
			cancel()
			d.proxy.frozen.Store(false)
			for _, result := range results {
				if err := <-result; session.CodeOf(err) != session.Unavailable {
					t.Errorf("got %v, want %s", err, session.Unavailable)
				}
			}
			login(t, s, owner(), policy) // after all that were sent before it
			if n, m := sessionsOf(t, d.server, dials), sessionsOf(t, d.server, queued); n+m > 0 {
				t.Errorf("steps were sent after they were given up: one that waited to be connected made %d sessions, three behind it %d", n, m)
			}
		})
	}
}

// TestBrokenConnectionDelaysOneStep checks that steps go on while a step waits for a reply on
// a connection that does not answer.
func TestBrokenConnectionDelaysOneStep(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, d.url+"&read_timeout=60s")
			current := login(t, s, alice, policy).Session
			d.proxy.hold.Store(true)
			given, giveUp := context.WithCancel(ctx)
			defer giveUp()
			go func() { _ = s.Live(given, session.LiveStep{Owner: alice, ID: current.ID}) }()
			waitFor(t, "a step is held", func() bool { return !d.proxy.hold.Load() })
			limited, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			for range 5 {
				if err := s.Live(limited, session.LiveStep{Owner: alice, ID: current.ID}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestStoppedNodeDelaysItsUsers checks that a node of a Cluster that does not answer delays
// only the steps of its own users.
func TestStoppedNodeDelaysItsUsers(t *testing.T) {
	c := redistest.Cluster(t, 3)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s := open(t, c.URL+"?read_timeout=60s")
	var owners []session.Owner
	for range 40 {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		login(t, s, o, policy)
		owners = append(owners, o)
	}
	onStopped := keys(c.Nodes[1])
	isStopped := func(o session.Owner) bool {
		return slices.ContainsFunc(onStopped, func(key string) bool { return strings.Contains(key, o.User) })
	}
	c.Nodes[1].Suspend()
	defer c.Nodes[1].Resume()
	var wg sync.WaitGroup
	var delayed, live atomic.Int32
	step := func(o session.Owner, limit time.Duration) session.Code {
		limited, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		_, err := s.Create(limited, createStep(o, policy))
		return session.CodeOf(err)
	}
	for range 5 {
		for _, o := range owners {
			wg.Go(func() {
				if isStopped(o) {
					delayed.Add(1)
					if got := step(o, time.Second); got != session.Unavailable {
						t.Errorf("a step on the stopped node: got %s, want %s", got, session.Unavailable)
					}
				} else {
					live.Add(1)
					if got := step(o, 20*time.Second); got != session.OK {
						t.Errorf("a step on another node: got %s, want %s", got, session.OK)
					}
				}
			})
		}
		wg.Wait()
	}
	if delayed.Load() == 0 || live.Load() == 0 {
		t.Errorf("%d steps were on the stopped node and %d on others, want some on both", delayed.Load(), live.Load())
	}
}

// TestManyStepsLoadTheScript checks that steps at the same time succeed after Redis has lost
// its scripts.
func TestManyStepsLoadTheScript(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			g := loginTogether(t, d, 20)
			before := g.sessions[0].Generation
			for i, err := range g.refresh(d, func() { d.server.Do("SCRIPT", "FLUSH") }) {
				if err != nil || g.sessions[i].Generation != before+1 {
					t.Errorf("got generation %d, %v; want %d", g.sessions[i].Generation, err, before+1)
				}
			}
		})
	}
}

// TestMovedSlotIsFollowed checks that steps at the same time run once on the node that their
// keys have moved to.
func TestMovedSlotIsFollowed(t *testing.T) {
	c := redistest.Cluster(t, 2)
	s := open(t, c.URL)
	o := session.Owner{App: "shop", User: "42"}
	p := policy
	p.Limit = false
	var sessions []session.Session
	for range 20 {
		sessions = append(sessions, login(t, s, o, p).Session)
	}
	from, to := c.Nodes[0], c.Nodes[1]
	if len(keys(from)) == 0 {
		from, to = to, from
	}
	slot, err := strconv.Atoi(from.Do("CLUSTER", "KEYSLOT", keys(from)[0]))
	if err != nil {
		t.Fatal(err)
	}
	check := func(state string, allowed session.Code) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range sessions {
			wg.Go(func() {
				refreshed, err := s.Refresh(ctx, refreshStep(o, sessions[i], p))
				if err == nil && refreshed.Code == session.OK && refreshed.Session.Generation == sessions[i].Generation+1 {
					sessions[i] = refreshed.Session
				} else if err == nil || session.CodeOf(err) != allowed {
					t.Errorf("%s: got %s and generation %d, %v; want generation %d", state, refreshed.Code, refreshed.Session.Generation, err, sessions[i].Generation+1)
				}
			})
		}
		wg.Wait()
	}
	check("before", session.OK)
	if err := c.MoveKeys(slot, from, to); err != nil {
		t.Fatal(err)
	}
	check("while the slot is moved", session.Unavailable) // Redis answers TRYAGAIN, because a key does not exist
	if err := c.Move(slot, from, to); err != nil {
		t.Fatal(err)
	}
	check("after the slot has been moved", session.OK)
}

// TestConnectionsAreCounted checks that Connections counts the connections of pipelined steps.
func TestConnectionsAreCounted(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	if errs := runTogether(s, srv, 8); len(errs) > 0 {
		t.Fatal(errs)
	}
	if got, want := s.Connections().Total, clients(srv); int(got) != want || want == 0 {
		t.Errorf("got %d connections, want %d", got, want)
	}
}

// TestManyStepsAreRefused checks that steps at the same time fail with Unavailable if Redis
// refuses their connection with an error reply.
func TestManyStepsAreRefused(t *testing.T) {
	s := open(t, redistest.Standalone(t).URL+"/99") // a database that does not exist
	errs := make(chan error)
	const n = 100
	for range n {
		go func() {
			_, err := s.Create(ctx, createStep(alice, policy))
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; session.CodeOf(err) != session.Unavailable {
			t.Errorf("got %v, want %s", err, session.Unavailable)
		}
	}
}
