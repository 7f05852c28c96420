package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// result is the outcome of one run. Its zero value is a run without requests.
type result struct {
	Name      string         `json:"name"`
	Op        string         `json:"op"`
	Clients   int            `json:"clients"`
	Requests  int            `json:"requests"`
	Errors    int            `json:"errors"`
	Faults    map[string]int `json:"faults,omitempty"` // number of errors by error text
	Busy      int            `json:"busy,omitempty"`   // errBusy responses, if the load allows them
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"per_second"`
	P50       float64        `json:"p50_ms"`
	P99       float64        `json:"p99_ms"`
	P999      float64        `json:"p999_ms"`

	CPU map[string]float64 `json:"cpu_seconds_per_1000"` // by process name
	RSS map[string]float64 `json:"rss_mib"`              // by process name, at the end
}

// monitored is a process whose CPU time and memory a result contains.
type monitored struct {
	name string
	pid  int
}

// loadGenerator is this process.
var loadGenerator = monitored{"load", os.Getpid()}

// load is a closed loop: each user sends its next request after it has checked
// the response to the previous one.
type load struct {
	name      string
	op        string
	users     []*virtualUser
	duration  time.Duration
	requests  int  // upper limit; 0 means as many as the duration allows
	allowBusy bool // do not count errBusy as an error
	monitor   []monitored
}

// maxDuration limits one run. Access tokens live longer than that.
const maxDuration = 4 * time.Minute

var errRequestsFailed = errors.New("requests failed")

// run prepares the users and runs the load. The error wraps errRequestsFailed if
// any response was wrong; the figures are meaningless then.
func (l load) run(ctx context.Context) (result, error) {
	op := operations[l.op]
	for _, u := range l.users {
		if err := u.prepare(); err != nil && !(l.allowBusy && errors.Is(err, errBusy)) {
			return result{}, fmt.Errorf("%s: %s: %w", l.name, u.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.duration, maxDuration))
	defer cancel()
	var left atomic.Int64
	left.Store(int64(l.requests))
	samples := make([]userSamples, len(l.users))
	before := cpuByName(l.monitor)
	start := time.Now()
	var wg sync.WaitGroup
	for i, u := range l.users {
		wg.Go(func() { samples[i].collect(ctx, u, op, l, &left) })
	}
	wg.Wait()
	r := merge(samples, time.Since(start))
	r.Name, r.Op = l.name, l.op
	r.addUsage(l.monitor, before)
	if r.Errors > 0 {
		return r, fmt.Errorf("%s: %w: %v", l.name, errRequestsFailed, r.Faults)
	}
	return r, nil
}

// userSamples are the measurements of one user.
type userSamples struct {
	latencies []float64 // ms
	faults    map[string]int
	busy      int
}

// collect sends requests until ctx is done or the load's limit is reached. left
// is the number of requests that all users together may still send.
func (s *userSamples) collect(ctx context.Context, u *virtualUser, op operation, l load, left *atomic.Int64) {
	s.faults = map[string]int{}
	for ctx.Err() == nil && (l.requests == 0 || left.Add(-1) >= 0) {
		start := time.Now()
		err := op(u)
		if l.allowBusy && errors.Is(err, errBusy) {
			s.busy++
			continue
		}
		s.latencies = append(s.latencies, time.Since(start).Seconds()*1e3)
		if err != nil {
			s.faults[err.Error()]++
			if len(s.faults) > 10 {
				return // more errors would not help to find the cause
			}
		}
	}
}

func merge(samples []userSamples, took time.Duration) result {
	r := result{Clients: len(samples), Seconds: took.Seconds(), Faults: map[string]int{}}
	var latencies []float64
	for _, s := range samples {
		latencies = append(latencies, s.latencies...)
		r.Busy += s.busy
		for text, n := range s.faults {
			r.Faults[text] += n
			r.Errors += n
		}
	}
	slices.Sort(latencies)
	r.Requests, r.PerSecond = len(latencies), float64(len(latencies))/took.Seconds()
	r.P50, r.P99, r.P999 = quantile(latencies, .5), quantile(latencies, .99), quantile(latencies, .999)
	return r
}

// quantile returns the q-quantile of a sorted list, or 0 if the list is empty.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	if n := len(sorted); n > 0 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	return quantile(sorted, .5)
}

// addUsage sets r.CPU and r.RSS. before is what cpuByName returned before the run.
func (r *result) addUsage(processes []monitored, before map[string]float64) {
	r.CPU, r.RSS = map[string]float64{}, map[string]float64{}
	for name, seconds := range cpuByName(processes) {
		r.CPU[name] = (seconds - before[name]) / float64(max(r.Requests, 1)) * 1000
	}
	for _, p := range processes {
		r.RSS[p.name] += residentMiB(p.pid)
	}
}

// cpuByName returns the CPU seconds of the processes so far. Processes with the
// same name are added up.
func cpuByName(processes []monitored) map[string]float64 {
	all := map[string]float64{}
	for _, p := range processes {
		all[p.name] += cpuSeconds(p.pid)
	}
	return all
}
