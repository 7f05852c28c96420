package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// redisCost measures Redis's CPU time for a refresh by the gateway (P4).
func (b *bench) redisCost(ctx context.Context) error {
	const clients = 64
	for _, m := range modes {
		for _, config := range []string{nothingSaved, oneServer} {
			b.reset()
			cost, script, err := b.refreshCost(ctx, m, config, clients)
			if err != nil {
				return err
			}
			name := "Redis's defaults, nothing on disk"
			if config == oneServer {
				name = "`deploy/redis.conf`, every step flushed to the disk"
			}
			b.addNote("P4, %s, %s: %.1f µs of Redis a refresh, of which the script %.1f µs: %.0f k refreshes/s a core",
				m.name, name, cost, script, 1e3/cost)
			if m == modes[0] && config == nothingSaved {
				b.addFinding("P4", "≤ 10 µs of Redis's CPU a refresh under 64 clients, "+m.name, fmt.Sprintf("%.2f µs", cost), cost <= 10)
			}
		}
	}
	return nil
}

// refreshCost returns the median of Redis's CPU time for a refresh in µs, and the
// part of it that the script takes by Redis's own count.
func (b *bench) refreshCost(ctx context.Context, m mode, config string, clients int) (cost, script float64, err error) {
	r, g, err := b.startServers(ctx, config, m.query)
	if err != nil {
		return 0, 0, err
	}
	users := b.virtualUsers(g, clients, cheapUsername)
	var costs, scripts []float64
	for range b.rounds {
		before, err := r.counters(ctx)
		if err != nil {
			return 0, 0, err
		}
		refreshes, err := b.record(ctx, load{
			name: "gateway", op: "refresh", users: users, duration: b.run,
			monitor: []monitored{g.monitored(), r.monitored(), loadGenerator},
		})
		if err != nil {
			return 0, 0, err
		}
		after, err := r.counters(ctx)
		if err != nil {
			return 0, 0, err
		}
		costs = append(costs, (after.cpu-before.cpu)*1e6/float64(refreshes.Requests))
		scripts = append(scripts, (after.scriptMicros-before.scriptMicros)/(after.scriptCalls-before.scriptCalls))
	}
	return median(costs), median(scripts), nil
}

// redisCounters are a server's counters since its start: CPU seconds, and the
// number and the total time of EVALSHA calls.
type redisCounters struct{ cpu, scriptCalls, scriptMicros float64 }

func (s *server) counters(ctx context.Context) (c redisCounters, err error) {
	if c.cpu, err = s.cpu(ctx); err != nil {
		return c, err
	}
	text, err := s.rdb.Info(ctx, "commandstats").Result()
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_evalsha:"); ok {
			_, err = fmt.Sscanf(rest, "calls=%f,usec=%f", &c.scriptCalls, &c.scriptMicros)
		}
	}
	return c, err
}

// maxSessionBytes is the target for Redis's memory for a session.
const maxSessionBytes = 265

// memoryCost measures Redis's memory for a session, and the gateway's memory (P5).
func (b *bench) memoryCost(ctx context.Context) error {
	var measured []string
	met := true
	for _, config := range []string{nothingSaved, oneServer} {
		b.reset()
		name := "Redis's defaults"
		if config == oneServer {
			name = "`deploy/redis.conf`"
		}
		r, err := b.startRedis(ctx, config)
		if err != nil {
			return err
		}
		empty, err := r.info(ctx, "memory", "used_memory")
		if err != nil {
			return err
		}
		created := 0
		for _, total := range b.memorySessions {
			b.logf("  %d sessions, %s", total, name)
			users := usersWith(total) - usersWith(created)
			if _, err := createSessions(ctx, r.url, sessionSet{firstUser: usersWith(created), users: users, perUser: oneToFive}); err != nil {
				return err
			}
			created = total
			bytes, err := r.bytesPerSession(ctx, empty, usersWith(created))
			if err != nil {
				return err
			}
			measured = append(measured, fmt.Sprintf("%.0f B at %s with %s", bytes, formatCount(total), name))
			met = met && (bytes <= maxSessionBytes || total < 1_000_000 && !b.Quick)
		}
	}
	b.addFinding("P5", fmt.Sprintf("≤ %d bytes a session at 1 M, 1–5 a user, 40 bytes of info", maxSessionBytes), strings.Join(measured, ", "), met)
	return b.gatewayMemory(ctx)
}

// bytesPerSession returns the memory that Redis has allocated since it was empty,
// its tables of keys included, divided by the number of sessions.
func (s *server) bytesPerSession(ctx context.Context, empty float64, users int) (float64, error) {
	time.Sleep(2 * time.Second) // until Redis has freed the buffers of the connections that created the sessions
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

// gatewayMemory measures the gateway's resident memory with 256 busy connections.
func (b *bench) gatewayMemory(ctx context.Context) error {
	b.reset()
	const clients, maxMiB = 256, 64
	r, g, err := b.startServers(ctx, nothingSaved, "")
	if err != nil {
		return err
	}
	refreshes, err := b.record(ctx, load{
		name: "gateway", op: "refresh", users: b.virtualUsers(g, clients, cheapUsername), duration: 3 * b.run,
		monitor: []monitored{g.monitored(), r.monitored(), loadGenerator},
	})
	if err != nil {
		return err
	}
	resident := refreshes.RSS["gateway"]
	b.addFinding("P5", "gateway ≤ 64 MiB resident with 256 connections at work", fmt.Sprintf("%.0f MiB", resident), resident <= maxMiB)
	return nil
}

// formatCount formats a number with k or M if it is a multiple of 1,000 or 1,000,000.
func formatCount(n int) string {
	switch {
	case n%1_000_000 == 0:
		return fmt.Sprintf("%d M", n/1_000_000)
	case n%1000 == 0:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprint(n)
}
