package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"time"
)

// algorithm is a signature algorithm of access tokens, and the least throughput of
// refreshes with it, relative to HS256.
type algorithm struct {
	name  string
	key   string // private key as PEM; empty means the testbed's key
	least float64
}

// asymmetric returns the asymmetric algorithms that are measured, each with a new key.
func asymmetric() ([]algorithm, error) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	all := []algorithm{{"EdDSA", "", .75}, {"RS256", "", .08}}
	for i, key := range []any{ed, pair} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		all[i].key = string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return all, nil
}

// algorithms compares refreshes with the asymmetric algorithms to refreshes with
// HS256 (P10).
func (b *bench) algorithms(ctx context.Context) error {
	all, err := asymmetric()
	if err != nil {
		return err
	}
	all = append([]algorithm{{name: "HS256"}}, all...)
	r, err := b.startRedis(ctx, nothingSaved)
	if err != nil {
		return err
	}
	sides := make([]side, len(all))
	for i, a := range all {
		if sides[i], err = b.startSide(ctx, r, a); err != nil {
			return err
		}
	}
	measured, missed := make([][]string, len(all)), make([]bool, len(all))
	for _, clients := range comparisonClients {
		ratios, err := b.compareSides(ctx, r, sides, clients)
		if err != nil {
			return err
		}
		for i, ratio := range ratios {
			missed[i] = missed[i] || ratio < all[i].least
			measured[i] = append(measured[i], fmt.Sprintf("%d clients: %.2f ×", clients, ratio))
		}
	}
	for i, a := range all[1:] {
		b.addFinding("P10", fmt.Sprintf("refresh with %s ≥ %.2f × HS256's requests/s", a.name, a.least), strings.Join(measured[i+1], "; "), !missed[i+1])
	}
	return nil
}

// side is a gateway of a comparison of gateways, and its users.
type side struct {
	algorithm
	gateway *process
	users   []*virtualUser
}

// startSide starts a gateway that signs with an algorithm. Its sessions have keys of
// their own in Redis.
func (b *bench) startSide(ctx context.Context, r *server, a algorithm) (side, error) {
	settings := []string{"REDIS_PREFIX=" + a.name, "APP_WEB_ALGORITHM=" + a.name}
	if a.key != "" {
		settings = append(settings, "APP_WEB_SIGNING_KEY="+a.key)
	}
	g, ready, err := b.launchGateway(r.url, settings...)
	if err != nil {
		return side{}, err
	}
	users := b.virtualUsers(g, comparisonClients[len(comparisonClients)-1], cheapUsername)
	return side{a, g, users}, g.waitReady(ctx, ready)
}

// compareSides runs refreshes on each side in turn, after a warm-up, and returns the
// medians of the rounds' ratios of requests per second to those of the first side.
// Another side goes first in each round, so that a drift of the machine's speed
// favours none.
func (b *bench) compareSides(ctx context.Context, r *server, sides []side, clients int) ([]float64, error) {
	ratios, rates := make([][]float64, len(sides)), make([][]float64, len(sides))
	cpu := make([][]float64, len(sides))
	for round := range b.pairs + 1 {
		duration := comparisonRun
		if round == 0 {
			duration = b.warmUp
		}
		results := make([]result, len(sides))
		for i := range sides {
			i = (i + round) % len(sides)
			var err error
			if results[i], err = b.refreshSide(ctx, r, sides[i], clients, duration); err != nil {
				return nil, err
			}
		}
		for i, result := range results {
			if round > 0 {
				ratios[i] = append(ratios[i], result.PerSecond/results[0].PerSecond)
				rates[i] = append(rates[i], result.PerSecond)
				cpu[i] = append(cpu[i], result.CPU["gateway"]*1e3)
			}
		}
	}
	medians := make([]float64, len(sides))
	for i, s := range sides {
		medians[i] = median(ratios[i])
		b.addNote("P10, %s, %d clients: %.0f refreshes/s, %.1f µs of the gateway's CPU a request", s.name, clients, median(rates[i]), median(cpu[i]))
	}
	return medians, nil
}

func (b *bench) refreshSide(ctx context.Context, r *server, s side, clients int, duration time.Duration) (result, error) {
	return b.record(ctx, load{
		name: s.name, op: "refresh", users: s.users[:clients], duration: duration,
		monitor: []monitored{s.gateway.monitored(), r.monitored(), loadGenerator},
	})
}
