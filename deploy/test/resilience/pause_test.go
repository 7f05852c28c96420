package resilience

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/lua"
)

// pause is one way in which a request comes late.
type pause struct {
	name     string        // where the request is held
	balanced bool          // the clients send their requests to the balancers
	shortest time.Duration // how long the request is held at least
	// hold is called before the clients send their requests, and arrest, unless it is nil, when all are sent.
	// release lets the requests continue.
	hold, arrest, release func(b *pauseBed, action string)
	// whileHeld reports whether the other gateway answers before release is called.
	whileHeld bool
}

// pauseActions are the steps that come late, each with its script.
var pauseActions = map[string]lua.Script{"refresh": lua.Refresh, "login": lua.Create}

var pauses = []pause{
	{
		name: "unread at the gateway", shortest: stopNoticed, whileHeld: true,
		hold:    func(b *pauseBed, _ string) { b.gateways[0].Suspend() },
		release: func(b *pauseBed, _ string) { b.gateways[0].Resume() },
	},
	{
		// The step waits for a new connection to Redis.
		name: "unsent at the gateway", shortest: stepDeadline, whileHeld: true,
		hold: func(b *pauseBed, _ string) {
			b.front.Set(gatewaytest.Faults{Stall: true})
			b.front.Cut()
		},
		arrest: func(b *pauseBed, _ string) {
			b.waitInHand()
			b.gateways[0].Suspend()
			b.front.Set(gatewaytest.Faults{})
		},
		release: func(b *pauseBed, _ string) { b.gateways[0].Resume() },
	},
	{
		name: "between gateway and Redis", shortest: stepDeadline, whileHeld: true,
		hold: func(b *pauseBed, action string) {
			sum := sha1.Sum([]byte(pauseActions[action].Text))
			b.front.Set(gatewaytest.Faults{Stall: true, OnlySending: hex.EncodeToString(sum[:])})
		},
		arrest: func(b *pauseBed, _ string) {
			gatewaytest.WaitUntil(b, 10*time.Second, "the step is on its way", func() bool { return b.front.Held() > 0 })
		},
		release: func(b *pauseBed, _ string) {
			b.front.Set(gatewaytest.Faults{})
			time.Sleep(lateGrace)
			b.front.Cut() // its next connections have not sent a step
		},
	},
	{
		name: "at Redis", shortest: stepDeadline,
		hold:    func(b *pauseBed, _ string) { b.server.Suspend() },
		arrest:  func(b *pauseBed, _ string) { b.waitInHand() },
		release: func(b *pauseBed, _ string) { b.server.Resume() },
	},
	{
		name: "unread at a gateway behind a balancer", balanced: true, shortest: stopNoticed, whileHeld: true,
		hold:    func(b *pauseBed, _ string) { b.gateways[0].Suspend() },
		release: func(b *pauseBed, _ string) { b.gateways[0].Resume() },
	},
	{
		name: "at the balancer", balanced: true, shortest: stepDeadline, whileHeld: true,
		hold:    func(b *pauseBed, _ string) { b.balancers[0].Suspend(b.T) },
		release: func(b *pauseBed, _ string) { b.balancers[0].Resume() },
	},
}

const (
	// A process that was stopped for this time, with some margin, takes no step of a request that it had not read.
	stopNoticed = 600 * time.Millisecond
	// A step begins at most so long after its request was read, with some margin.
	stepDeadline = 1100 * time.Millisecond
	// lateGrace is the time in which a late request is expected to take effect. A longer delay hides a fault
	// and causes none.
	lateGrace = 300 * time.Millisecond

	clientsPerPause  = 4
	shortestPatience = 300 * time.Millisecond // of a client
	longestPatience  = time.Second
)

// waitInHand waits until the first gateway has the clients' requests in hand.
func (b *pauseBed) waitInHand() {
	b.Helper()
	gatewaytest.WaitUntil(b, 10*time.Second, "the requests are in hand", func() bool {
		_, inHand := b.requests()
		return inHand >= clientsPerPause
	})
}

// pauseClient is one honest client. If a request is not answered in time, it sends it again.
type pauseClient struct {
	user   int
	action string // one of pauseActions
	newest gatewaytest.Response
}

// send sends a request once, to a gateway or a balancer. If the session was created, that is a refresh.
func (c *pauseClient) send(ctx context.Context, g *gatewaytest.Client) gatewaytest.Response {
	if c.newest.Refresh == "" {
		return g.Login(ctx, c.user, "LONG", "client")
	}
	return g.Refresh(ctx, "LONG", c.newest.Refresh)
}

