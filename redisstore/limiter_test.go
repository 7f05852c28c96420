package redisstore_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// attempt has the default limits of an app.
var attempt = session.Attempt{
	App: "shop", Account: "0123456789abcdef0123456789abcdef", Network: "2001:db8::/64", Failures: 100,
	NetworkLimit: session.RateLimit{Attempts: 300, Period: 10 * time.Minute},
}

// reserve makes attempts that must pass.
func reserve(tb testing.TB, s *redisstore.Store, a session.Attempt, times int) {
	tb.Helper()
	for range times {
		if err := s.Limiter().Reserve(ctx, a); err != nil {
			tb.Fatal(err)
		}
	}
}

// wantThrottled checks that an attempt is refused by a limit.
func wantThrottled(t *testing.T, s *redisstore.Store, a session.Attempt, l session.Limit) {
	t.Helper()
	err := s.Limiter().Reserve(ctx, a)
	if e, ok := errors.AsType[*session.Error](err); !ok || e.Code != session.Throttled || e.Limit != l || e.RetryAfter <= 0 {
		t.Fatalf("got %v, want a refusal by the limit %q", err, l)
	}
}

// TestLimiterKeysExpire checks the names and the lifetimes of the keys against the schema in
// keys.go.
func TestLimiterKeysExpire(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	check := func(want map[string]time.Duration) {
		t.Helper()
		found := keys(srv)
		for form, lifetime := range want {
			i := slices.IndexFunc(found, regexp.MustCompile(`^tg:\{shop:[0-3][0-9a-f]\}:`+form+`$`).MatchString)
			if i < 0 {
				t.Errorf("no key matches %s: %q", form, found)
			} else if got := ttl(t, srv, found[i]); !about(got, lifetime) {
				t.Errorf("%s expires in %s, want %s", found[i], got, lifetime)
			}
		}
		if len(found) != len(want) {
			t.Errorf("got the keys %q, want %d", found, len(want))
		}
	}
	account, device, network := "failures:account:"+attempt.Account, "failures:device:d", `rate:2001%3Adb8%3A%3A/64`
	want := map[string]time.Duration{account: 5 * session.FailureMemory, network: 10 * time.Second}
	reserve(t, s, attempt, 5)
	check(want)
	known := attempt
	known.Device, known.Network = "d", ""
	reserve(t, s, known, 1)
	want[device] = session.FailureMemory
	check(want)
	strict := attempt
	strict.Failures, strict.Network = 1, ""
	reserve(t, s, strict, 1)
	wantThrottled(t, s, strict, session.LimitAccount)
	want[account], want[`refusals:\d+`] = 6*session.FailureMemory, 80*time.Minute
	check(want)
	for _, method := range []func(session.Attempt) error{
		func(a session.Attempt) error { return s.Limiter().Release(ctx, a) },
		func(a session.Attempt) error { return s.Limiter().Succeed(ctx, a) },
	} {
		for _, a := range []session.Attempt{attempt, known} {
			if err := method(a); err != nil {
				t.Error(err)
			}
		}
		if slices.Contains(keys(srv), "failures:device:d") {
			t.Error("an attempt that was given back has left a key")
		}
		delete(want, device)
		check(want)
		delete(want, account)
	}
	for range 3 { // nothing is left to give back, but to the network
		_, _ = s.Limiter().Release(ctx, attempt), s.Limiter().Succeed(ctx, known)
	}
	check(want)
}

