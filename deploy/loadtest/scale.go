package main

import (
	"context"
	"fmt"
	"strconv"

	"tokengate/redisstore"
	"tokengate/session"
)

// stepWorkers is how many steps are under way at once where their cost to Redis
// is measured, without HTTP.
const stepWorkers = 16

// scale is what a step costs Redis as the sessions of all, and of one user, grow.
func (b *bench) scale(ctx context.Context) error {
	small, err := b.redis(ctx, true)
	if err != nil {
		return err
	}
	big, err := b.redis(ctx, true)
	if err != nil {
		return err
	}
	if err := b.scaleTotal(ctx, small, big); err != nil {
		return err
	}
	if err := b.scaleUser(ctx, big); err != nil {
		return err
	}
	return b.scaleCap(ctx, small)
}

func (b *bench) scaleTotal(ctx context.Context, small, big *server) error {
	var steps [2]func() error
	for i, s := range []struct {
		*server
		sessions int
	}{{small, b.few}, {big, b.many}} {
		b.say("  %d sessions", s.sessions)
		kept, err := fill(ctx, s.url, plan{users: usersFor(s.sessions), each: oneToFive, keep: 10 * b.steps})
		if err != nil {
			return err
		}
		store, err := open(s.url, false)
		if err != nil {
			return err
		}
		defer store.Close()
		at := 0
		steps[i] = func() error {
			n := min(b.steps, len(kept))
			at = (at + n) % (len(kept) - n + 1) // other sessions each round: one that was just used is in the processor's cache
			return refreshAll(ctx, store, kept[at:at+n], b.steps, stepWorkers, longPolicy(nil))
		}
	}
	ratio, many, few, err := b.compare(ctx, costing{big, steps[1], b.steps}, costing{small, steps[0], b.steps})
	b.find("P6", fmt.Sprintf("refresh at %s sessions ÷ at %s ≤ 1.5", count(b.many), count(b.few)),
		fmt.Sprintf("%.2f (%.1f ÷ %.1f µs of Redis)", ratio, many, few), ratio <= 1.5)
	return err
}

func unlimited(p *session.Policy) { p.Limit = false }

// scaleUser holds a user with very many sessions against as many users with one.
func (b *bench) scaleUser(ctx context.Context, s *server) error {
	store, err := open(s.url, false)
	if err != nil {
		return err
	}
	defer store.Close()
	const crowd, loners = 1_000_000_000, 2_000_000_000 // user ids that nobody has yet
	one, err := fill(ctx, s.url, plan{first: crowd, users: 1, each: exactly(b.crowded), policy: unlimited, keep: b.crowded})
	if err != nil {
		return err
	}
	each, err := fill(ctx, s.url, plan{first: loners, users: b.crowded, each: exactly(1), policy: unlimited, keep: b.crowded})
	if err != nil {
		return err
	}
	refresh := func(all []seeded) costing {
		return costing{s, func() error {
			return refreshAll(ctx, store, all, b.steps, stepWorkers, longPolicy(unlimited))
		}, b.steps}
	}
	ratio, many, few, err := b.compare(ctx, refresh(one), refresh(each))
	b.find("P6", fmt.Sprintf("refresh in a user with %s sessions ÷ with 1 ≤ 1.5", count(b.crowded)),
		fmt.Sprintf("%.2f (%.1f ÷ %.1f µs)", ratio, many, few), ratio <= 1.5)
	return err
}

// scaleCap holds logins at a high cap against logins at the usual one: each
// evicts one session.
func (b *bench) scaleCap(ctx context.Context, s *server) error {
	store, err := open(s.url, false)
	if err != nil {
		return err
	}
	defer store.Close()
	logins := func(user, most, n int) (costing, error) {
		policy := longPolicy(func(p *session.Policy) { p.Max = most })
		owner := session.Owner{App: labApp, User: strconv.Itoa(user)}
		step := func(n int) error {
			for range n {
				if err := login(ctx, store, owner, policy); err != nil {
					return err
				}
			}
			return nil
		}
		return costing{s, func() error { return step(n) }, n}, step(most)
	}
	high, err := logins(3_000_000_000, session.MaxSessionsOfType, b.fewTimes)
	if err != nil {
		return err
	}
	low, err := logins(3_000_000_001, 5, 10*b.fewTimes)
	if err != nil {
		return err
	}
	ratio, many, few, err := b.compare(ctx, high, low)
	b.find("P6", "login at a cap of 1,000 ÷ at 5 ≤ 20", fmt.Sprintf("%.1f (%.0f ÷ %.0f µs)", ratio, many, few), ratio <= 20)
	return err
}

func login(ctx context.Context, store *redisstore.Store, owner session.Owner, policy session.Policy) error {
	_, err := store.Create(ctx, session.CreateStep{
		Owner: owner, Policy: policy,
		Session: session.Session{ID: session.NewID(), Type: session.Long, Info: labInfo},
	})
	return err
}

// costing is work of n steps on a server.
type costing struct {
	*server
	work func() error
	n    int
}

// microseconds is Redis's CPU for one step.
func (c costing) microseconds(ctx context.Context) (float64, error) {
	before, err := c.cpu(ctx)
	if err != nil {
		return 0, err
	}
	if err := c.work(); err != nil {
		return 0, err
	}
	after, err := c.cpu(ctx)
	return (after - before) * 1e6 / float64(c.n), err
}

// compare runs two kinds of work in turn and gives the median of the rounds'
// ratios, and the medians of both; the first round warms up.
func (b *bench) compare(ctx context.Context, x, y costing) (ratio, xs, ys float64, err error) {
	var ratios, costsX, costsY []float64
	for round := range b.rounds + 1 {
		cx, err := x.microseconds(ctx)
		if err != nil {
			return 0, 0, 0, err
		}
		cy, err := y.microseconds(ctx)
		if err != nil {
			return 0, 0, 0, err
		}
		b.say("  %.2f ÷ %.2f µs of Redis a step", cx, cy)
		if round > 0 {
			ratios, costsX, costsY = append(ratios, cx/cy), append(costsX, cx), append(costsY, cy)
		}
	}
	return median(ratios), median(costsX), median(costsY), nil
}
