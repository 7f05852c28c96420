package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

// sizes holds the sizes of a benchmark. Gateway and baseline are compared in many
// short runs, because the speed of a machine that others share changes within
// seconds.
type sizes struct {
	rounds           int           // runs of each kind, of which the median counts
	pairs            int           // pairs of short runs of gateway and baseline, of which the median counts
	run              time.Duration // length of a run
	warmUp           time.Duration
	memorySessions   []int // P5: total numbers of sessions
	smallTotal       int   // P6: the lower total number of sessions
	largeTotal       int   // P6: the higher total number of sessions
	sessionsOfOne    int   // P6: sessions of the user with many sessions
	steps            int   // P6: steps of a round
	capLogins        int   // P6: logins of a round at the high cap
	expiringSessions int   // P7
	expiryPeriod     time.Duration
	starts           int // P9
	listed           int // P12: sessions in a list
	revokedAtOnce    int // P12: sessions that one request revokes
}

var (
	fullSizes = sizes{
		rounds: 5, pairs: 17, run: 3 * time.Second, warmUp: time.Second, memorySessions: []int{100_000, 1_000_000},
		smallTotal: 10_000, largeTotal: 3_000_000, sessionsOfOne: 10_000, steps: 20_000, capLogins: 500,
		expiringSessions: 1_000_000, expiryPeriod: time.Minute, starts: 15, listed: 2_000, revokedAtOnce: 10_000,
	}
	quickSizes = sizes{
		rounds: 3, pairs: 3, run: time.Second, warmUp: 300 * time.Millisecond, memorySessions: []int{10_000, 50_000},
		smallTotal: 5_000, largeTotal: 100_000, sessionsOfOne: 2_000, steps: 5_000, capLogins: 100,
		expiringSessions: 60_000, expiryPeriod: 10 * time.Second, starts: 5, listed: 500, revokedAtOnce: 2_000,
	}
)

// bench measures whether the gateway meets its performance targets.
type bench struct {
	*testbed
	sizes
	report
}

// parts lists the measurements, each with the ID of its targets.
var parts = []struct {
	id  string
	run func(*bench, context.Context) error
}{
	{"P1", (*bench).refreshRatio},
	{"P2", (*bench).verifyRatio},
	{"P3", (*bench).refreshRate},
	{"P4", (*bench).redisCost},
	{"P5", (*bench).memoryCost},
	{"P6", (*bench).scale},
	{"P7", (*bench).refreshLatency},
	{"P8", (*bench).allocations},
	{"P9", (*bench).startUp},
	{"P10", (*bench).algorithms},
	{"P11", (*bench).durability},
	{"P12", (*bench).underAttack},
}

func runBench(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("only", "", "the targets to measure, such as P1,P4; empty means all")
	quick := f.Bool("quick", false, "use small sizes, to try the benchmark out; the figures are not significant")
	into := f.String("o", "", "write the table between the marks in this file; empty means to standard output")
	jsonTo := f.String("json", "", "write all figures as JSON to this file")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := changeToModule(); err != nil {
		return err
	}
	logf := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	t, err := newTestbed(ctx, logf)
	if err != nil {
		return err
	}
	defer t.close()
	b := &bench{testbed: t, sizes: fullSizes, report: report{Machine: machine(), Quick: *quick}}
	if *quick {
		b.sizes = quickSizes
	}
	err = b.measure(ctx, *only)
	if *jsonTo != "" {
		err = errors.Join(err, writeJSON(*jsonTo, b.report))
	}
	if *into == "" || err != nil {
		fmt.Print(b.markdown())
		return err
	}
	return b.insert(*into)
}

func (b *bench) measure(ctx context.Context, only string) error {
	for _, p := range parts {
		if only != "" && !strings.Contains(","+only+",", ","+p.id+",") {
			continue
		}
		start := time.Now()
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.id, err)
		}
		b.reset()
		b.logf("%s took %s", p.id, time.Since(start).Round(time.Second))
	}
	return nil
}

// record runs a load and adds its result to the report.
func (b *bench) record(ctx context.Context, l load) (result, error) {
	r, err := l.run(ctx)
	b.Results = append(b.Results, r)
	b.logf("  %s %s, %d clients: %.0f/s, p50 %.2f ms, p99 %.2f ms, CPU s per 1,000: %s",
		l.name, l.op, r.Clients, r.PerSecond, r.P50, r.P99, formatByName(r.CPU, "%.4f"))
	return r, err
}

// mode is a way in which gateway and baseline send commands to Redis. The targets are for
// the first one.
type mode struct {
	name      string
	pipelined bool
	query     string // of the gateway's Redis URL
}

var modes = []mode{
	{"pipelined (the default)", true, ""},
	{"`?auto_pipeline=false`", false, "?auto_pipeline=false"},
}
