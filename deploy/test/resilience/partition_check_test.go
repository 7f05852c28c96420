package resilience

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// partitionRun is a run of TestPartitions.
type partitionRun struct {
	*namedTopology
	bound   time.Duration // REVOCATION_BOUND
	traffic *traffic
	counts  *failoverCounts

	mu         sync.Mutex
	violations map[string]int
}

// partitionSessions are the sessions of one partition. Each has a user of its own.
type partitionSessions struct {
	before []*partitionSession // revoked and refreshed at the primary's machine right after the cut
	after  []*partitionSession // the same at a gateway that goes on, once there is a primary with a replica
	valid  []*failoverSession  // one for each gateway, which uses it all the time

	revoked      int // those of after whose revocation must survive
	mu           sync.Mutex
	lastAccepted time.Duration // the longest time after its revocation at which a session was accepted
	lastAnswered time.Duration // the longest time after the cut at which an isolated gateway answered a step with 200
}

// partitionSession is a session that is revoked or refreshed while the network is cut.
type partitionSession struct {
	failoverSession
	extra        failoverSession
	acknowledged time.Time
}

// revoked reports whether the session's revocation was acknowledged and must survive.
func (s *partitionSession) revoked() bool {
	return s.action != "rotate" && s.last.Status == http.StatusOK && s.last.Header.Get("Durability") == "replicated"
}

// The first users of the sessions. The traffic has users below them.
const (
	usersBefore = 10
	usersAfter  = 20
	usersValid  = 40
)

// createSessions creates the sessions of one partition at a gateway. A replica has them all.
func (r *partitionRun) createSessions(c *gatewaytest.Client) *partitionSessions {
	r.t.Helper()
	s := &partitionSessions{}
	sessions := func(first, n int) (list []*partitionSession) {
		for i := range n {
			action := failoverActions[i%len(failoverActions)]
			list = append(list, &partitionSession{
				failoverSession: failoverSession{action: action, user: first + i}, extra: failoverSession{user: first + i},
			})
		}
		return list
	}
	s.before, s.after = sessions(usersBefore, 8), sessions(usersAfter, 16)
	for _, p := range append(s.before, s.after...) {
		p.create(r.t, c, true)
		p.extra.create(r.t, c, true)
	}
	for i := range r.machines {
		v := &failoverSession{user: usersValid + i}
		v.create(r.t, c, true)
		s.valid = append(s.valid, v)
	}
	return s
}

// act revokes and refreshes sessions at a gateway.
func (r *partitionRun) act(sessions []*partitionSession, c *gatewaytest.Client) {
	forEach(len(sessions), len(sessions), func(i int) {
		sessions[i].act(c, &sessions[i].extra)
		sessions[i].acknowledged = time.Now()
	})
}

// violation records that a promise was broken.
func (r *partitionRun) violation(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations[fmt.Sprintf(format, args...)]++
}

// revokeAndPoll revokes sessions while the network is cut, at one of the gateways that go on. All gateways must reject
// these sessions within the bound.
func (r *partitionRun) revokeAndPoll(s *partitionSessions, acting []*gatewaytest.Client) {
	r.t.Helper()
	if len(acting) == 0 {
		return
	}
	c, created := r.waitReplicating(acting)
	var polls sync.WaitGroup
	defer polls.Wait()
	polls.Go(func() { r.useCreated(&failoverSession{tokens: []string{created.Refresh}, access: created.Access}) })
	r.act(s.after, c)
	for _, p := range s.after {
		if p.revoked() {
			s.revoked++
			for _, m := range r.machines {
				polls.Go(func() { r.pollRevoked(m.client, s, p) })
			}
		}
	}
	if s.revoked == 0 {
		r.t.Error("no revocation was answered as replicated while the network was cut: nothing tested")
	}
}

// waitReplicating waits until one of the gateways answers a login as replicated. It returns the gateway and the answer.
func (r *partitionRun) waitReplicating(clients []*gatewaytest.Client) (c *gatewaytest.Client, in gatewaytest.Response) {
	r.t.Helper()
	gatewaytest.WaitUntil(r.t, 60*time.Second, "a gateway answers a login as replicated", func() bool {
		for _, c = range clients {
			in = c.Login(context.Background(), gatewaytest.Users-2, "LONG", "created meanwhile")
			if in.Status == http.StatusOK && in.Header.Get("Durability") == "replicated" {
				return true
			}
		}
		return false
	})
	return c, in
}

// pollInterval is the time between two requests of a check. Several hundred checks a second would slow down what they
// check.
const pollInterval = 200 * time.Millisecond

// pollRevoked sends authz requests for a revoked session until some time after the bound.
func (r *partitionRun) pollRevoked(c *gatewaytest.Client, s *partitionSessions, p *partitionSession) {
	for {
		sent := time.Since(p.acknowledged)
		a := c.Authz(context.Background(), p.access)
		if a.Status == http.StatusOK {
			s.accepted(sent)
			if sent > r.bound {
				r.violation("authz: got 200 for a session that was revoked longer than %s ago", r.bound)
			}
		}
		if sent > r.bound+2*time.Second {
			break
		}
		time.Sleep(pollInterval)
	}
	if a := c.Refresh(context.Background(), "LONG", p.newest()); a.Status == http.StatusOK {
		r.violation("refresh: got 200 for a session that was revoked longer than %s ago", r.bound)
	}
}

