package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// redisCost is Redis's own CPU for a refresh of the gateway's.
func (b *bench) redisCost(ctx context.Context) error {
	const clients = 64
	for _, m := range modes {
		for _, tuned := range []bool{false, true} {
			b.reset()
			cost, script, err := b.costOf(ctx, m, tuned, clients)
			if err != nil {
				return err
			}
			config := "Redis's defaults, nothing on disk"
			if tuned {
				config = "`deploy/redis.conf`, every step in the append-only file"
			}
			b.note("P4, %s, %s: %.1f µs of Redis a refresh, of which the script %.1f µs: %.0f k refreshes/s a core",
				m.name, config, cost, script, 1e3/cost)
			if m.pipelined && !tuned {
				b.find("P4", "≤ 10 µs of Redis's CPU a refresh under 64 clients, "+m.name, fmt.Sprintf("%.1f µs", cost), cost <= 10)
			}
		}
	}
	return nil
}

// costOf gives the median µs of Redis's CPU a refresh, and how much of it the
// script's run takes by Redis's own count.
func (b *bench) costOf(ctx context.Context, m mode, tuned bool, clients int) (cost, script float64, err error) {
	r, err := b.redis(ctx, tuned)
	if err != nil {
		return 0, 0, err
	}
	g, err := b.gateway(ctx, r.url+m.query)
	if err != nil {
		return 0, 0, err
	}
	visitors := b.visitors(g, clients, cheapLogin)
	var costs, scripts []float64
	for range b.rounds {
		before, err := r.meter(ctx)
		if err != nil {
			return 0, 0, err
		}
		one, err := b.loaded(ctx, load{
			name: "gateway", op: "refresh", visitors: visitors, time: b.run,
			watch: []watched{g.watched(), r.watched(), loadgen},
		})
		if err != nil {
			return 0, 0, err
		}
		after, err := r.meter(ctx)
		if err != nil {
			return 0, 0, err
		}
		costs = append(costs, (after.cpu-before.cpu)*1e6/float64(one.Requests))
		scripts = append(scripts, (after.usec-before.usec)/(after.calls-before.calls))
	}
	return median(costs), median(scripts), nil
}

// meter is what a server says of its own work so far.
type meter struct{ cpu, calls, usec float64 }

func (s *server) meter(ctx context.Context) (m meter, err error) {
	if m.cpu, err = s.cpu(ctx); err != nil {
		return m, err
	}
	text, err := s.rdb.Info(ctx, "commandstats").Result()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:"); ok {
			_, err = fmt.Sscanf(rest, "calls=%f,usec=%f", &m.calls, &m.usec)
		}
	}
	return m, err
}

// memoryCost is bytes a session, and the gateway's memory.
func (b *bench) memoryCost(ctx context.Context) error {
	var measured []string
	met := true
	for _, tuned := range []bool{false, true} {
		b.reset()
		config := "default"
		if tuned {
			config = "ours"
		}
		r, err := b.redis(ctx, tuned)
		if err != nil {
			return err
		}
		empty, err := r.info(ctx, "memory", "used_memory")
		if err != nil {
			return err
		}
		made := 0
		for _, sessions := range b.memory {
			b.say("  %d sessions, redis.conf: %s", sessions, config)
			users := usersFor(sessions) - usersFor(made)
			if _, err := fill(ctx, r.url, plan{first: usersFor(made), users: users, each: oneToFive}); err != nil {
				return err
			}
			made = sessions
			each, err := r.bytesEach(ctx, empty, usersFor(made))
			if err != nil {
				return err
			}
			measured = append(measured, fmt.Sprintf("%s at %s %.0f B", config, count(sessions), each))
			met = met && (each <= 250 || sessions < 1_000_000 && !b.Quick)
		}
	}
	b.find("P5", "≤ 250 bytes a session, 1–5 a user, 40 bytes of info", strings.Join(measured, ", "), met)
	return b.gatewayMemory(ctx)
}

// bytesEach is what Redis has allocated a session, its tables of keys included.
func (s *server) bytesEach(ctx context.Context, empty float64, users int) (float64, error) {
	time.Sleep(2 * time.Second) // until the buffers of the connections that made them are freed
	used, err := s.info(ctx, "memory", "used_memory")
	if err != nil {
		return 0, err
	}
	sessions := 0
	for u := range users {
		sessions += oneToFive(u)
	}
	return (used - empty) / float64(sessions), nil
}

// gatewayMemory is the gateway's resident memory with 256 connections at work.
func (b *bench) gatewayMemory(ctx context.Context) error {
	b.reset()
	const clients, most = 256, 64
	r, err := b.redis(ctx, false)
	if err != nil {
		return err
	}
	g, err := b.gateway(ctx, r.url)
	if err != nil {
		return err
	}
	one, err := b.loaded(ctx, load{
		name: "gateway", op: "refresh", visitors: b.visitors(g, clients, cheapLogin), time: 3 * b.run,
		watch: []watched{g.watched(), r.watched(), loadgen},
	})
	if err != nil {
		return err
	}
	b.find("P5", "gateway ≤ 64 MiB resident with 256 connections at work", fmt.Sprintf("%.0f MiB", one.RSS["gateway"]), one.RSS["gateway"] <= most)
	return nil
}

// count writes a round number briefly.
func count(n int) string {
	switch {
	case n%1_000_000 == 0:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n%1000 == 0:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprint(n)
}
