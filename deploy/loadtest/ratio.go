package main

import (
	"context"
	"fmt"
	"time"
)

// duel is the gateway and the floor over the same Redis, run in turn.
type duel struct {
	gateway, floor *process
	redis          *server
	visitors       map[*process][]*visitor
}

var duelClients = []int{16, 64}

func (b *bench) duel(ctx context.Context, m mode) (*duel, error) {
	r, err := b.redis(ctx, false)
	if err != nil {
		return nil, err
	}
	d := &duel{redis: r, visitors: map[*process][]*visitor{}}
	if d.gateway, err = b.gateway(ctx, r.url+m.query); err != nil {
		return nil, err
	}
	if d.floor, err = b.lab.floor(ctx, r.url, m.pipelined); err != nil {
		return nil, err
	}
	for _, p := range []*process{d.gateway, d.floor} {
		d.visitors[p] = b.visitors(p, duelClients[len(duelClients)-1], cheapLogin)
	}
	return d, nil
}

// odds is what one pair of runs, or the median of many, says of the gateway.
type odds struct {
	throughput, cpu, own float64 // gateway ÷ floor: requests/s; CPU with and without Redis's
	gateway, floor       result
}

// blow is how long each side of a duel runs at a time.
const blow = time.Second

// fight runs gateway and floor in turn, after a warm-up, and gives the medians
// of the rounds' ratios, and the round whose throughput ratio is the median one.
// Each goes first in every second round, so that a drift favours neither.
func (b *bench) fight(ctx context.Context, d *duel, op string, clients int) (odds, error) {
	one := func(p *process, length time.Duration) (result, error) {
		return b.loaded(ctx, load{
			name: p.name, op: op, visitors: d.visitors[p][:clients], time: length,
			watch: []watched{p.watched(), d.redis.watched(), loadgen},
		})
	}
	var throughput, cpu, own []float64
	var out odds
	for round := range b.blows + 1 {
		length := blow
		if round == 0 {
			length = b.warm
		}
		ran, order := map[*process]result{}, []*process{d.gateway, d.floor}
		for i := range order {
			p := order[(round+i)%2]
			r, err := one(p, length)
			if err != nil {
				return out, err
			}
			ran[p] = r
		}
		g, f := ran[d.gateway], ran[d.floor]
		if round == 0 {
			continue
		}
		throughput = append(throughput, g.PerSecond/f.PerSecond)
		cpu = append(cpu, (g.CPU["gateway"]+g.CPU["redis"])/(f.CPU["floor"]+f.CPU["redis"]))
		own = append(own, g.CPU["gateway"]/f.CPU["floor"])
		if t := median(throughput); round == 1 || throughput[round-1] == t {
			out.gateway, out.floor = g, f
		}
	}
	out.throughput, out.cpu, out.own = median(throughput), median(cpu), median(own)
	return out, nil
}

func (b *bench) refreshRatio(ctx context.Context) error {
	for _, m := range modes {
		b.reset()
		d, err := b.duel(ctx, m)
		if err != nil {
			return err
		}
		measured, met := "", true
		for _, clients := range duelClients {
			o, err := b.fight(ctx, d, "refresh", clients)
			if err != nil {
				return err
			}
			met = met && o.throughput >= .8 && o.own <= 1.25
			measured += fmt.Sprintf("%d clients: %.2f × the requests/s, %.2f × the CPU; ", clients, o.throughput, o.own)
			b.noteDuel("P1", m, o)
		}
		b.find("P1", "refresh ≥ 0.80 × the floor's requests/s and ≤ 1.25 × its CPU, "+m.name, measured[:len(measured)-2], met)
	}
	return nil
}

func (b *bench) verifyRatio(ctx context.Context) error {
	d, err := b.duel(ctx, modes[0])
	if err != nil {
		return err
	}
	measured, met := "", true
	for _, clients := range duelClients {
		o, err := b.fight(ctx, d, "verify", clients)
		if err != nil {
			return err
		}
		met = met && o.throughput >= .85
		measured += fmt.Sprintf("%d clients: %.2f × (CPU %.2f ×); ", clients, o.throughput, o.own)
		b.noteDuel("P2", modes[0], o)
	}
	b.find("P2", "verify (forward-auth) ≥ 0.85 × the requests/s of checking the signature alone", measured[:len(measured)-2], met)
	return nil
}

func (b *bench) noteDuel(id string, m mode, o odds) {
	b.note("%s, %d clients, %s: gateway %.0f/s (p50 %.2f, p99 %.2f, p999 %.2f ms; CPU a request: gateway %.1f µs, Redis %.1f µs), floor %.0f/s (p99 %.2f ms; floor %.1f µs, Redis %.1f µs); with Redis's share the CPU ratio is %.2f",
		id, o.gateway.Clients, m.name,
		o.gateway.PerSecond, o.gateway.P50, o.gateway.P99, o.gateway.P999, o.gateway.CPU["gateway"]*1e3, o.gateway.CPU["redis"]*1e3,
		o.floor.PerSecond, o.floor.P99, o.floor.CPU["floor"]*1e3, o.floor.CPU["redis"]*1e3, o.cpu)
}

// peers tells the figure to hold against other programs'; they are measured
// with the same load, elsewhere.
func (b *bench) peers(ctx context.Context) error {
	r, err := b.redis(ctx, false)
	if err != nil {
		return err
	}
	g, err := b.gateway(ctx, r.url)
	if err != nil {
		return err
	}
	var rates []float64
	visitors := b.visitors(g, 16, cheapLogin)
	for range b.rounds {
		one, err := b.loaded(ctx, load{
			name: "gateway", op: "refresh", visitors: visitors, time: b.run,
			watch: []watched{g.watched(), r.watched(), loadgen},
		})
		if err != nil {
			return err
		}
		rates = append(rates, one.PerSecond)
	}
	b.Findings = append(b.Findings, finding{"P3", "refresh/s against other programs, 16 clients", fmt.Sprintf("%.0f refreshes/s", median(rates)), "–"})
	return nil
}
