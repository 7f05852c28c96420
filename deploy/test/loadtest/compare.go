package main

import (
	"context"
	"fmt"
	"time"
)

// comparison is a gateway and a baseline on the same Redis server. They run in turn.
type comparison struct {
	gateway, baseline *process
	redis             *server
	users             map[*process][]*virtualUser
}

// comparisonClients are the numbers of clients with which each comparison is run.
var comparisonClients = []int{16, 64}

// comparisonRun is how long each side of a comparison runs at a time.
const comparisonRun = time.Second

func (b *bench) newComparison(ctx context.Context, m mode) (*comparison, error) {
	r, g, err := b.startServers(ctx, nothingSaved, m.query)
	if err != nil {
		return nil, err
	}
	c := &comparison{redis: r, gateway: g, users: map[*process][]*virtualUser{}}
	if c.baseline, err = b.startBaseline(ctx, r.url, m.pipelined); err != nil {
		return nil, err
	}
	for _, p := range []*process{c.gateway, c.baseline} {
		c.users[p] = b.virtualUsers(p, comparisonClients[len(comparisonClients)-1], cheapUsername)
	}
	return c, nil
}

// ratios are the gateway's figures divided by the baseline's: the medians of all
// rounds. The two results are those of one round.
type ratios struct {
	throughput        float64 // requests/s
	cpu               float64 // without Redis's CPU time
	totalCPU          float64 // with Redis's CPU time
	gateway, baseline result
}

// compare runs gateway and baseline in turn, after a warm-up, and returns the
// medians of the rounds' ratios. The returned results are those of the last round
// whose throughput ratio was the median of the rounds so far. Each side goes first
// in every second round, so that a drift of the machine's speed favours neither.
func (b *bench) compare(ctx context.Context, c *comparison, op string, clients int) (ratios, error) {
	run := func(p *process, duration time.Duration) (result, error) {
		return b.record(ctx, load{
			name: p.name, op: op, users: c.users[p][:clients], duration: duration,
			monitor: []monitored{p.monitored(), c.redis.monitored(), loadGenerator},
		})
	}
	var throughput, cpu, totalCPU []float64
	var out ratios
	for round := range b.pairs + 1 {
		duration := comparisonRun
		if round == 0 {
			duration = b.warmUp
		}
		results, order := map[*process]result{}, []*process{c.gateway, c.baseline}
		for i := range order {
			p := order[(round+i)%2]
			r, err := run(p, duration)
			if err != nil {
				return out, err
			}
			results[p] = r
		}
		gateway, baseline := results[c.gateway], results[c.baseline]
		if round == 0 {
			continue
		}
		throughput = append(throughput, gateway.PerSecond/baseline.PerSecond)
		cpu = append(cpu, gateway.CPU["gateway"]/baseline.CPU["baseline"])
		totalCPU = append(totalCPU, (gateway.CPU["gateway"]+gateway.CPU["redis"])/(baseline.CPU["baseline"]+baseline.CPU["redis"]))
		if t := median(throughput); round == 1 || throughput[round-1] == t {
			out.gateway, out.baseline = gateway, baseline
		}
	}
	out.throughput, out.cpu, out.totalCPU = median(throughput), median(cpu), median(totalCPU)
	return out, nil
}

// refreshRatio compares refreshes (P1).
func (b *bench) refreshRatio(ctx context.Context) error {
	for _, m := range modes {
		b.reset()
		c, err := b.newComparison(ctx, m)
		if err != nil {
			return err
		}
		measured, met := "", true
		for _, clients := range comparisonClients {
			r, err := b.compare(ctx, c, "refresh", clients)
			if err != nil {
				return err
			}
			met = met && r.throughput >= .9 && r.cpu <= 1.15
			measured += fmt.Sprintf("%d clients: %.2f × the requests/s, %.2f × the CPU; ", clients, r.throughput, r.cpu)
			b.noteComparison("P1", m, r)
		}
		if m == modes[0] {
			b.addFinding("P1", "refresh ≥ 0.90 × the baseline's requests/s and ≤ 1.15 × its CPU, "+m.name, measured[:len(measured)-2], met)
		}
	}
	return nil
}

// verifyRatio compares verifications of access tokens (P2).
func (b *bench) verifyRatio(ctx context.Context) error {
	c, err := b.newComparison(ctx, modes[0])
	if err != nil {
		return err
	}
	measured, met := "", true
	for _, clients := range comparisonClients {
		r, err := b.compare(ctx, c, "verify", clients)
		if err != nil {
			return err
		}
		met = met && r.throughput >= .85
		measured += fmt.Sprintf("%d clients: %.2f × (CPU %.2f ×); ", clients, r.throughput, r.cpu)
		b.noteComparison("P2", modes[0], r)
	}
	b.addFinding("P2", "verify (forward-auth) ≥ 0.85 × the requests/s of checking the signature alone", measured[:len(measured)-2], met)
	return nil
}

func (b *bench) noteComparison(id string, m mode, r ratios) {
	b.addNote("%s, %d clients, %s: gateway %.0f/s (p50 %.2f, p99 %.2f, p999 %.2f ms; CPU a request: gateway %.1f µs, Redis %.1f µs), baseline %.0f/s (p99 %.2f ms; baseline %.1f µs, Redis %.1f µs); with Redis's share the CPU ratio is %.2f",
		id, r.gateway.Clients, m.name,
		r.gateway.PerSecond, r.gateway.P50, r.gateway.P99, r.gateway.P999, r.gateway.CPU["gateway"]*1e3, r.gateway.CPU["redis"]*1e3,
		r.baseline.PerSecond, r.baseline.P99, r.baseline.CPU["baseline"]*1e3, r.baseline.CPU["redis"]*1e3, r.totalCPU)
}

// refreshRate measures refreshes per second, for a comparison with other programs
// (P3). This command does not run those programs; their figures have to be
// measured separately with the same load.
func (b *bench) refreshRate(ctx context.Context) error {
	r, g, err := b.startServers(ctx, nothingSaved, "")
	if err != nil {
		return err
	}
	var rates []float64
	users := b.virtualUsers(g, 16, cheapUsername)
	for range b.rounds {
		refreshes, err := b.record(ctx, load{
			name: "gateway", op: "refresh", users: users, duration: b.run,
			monitor: []monitored{g.monitored(), r.monitored(), loadGenerator},
		})
		if err != nil {
			return err
		}
		rates = append(rates, refreshes.PerSecond)
	}
	b.Findings = append(b.Findings, finding{"P3", "refresh/s against other programs, 16 clients", fmt.Sprintf("%.0f refreshes/s", median(rates)), "–"})
	return nil
}
