package resilience

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// trafficClient is one honest client of one user. It presents the newest refresh token, and presents it again
// if no answer came.
type trafficClient struct {
	*traffic
	user   int
	random *rand.Rand

	current clientSession
	extra   []clientSession // further sessions of the user, which the client revokes one by one
	pending []clientSession // sessions whose revocation was requested but not answered
}

// clientSession is a session as a client sees it.
type clientSession struct {
	id, refresh, access string
	durable             bool // the session must survive the test's fault
}

// anyGateway returns a gateway at random. Gateways keep no state about a client, so each request may go to
// another one.
func (c *trafficClient) anyGateway() *gatewaytest.Client {
	return c.gateways[c.random.IntN(len(c.gateways))]
}

// run sends random requests until the traffic stops.
func (c *trafficClient) run() {
	for !c.stopped() {
		if c.current.refresh == "" {
			if s, ok := c.login("LONG"); ok {
				c.current = s
			}
		} else {
			c.act()
		}
		time.Sleep(c.pause + time.Duration(4+c.random.IntN(8))*time.Millisecond)
	}
}

// runAuthz sends authz requests for one session until the traffic stops. It sends them often because the time
// in which authz still succeeds by the revocation list, after Redis has failed, is short.
func (c *trafficClient) runAuthz() {
	for !c.stopped() {
		if c.current.refresh == "" {
			c.current, _ = c.login("LONG")
		} else {
			c.authz()
		}
		time.Sleep(c.pause + 10*time.Millisecond)
	}
}

func (c *trafficClient) act() {
	switch n := c.random.IntN(20); {
	case n < 5:
		c.refresh()
	case n < 7:
		c.list()
	case n < 9:
		c.authz()
	case n < 12:
		if s, ok := c.login("SHORT"); ok {
			c.extra = append(c.extra, s)
		}
	case n < 15:
		c.revoke()
	default:
		c.useRevoked()
	}
}

// do sends one request and records the answer under the phase in which the request was sent.
func (c *trafficClient) do(endpoint string, send func(g *gatewaytest.Client) gatewaytest.Response) gatewaytest.Response {
	phase := *c.phase.Load()
	a := send(c.anyGateway())
	c.record(phase, endpoint, a)
	return a
}

// unanswered reports whether the effect of a request is unknown, so that it must be sent again. A balancer
// answers 502 or 504 for a gateway that does not respond.
func unanswered(a gatewaytest.Response) bool {
	return a.Status == 0 || a.Status >= http.StatusBadGateway && a.Status <= http.StatusGatewayTimeout
}

// isDurable reports whether the step that was answered with a must survive the test's fault.
func (c *trafficClient) isDurable(a gatewaytest.Response) bool {
	return !c.replicatedOnly || a.Header.Get("Durability") == "replicated"
}

func (c *trafficClient) login(sessionType string) (clientSession, bool) {
	a := c.do("login", func(g *gatewaytest.Client) gatewaytest.Response {
		return g.Login(context.Background(), c.user, sessionType, "client")
	})
	if a.Status != http.StatusOK {
		if !unanswered(a) {
			c.violation("login: got %d %s, want 200", a.Status, a.Code)
		}
		return clientSession{}, false
	}
	return clientSession{a.SessionID, a.Refresh, a.Access, c.isDurable(a)}, true
}

// currentRejected handles an error answer for the current session, which should be live.
func (c *trafficClient) currentRejected(endpoint string, a gatewaytest.Response) {
	if c.current.durable && !c.dataLost.Load() {
		c.violation("%s: got %d %s %s for a valid session", endpoint, a.Status, a.Code, a.Cause)
	}
	c.current = clientSession{}
}

