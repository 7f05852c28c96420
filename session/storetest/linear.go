package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

// raceLinearizable records what clients do at random to one user at a time.
// Which session is the least recent is left out where the clock stands still.
func raceLinearizable(f *fixture) {
	running := f.Clock == nil
	long, short := f.capped(3, running), f.capped(2, false)
	long.RetryWindow, short.RetryWindow = 0, session.MaxRetryWindow
	for seed := range uint64(8) {
		long.ReuseDetection = seed%2 == 0
		c := &clients{
			fixture: f, owner: f.user(fmt.Sprint(seed)),
			model: Model{Policies: map[session.Type]session.Policy{session.Long: long, session.Short: short}},
		}
		together(6, func(i int) {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 20 {
				c.act(i, random)
			}
		})
		c.history.Check(f, c.model, 20*time.Second)
	}
}

// clients share what they know, so that they get into one another's way.
type clients struct {
	*fixture
	owner   session.Owner
	model   Model
	history History

	mu    sync.Mutex
	known []session.Session // one per token seen, the newest last
}

func (c *clients) learn(s session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = append(c.known, s)
}

// pick gives one of the tokens seen, mostly a new one.
func (c *clients) pick(random *rand.Rand) (session.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) == 0 {
		return session.Session{}, false
	}
	return c.known[max(0, len(c.known)-1-random.IntN(5))], true
}

func (c *clients) act(client int, random *rand.Rand) {
	s, ok := c.pick(random)
	n := random.IntN(20)
	switch {
	case !ok || n < 6:
		c.logIn(client, session.Types[random.IntN(2)])
	case n < 13:
		c.refreshOnce(client, s)
	case n < 16:
		c.list(client, s, random)
	case n < 18:
		c.destroy(client, s)
	case n < 19:
		c.endOthers(client, s)
	default:
		c.logOut(client, s)
	}
}

func (c *clients) do(client int, in Input, step func() (Output, error)) {
	in.Owner = c.owner
	c.history.Do(client, in, func() Output {
		out, err := step()
		out.Code, out.Cause = session.CodeOf(err), session.CauseOf(err)
		out.Lost = out.Code == session.Unavailable
		return out
	})
}

func (c *clients) logIn(client int, t session.Type) {
	c.do(client, Input{Step: session.StepLogin, Type: t}, func() (Output, error) {
		created, err := c.create(c.owner, t, c.model.Policies[t])
		if err == nil {
			c.learn(created.Session)
		}
		return Output{ID: created.Session.ID, Generation: created.Session.Generation}, err
	})
}

func (c *clients) refreshOnce(client int, s session.Session) {
	in := Input{Step: session.StepRefresh, ID: s.ID, Type: s.Type, Generation: s.Generation}
	c.do(client, in, func() (Output, error) {
		done, err := c.Store.Refresh(c.ctx, session.RefreshStep{
			Owner: c.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: c.model.Policies[s.Type],
		})
		if err == nil {
			c.learn(done.Session)
		}
		return Output{ID: s.ID, Generation: done.Session.Generation}, err
	})
}

func (c *clients) list(client int, s session.Session, random *rand.Rand) {
	in := Input{Step: session.StepList, Types: session.Types}
	if random.IntN(2) == 0 {
		in.Caller = s.ID
	}
	c.do(client, in, func() (Output, error) {
		out, err := c.Store.List(c.ctx, session.ListStep{Owner: c.owner, Caller: in.Caller, Types: in.Types})
		return Output{IDs: slices.Sorted(slices.Values(ids(out.Sessions)))}, err
	})
}

func (c *clients) destroy(client int, s session.Session) {
	c.do(client, Input{Step: session.StepDestroy, ID: s.ID}, func() (Output, error) {
		_, err := c.Store.End(c.ctx, session.EndStep{Owner: c.owner, ID: s.ID, Cause: session.CauseUser})
		return Output{}, err
	})
}

func (c *clients) endOthers(client int, s session.Session) {
	in := Input{Step: session.StepOthers, Caller: s.ID, ID: s.ID, Generation: s.Generation, Types: session.Types}
	c.do(client, in, func() (Output, error) {
		step := c.othersStep(s.ID, s, s.Generation)
		step.Owner, step.KeepWindow = c.owner, c.model.Policies[s.Type].RetryWindow
		_, err := c.Store.EndOthers(c.ctx, step)
		return Output{}, err
	})
}

func (c *clients) logOut(client int, s session.Session) {
	in := Input{Step: session.StepLogout, ID: s.ID, Type: s.Type, Generation: s.Generation}
	c.do(client, in, func() (Output, error) {
		_, err := c.Store.Logout(c.ctx, session.LogoutStep{
			Owner: c.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: c.model.Policies[s.Type],
		})
		return Output{}, err
	})
}
