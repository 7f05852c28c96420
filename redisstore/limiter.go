package redisstore

import (
	"context"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tokengate/lua"
	"tokengate/session"
)

// Limiter implements [session.Limiter] on the servers of a Store. It is safe for concurrent
// use, and any number of processes share its budgets.
//
// The two budgets of an attempt are in different slots, so each has a script of its own. A
// failover may lose the attempts of its last moments, because no script waits for replicas.
type Limiter struct {
	store   *Store
	refused refusedNetworks

	reserveFailure, releaseFailure, endFailures, reserveRate, releaseRate *script
}

var _ session.Limiter = (*Limiter)(nil)

// Limiter returns the limiter of the logins whose sessions the store keeps.
func (s *Store) Limiter() *Limiter { return s.limiter }

func newLimiter(s *Store) *Limiter {
	return &Limiter{
		store: s, refused: refusedNetworks{until: map[networkOfApp]time.Time{}}, reserveFailure: newScript(lua.ReserveFailure), releaseFailure: newScript(lua.ReleaseFailure),
		endFailures: newScript(lua.EndFailures), reserveRate: newScript(lua.ReserveRate), releaseRate: newScript(lua.ReleaseRate),
	}
}

// keys returns the keys of an account, a device or a network, each of which has its own
// bucket.
func (l *Limiter) keys(app, key string) ownerKeys {
	return l.store.schema.owner(session.Owner{App: app, User: key})
}

// budget is one of those of an attempt.
type budget struct {
	limit session.Limit
	key   string // of the account, the device or the network
}

// budgets returns the budgets of an attempt, that of its failures first.
func budgets(a session.Attempt) []budget {
	limit, key := a.Budget()
	all := []budget{{limit, key}}
	if a.Network != "" {
		all = append(all, budget{session.LimitNetwork, a.Network})
	}
	return all
}

// Reserve implements [session.Limiter]. It takes one round trip. If only one budget allows the
// attempt, that one gets it back in another. From a network that was refused, and may still
// be, no attempt is taken from the account before the network's budget has allowed it, in
// another round trip: for as long as it was held, the account's owner could be refused.
func (l *Limiter) Reserve(ctx context.Context, a session.Attempt) error {
	all := budgets(a)
	doubtful := a.Network != "" && l.refused.has(networkOfApp{a.App, a.Network}, l.now())
	if err := l.reserveTogether(ctx, a, all, doubtful); err != nil || !doubtful {
		return err
	}
	err := l.reserveTogether(ctx, a, all[:1], false)
	if err != nil {
		_ = l.run(session.AnyTime(context.WithoutCancel(ctx)), l.release(a, all[1])) // if it fails, the network has one attempt less
	}
	return err
}

// reserveTogether takes an attempt from budgets in one round trip. With look it only looks
// whether the budget of failures allows one.
func (l *Limiter) reserveTogether(ctx context.Context, a session.Attempt, all []budget, look bool) error {
	runs := make([]*scriptRun, len(all))
	for i, b := range all {
		runs[i] = l.reserve(a, b, look)
	}
	l.store.runTogether(ctx, runs...)
	var failed error
	var taken []*scriptRun
	for i, r := range runs {
		if r.err == nil {
			if !look || all[i].limit == session.LimitNetwork {
				taken = append(taken, l.release(a, all[i]))
			}
			continue
		}
		refusal := r.refusal(all[i].limit)
		if all[i].limit == session.LimitNetwork && session.CodeOf(refusal) == session.Throttled {
			l.refused.add(networkOfApp{a.App, a.Network}, l.now(), session.RetryAfterOf(refusal))
		}
		failed = decisive(failed, refusal)
	}
	if failed == nil || len(taken) == 0 {
		return failed
	}
	// The client may have disconnected by now; the attempt must be given back all the same.
	if err := l.run(session.AnyTime(context.WithoutCancel(ctx)), taken...); err != nil && session.CodeOf(failed) == session.Throttled {
		return err
	}
	return failed
}

// refusal returns the error of a reservation.
func (r *scriptRun) refusal(l session.Limit) error {
	if session.CodeOf(r.err) != session.Throttled {
		return r.err
	}
	wait, ok := element[int64](r.reply.elements, 1)
	if !ok {
		return session.Fail(session.Internal, errReply)
	}
	return &session.Error{Code: session.Throttled, RetryAfter: time.Duration(wait) * time.Microsecond, Limit: l}
}

// decisive returns the one of two errors that a reservation fails with. The first one may be
// nil.
func decisive(a, b error) error {
	switch {
	case a == nil:
		return b
	case session.CodeOf(a) != session.Throttled:
		return a
	case session.CodeOf(b) != session.Throttled || session.RetryAfterOf(b) > session.RetryAfterOf(a):
		return b
	}
	return a
}