func (c *trafficClient) refresh() {
	a := c.do("refresh", func(g *gatewaytest.Client) gatewaytest.Response {
		return g.Refresh(context.Background(), "LONG", c.current.refresh)
	})
	switch {
	case a.Status == http.StatusOK:
		c.current.refresh, c.current.access = a.Refresh, a.Access
		c.current.durable = c.current.durable || c.isDurable(a)
	case !unanswered(a):
		c.currentRejected("refresh", a)
	}
}

func (c *trafficClient) list() {
	var ids map[string][]string
	a := c.do("list", func(g *gatewaytest.Client) (a gatewaytest.Response) {
		ids, a = g.List(context.Background(), c.current.access)
		return a
	})
	switch {
	case a.Status == http.StatusOK && !slices.Contains(ids["Long"], c.current.id):
		c.violation("list: a valid session is missing")
	case a.Status != http.StatusOK && !unanswered(a):
		c.currentRejected("list", a)
	}
}

func (c *trafficClient) authz() {
	a := c.do("authz", func(g *gatewaytest.Client) gatewaytest.Response {
		return g.Authz(context.Background(), c.current.access)
	})
	if a.Status != http.StatusOK && !unanswered(a) {
		c.currentRejected("authz", a)
	}
}

// revoke revokes an extra session. If an earlier revocation was not answered, it requests that one again.
func (c *trafficClient) revoke() {
	retry := len(c.pending) > 0
	from := &c.extra
	if retry {
		from = &c.pending
	}
	if len(*from) == 0 {
		return
	}
	s := (*from)[0]
	*from = (*from)[1:]
	endpoint := "logout"
	send := func(g *gatewaytest.Client) gatewaytest.Response { return g.Logout(context.Background(), s.refresh) }
	if c.random.IntN(2) == 0 {
		endpoint = "destroy"
		send = func(g *gatewaytest.Client) gatewaytest.Response {
			return g.Destroy(context.Background(), c.current.access, s.id)
		}
	}
	a := c.do(endpoint, send)
	switch {
	case (a.Status == http.StatusOK || retry && a.Code == "ended") && c.isDurable(a):
		c.addRevoked(revokedSession{s.refresh, s.access, time.Now()})
	case a.Status == http.StatusOK && s.durable: // otherwise the session itself may be lost, too
		c.addUncertain(revokedSession{s.refresh, s.access, time.Now()})
	case unanswered(a):
		c.pending = append(c.pending, s)
	case a.Status != http.StatusOK && !retry && s.durable && c.current.durable && !c.dataLost.Load():
		c.violation("%s: got %d %s %s for a valid session", endpoint, a.Status, a.Code, a.Cause)
	}
}

// useRevoked presents a token of a revoked session. The refresh and list endpoints must reject it at once,
// authz must reject it once the revocation bound has passed.
func (c *trafficClient) useRevoked() {
	s, ok := c.pickRevoked(c.random)
	if !ok {
		return
	}
	ctx, age := context.Background(), time.Since(s.at)
	switch c.random.IntN(3) {
	case 0:
		a := c.do("revoked:refresh", func(g *gatewaytest.Client) gatewaytest.Response { return g.Refresh(ctx, "SHORT", s.refresh) })
		c.mustReject("refresh", a, age, c.refreshBound)
	case 1:
		a := c.do("revoked:list", func(g *gatewaytest.Client) gatewaytest.Response { _, a := g.List(ctx, s.access); return a })
		c.mustReject("list", a, age, c.refreshBound)
	default:
		a := c.do("revoked:authz", func(g *gatewaytest.Client) gatewaytest.Response { return g.Authz(ctx, s.access) })
		c.mustReject("authz", a, age, c.bound)
	}
}

// mustReject records a violation if a request succeeded that was sent with a revoked session's token, at an age of the
// revocation that is above the bound.
func (c *trafficClient) mustReject(endpoint string, a gatewaytest.Response, age, bound time.Duration) {
	if a.Status == http.StatusOK && age > bound {
		c.violation("%s: got 200 for a session, more than %s after its revocation", endpoint, bound)
	}
}
