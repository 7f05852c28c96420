package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

// raceLinearizable records random concurrent steps of several clients with the sessions of
// one user, and checks the history for linearizability. If the clock stands still, the
// policy does not evict: sessions of equal times are evicted by ID, unlike in the model.
func raceLinearizable(f *fixture) {
	running := f.Clock == nil
	long, short := f.withMaximum(3, running), f.withMaximum(2, false)
	long.RetryWindow, short.RetryWindow = 0, session.MaxRetryWindow
	for seed := range uint64(8) {
		long.ReuseDetection = seed%2 == 0
		c := &clients{
			fixture: f, owner: f.otherUser(fmt.Sprint(seed)),
			model: Model{Policies: map[session.Type]session.Policy{session.Long: long, session.Short: short}},
		}
		concurrently(6, func(i int) {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for range 20 {
				c.randomStep(i, random)
			}
		})
		c.history.Check(f, c.model, 20*time.Second)
	}
}

// clients run random steps. They share the tokens of all answers, so that their steps
// conflict.
type clients struct {
	*fixture
	owner   session.Owner
	model   Model
	history History

	mu     sync.Mutex
	tokens []session.Session // the session as of each token issued, the newest last
}

func (c *clients) addToken(s session.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens = append(c.tokens, s)
}

// pickToken returns one of the newest tokens. ok is false if there is none.
func (c *clients) pickToken(random *rand.Rand) (s session.Session, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) == 0 {
		return session.Session{}, false
	}
	return c.tokens[max(0, len(c.tokens)-1-random.IntN(5))], true
}

// randomStep runs one random step. A client, a small number, runs one step at a time.
func (c *clients) randomStep(client int, random *rand.Rand) {
	s, ok := c.pickToken(random)
	n := random.IntN(20)
	switch {
	case !ok || n < 6:
		c.recordCreate(client, session.Types[random.IntN(2)])
	case n < 13:
		c.recordRefresh(client, s)
	case n < 16:
		c.recordList(client, s, random)
	case n < 18:
		c.recordRevoke(client, s)
	case n < 19:
		c.recordRevokeOthers(client, s)
	default:
		c.recordLogout(client, s)
	}
}

// record runs a step and adds it to the history.
func (c *clients) record(client int, in Input, step func() (Output, error)) {
	in.Owner = c.owner
	c.history.Do(client, in, func() Output {
		out, err := step()
		out.Code, out.Cause = session.CodeOf(err), session.CauseOf(err)
		out.Lost = out.Code == session.Unavailable
		return out
	})
}

func (c *clients) recordCreate(client int, t session.Type) {
	c.record(client, Input{Step: session.StepLogin, Type: t}, func() (Output, error) {
		created, err := c.create(c.owner, t, c.model.Policies[t])
		if err == nil {
			c.addToken(created.Session)
		}
		return Output{ID: created.Session.ID, Generation: created.Session.Generation}, err
	})
}

func (c *clients) recordRefresh(client int, s session.Session) {
	in := Input{Step: session.StepRefresh, ID: s.ID, Type: s.Type, Generation: s.Generation}
	c.record(client, in, func() (Output, error) {
		result, err := c.Store.Refresh(c.ctx, session.RefreshStep{
			Owner: c.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: c.model.Policies[s.Type],
		})
		if err == nil {
			c.addToken(result.Session)
		}
		return Output{ID: s.ID, Generation: result.Session.Generation}, err
	})
}

func (c *clients) recordList(client int, s session.Session, random *rand.Rand) {
	in := Input{Step: session.StepList, Types: session.Types}
	if random.IntN(2) == 0 {
		in.Caller = s.ID
	}
	c.record(client, in, func() (Output, error) {
		out, err := c.Store.List(c.ctx, session.ListStep{Owner: c.owner, Caller: in.Caller, Types: in.Types})
		return Output{IDs: slices.Sorted(slices.Values(ids(out.Sessions)))}, err
	})
}

func (c *clients) recordRevoke(client int, s session.Session) {
	c.record(client, Input{Step: session.StepDestroy, ID: s.ID}, func() (Output, error) {
		_, err := c.Store.Revoke(c.ctx, session.RevokeStep{Owner: c.owner, ID: s.ID, Cause: session.CauseUser})
		return Output{}, err
	})
}

func (c *clients) recordRevokeOthers(client int, s session.Session) {
	in := Input{Step: session.StepDestroyOthers, Caller: s.ID, ID: s.ID, Generation: s.Generation, Types: session.Types}
	c.record(client, in, func() (Output, error) {
		step := c.revokeOthersStep(s.ID, s, s.Generation)
		step.Owner, step.KeepPolicy = c.owner, c.model.Policies[s.Type]
		_, err := c.Store.RevokeOthers(c.ctx, step)
		return Output{}, err
	})
}

func (c *clients) recordLogout(client int, s session.Session) {
	in := Input{Step: session.StepLogout, ID: s.ID, Type: s.Type, Generation: s.Generation}
	c.record(client, in, func() (Output, error) {
		_, err := c.Store.Logout(c.ctx, session.LogoutStep{
			Owner: c.owner, ID: s.ID, Type: s.Type, Presented: token(s), Policy: c.model.Policies[s.Type],
		})
		return Output{}, err
	})
}
