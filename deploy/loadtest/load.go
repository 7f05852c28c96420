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

// result is what one run showed. Its zero value is a run of no requests.
type result struct {
	Name      string         `json:"name"`
	Op        string         `json:"op"`
	Clients   int            `json:"clients"`
	Requests  int            `json:"requests"`
	Errors    int            `json:"errors"`
	Faults    map[string]int `json:"faults,omitempty"` // what was wrong, and how often
	Busy      int            `json:"busy,omitempty"`   // refused for want of a turn, where that is allowed
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"per_second"`
	P50       float64        `json:"p50_ms"`
	P99       float64        `json:"p99_ms"`
	P999      float64        `json:"p999_ms"`

	CPU map[string]float64 `json:"cpu_seconds_per_1000"` // by process
	RSS map[string]float64 `json:"rss_mib"`              // by process, at the end
}

// watched is a process whose costs are told.
type watched struct {
	name string
	pid  int
}

// loadgen is the load generator itself among the watched.
var loadgen = watched{"load", os.Getpid()}

// load is a closed loop: each visitor sends its next request when it has
// checked the answer to the one before.
type load struct {
	name     string
	op       string
	visitors []*visitor
	time     time.Duration
	requests int  // at most so many; 0: as many as fit into the time
	storm    bool // errBusy is no error
	watch    []watched
}

// maxTime bounds one run: it is within the life of the access tokens used.
const maxTime = 4 * time.Minute

var errFailed = errors.New("requests have failed")

// run prepares the visitors and lets them loose. The error is errFailed where
// any answer was wrong: then the figures mean nothing.
func (l load) run(ctx context.Context) (result, error) {
	op := operations[l.op]
	for _, v := range l.visitors {
		if err := v.prepare(); err != nil && !(l.storm && errors.Is(err, errBusy)) {
			return result{}, fmt.Errorf("%s: %s: %w", l.name, v.name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, min(l.time, maxTime))
	defer cancel()
	var left atomic.Int64
	left.Store(int64(l.requests))
	loops := make([]loop, len(l.visitors))
	before := usage(l.watch)
	start := time.Now()
	var wg sync.WaitGroup
	for i, v := range l.visitors {
		wg.Go(func() { loops[i].run(ctx, v, op, l, &left) })
	}
	wg.Wait()
	r := merge(loops, time.Since(start))
	r.Name, r.Op = l.name, l.op
	r.account(l.watch, before)
	if r.Errors > 0 {
		return r, fmt.Errorf("%s: %w: %v", l.name, errFailed, r.Faults)
	}
	return r, nil
}

// loop is what one visitor saw.
type loop struct {
	took   []float64 // ms
	faults map[string]int
	busy   int
}

func (l *loop) run(ctx context.Context, v *visitor, op operation, of load, left *atomic.Int64) {
	l.faults = map[string]int{}
	for ctx.Err() == nil && (of.requests == 0 || left.Add(-1) >= 0) {
		start := time.Now()
		err := op(v)
		if of.storm && errors.Is(err, errBusy) {
			l.busy++
			continue
		}
		l.took = append(l.took, time.Since(start).Seconds()*1e3)
		if err != nil {
			l.faults[err.Error()]++
			if len(l.faults) > 10 {
				return // something is very wrong; more of it tells no more
			}
		}
	}
}

func merge(loops []loop, took time.Duration) result {
	r := result{Clients: len(loops), Seconds: took.Seconds(), Faults: map[string]int{}}
	var all []float64
	for _, l := range loops {
		all = append(all, l.took...)
		r.Busy += l.busy
		for what, n := range l.faults {
			r.Faults[what] += n
			r.Errors += n
		}
	}
	slices.Sort(all)
	r.Requests, r.PerSecond = len(all), float64(len(all))/took.Seconds()
	r.P50, r.P99, r.P999 = quantile(all, .5), quantile(all, .99), quantile(all, .999)
	return r
}

// quantile of a sorted list; 0 of an empty one.
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

// account fills in what the processes took since before.
func (r *result) account(watch []watched, before map[string]float64) {
	r.CPU, r.RSS = map[string]float64{}, map[string]float64{}
	for name, seconds := range usage(watch) {
		r.CPU[name] = (seconds - before[name]) / float64(max(r.Requests, 1)) * 1000
	}
	for _, w := range watch {
		r.RSS[w.name] += resident(w.pid)
	}
}

// usage is the CPU seconds of the processes so far; those of one name add up.
func usage(watch []watched) map[string]float64 {
	all := map[string]float64{}
	for _, w := range watch {
		all[w.name] += cpuSeconds(w.pid)
	}
	return all
}
