package proofs

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/deploy/rig"
	"tokengate/session"
	"tokengate/session/storetest"
)

// round is some clients who do at random what clients can do, to a few users
// that nobody has touched before. Lost requests may still be run at any time,
// which a check has to try at each point of a history: so histories are short,
// and their users are left alone afterwards.
type round struct {
	gateways []*shakyGateway
	users    []*known
	start    time.Time
}

const (
	usersPerRound   = 4
	clientsPerRound = 12
	stepsPerClient  = 10
	stepsPerRound   = clientsPerRound * stepsPerClient
)

// known is one user with the tokens that were seen of his sessions, the newest
// last. Clients share them, so that they get into one another's way.
type known struct {
	index int
	owner session.Owner

	mu     sync.Mutex
	tokens []token
}

// token is a session as an answer told it.
type token struct {
	kind            session.Type
	refresh, access string
	claims
}

func (k *known) learn(t token) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens = append(k.tokens, t)
}

// pick gives one of the tokens seen, mostly a new one.
func (k *known) pick(random *rand.Rand) (token, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tokens) == 0 {
		return token{}, false
	}
	return k.tokens[max(0, len(k.tokens)-1-random.IntN(6))], true
}

// play runs the round and gives its history.
func (r *round) play(seed uint64) []porcupine.Operation {
	histories := make([][]porcupine.Operation, clientsPerRound)
	var done sync.WaitGroup
	for i := range histories {
		done.Go(func() {
			c := &actor{round: r, id: i, random: rand.New(rand.NewPCG(seed, uint64(i)))}
			for range stepsPerClient {
				c.act(r.users[c.random.IntN(len(r.users))])
			}
			histories[i] = c.history
		})
	}
	done.Wait()
	return slices.Concat(histories...)
}

// actor is one client. It sends one request at a time.
type actor struct {
	*round
	id      int
	random  *rand.Rand
	history []porcupine.Operation
}

func (c *actor) act(k *known) {
	t, ok := k.pick(c.random)
	n := c.random.IntN(20)
	switch {
	case !ok || n < 5:
		c.logIn(k, session.Types[c.random.IntN(2)])
	case n < 13:
		c.refresh(k, t)
	case n < 16:
		c.list(k, t)
	case n < 18:
		other, _ := k.pick(c.random)
		c.destroy(k, t, other)
	case n < 19:
		c.others(k, t)
	default:
		c.logOut(k, t)
	}
}

// do sends one request and records it.
func (c *actor) do(k *known, in storetest.Input, send func(g *rig.Client) (rig.Answer, storetest.Output)) {
	in.Owner = k.owner
	g := c.anyUp()
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

// anyUp gives a gateway that is not known to be away: what is sent to one that
// is would be one more step without an answer, and certainly none that happened.
func (c *actor) anyUp() *rig.Client {
	for {
		if g := c.gateways[c.random.IntN(len(c.gateways))]; !g.down.Load() {
			return g.front
		}
	}
}

// codeOf reads the engine's word from an answer.
func codeOf(step session.Step, a rig.Answer) session.Code {
	protected := step == session.StepList || step == session.StepDestroy || step == session.StepOthers
	switch {
	case a.Status == http.StatusOK:
		return session.OK
	case a.Code == "token_not_valid" && protected:
		return session.TokenRevoked
	}
	return session.Code(a.Code)
}

func (c *actor) logIn(k *known, kind session.Type) {
	c.do(k, storetest.Input{Step: session.StepLogin, Type: kind}, func(g *rig.Client) (rig.Answer, storetest.Output) {
		a := g.Login(context.Background(), k.index, string(kind), "actor")
		return a, k.tell(a, kind)
	})
}

// tell notes the tokens of an answer and gives what the model wants of them.
func (k *known) tell(a rig.Answer, kind session.Type) storetest.Output {
	if a.Status != http.StatusOK || a.Refresh == "" {
		return storetest.Output{}
	}
	said := claimsOf(a.Refresh)
	k.learn(token{kind, a.Refresh, a.Access, said})
	return storetest.Output{ID: said.Session, Generation: said.Generation, Token: said.JTI}
}

func (c *actor) refresh(k *known, t token) {
	in := storetest.Input{Step: session.StepRefresh, ID: t.Session, Type: t.kind, Generation: t.Generation}
	c.do(k, in, func(g *rig.Client) (rig.Answer, storetest.Output) {
		a := g.Refresh(context.Background(), string(t.kind), t.refresh)
		return a, k.tell(a, t.kind)
	})
}

func (c *actor) list(k *known, t token) {
	in := storetest.Input{Step: session.StepList, Types: session.Types, Caller: t.Session}
	c.do(k, in, func(g *rig.Client) (rig.Answer, storetest.Output) {
		ids, a := g.List(context.Background(), t.access)
		var out storetest.Output
		for _, id := range slices.Concat(ids["Short"], ids["Long"]) {
			out.IDs = append(out.IDs, session.ID(id))
		}
		return a, out
	})
}

func (c *actor) destroy(k *known, t, victim token) {
	in := storetest.Input{Step: session.StepDestroy, ID: victim.Session, Caller: t.Session}
	c.do(k, in, func(g *rig.Client) (rig.Answer, storetest.Output) {
		return g.Destroy(context.Background(), t.access, string(victim.Session)), storetest.Output{}
	})
}

func (c *actor) others(k *known, t token) {
	in := storetest.Input{
		Step: session.StepOthers, ID: t.Session, Generation: t.Generation, Caller: t.Session, Types: session.Types,
	}
	c.do(k, in, func(g *rig.Client) (rig.Answer, storetest.Output) {
		return g.DestroyOthers(context.Background(), t.access, t.refresh, "ALL"), storetest.Output{}
	})
}

func (c *actor) logOut(k *known, t token) {
	in := storetest.Input{Step: session.StepLogout, ID: t.Session, Type: t.kind, Generation: t.Generation}
	c.do(k, in, func(g *rig.Client) (rig.Answer, storetest.Output) {
		return g.Logout(context.Background(), t.refresh), storetest.Output{}
	})
}
