package main

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// setup is a Redis configuration whose cost is measured, with a gateway on it.
type setup struct {
	name     string
	config   string
	options  []string // of redis-server
	replicas int      // 0 or 1; each refresh waits for it

	redis   *server
	gateway *process
	users   []*virtualUser
	samples []result
}

// durability measures what it costs that steps survive: refreshes with the shipped files,
// compared with everysec and with nothing on disk (P11).
func (b *bench) durability(ctx context.Context) error {
	const clients = 16
	setups := []*setup{
		{name: "nothing on disk"},
		{name: "`deploy/redis.conf` with everysec", config: oneServer, options: unflushed},
		{name: "`deploy/redis.conf`", config: oneServer},
		{name: "`deploy/redis-ha.conf`, a replica and `WAIT_REPLICAS=1`", config: withReplicas, replicas: 1},
	}
	for _, s := range setups {
		if err := b.startSetup(ctx, s, clients); err != nil {
			return err
		}
	}
	if err := b.runSetups(ctx, setups); err != nil {
		return err
	}
	for _, s := range setups {
		b.addNote("P11, %d clients, %s: %.0f refreshes/s, p50 %.2f, p99 %.2f ms, %.1f µs of Redis's CPU a request", clients, s.name,
			medianOf(s.samples, perSecond), medianOf(s.samples, p50), medianOf(s.samples, p99), medianOf(s.samples, redisMicros))
	}
	for _, s := range setups[2:] {
		var costs []string
		for _, base := range setups[:2] {
			costs = append(costs, s.against(base))
		}
		b.Findings = append(b.Findings, finding{"P11", fmt.Sprintf("cost of %s at a refresh, %d clients", s.name, clients), strings.Join(costs, "; "), "–"})
	}
	return nil
}

// startSetup starts the servers of a setup.
func (b *bench) startSetup(ctx context.Context, s *setup, clients int) (err error) {
	if s.redis, err = b.startRedis(ctx, s.config, s.options...); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.redis.address)
	for range s.replicas {
		if _, err = b.startRedis(ctx, s.config, "--replicaof", host, port); err != nil {
			return err
		}
	}
	g, ready, err := b.launchGateway(s.redis.url, fmt.Sprintf("REDIS_WAIT_REPLICAS=%d", s.replicas))
	if err != nil {
		return err
	}
	s.gateway, s.users = g, b.virtualUsers(g, clients, cheapUsername)
	return g.waitReady(ctx, ready) // which is when the replica follows: without it, the primary refuses writes
}

// runSetups runs refreshes on each setup in turn, after a warm-up. Another one goes first in
// each round, so that a drift of the machine's speed favours none.
func (b *bench) runSetups(ctx context.Context, setups []*setup) error {
	for round := range b.pairs + 1 {
		duration := comparisonRun
		if round == 0 {
			duration = b.warmUp
		}
		for i := range setups {
			s := setups[(i+round)%len(setups)]
			r, err := b.record(ctx, load{
				name: s.name, op: "refresh", users: s.users, duration: duration,
				monitor: []monitored{s.gateway.monitored(), s.redis.monitored(), loadGenerator},
			})
			if err != nil {
				return err
			}
			if round > 0 {
				s.samples = append(s.samples, r)
			}
		}
	}
	return nil
}

// against returns the medians of the rounds' figures, relative to those of another setup.
func (s *setup) against(base *setup) string {
	var rates, p99s, cpu []float64
	for i, r := range s.samples {
		other := base.samples[i]
		rates = append(rates, r.PerSecond/other.PerSecond)
		p99s = append(p99s, r.P99-other.P99)
		cpu = append(cpu, redisMicros(r)/redisMicros(other))
	}
	return fmt.Sprintf("against %s %.2f × the requests/s, p99 %+.2f ms, %.2f × Redis's CPU", base.name, median(rates), median(p99s), median(cpu))
}

func perSecond(r result) float64   { return r.PerSecond }
func p50(r result) float64         { return r.P50 }
func p99(r result) float64         { return r.P99 }
func redisMicros(r result) float64 { return r.CPU["redis"] * 1e3 }

func medianOf(all []result, figure func(result) float64) float64 {
	var list []float64
	for _, r := range all {
		list = append(list, figure(r))
	}
	return median(list)
}
