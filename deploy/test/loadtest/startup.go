package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// allocations runs the test of package api that counts the handlers' allocations
// (P8). The test fails if a target is missed.
func (b *bench) allocations(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestAllocations$", "-v", "./api").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	found := regexp.MustCompile(`(\w+): (\d+) allocations`).FindAllStringSubmatch(string(out), -1)
	var counts []string
	for _, f := range found {
		counts = append(counts, f[1]+" "+f[2])
	}
	b.addFinding("P8", "allocations of the handlers: refresh ≤ 60, verify ≤ 25 (`go test -run TestAllocations ./api`)", strings.Join(counts, ", "), len(counts) > 1)
	return nil
}

// startUp measures the time from exec to readiness, and the size of the binary (P9).
func (b *bench) startUp(ctx context.Context) error {
	r, err := b.startRedis(ctx, nothingSaved)
	if err != nil {
		return err
	}
	var took []float64
	for range b.starts {
		start := time.Now()
		p, ready, err := b.launchGateway(r.url)
		if err != nil {
			return err
		}
		if err := p.waitReady(ctx, ready); err != nil {
			return err
		}
		took = append(took, float64(time.Since(start).Milliseconds()))
		p.stop()
	}
	info, err := os.Stat(b.gatewayPath)
	if err != nil {
		return err
	}
	const maxMillis, maxBytes = 150, 25e6
	size := float64(info.Size())
	b.addFinding("P9", "start to ready < 150 ms; binary < 25 MB", fmt.Sprintf("%.0f ms (median of %d); %.1f MB", median(took), b.starts, size/1e6),
		median(took) < maxMillis && size < maxBytes)
	return nil
}
