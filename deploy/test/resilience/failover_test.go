package resilience

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// replicaSet is a primary that can be lost while clients use it, and its replica.
type replicaSet interface {
	lose()   // promotes the replica; what it has not received is lost
	rejoin() // makes the old primary a replica of the new one, and waits until it is in sync
}

// laggingPair is a primary and a replica that lags behind it by some milliseconds. The gateways reach the
// primary through front, the replica reaches it through link.
type laggingPair struct {
	primary, replica *redistest.Server
	front, link      *gatewaytest.Proxy
}

var replicationLag = gatewaytest.Faults{Delay: 4 * time.Millisecond}

// newLaggingPair starts both. If environments are given, the primary and the replica have one each.
func newLaggingPair(t *testing.T, environments ...[]string) *laggingPair {
	servers := make([]*redistest.Server, 2)
	for i := range servers {
		options := redistest.Options{Args: []string{"--repl-diskless-sync", "no", "--hz", "100", "--repl-timeout", "5"}}
		if len(environments) > 0 {
			options.Env = environments[i]
		}
		servers[i] = redistest.Start(t, options)
	}
	p := &laggingPair{primary: servers[0], replica: servers[1]}
	p.front, p.link = gatewaytest.NewProxy(t, p.primary.Addr), gatewaytest.NewProxy(t, p.primary.Addr)
	p.rejoin()
	return p
}

func (p *laggingPair) lose() {
	p.link.Set(gatewaytest.Faults{Refuse: true})
	p.link.Cut()
	p.front.Retarget(p.replica.Addr)
	p.front.Cut()
	p.replica.Do("REPLICAOF", "NO", "ONE")
	p.primary, p.replica = p.replica, p.primary
}

func (p *laggingPair) rejoin() {
	p.link.Retarget(p.primary.Addr)
	p.link.Set(replicationLag)
	host, port, _ := net.SplitHostPort(p.link.Addr)
	p.replica.Do("REPLICAOF", host, port)
	p.primary.WaitInSync(p.replica)
}

// sentinelSet is a primary and a replica behind Sentinel.
type sentinelSet struct{ *redistest.SentinelServers }

func (s sentinelSet) lose()   { s.FailOver() }
func (s sentinelSet) rejoin() { s.Rejoin() }

// failoverSession is a session that is revoked or refreshed while the primary is lost.
type failoverSession struct {
	action     string // one of failoverActions
	user       int
	tokens     []string // all refresh tokens, the newest last
	access     string
	id         string
	replicated int // how many of the tokens a replica is known to have
	last       gatewaytest.Response
}

// failoverActions are the revocations by their endpoint, and "rotate" for refreshes.
var failoverActions = []string{"destroy", "logout", "others", "rotate"}

// create logs in and refreshes three times, so that there are spent tokens. If waitReplicated is set, it
// repeats the login until the answer says that a replica has the session.
func (s *failoverSession) create(t *testing.T, c *gatewaytest.Client, waitReplicated bool) {
	ctx := context.Background()
	s.tokens = nil
	gatewaytest.WaitUntil(t, 15*time.Second, "a login succeeds", func() bool {
		in := c.Login(ctx, s.user, "LONG", "failover")
		s.id, s.access, s.tokens = in.SessionID, in.Access, []string{in.Refresh}
		return in.Status == http.StatusOK && (!waitReplicated || in.Header.Get("Durability") == "replicated")
	})
	for range 3 {
		s.rotate(c)
	}
}

func (s *failoverSession) newest() string { return s.tokens[len(s.tokens)-1] }

// rotate presents the newest token and keeps its successor.
func (s *failoverSession) rotate(c *gatewaytest.Client) gatewaytest.Response {
	a := c.Refresh(context.Background(), "LONG", s.newest())
	if a.Status == http.StatusOK && a.Refresh != s.newest() {
		s.tokens, s.access = append(s.tokens, a.Refresh), a.Access
	}
	if a.Header.Get("Durability") == "replicated" {
		s.replicated = len(s.tokens)
	}
	return a
}

// actionSpread is the longest random delay of an action. The loss of the primary is delayed by up to twice
// as long. A replica's acknowledgement takes about half of actionSpread.
const actionSpread = 20 * time.Millisecond

// act revokes or rotates the session. The action "others" keeps the session extra, which is not checked
// afterwards.
func (s *failoverSession) act(c *gatewaytest.Client, extra *failoverSession) {
	ctx := context.Background()
	time.Sleep(rand.N(actionSpread))
	switch s.action {
	case "destroy":
		s.last = c.Destroy(ctx, s.access, s.id)
	case "logout":
		s.last = c.Logout(ctx, s.newest())
	case "others":
		s.last = c.DestroyOthers(ctx, extra.access, extra.newest(), "ALL")
	default:
		for s.last = s.rotate(c); s.last.Status == http.StatusOK; s.last = s.rotate(c) {
			if len(s.tokens) > 12 { // more would take longer than actionSpread
				return
			}
		}
	}
}

