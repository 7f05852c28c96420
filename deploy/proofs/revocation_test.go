package proofs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// load begins n sessions of as many users by the scripts alone.
func load(t testing.TB, url string, n int) {
	t.Helper()
	o := redisstore.Defaults()
	o.URL = url
	store, err := redisstore.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	policy := session.Policy{Lifetime: time.Hour, AbsoluteLifetime: time.Hour, Rotate: true}
	each(32, n, func(i int) {
		_, err := store.Create(context.Background(), session.CreateStep{
			Owner:   session.Owner{App: rig.App, User: fmt.Sprint("load-", i)},
			Session: session.Session{ID: session.NewID(), Type: session.Types[i%2], Info: "a device of forty characters, or about"},
			Policy:  policy,
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// each runs do for 0 to n-1, some at a time.
func each(atOnce, n int, do func(i int)) {
	var done sync.WaitGroup
	for lane := range atOnce {
		done.Go(func() {
			for i := lane; i < n; i += atOnce {
				do(i)
			}
		})
	}
	done.Wait()
}

// watchers ask about access tokens in several instances.
type watchers struct {
	*testing.T
	clients []*rig.Client
	bound   time.Duration // nothing passes that much after its end was acknowledged

	mu    sync.Mutex
	after []time.Duration // from the acknowledgement to each instance's refusal
	late  int             // requests that passed beyond the bound
}

// endOne ends a session in one instance and watches every other one until it
// refuses the session's access token.
func (w *watchers) endOne(user, kind int) {
	ctx := context.Background()
	at := kind % len(w.clients)
	in := again(func() rig.Answer { return w.clients[at].Login(ctx, user, "LONG", "watched") })
	var a rig.Answer
	switch kind / len(w.clients) % 3 {
	case 0:
		a = w.clients[at].Destroy(ctx, in.Access, in.SessionID)
	case 1:
		a = w.clients[at].Logout(ctx, in.Refresh)
	default: // a token of another type than the session ends it
		a = w.clients[at].Refresh(ctx, "SHORT", in.Refresh)
		a.Status = map[bool]int{true: http.StatusOK}[a.Cause == "type_mismatch"]
	}
	acknowledged := time.Now()
	if a.Status != http.StatusOK {
		return // no answer, no promise
	}
	var done sync.WaitGroup
	for i, c := range w.clients {
		if i != at {
			done.Go(func() { w.watch(c, in.Access, acknowledged) })
		}
	}
	done.Wait()
}

func (w *watchers) watch(c *rig.Client, access string, acknowledged time.Time) {
	for {
		asked := time.Since(acknowledged)
		a := c.Authz(context.Background(), access)
		w.mu.Lock()
		if a.Status == http.StatusOK && asked > w.bound {
			w.late++
		}
		if a.Status == http.StatusUnauthorized || asked > w.bound+2*time.Second {
			w.after = append(w.after, time.Since(acknowledged))
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

// hopeless tells that so many refusals took so long that there is no sense in
// waiting for more of them.
func (w *watchers) hopeless() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	slow := 0
	for _, after := range w.after {
		if after > time.Second {
			slow++
		}
	}
	return slow >= 10
}

func (w *watchers) report(what string) (p99 time.Duration) {
	w.Helper()
	p99 = quantile(w.after, .99)
	w.Logf("%s: %d refusals, p50 %s, p99 %s, last %s after the acknowledgement; %d beyond %s", what, len(w.after),
		quantile(w.after, .5).Round(10*time.Microsecond), p99.Round(10*time.Microsecond), quantile(w.after, 1).Round(10*time.Microsecond), w.late, w.bound)
	if w.late > 0 {
		w.Errorf("an ended session's access token passed beyond %s", w.bound)
	}
	if len(w.after) == 0 {
		w.Error("nothing was ended")
	}
	return p99
}

// TestRevocationIsInstant ends sessions in one of four instances, among many
// live ones, and asks the other three. Of three attempts one must be in time,
// as another program may have had the machine.
func TestRevocationIsInstant(t *testing.T) {
	sessions, endings := scale("SESSIONS", 20_000, 100_000), scale("ENDINGS", 150, 3000)
	server := redistest.Standalone(t)
	load(t, server.URL, sessions)
	all := clients(gateways(t, 4, server.URL, unlimited))
	for range 3 {
		w := &watchers{T: t, clients: all, bound: 10 * time.Second}
		each(2, endings, func(i int) {
			if !w.hopeless() {
				w.endOne(i%rig.Users, i)
			}
		})
		if w.report(fmt.Sprintf("%d sessions", sessions)) < 50*time.Millisecond {
			return
		}
	}
	t.Error("p99 is above 50 ms in each of three attempts")
}

// shortBound is a REVOCATION_BOUND for tests that wait for it.
const shortBound = 1500 * time.Millisecond

func boundedBy(bound time.Duration) rig.Settings {
	return with(unlimited, rig.Settings{"REVOCATION_BOUND": bound.String()})
}

// TestSubscriptionsCut cuts the subscriptions all the time: what they miss is
// read from the outboxes within the bound.
func TestSubscriptionsCut(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	w := &watchers{T: t, clients: clients(gateways(t, 3, server.URL, boundedBy(shortBound))), bound: shortBound}
	quit := make(chan struct{})
	var done sync.WaitGroup
	cuts := 0
	done.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(rand.N(4 * time.Millisecond)):
				server.Do("CLIENT", "KILL", "TYPE", "pubsub")
				cuts++
			}
		}
	})
	each(4, scale("ENDINGS", 150, 3000)/2, func(i int) { w.endOne(i%rig.Users, i) })
	close(quit)
	done.Wait()
	w.report(fmt.Sprintf("%d times all subscriptions cut", cuts))
}

// TestSubscriptionDies lets one instance's subscription fall silent without a
// word, and then its whole line to Redis.
func TestSubscriptionDies(t *testing.T) {
	for name, faults := range map[string]rig.Faults{
		"subscription": {Stall: true, Only: "subscribe"},
		"line":         {Stall: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Standalone(t)
			line := rig.NewProxy(t, server.Addr)
			line.Set(rig.Faults{Only: faults.Only})
			healthy := gateways(t, 1, server.URL, boundedBy(shortBound))[0]
			other := gateways(t, 1, "redis://"+line.Addr+"?read_timeout=200ms&dial_timeout=200ms", boundedBy(shortBound))[0]
			w := &watchers{T: t, clients: clients([]*rig.Gateway{healthy, other}), bound: shortBound}
			eventually(t, recoveryLimit, "its list is complete, so that it might be believed", func() bool {
				return metrics(t, other)["tokengate_revocations_age_seconds"] < shortBound.Seconds()
			})
			line.Set(faults)
			each(8, 8, func(i int) { w.endOne(i, 0) })
			w.report("without a word from Redis")
			valid := w.clients[0].Login(t.Context(), 40, "LONG", "valid")
			if a := w.clients[1].Authz(t.Context(), valid.Access); name == "line" && a.Status != http.StatusServiceUnavailable {
				t.Errorf("cut off for longer than the bound, it answers %d to a valid token, want 503", a.Status)
			}
			line.Set(rig.Faults{})
			line.Cut()
			eventually(t, recoveryLimit, "the instance that was cut off answers again", func() bool {
				return w.clients[1].Authz(t.Context(), valid.Access).Status == http.StatusOK
			})
		})
	}
}

// TestRestartHidesNoEnding kills Redis in the moment an ending is acknowledged
// and starts it again with its log: whatever the others did not hear they read.
func TestRestartHidesNoEnding(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t, "--appendonly", "yes", "--appendfsync", "always")
	w := &watchers{T: t, clients: clients(gateways(t, 3, server.URL, boundedBy(shortBound))), bound: shortBound}
	for round := range scale("RESTARTS", 3, 50) {
		var done sync.WaitGroup
		for i := range 8 {
			done.Go(func() { w.endOne(i, 4*round+i) })
		}
		time.Sleep(rand.N(15 * time.Millisecond))
		server.Kill()
		time.Sleep(rand.N(200 * time.Millisecond))
		server.Restart()
		done.Wait()
	}
	w.report("Redis killed at the acknowledgement")
}

// TestNewInstanceKnows starts an instance after the endings: from its first
// answer on it refuses what has ended.
func TestNewInstanceKnows(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	first := gateways(t, 1, server.URL, unlimited)[0].Client()
	var ended []string
	for i := range 20 {
		in := first.Login(t.Context(), i, "LONG", "ended")
		if a := first.Logout(t.Context(), in.Refresh); a.Status != http.StatusOK {
			t.Fatal(a.Status, a.Err)
		}
		ended = append(ended, in.Access)
	}
	for range 5 {
		g := rig.Start(t, server.URL, unlimited)
		g.Kill()
		g.Launch()
		c := g.Client()
		var a rig.Answer
		eventually(t, recoveryLimit, "a new instance answers", func() bool {
			a = c.Authz(t.Context(), ended[0])
			return a.Status != 0
		})
		for _, access := range ended {
			if a := c.Authz(t.Context(), access); a.Status != http.StatusUnauthorized {
				t.Errorf("a new instance answered %d to an ended session: %s", a.Status, strings.TrimSpace(string(a.Body)))
			}
		}
		g.Kill()
	}
}