// useCreated uses a session at all gateways that was created while the network was cut. A gateway whose Redis does not
// know the session must not say that it is invalid.
func (r *partitionRun) useCreated(s *failoverSession) {
	check := func(endpoint string, a gatewaytest.Response) {
		if a.Status != http.StatusOK && !unanswered(a) {
			r.violation("%s: got %d %s %s for a session that was created while the network was cut", endpoint, a.Status, a.Code, a.Cause)
		}
	}
	for end := time.Now().Add(refusedAfter); time.Now().Before(end); time.Sleep(pollInterval) {
		for _, m := range r.machines {
			_, a := m.client.List(context.Background(), s.access)
			check("list", a)
			check("refresh", s.rotate(m.client))
		}
	}
}

func (s *partitionSessions) accepted(age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAccepted = max(s.lastAccepted, age)
}

const (
	// refusedAfter is the longest time from the cut until a primary without replicas refuses to write: the
	// min-replicas-max-lag of 3 s and what Redis takes to notice.
	refusedAfter = 5 * time.Second
	// slowness is added to times at which something must have stopped, for a slow machine.
	slowness = 5 * time.Second
)

// checkStops uses a valid session at a gateway that is cut off since start. The answers must be 503 after some time,
// and never 401.
func (r *partitionRun) checkStops(c *gatewaytest.Client, s *partitionSessions, v *failoverSession, start time.Time) {
	ctx := context.Background()
	steps := map[string]func() gatewaytest.Response{
		"refresh": func() gatewaytest.Response { return v.rotate(c) },
		"login":   func() gatewaytest.Response { return c.Login(ctx, v.user, "SHORT", "isolated") },
		"list":    func() gatewaytest.Response { _, a := c.List(ctx, v.access); return a },
	}
	check := func(endpoint string, limit time.Duration, send func() gatewaytest.Response) {
		sent := time.Since(start)
		switch a := send(); {
		case a.Status == http.StatusServiceUnavailable:
		case a.Status != http.StatusOK:
			r.violation("%s at a gateway that is cut off: got %d %s %s for a valid session, want 503", endpoint, a.Status, a.Code, a.Cause)
		case sent > limit:
			r.violation("%s: a gateway answers 200 that is cut off for longer than %s, want 503", endpoint, limit)
			s.answered(sent)
		default:
			s.answered(sent)
		}
	}
	stopLimit, authzLimit := refusedAfter+slowness, max(r.bound, refusedAfter)+slowness
	for end := authzLimit + time.Second; time.Since(start) < end; time.Sleep(pollInterval) {
		for endpoint, send := range steps {
			check(endpoint, stopLimit, send)
		}
		check("authz", authzLimit, func() gatewaytest.Response { return c.Authz(ctx, v.access) })
	}
	check("logout", stopLimit, func() gatewaytest.Response { return c.Logout(ctx, v.newest()) })
}

func (s *partitionSessions) answered(age time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastAnswered = max(s.lastAnswered, age)
}

// summary describes what happened while the network was cut.
func (s *partitionSessions) summary() string {
	return fmt.Sprintf("%d revocations replicated meanwhile, accepted for %s; the gateways cut off answered 200 for %s",
		s.revoked, s.lastAccepted.Round(10*time.Millisecond), s.lastAnswered.Round(10*time.Millisecond))
}

// checkAfter checks all sessions of a partition after the network has been healed.
func (r *partitionRun) checkAfter(s *partitionSessions) {
	all := append(s.before, s.after...)
	forEach(8, len(all), func(i int) {
		c := r.machines[i%len(r.machines)].client
		r.counts.check(&all[i].failoverSession, c, true)
		r.checkAgreement("session", "LONG", all[i].newest(), all[i].access)
	})
	forEach(len(s.valid), len(s.valid), func(i int) {
		r.counts.addNewest(sendUntilAnswered(func() gatewaytest.Response { return s.valid[i].rotate(r.machines[i].client) }))
		r.checkAgreement("valid session", "LONG", s.valid[i].newest(), s.valid[i].access)
	})
	uncertain := r.traffic.takeUncertain()
	forEach(8, len(uncertain), func(i int) {
		r.checkAgreement("session whose revocation may be lost", "SHORT", uncertain[i].refresh, uncertain[i].access)
	})
}

// agreementLimit is the time in which the gateways must follow Redis. They read the revocations every few seconds, and
// a list that is not corrected is wrong for minutes.
const agreementLimit = 30 * time.Second

// checkAgreement checks that authz at each gateway gives the same answer as a refresh, which asks Redis.
func (r *partitionRun) checkAgreement(what, sessionType, refresh, access string) {
	ctx := context.Background()
	truth := sendUntilAnswered(func() gatewaytest.Response { return r.machines[0].client.Refresh(ctx, sessionType, refresh) })
	for i, m := range r.machines {
		var a gatewaytest.Response
		for deadline := time.Now().Add(agreementLimit); ; time.Sleep(pollInterval) {
			if a = m.client.Authz(ctx, access); a.Status == truth.Status || time.Now().After(deadline) {
				break
			}
		}
		if a.Status != truth.Status {
			r.violation("%s after healing: refresh %d, authz %d %s at gateway %d", what, truth.Status, a.Status, a.Code, i)
		}
	}
}
