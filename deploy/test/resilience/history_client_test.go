package resilience

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/session"
	"tokengate/session/storetest"
)

// round is a number of clients that send random requests for a few new users. A lost request may take
// effect at any later time, and a check has to try every such time. Therefore histories are short, and the
// users of a round are not used again.
type round struct {
	gateways []*unreliableGateway
	users    []*historyUser
	start    time.Time
}

const (
	usersPerRound   = 4
	clientsPerRound = 12
	stepsPerClient  = 10
	stepsPerRound   = clientsPerRound * stepsPerClient
)

// historyUser is one user with all tokens of the user's sessions that were returned, the newest last. The
// clients share them, so their requests conflict.
type historyUser struct {
	index int
	owner session.Owner

	mu     sync.Mutex
	tokens []tokenPair
}

// tokenPair has the tokens of one answer and the claims of the refresh token.
type tokenPair struct {
	typ             session.Type
	refresh, access string
	claims
}

func (u *historyUser) add(t tokenPair) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tokens = append(u.tokens, t)
}

// pick returns one of the last six token pairs at random. ok is false if there is none.
func (u *historyUser) pick(random *rand.Rand) (t tokenPair, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.tokens) == 0 {
		return tokenPair{}, false
	}
	return u.tokens[max(0, len(u.tokens)-1-random.IntN(6))], true
}

// output keeps the tokens of an answer and returns the part of it that the model checks.
func (u *historyUser) output(a gatewaytest.Response, typ session.Type) storetest.Output {
	if a.Status != http.StatusOK || a.Refresh == "" {
		return storetest.Output{}
	}
	c := claimsOf(a.Refresh)
	u.add(tokenPair{typ, a.Refresh, a.Access, c})
	return storetest.Output{ID: c.Session, Generation: c.Generation, Token: c.JTI}
}

// run runs the round and returns its history.
func (r *round) run(seed uint64) []porcupine.Operation {
	histories := make([][]porcupine.Operation, clientsPerRound)
	var done sync.WaitGroup
	for i := range histories {
		done.Go(func() {
			c := &historyClient{round: r, id: i, random: rand.New(rand.NewPCG(seed, uint64(i)))}
			for range stepsPerClient {
				c.act(r.users[c.random.IntN(len(r.users))])
			}
			histories[i] = c.history
		})
	}
	done.Wait()
	return slices.Concat(histories...)
}

// historyClient sends one request at a time and records it.
type historyClient struct {
	*round
	id      int
	random  *rand.Rand
	history []porcupine.Operation
}

func (c *historyClient) act(u *historyUser) {
	t, ok := u.pick(c.random)
	n := c.random.IntN(20)
	switch {
	case !ok || n < 5:
		c.logIn(u, session.Types[c.random.IntN(2)])
	case n < 13:
		c.refresh(u, t)
	case n < 16:
		c.list(u, t)
	case n < 18:
		target, _ := u.pick(c.random)
		c.destroy(u, t, target)
	case n < 19:
		c.destroyOthers(u, t)
	default:
		c.logOut(u, t)
	}
}

// do sends one request and records it.
func (c *historyClient) do(u *historyUser, in storetest.Input, send func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output)) {
	in.Owner = u.owner
	g := c.anyRunning()
	op := porcupine.Operation{ClientId: c.id, Input: in, Call: int64(time.Since(c.start))}
	a, out := send(g)
	op.Return = int64(time.Since(c.start))
	if unanswered(a) {
		out, op.Return = storetest.Output{Lost: true}, math.MaxInt64
	} else {
		out.Code, out.Cause = codeOf(in.Step, a), session.Cause(a.Cause)
	}
	op.Output = out
	c.history = append(c.history, op)
}

// anyRunning returns a gateway at random that is not known to be down. A request to one that is down would
// only add a step without an answer, which certainly did not happen.
func (c *historyClient) anyRunning() *gatewaytest.Client {
	for {
		if g := c.gateways[c.random.IntN(len(c.gateways))]; !g.down.Load() {
			return g.client
		}
	}
}

// codeOf returns the session.Code of an answer.
func codeOf(step session.Step, a gatewaytest.Response) session.Code {
	needsAccess := step == session.StepList || step == session.StepDestroy || step == session.StepDestroyOthers
	switch {
	case a.Status == http.StatusOK:
		return session.OK
	case a.Code == "token_not_valid" && needsAccess:
		return session.TokenRevoked
	}
	return session.Code(a.Code)
}

func (c *historyClient) logIn(u *historyUser, typ session.Type) {
	c.do(u, storetest.Input{Step: session.StepLogin, Type: typ}, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		a := g.Login(context.Background(), u.index, string(typ), "client")
		return a, u.output(a, typ)
	})
}

func (c *historyClient) refresh(u *historyUser, t tokenPair) {
	in := storetest.Input{Step: session.StepRefresh, ID: t.Session, Type: t.typ, Generation: t.Generation}
	c.do(u, in, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		a := g.Refresh(context.Background(), string(t.typ), t.refresh)
		return a, u.output(a, t.typ)
	})
}

func (c *historyClient) list(u *historyUser, t tokenPair) {
	in := storetest.Input{Step: session.StepList, Types: session.Types, Caller: t.Session}
	c.do(u, in, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		ids, a := g.List(context.Background(), t.access)
		var out storetest.Output
		for _, id := range slices.Concat(ids["Short"], ids["Long"]) {
			out.IDs = append(out.IDs, session.ID(id))
		}
		return a, out
	})
}

func (c *historyClient) destroy(u *historyUser, t, target tokenPair) {
	in := storetest.Input{Step: session.StepDestroy, ID: target.Session, Caller: t.Session}
	c.do(u, in, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		return g.Destroy(context.Background(), t.access, string(target.Session)), storetest.Output{}
	})
}

func (c *historyClient) destroyOthers(u *historyUser, t tokenPair) {
	in := storetest.Input{
		Step: session.StepDestroyOthers, ID: t.Session, Generation: t.Generation, Caller: t.Session, Types: session.Types,
	}
	c.do(u, in, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		return g.DestroyOthers(context.Background(), t.access, t.refresh, "ALL"), storetest.Output{}
	})
}

func (c *historyClient) logOut(u *historyUser, t tokenPair) {
	in := storetest.Input{Step: session.StepLogout, ID: t.Session, Type: t.typ, Generation: t.Generation}
	c.do(u, in, func(g *gatewaytest.Client) (gatewaytest.Response, storetest.Output) {
		return g.Logout(context.Background(), t.refresh), storetest.Output{}
	})
}
