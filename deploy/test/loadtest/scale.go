package main

import (
	"context"
	"fmt"
	"strconv"

	"tokengate/redisstore"
	"tokengate/session"
)

// stepWorkers is the number of concurrent steps when their cost to Redis is
// measured without HTTP.
const stepWorkers = 16

// unflushed are options with which Redis does not flush each step to the disk, which would
// hide the cost of scripts.
var unflushed = []string{"--appendfsync", "everysec"}

// scale measures how the cost of a step to Redis grows with the total number of
// sessions, with the sessions of one user and with the session cap (P6).
func (b *bench) scale(ctx context.Context) error {
	small, err := b.startRedis(ctx, oneServer, unflushed...)
	if err != nil {
		return err
	}
	large, err := b.startRedis(ctx, oneServer, unflushed...)
	if err != nil {
		return err
	}
	if err := b.scaleTotal(ctx, small, large); err != nil {
		return err
	}
	if err := b.scaleUser(ctx, large); err != nil {
		return err
	}
	return b.scaleCap(ctx, small)
}

// scaleTotal compares refreshes at the two total numbers of sessions.
func (b *bench) scaleTotal(ctx context.Context, small, large *server) error {
	var refresh [2]func() error
	for i, s := range []struct {
		*server
		sessions int
	}{{small, b.smallTotal}, {large, b.largeTotal}} {
		b.logf("  %d sessions", s.sessions)
		sample, err := createSessions(ctx, s.url, sessionSet{users: usersWith(s.sessions), perUser: oneToFive, sample: 10 * b.steps})
		if err != nil {
			return err
		}
		store, err := openStore(s.url)
		if err != nil {
			return err
		}
		defer store.Close()
		at := 0
		refresh[i] = func() error {
			n := min(b.steps, len(sample))
			at = (at + n) % (len(sample) - n + 1) // other sessions each round, because the processor's cache holds the last ones
			return refreshSessions(ctx, store, sample[at:at+n], b.steps, stepWorkers, longPolicy(nil))
		}
	}
	ratio, costLarge, costSmall, err := b.compareCosts(ctx, stepSeries{large, refresh[1], b.steps}, stepSeries{small, refresh[0], b.steps})
	b.addFinding("P6", fmt.Sprintf("refresh at %s sessions ÷ at %s ≤ 1.5", formatCount(b.largeTotal), formatCount(b.smallTotal)),
		fmt.Sprintf("%.2f (%.1f ÷ %.1f µs of Redis)", ratio, costLarge, costSmall), ratio <= 1.5)
	return err
}

func unlimited(p *session.Policy) { p.Limit = false }

// scaleUser compares refreshes of one user with very many sessions to refreshes of
// as many users with one session each.
func (b *bench) scaleUser(ctx context.Context, s *server) error {
	store, err := openStore(s.url)
	if err != nil {
		return err
	}
	defer store.Close()
	const userWithMany, firstUserWithOne = 1_000_000_000, 2_000_000_000 // scaleTotal uses lower user IDs
	many, err := createSessions(ctx, s.url, sessionSet{firstUser: userWithMany, users: 1, perUser: always(b.sessionsOfOne), change: unlimited, sample: b.sessionsOfOne})
	if err != nil {
		return err
	}
	single, err := createSessions(ctx, s.url, sessionSet{firstUser: firstUserWithOne, users: b.sessionsOfOne, perUser: always(1), change: unlimited, sample: b.sessionsOfOne})
	if err != nil {
		return err
	}
	refresh := func(all []createdSession) stepSeries {
		return stepSeries{s, func() error {
			return refreshSessions(ctx, store, all, b.steps, stepWorkers, longPolicy(unlimited))
		}, b.steps}
	}
	ratio, costMany, costSingle, err := b.compareCosts(ctx, refresh(many), refresh(single))
	b.addFinding("P6", fmt.Sprintf("refresh of a user with %s sessions ÷ of a user with 1 ≤ 1.5", formatCount(b.sessionsOfOne)),
		fmt.Sprintf("%.2f (%.1f ÷ %.1f µs)", ratio, costMany, costSingle), ratio <= 1.5)
	return err
}

// scaleCap compares logins at the highest session cap to logins at the usual one.
// Each login evicts one session.
func (b *bench) scaleCap(ctx context.Context, s *server) error {
	store, err := openStore(s.url)
	if err != nil {
		return err
	}
	defer store.Close()
	logins := func(user, limit, n int) (stepSeries, error) {
		policy := longPolicy(func(p *session.Policy) { p.Max = limit })
		owner := session.Owner{App: testApp, User: strconv.Itoa(user)}
		run := func(n int) error {
			for range n {
				if err := login(ctx, store, owner, policy); err != nil {
					return err
				}
			}
			return nil
		}
		return stepSeries{s, func() error { return run(n) }, n}, run(limit)
	}
	high, err := logins(3_000_000_000, session.MaxSessionsOfType, b.capLogins)
	if err != nil {
		return err
	}
	low, err := logins(3_000_000_001, 5, 10*b.capLogins)
	if err != nil {
		return err
	}
	ratio, costHigh, costLow, err := b.compareCosts(ctx, high, low)
	b.addFinding("P6", "login at a cap of 1,000 ÷ at 5 ≤ 20", fmt.Sprintf("%.1f (%.0f ÷ %.0f µs)", ratio, costHigh, costLow), ratio <= 20)
	return err
}

func login(ctx context.Context, store *redisstore.Store, owner session.Owner, policy session.Policy) error {
	_, err := store.Create(ctx, session.CreateStep{
		Owner: owner, Policy: policy,
		Session: session.Session{ID: session.NewID(), Type: session.Long, Info: testInfo, Secret: session.NewSecret()},
	})
	return err
}

// stepSeries is a function that runs n steps on a server.
type stepSeries struct {
	*server
	run func() error
	n   int
}

// cost runs the series and returns Redis's CPU time for one step in µs.
func (s stepSeries) cost(ctx context.Context) (float64, error) {
	before, err := s.cpu(ctx)
	if err != nil {
		return 0, err
	}
	if err := s.run(); err != nil {
		return 0, err
	}
	after, err := s.cpu(ctx)
	return (after - before) * 1e6 / float64(s.n), err
}

// compareCosts runs two series in turn. It returns the median of the rounds'
// ratios x ÷ y, and the median costs of both. The first round is a warm-up.
func (b *bench) compareCosts(ctx context.Context, x, y stepSeries) (ratio, costX, costY float64, err error) {
	var ratios, costsX, costsY []float64
	for round := range b.rounds + 1 {
		cx, err := x.cost(ctx)
		if err != nil {
			return 0, 0, 0, err
		}
		cy, err := y.cost(ctx)
		if err != nil {
			return 0, 0, 0, err
		}
		b.logf("  %.2f ÷ %.2f µs of Redis a step", cx, cy)
		if round > 0 {
			ratios, costsX, costsY = append(ratios, cx/cy), append(costsX, cx), append(costsY, cy)
		}
	}
	return median(ratios), median(costsX), median(costsY), nil
}
