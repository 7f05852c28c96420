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

// sizes is how much a bench does. Medians are of rounds runs each, and of blows
// short ones where the gateway and the floor are in turn: a machine that others
// share is another one some seconds later.
type sizes struct {
	rounds, blows    int
	run, warm        time.Duration
	memory           []int // sessions
	few, many        int   // sessions
	crowded, steps   int   // sessions of one user; steps of a round
	expiring         int   // sessions
	expiry           time.Duration
	starts, fewTimes int
}

var (
	fullSizes = sizes{
		rounds: 5, blows: 17, run: 3 * time.Second, warm: time.Second, memory: []int{100_000, 1_000_000},
		few: 10_000, many: 3_000_000, crowded: 10_000, steps: 20_000,
		expiring: 1_000_000, expiry: time.Minute, starts: 15, fewTimes: 500,
	}
	quickSizes = sizes{
		rounds: 3, blows: 3, run: time.Second, warm: 300 * time.Millisecond, memory: []int{10_000, 50_000},
		few: 5_000, many: 100_000, crowded: 2_000, steps: 5_000,
		expiring: 60_000, expiry: 10 * time.Second, starts: 5, fewTimes: 100,
	}
)

// bench measures what the project promises about speed.
type bench struct {
	*lab
	sizes
	report
}

// parts are the measurements, by the target that they are about.
var parts = []struct {
	id  string
	run func(*bench, context.Context) error
}{
	{"P1", (*bench).refreshRatio},
	{"P2", (*bench).verifyRatio},
	{"P3", (*bench).peers},
	{"P4", (*bench).redisCost},
	{"P5", (*bench).memoryCost},
	{"P6", (*bench).scale},
	{"P7", (*bench).calm},
	{"P8", (*bench).allocations},
	{"P9", (*bench).startUp},
}

func runBench(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := f.String("only", "", "the targets to measure, as P1,P4; empty: all")
	quick := f.Bool("quick", false, "small sizes, to see that it works; the figures mean little")
	into := f.String("o", "", "put the table between the marks in this file; empty: print it")
	jsonTo := f.String("json", "", "write all figures as JSON to this file")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := toModule(); err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	l, err := newLab(ctx, say)
	if err != nil {
		return err
	}
	defer l.close()
	b := &bench{lab: l, sizes: fullSizes, report: report{Machine: machine(), Quick: *quick}}
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
		b.say("%s took %s", p.id, time.Since(start).Round(time.Second))
	}
	return nil
}

// loaded runs a load and keeps its result.
func (b *bench) loaded(ctx context.Context, l load) (result, error) {
	r, err := l.run(ctx)
	b.Results = append(b.Results, r)
	b.say("  %s %s, %d clients: %.0f/s, p50 %.2f ms, p99 %.2f ms, CPU s per 1,000: %s",
		l.name, l.op, r.Clients, r.PerSecond, r.P50, r.P99, byName(r.CPU, "%.4f"))
	return r, err
}

// mode is how the gateway and the floor call Redis.
type mode struct {
	name      string
	pipelined bool
	query     string
}

var modes = []mode{
	{"one connection a call (the default)", false, ""},
	{"`?auto_pipeline=true`", true, "?auto_pipeline=true"},
}
