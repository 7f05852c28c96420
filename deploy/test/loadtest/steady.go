package main

import (
	"context"
	"time"
)

// steadyLoad is an open loop: requests are due at fixed times, whether or not earlier ones
// have been answered. A latency counts from the time at which its request was due, so that
// a server that stands still is not asked less often.
type steadyLoad struct {
	name      string
	op        string
	users     []*virtualUser // with tokens; each sends one request at a time
	perSecond float64
	duration  time.Duration
	late      time.Duration // how long after the duration requests that were due are still sent
	renew     int           // each user opens a new connection for one request out of this many
	monitor   []monitored
}

// notSent is the fault of a request that was due, but whose user was still waiting for the
// answer to an earlier one, even some time after the load's duration.
const notSent = "not sent"

// run runs the load. Wrong answers are counted in the result and are no error.
func (l steadyLoad) run(ctx context.Context) result {
	samples := make([]userSamples, len(l.users))
	before := cpuByName(l.monitor)
	start := time.Now()
	_ = runConcurrently(ctx, len(l.users), func(ctx context.Context, i int) error {
		samples[i].collectSteadily(ctx, l, i, start)
		return nil
	})
	r := merge(samples, time.Since(start))
	r.Name, r.Op = l.name, l.op
	r.addUsage(l.monitor, before)
	return r
}

// collectSteadily sends the requests of the user with the number i.
func (s *userSamples) collectSteadily(ctx context.Context, l steadyLoad, i int, start time.Time) {
	s.faults = map[string]int{}
	u, op := l.users[i], operations[l.op]
	interval := time.Duration(float64(time.Second) / l.perSecond) // of all users together
	for n := i; ; n += len(l.users) {
		due := start.Add(time.Duration(n) * interval)
		if due.Sub(start) >= l.duration {
			return
		}
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			return
		}
		fault := notSent
		if time.Since(start) < l.duration+l.late {
			if n/len(l.users)%l.renew == 0 {
				u.close()
			}
			fault = faultOf(op(u))
		}
		s.latencies = append(s.latencies, time.Since(due).Seconds()*1e3)
		if fault != "" {
			s.faults[fault]++
		}
	}
}