// TestLimiterCommands checks that a reservation sends a pipeline of two commands, in one round
// trip, and what its scripts run.
func TestLimiterCommands(t *testing.T) {
	srv := redistest.Standalone(t)
	for _, mode := range []string{"?auto_pipeline=true", "?auto_pipeline=false"} {
		s := open(t, srv.URL+mode)
		reserve(t, s, attempt, 1)
		if err := errors.Join(s.Limiter().Succeed(ctx, attempt), s.Limiter().Release(ctx, attempt)); err != nil {
			t.Fatal(err)
		}
		reads := func(step func()) int {
			count := func() int {
				_, rest, _ := strings.Cut(srv.Do("INFO", "stats"), "total_reads_processed:")
				text, _, _ := strings.Cut(rest, "\r\n")
				n, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before := count()
			step()
			return count() - before
		}
		idle := reads(func() {})
		for _, step := range []struct {
			name string
			run  func() error
			want string
		}{
			{"Reserve", func() error { return s.Limiter().Reserve(ctx, attempt) }, "evalsha time get set evalsha time get set"},
			{"Succeed", func() error { return s.Limiter().Succeed(ctx, attempt) }, "evalsha del evalsha get set"},
			{"Release", func() error { return s.Limiter().Release(ctx, attempt) }, "evalsha get evalsha get set"},
		} {
			want := map[string]int{}
			for name := range strings.FieldsSeq(step.want) {
				want[name]++
			}
			var err error
			var trips int
			got := countCommands(t, srv, func() { trips = reads(func() { err = step.run() }) - idle })
			if err != nil || !maps.Equal(got, want) || trips != 1 {
				t.Errorf("%s: got %v, %v in %d round trips, want %v in 1", step.name, err, got, trips, want)
			}
		}
	}
}

// connections returns the number of a server's clients.
func connections(srv *redistest.Server) int {
	return strings.Count(srv.Do("CLIENT", "LIST"), "addr=")
}

// TestLimiterBurst checks that the attempts of many logins that come at once leave
// connections to the steps of others, also while Redis does not answer.
func TestLimiterBurst(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?pool_size=40")
	reserve(t, s, attempt, 1)
	const logins = 200
	a := attempt
	a.Failures, a.NetworkLimit.Attempts = 2*logins, 2*logins
	before := connections(srv)
	srv.Do("CLIENT", "PAUSE", "300", "WRITE")
	var wg sync.WaitGroup
	for range logins {
		wg.Go(func() {
			if err := s.Limiter().Reserve(ctx, a); err != nil {
				t.Errorf("Reserve: got %v, want no error", err)
			}
		})
	}
	wg.Wait()
	if got := connections(srv) - before; got > 20 { // one may be opened although another has become free
		t.Errorf("%d logins have opened %d connections, want few more than 8", logins, got)
	}
}

// TestLimiterWaitsForServer checks that logins wait for a server that does not answer only as
// long as for a connection, and that in a Cluster those on other servers do not.
func TestLimiterWaitsForServer(t *testing.T) {
	c := redistest.Cluster(t, 2)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s := open(t, c.URL+"?read_timeout=20s")
	accounts := map[bool]session.Attempt{} // one on the first node, and one on the other
	a := attempt
	a.Network = ""
	for i := 0; len(accounts) < 2; i++ {
		a.Account = strconv.Itoa(i)
		reserve(t, s, a, 1)
		accounts[slices.ContainsFunc(keys(c.Nodes[0]), func(key string) bool { return strings.HasSuffix(key, ":"+a.Account) })] = a
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	c.Nodes[0].Suspend()
	defer c.Nodes[0].Resume()
	start := time.Now()
	results := make(chan error, 9)
	for range cap(results) {
		wg.Go(func() { results <- s.Limiter().Reserve(ctx, accounts[true]) })
	}
	wantUnavailable(t, map[string]error{"the ninth Reserve": <-results})
	if took := time.Since(start); took < time.Second || took > 15*time.Second {
		t.Errorf("the first login whose server does not answer has failed after %s, want 2s", took)
	}
	reserve(t, s, accounts[false], 1)
}

// TestLimiterIsShared checks that of attempts at the same time through several stores exactly
// as many pass as the budget allows.
func TestLimiterIsShared(t *testing.T) {
	c := redistest.Cluster(t, 2)
	for _, url := range []string{redistest.Standalone(t).URL, c.URL} {
		stores := []*redisstore.Store{open(t, url), open(t, url), open(t, url+"?auto_pipeline=false")}
		const budget, attempts = 100, 300
		a := attempt
		a.NetworkLimit.Attempts = 2 * attempts
		errs := make(chan error, attempts)
		for i := range attempts {
			go func() { errs <- stores[i%len(stores)].Limiter().Reserve(ctx, a) }()
		}
		got := map[session.Code]int{}
		for range attempts {
			got[session.CodeOf(<-errs)]++
		}
		if got[session.OK] != budget || got[session.Throttled] != attempts-budget {
			t.Errorf("got %v, want %d ok and the others throttled", got, budget)
		}
		refused, err := stores[0].Limiter().Refusals(ctx, a.App)
		if want := (session.Refusals{Limit: session.LimitAccount, Key: a.Account, Count: attempts - budget}); err != nil || len(refused) != 1 || refused[0] != want {
			t.Errorf("Refusals: got %v, %v; want %v", refused, err, want)
		}
	}
}

// TestLimiterScriptsAreLoadedAgain checks that a reservation succeeds, and counts once, if
// Redis has none or one of its scripts.
func TestLimiterScriptsAreLoadedAgain(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	strict := attempt
	strict.Failures = 5
	noNetwork := strict
	noNetwork.Network = ""
	for _, a := range []session.Attempt{strict, noNetwork, strict, noNetwork, strict} { // every other one loads one script alone
		if a.Network == "" {
			srv.Do("SCRIPT", "FLUSH")
		}
		reserve(t, s, a, 1)
	}
	wantThrottled(t, s, strict, session.LimitAccount)
}

// TestManyRefusals checks that a bucket keeps at most 200 members, and that one that is refused
// often is listed first although as many others were refused before it, and others between its
// refusals.
func TestManyRefusals(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, func(o *redisstore.Options) { o.Now = newClock().now })
	var accounts []string
	for i := 0; len(accounts) < 301; i++ {
		if name := fmt.Sprint("user ", i); bucketHex(name) == "07" {
			accounts = append(accounts, name)
		}
	}
	a := attempt
	a.Failures, a.Network = 1, ""
	refuse := func(account string, times int) {
		a.Account = account
		for range times {
			wantThrottled(t, s, a, session.LimitAccount)
		}
	}
	for _, account := range accounts {
		a.Account = account
		reserve(t, s, a, 1)
	}
	often, others := accounts[0], accounts[1:]
	for _, account := range others[:200] {
		refuse(account, 3)
	}
	for _, account := range others[200:] {
		refuse(account, 1)
		refuse(often, 1)
	}
	for _, key := range keys(srv) {
		if n := srv.Do("ZCARD", key); strings.Contains(key, "}:refusals:") && n != "200" {
			t.Errorf("%s has %s members, want 200", key, n)
		}
	}
	got, err := s.Limiter().Refusals(ctx, a.App)
	if err != nil || len(got) != session.MaxRefusals || got[0].Key != often || got[0].Count < 100 {
		t.Errorf("got %d entries, the first is %v, %v; want %s with at least 100 refusals", len(got), got[:min(len(got), 1)], err, often)
	}
}

// nameOn returns a name whose budget is on a node of a Cluster of two.
func nameOn(c *redistest.ClusterServers, node int, prefix string) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint(prefix, i); slotOf(c, name)/8192 == node {
			return name
		}
	}
}