// The names of the counts of failoverCounts.
const (
	newestContinued    = "newest tokens continued"
	newestRejected     = "newest tokens rejected"
	spentContinued     = "spent tokens continued"
	spentRejected      = "spent tokens rejected"
	revocationsKept    = "revocations kept"
	revocationsLost    = "revocations lost"
	unreplicatedLost   = "unreplicated revocations lost"
	unacknowledged     = "revocations not acknowledged"
	rotationsHealed    = "rotations healed"
	unansweredRequests = "requests without an answer" // in time, or answered 500: their effect is unknown
)

// failoverCounts counts the results of the checks after failovers.
type failoverCounts struct {
	mu sync.Mutex
	n  map[string]int
}

func (f *failoverCounts) add(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n[name]++
}

// addNewest counts the answer to a client's newest token, which must continue the session.
func (f *failoverCounts) addNewest(a gatewaytest.Response) {
	f.addToken(a, newestContinued, newestRejected)
}

// addSpent counts the answer to a token that is two generations behind, which must be rejected.
func (f *failoverCounts) addSpent(a gatewaytest.Response) {
	f.addToken(a, spentContinued, spentRejected)
}

func (f *failoverCounts) addToken(a gatewaytest.Response, continued, rejected string) {
	switch a.Status {
	case http.StatusOK:
		f.add(continued)
	case http.StatusUnauthorized:
		f.add(rejected)
	default:
		f.add(unansweredRequests)
	}
}

// addRevoked counts a session whose revocation was acknowledged, by the answer to a refresh with its token
// after the failover. replicated reports whether the revocation must survive.
func (f *failoverCounts) addRevoked(after gatewaytest.Response, replicated bool) {
	switch {
	case after.Status != http.StatusOK && after.Status != http.StatusUnauthorized:
		f.add(unansweredRequests)
	case after.Status == http.StatusOK && replicated:
		f.add(revocationsLost)
	case after.Status == http.StatusOK:
		f.add(unreplicatedLost)
	case replicated:
		f.add(revocationsKept)
	}
}

// sendUntilAnswered repeats a request until it is answered, for at most 15 seconds.
func sendUntilAnswered(send func() gatewaytest.Response) gatewaytest.Response {
	a := send()
	for deadline := time.Now().Add(15 * time.Second); unanswered(a) && time.Now().Before(deadline); a = send() {
		time.Sleep(2 * time.Millisecond)
	}
	return a
}

// checkRotated counts the outcome for a session that was refreshed during the failover. Its newest token must
// continue, and a token that is two generations behind must be rejected, also if it is presented first.
func (f *failoverCounts) checkRotated(s *failoverSession, c *gatewaytest.Client) {
	present := func(token string) gatewaytest.Response {
		return sendUntilAnswered(func() gatewaytest.Response { return c.Refresh(context.Background(), "LONG", token) })
	}
	if s.replicated >= 3 && rand.IntN(2) == 0 {
		f.addSpent(present(s.tokens[s.replicated-3]))
		return
	}
	spent := s.tokens[len(s.tokens)-2]
	f.addNewest(sendUntilAnswered(func() gatewaytest.Response { return s.rotate(c) }))
	f.addSpent(present(spent))
}

// check counts the outcome for a session after the failover. If wait is set, the gateway waits for a
// replica, and only revocations that were answered as replicated must survive.
func (f *failoverCounts) check(s *failoverSession, c *gatewaytest.Client, wait bool) {
	switch {
	case s.action == "rotate":
		f.checkRotated(s, c)
	case s.last.Status == http.StatusOK:
		after := sendUntilAnswered(func() gatewaytest.Response { return c.Refresh(context.Background(), "LONG", s.newest()) })
		f.addRevoked(after, !wait || s.last.Header.Get("Durability") == "replicated")
	default:
		f.add(unacknowledged)
	}
}

// failOver revokes or refreshes 16 sessions at once, loses the primary meanwhile, and checks the acknowledged
// steps afterwards.
func (f *failoverCounts) failOver(t *testing.T, servers replicaSet, c *gatewaytest.Client, wait bool) {
	sessions, extras := make([]*failoverSession, 16), make([]*failoverSession, 16)
	start := func(do func(s, extra *failoverSession)) *sync.WaitGroup {
		var done sync.WaitGroup
		for i := range sessions {
			done.Go(func() { do(sessions[i], extras[i]) })
		}
		return &done
	}
	for i := range sessions {
		sessions[i] = &failoverSession{action: failoverActions[i%len(failoverActions)], user: i}
		extras[i] = &failoverSession{user: i}
	}
	// Behind Sentinel the old primary is restarted and is a primary for another moment. What is written to it in
	// that time is lost, so the sessions must be known to be replicated.
	_, restarts := servers.(sentinelSet)
	start(func(s, extra *failoverSession) {
		s.create(t, c, restarts)
		extra.create(t, c, restarts)
	}).Wait()
	actions := start(func(s, extra *failoverSession) { s.act(c, extra) })
	time.Sleep(rand.N(2 * actionSpread))
	servers.lose()
	actions.Wait()
	start(func(s, _ *failoverSession) { f.check(s, c, wait) }).Wait()
	servers.rejoin()
}

