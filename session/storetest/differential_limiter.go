package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// DifferentialLimiter runs random sequences of attempts, the same in each run, on a limiter and
// on the in-memory one with the same clock. It compares every answer. The harness must have
// a Clock.
func DifferentialLimiter(t *testing.T, open func(t *testing.T) Harness) {
	outcomes := map[string]int{}
	for seed := range uint64(differentialSeeds) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			f := newFixture(t, open(t))
			if f.Clock == nil {
				t.Fatal("the harness has no Clock")
			}
			c := &limiterComparison{
				fixture: f, model: memstore.New(memstore.Options{Now: f.Clock}).Limiter(),
				random: rand.New(rand.NewPCG(seed, 11)), outcomes: outcomes,
			}
			for n := range differentialSteps {
				c.randomStep()
				if t.Failed() {
					t.Fatalf("the limiters differ after %d steps", n+1)
				}
			}
		})
	}
	for _, outcome := range []string{
		"Reserve ok", "Reserve account", "Reserve device", "Reserve network", "Reserve day", "Succeed ok", "Release ok", "Forget ok", "Refusals some",
	} {
		if outcomes[outcome] == 0 && !t.Failed() {
			t.Errorf("no step of any sequence had the outcome %q: %v", outcome, outcomes)
		}
	}
}

// limiterComparison runs one sequence of random steps on a limiter and on its model.
type limiterComparison struct {
	*fixture
	model    *memstore.Limiter
	random   *rand.Rand
	lastWait time.Duration // of the last refusal
	outcomes map[string]int
}

// randomAttempt returns an attempt out of a few accounts, devices and networks. Its limits are
// not always the same, because a setting may change.
func (c *limiterComparison) randomAttempt() session.Attempt {
	pick := func(from ...string) string { return from[c.random.IntN(len(from))] }
	return session.Attempt{
		App: pick("shop", "shop", "other"), Account: pick("ann", "ann", "bob", "a:{b}|%", "eve", "zoë"), Device: pick("", "", "", "d", "e"),
		Network:  pick("", "192.0.2.1/32", "192.0.2.1/32", "192.0.2.1/32", "2001:db8::/64"),
		Failures: session.FailureLimit(3 + c.random.IntN(30)/29),
		NetworkLimit: session.RateLimit{
			Attempts: 7 + c.random.IntN(30)/29, Period: 20 * time.Minute, // 7 does not divide it
		},
	}
}

// advanceRandomly moves the clock: not at all, a little, to the end of the last wait plus or
// minus a microsecond, by some minutes, or by days.
func (c *limiterComparison) advanceRandomly() {
	switch k := c.random.IntN(60); {
	case k < 40:
	case k < 50:
		c.Advance(time.Duration(c.random.Int64N(int64(2 * time.Minute))).Truncate(time.Microsecond))
	case k < 57:
		c.Advance(c.lastWait + time.Duration(c.random.IntN(3)-1)*time.Microsecond)
		c.lastWait = time.Microsecond
	case k == 57 && c.random.IntN(3) == 0:
		c.Advance(time.Duration(c.random.IntN(5)) * session.FailureMemory)
	default:
		c.Advance(time.Duration(c.random.IntN(120)) * time.Minute)
	}
}

// randomStep moves the clock and runs one method on both limiters.
func (c *limiterComparison) randomStep() {
	c.advanceRandomly()
	a := c.randomAttempt()
	run := func(name string, method func(l session.Limiter) error) {
		got, want := method(c.Limiter), method(c.model)
		if describeRefusal(got) != describeRefusal(want) {
			c.Errorf("%s of %+v: got %s, the model has %s", name, a, describeRefusal(got), describeRefusal(want))
		}
		outcome := string(session.CodeOf(want))
		if e, ok := errors.AsType[*session.Error](want); ok {
			outcome, c.lastWait = string(e.Limit), e.RetryAfter
			if c.lastWait == session.LastFailureWait {
				c.outcomes[name+" day"]++
			}
		}
		c.outcomes[name+" "+outcome]++
	}
	ctx := context.Background()
	switch k := c.random.IntN(100); {
	case k < 80:
		run("Reserve", func(l session.Limiter) error { return l.Reserve(ctx, a) })
	case k < 90:
		run("Release", func(l session.Limiter) error { return l.Release(ctx, a) })
	case k < 93:
		run("Succeed", func(l session.Limiter) error { return l.Succeed(ctx, a) })
	case k < 94:
		run("Forget", func(l session.Limiter) error { return l.Forget(ctx, a.App, a.Account) })
	default:
		c.compareRefusals(a.App)
	}
}

// describeRefusal describes the error of a method by what its caller uses.
func describeRefusal(err error) string {
	e, ok := errors.AsType[*session.Error](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%s by %q for %s", e.Code, e.Limit, e.RetryAfter)
}

func (c *limiterComparison) compareRefusals(app string) {
	got, err := c.Limiter.Refusals(c.ctx, app)
	c.noError(err, "Refusals")
	want, err := c.model.Refusals(c.ctx, app)
	c.noError(err, "Refusals of the model")
	if !slices.Equal(got, want) {
		c.Errorf("Refusals: got %v, the model has %v", got, want)
	}
	if len(want) > 0 {
		c.outcomes["Refusals some"]++
	}
}