// TestLimiterInCluster checks attempts whose keys lie on different nodes, and that a budget gets
// its attempt back if the node of the other one is down.
func TestLimiterInCluster(t *testing.T) {
	c := redistest.Cluster(t, 2)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	var down atomic.Int32
	s := open(t, c.URL+"?dial_timeout=500ms", func(o *redisstore.Options) {
		o.Observe = func(_ string, code session.Code, _ time.Duration) {
			if code == session.Unavailable {
				down.Add(1)
			}
		}
	})
	a := attempt
	a.Failures = 2
	a.Account, a.Network = nameOn(c, 0, "user "), nameOn(c, 1, "network ")
	reserve(t, s, a, 1)
	if failures, rates := keys(c.Nodes[0]), keys(c.Nodes[1]); len(failures) != 1 || len(rates) != 1 || !strings.Contains(failures[0], "}:failures:") || !strings.Contains(rates[0], "}:rate:") {
		t.Errorf("got the keys %q and %q, want failures on the first node and a rate on the second", failures, rates)
	}
	if err := s.Limiter().Release(ctx, a); err != nil {
		t.Fatal(err)
	}
	for _, node := range c.Nodes {
		got := countCommands(t, node, func() {
			reserve(t, s, a, 1)
			if err := s.Limiter().Release(ctx, a); err != nil {
				t.Error(err)
			}
		})
		if got["evalsha"] != 2 || got["eval"] != 0 {
			t.Errorf("node %s ran %v, want one script for each method", node.Addr, got)
		}
	}
	reserve(t, s, a, 1)
	c.Nodes[1].Kill()
	for range 5 {
		wantUnavailable(t, map[string]error{"Reserve": s.Limiter().Reserve(ctx, a)})
	}
	if down.Load() != 5 {
		t.Errorf("%d scripts were unavailable, want 5", down.Load())
	}
	a.Network = ""
	reserve(t, s, a, 1) // the second of two
	wantThrottled(t, s, a, session.LimitAccount)
	if _, err := s.Limiter().Refusals(ctx, a.App); session.CodeOf(err) != session.Unavailable {
		t.Errorf("Refusals: got %v, want unavailable", err)
	}
}

// TestLimiterFollowsMovedSlot checks that a budget is found on the node that its slot has moved
// to.
func TestLimiterFollowsMovedSlot(t *testing.T) {
	c := redistest.Cluster(t, 2)
	s := open(t, c.URL)
	a := attempt
	a.Failures = 3
	reserve(t, s, a, 2)
	slot := slotOf(c, a.Account)
	from, to := c.Nodes[slot/8192], c.Nodes[1-slot/8192]
	if err := c.Move(slot, from, to); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, a, 1)
	wantThrottled(t, s, a, session.LimitAccount)
}
