package proofs

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"tokengate/deploy/rig"
)

// device is one honest client of one user: it sends the newest refresh token,
// and sends it again when no answer came.
type device struct {
	*traffic
	user   int
	random *rand.Rand

	held
	spares []held // further sessions of the user, to be ended
	ending []held // those whose end was asked for and not answered
}

// held is a session as its client knows it.
type held struct {
	id, refresh, access string
	firm                bool // survives whatever the store promises to survive
}

// anyGateway picks a gateway for each request: none remembers a client.
func (d *device) anyGateway() *rig.Client { return d.gateways[d.random.IntN(len(d.gateways))] }

func (d *device) run() {
	for !d.stopped() {
		if d.refresh == "" {
			if s, ok := d.login("LONG"); ok {
				d.held = s
			}
		} else {
			d.act()
		}
		time.Sleep(time.Duration(4+d.random.IntN(8)) * time.Millisecond)
	}
}

// watch asks forward-auth about one session all the time: that it passes by the
// list of revocations, and then no more, is over in a moment.
func (d *device) watch() {
	for !d.stopped() {
		if d.refresh == "" {
			d.held, _ = d.login("LONG")
		} else {
			d.pass()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (d *device) act() {
	switch n := d.random.IntN(20); {
	case n < 5:
		d.renew()
	case n < 7:
		d.look()
	case n < 9:
		d.pass()
	case n < 12:
		if s, ok := d.login("SHORT"); ok {
			d.spares = append(d.spares, s)
		}
	case n < 15:
		d.end()
	default:
		d.haunt()
	}
}

// do sends one request and notes the answer under the phase of its start.
func (d *device) do(endpoint string, send func(c *rig.Client) rig.Answer) rig.Answer {
	phase := *d.phase.Load()
	a := send(d.anyGateway())
	d.note(phase, endpoint, a)
	return a
}

// unanswered tells whether a request must be sent again. A balancer says 502 or
// 504 for a gateway that is gone.
func unanswered(a rig.Answer) bool {
	return a.Status == 0 || a.Status >= http.StatusBadGateway && a.Status <= http.StatusGatewayTimeout
}

// isFirm tells whether the store promised to keep what it answered.
func (d *device) isFirm(a rig.Answer) bool {
	return !d.durable || a.Header.Get("Durability") == "replicated"
}

func (d *device) login(sessionType string) (held, bool) {
	a := d.do("login", func(c *rig.Client) rig.Answer { return c.Login(context.Background(), d.user, sessionType, "device") })
	if a.Status != http.StatusOK {
		if !unanswered(a) {
			d.complain("login: %d %s", a.Status, a.Code)
		}
		return held{}, false
	}
	return held{a.SessionID, a.Refresh, a.Access, d.isFirm(a)}, true
}

// refusedValid handles a 401 for a session that is live.
func (d *device) refusedValid(endpoint string, a rig.Answer) {
	if d.firm && !d.amnesia.Load() {
		d.complain("%s: a valid session was answered %d %s %s", endpoint, a.Status, a.Code, a.Cause)
	}
	d.held = held{}
}

func (d *device) renew() {
	a := d.do("refresh", func(c *rig.Client) rig.Answer { return c.Refresh(context.Background(), "LONG", d.refresh) })
	switch {
	case a.Status == http.StatusOK:
		d.refresh, d.access, d.firm = a.Refresh, a.Access, d.firm || d.isFirm(a)
	case !unanswered(a):
		d.refusedValid("refresh", a)
	}
}

func (d *device) look() {
	var ids map[string][]string
	a := d.do("list", func(c *rig.Client) (a rig.Answer) {
		ids, a = c.List(context.Background(), d.access)
		return a
	})
	switch {
	case a.Status == http.StatusOK && !slices.Contains(ids["Long"], d.id):
		d.complain("list: a valid session is missing")
	case a.Status != http.StatusOK && !unanswered(a):
		d.refusedValid("list", a)
	}
}

func (d *device) pass() {
	a := d.do("authz", func(c *rig.Client) rig.Answer { return c.Authz(context.Background(), d.access) })
	if a.Status != http.StatusOK && !unanswered(a) {
		d.refusedValid("authz", a)
	}
}

// end ends a spare session, or asks again where no answer came.
func (d *device) end() {
	again := len(d.ending) > 0
	from := &d.spares
	if again {
		from = &d.ending
	}
	if len(*from) == 0 {
		return
	}
	s := (*from)[0]
	*from = (*from)[1:]
	endpoint := "logout"
	send := func(c *rig.Client) rig.Answer { return c.Logout(context.Background(), s.refresh) }
	if d.random.IntN(2) == 0 {
		endpoint = "destroy"
		send = func(c *rig.Client) rig.Answer { return c.Destroy(context.Background(), d.access, s.id) }
	}
	a := d.do(endpoint, send)
	switch {
	case a.Status == http.StatusOK && d.isFirm(a), again && !d.durable && a.Code == "ended":
		d.bury(grave{s.refresh, s.access, time.Now()})
	case unanswered(a):
		d.ending = append(d.ending, s)
	case a.Status != http.StatusOK && !again && s.firm && d.firm && !d.amnesia.Load():
		d.complain("%s: a valid session was answered %d %s %s", endpoint, a.Status, a.Code, a.Cause)
	}
}

// haunt tries what an ended session's tokens are still good for.
func (d *device) haunt() {
	g, ok := d.grave(d.random)
	if !ok {
		return
	}
	ctx := context.Background()
	switch d.random.IntN(3) {
	case 0:
		a := d.do("ended:refresh", func(c *rig.Client) rig.Answer { return c.Refresh(ctx, "SHORT", g.refresh) })
		d.mustFail("refresh", a, time.Since(g.at))
	case 1:
		a := d.do("ended:list", func(c *rig.Client) rig.Answer { _, a := c.List(ctx, g.access); return a })
		d.mustFail("list", a, time.Since(g.at))
	default:
		start := time.Now()
		a := d.do("ended:authz", func(c *rig.Client) rig.Answer { return c.Authz(ctx, g.access) })
		if start.Sub(g.at) > d.bound {
			d.mustFail("authz", a, start.Sub(g.at))
		}
	}
}

func (d *device) mustFail(endpoint string, a rig.Answer, after time.Duration) {
	if a.Status == http.StatusOK {
		d.complain("%s: an ended session was answered 200, %s after its end", endpoint, after.Round(time.Millisecond))
	}
}