// problems returns the promises that were broken, and the reasons why the run tested too little.
func (f *failoverCounts) problems(wait bool) []string {
	var found []string
	for problem, occurred := range map[string]bool{
		"a client's newest token was rejected after a failover":                   f.n[newestRejected] > 0,
		"a request had no answer, so its effect is unknown":                       f.n[unansweredRequests] > 0,
		"a step that was answered as replicated was lost":                         wait && f.n[revocationsLost]+f.n[spentContinued] > 0,
		"no revocation was kept or no newest token continued: nothing tested":     !f.complete(),
		"nothing was lost without WAIT, so this test would not detect any losses": !wait && (f.n[revocationsLost] == 0 || f.n[rotationsHealed] == 0),
	} {
		if occurred {
			found = append(found, problem)
		}
	}
	return found
}

// complete reports whether the run has tested at least one acknowledged revocation and one newest token.
func (f *failoverCounts) complete() bool { return f.n[revocationsKept] > 0 && f.n[newestContinued] > 0 }

// report logs the counts and fails the test for each problem.
func (f *failoverCounts) report(t *testing.T, g *gatewaytest.Gateway, failovers int, wait bool) {
	t.Helper()
	f.n[rotationsHealed] = countSteps(t, g, "healed")
	t.Logf("%d failovers: %v", failovers, f.n)
	for _, problem := range f.problems(wait) {
		t.Error(problem)
	}
}

// TestRevocationsSurviveFailover promotes a lagging replica again and again. With REDIS_WAIT_REPLICAS no
// step that was answered as replicated may be lost. Without it some revocations must be lost, which shows
// that the test detects losses.
func TestRevocationsSurviveFailover(t *testing.T) {
	for name, wait := range map[string]bool{"replicated": true, "without WAIT": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds := gatewaytest.RunSize("FAILOVERS", 20, 500)
			settings := maps.Clone(unlimitedSettings)
			if wait {
				settings = merge(replicatedSettings, gatewaytest.Settings{"REDIS_WAIT_TIMEOUT": "60ms"})
			} else {
				rounds = max(10, rounds/10)
			}
			p := newLaggingPair(t)
			g := gatewaytest.Start(t, "redis://"+p.front.Addr, settings)
			counts := &failoverCounts{n: map[string]int{}}
			for range rounds {
				counts.failOver(t, p, g.Client(), wait)
			}
			counts.report(t, g, rounds, wait)
		})
	}
}

// TestUnansweredRequestIsReported checks that a run of a failover test fails if a request was never answered.
func TestUnansweredRequestIsReported(t *testing.T) {
	for _, status := range []int{0, http.StatusServiceUnavailable, http.StatusInternalServerError} {
		for name, add := range map[string]func(*failoverCounts, gatewaytest.Response){
			"newest": (*failoverCounts).addNewest, "spent": (*failoverCounts).addSpent,
			"revoked": func(f *failoverCounts, a gatewaytest.Response) { f.addRevoked(a, true) },
		} {
			counts := &failoverCounts{n: map[string]int{revocationsKept: 1, newestContinued: 1}}
			if found := counts.problems(true); len(found) != 0 {
				t.Errorf("without the request: got the problems %q, want none", found)
			}
			add(counts, gatewaytest.Response{Status: status})
			if found := counts.problems(true); counts.n[unansweredRequests] != 1 || len(counts.n) != 3 || len(found) != 1 {
				t.Errorf("%s, status %d: got the counts %v and the problems %q, want one unanswered request and one problem", name, status, counts.n, found)
			}
		}
	}
}

// extraFailovers is the number of further failovers if the run is not complete: every revocation may have
// met a primary that was already lost, and by chance no newest token may have been presented.
const extraFailovers = 4

// TestRevocationsSurviveSentinelFailover checks that failovers by Sentinel lose no step that was answered as
// replicated.
func TestRevocationsSurviveSentinelFailover(t *testing.T) {
	t.Parallel()
	r := redistest.Sentinel(t)
	g := gatewaytest.Start(t, r.URL, merge(replicatedSettings, gatewaytest.Settings{"REDIS_WAIT_TIMEOUT": "60ms"}))
	counts, rounds, failovers := &failoverCounts{n: map[string]int{}}, gatewaytest.RunSize("SENTINEL_FAILOVERS", 1, 200), 0
	for failovers < rounds || failovers < rounds+extraFailovers && !counts.complete() {
		counts.failOver(t, sentinelSet{r}, g.Client(), true)
		failovers++
	}
	counts.report(t, g, failovers, true)
}