// Succeed implements [session.Limiter].
func (l *Limiter) Succeed(ctx context.Context, a session.Attempt) error {
	all := budgets(a)
	runs := []*scriptRun{l.end(a.App, all[0])}
	for _, b := range all[1:] {
		runs = append(runs, l.release(a, b))
	}
	return l.run(ctx, runs...)
}

// Release implements [session.Limiter].
func (l *Limiter) Release(ctx context.Context, a session.Attempt) error {
	var runs []*scriptRun
	for _, b := range budgets(a) {
		runs = append(runs, l.release(a, b))
	}
	return l.run(ctx, runs...)
}

// Forget implements [session.Limiter].
func (l *Limiter) Forget(ctx context.Context, app, account string) error {
	return l.run(ctx, l.end(app, budget{session.LimitAccount, account}))
}

// run runs scripts together, and returns the error of the first one that failed.
func (l *Limiter) run(ctx context.Context, runs ...*scriptRun) error {
	l.store.runTogether(ctx, runs...)
	for _, r := range runs {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// reserve returns the script that takes an attempt from a budget. With look it only looks
// whether a budget of failures allows one.
func (l *Limiter) reserve(a session.Attempt, b budget, look bool) *scriptRun {
	c := l.newCall(a.App, b)
	l.keys(a.App, b.key).addRefusals(c, l.slice())
	c.endKeys()
	if l.store.options.Now == nil {
		c.addInt(0)
	} else {
		c.addInt(-l.store.options.Now().UnixMicro())
	}
	run := &scriptRun{script: l.reserveFailure, call: c}
	if b.limit == session.LimitNetwork {
		run.script = l.reserveRate
		c.addInt(a.NetworkLimit.Interval().Microseconds())
		c.addInt(a.NetworkLimit.Burst().Microseconds())
	} else {
		c.addInt(int64(a.Failures))
	}
	c.add(string(b.limit), memberSeparator, b.key)
	if b.limit != session.LimitNetwork {
		c.addBool(look)
	}
	return run
}

// memberSeparator is between a limit and a key in the members of refusals.
const memberSeparator = "|"

// release returns the script that gives an attempt back to a budget.
func (l *Limiter) release(a session.Attempt, b budget) *scriptRun {
	c := l.newCall(a.App, b)
	c.endKeys()
	if b.limit == session.LimitNetwork {
		c.addInt(a.NetworkLimit.Interval().Microseconds())
		return &scriptRun{script: l.releaseRate, call: c}
	}
	return &scriptRun{script: l.releaseFailure, call: c}
}

// end returns the script that ends a row of failures.
func (l *Limiter) end(app string, b budget) *scriptRun {
	c := l.newCall(app, b)
	c.endKeys()
	return &scriptRun{script: l.endFailures, call: c}
}

// newCall returns a call with the key of a budget.
func (l *Limiter) newCall(app string, b budget) *call {
	c := newCall()
	if b.limit == session.LimitNetwork {
		l.keys(app, b.key).addRate(c)
	} else {
		l.keys(app, b.key).addFailures(c, b.limit)
	}
	return c
}

func (l *Limiter) now() time.Time {
	if l.store.options.Now != nil {
		return l.store.options.Now()
	}
	return time.Now()
}

// slice returns the number of the slice of time in which refusals are counted now.
func (l *Limiter) slice() int64 {
	return l.now().Unix() / int64(session.RefusalSlice/time.Second)
}

// Refusals implements [session.Limiter]. It takes one round trip per slice of time.
func (l *Limiter) Refusals(ctx context.Context, app string) ([]session.Refusals, error) {
	counts := map[session.Refusals]int{}
	last := l.slice()
	for slice := last - session.RefusalSlices + 1; slice <= last; slice++ {
		pipe := l.store.client.Pipeline()
		var sets []*redis.ZSliceCmd
		for n := range uint32(buckets) {
			key := keyText(func(c *call) { l.store.schema.bucket(app, n).addRefusals(c, slice) })
			sets = append(sets, pipe.ZRangeWithScores(ctx, key, 0, -1))
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return nil, classify("refusals", err)
		}
		for _, set := range sets {
			for _, z := range set.Val() {
				member, _ := z.Member.(string)
				limit, key, _ := strings.Cut(member, memberSeparator)
				counts[session.Refusals{Limit: session.Limit(limit), Key: key}] += int(z.Score)
			}
		}
	}
	return session.MostRefused(counts), nil
}