// finish sends a request until it is answered. It reports whether it succeeded.
func (c *pauseClient) finish(g *gatewaytest.Client) bool {
	a := sendUntilAnswered(func() gatewaytest.Response {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return c.send(ctx, g)
	})
	if a.Status == http.StatusOK {
		c.newest = a
		return true
	}
	c.newest.Status, c.newest.Code, c.newest.Cause = a.Status, a.Code, a.Cause
	return false
}

// play sends a request that may come late and calls sent when it is sent. Once its patience is at an end,
// which begins when held is closed, it sends the request again to another gateway. Then it refreshes once more,
// so that its first token is two generations behind.
func (c *pauseClient) play(first, second *gatewaytest.Client, sent func(), held <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { sent() },
	}))
	defer cancel()
	patience := shortestPatience + rand.N(longestPatience-shortestPatience)
	go func() {
		<-held
		time.Sleep(patience)
		cancel()
	}()
	if a := c.send(ctx, first); a.Status == http.StatusOK {
		c.newest = a
	} else if !c.finish(second) {
		return false
	}
	return c.action == "login" || c.finish(second)
}

// play plays one game: clients send requests that come late, and go on elsewhere. It returns the clients that were
// logged out, each with what its newest token got.
func (b *pauseBed) play(p *pause, action string, firstUser int, longest time.Duration) (loggedOut []string) {
	first, second := gatewaytest.NewClient(b.urls[0]), gatewaytest.NewClient(b.urls[1])
	defer first.HTTP.CloseIdleConnections()
	defer second.HTTP.CloseIdleConnections()
	clients := make([]*pauseClient, clientsPerPause)
	for i := range clients {
		clients[i] = &pauseClient{user: firstUser + i, action: action}
		if action == "refresh" && !clients[i].finish(first) {
			b.Fatalf("login: got %d %s, want 200", clients[i].newest.Status, clients[i].newest.Code)
		}
	}
	answered, _ := b.requests()
	p.hold(b, action)
	var done, sent sync.WaitGroup
	held := make(chan struct{})
	var mu sync.Mutex
	for _, c := range clients {
		sent.Add(1)
		done.Go(func() {
			if !c.play(first, second, sync.OnceFunc(sent.Done), held) {
				mu.Lock()
				defer mu.Unlock()
				loggedOut = append(loggedOut, fmt.Sprintf("%d %s %s, before its request went on", c.newest.Status, c.newest.Code, c.newest.Cause))
			}
		})
	}
	sent.Wait()
	if p.arrest != nil {
		p.arrest(b, action)
	}
	close(held)
	time.Sleep(p.shortest + rand.N(longest-p.shortest))
	if p.whileHeld {
		done.Wait()
	}
	p.release(b, action)
	done.Wait()
	b.waitLate(answered + clientsPerPause)
	for _, c := range clients {
		if c.newest.Status == http.StatusOK && !c.finish(second) {
			loggedOut = append(loggedOut, fmt.Sprintf("%d %s %s", c.newest.Status, c.newest.Code, c.newest.Cause))
		}
	}
	return loggedOut
}

// waitLate waits until the first gateway has answered a number of requests and has none in hand, or until it
// has had enough time for it: a balancer need not have passed on all of them.
func (b *pauseBed) waitLate(want int) {
	for deadline := time.Now().Add(5 * lateGrace); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if answered, inHand := b.requests(); answered >= want && inHand == 0 {
			return
		}
	}
}

// TestLateRequests stops gateways, Redis and balancers while they have the requests of honest clients, who
// go on elsewhere meanwhile. What was stopped continues after up to some seconds. No client may be
// logged out: neither by a late refresh, whose token is two generations behind by then, nor by a late login,
// which would evict the newer session.
func TestLateRequests(t *testing.T) {
	const full = 200
	games, longest := gatewaytest.RunSize("PAUSES", 2*len(pauses), full), 1500*time.Millisecond
	if games >= full {
		longest = 5 * time.Second
	}
	for i := range pauses {
		p := &pauses[i]
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			games, actions := (games+len(pauses)-1)/len(pauses), slices.Sorted(maps.Keys(pauseActions))
			b := startPauseBed(t, p.balanced, games*clientsPerPause)
			loggedOut := map[string]int{}
			for game := range games {
				action := actions[game%len(actions)]
				for _, answer := range b.play(p, action, game*clientsPerPause, longest) {
					loggedOut[action+": "+answer]++
				}
			}
			t.Logf("%d stops with %d clients each", games, clientsPerPause)
			for answer, n := range loggedOut {
				t.Errorf("%d clients of %d were logged out: %s", n, games*clientsPerPause/len(actions), answer)
			}
		})
	}
}
