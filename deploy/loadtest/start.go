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

// allocations repeats the tests that count them.
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
	b.find("P8", "allocations of the handlers: refresh ≤ 60, verify ≤ 25 (`go test -run TestAllocations ./api`)", strings.Join(counts, ", "), len(counts) > 1)
	return nil
}

// startUp is the time from exec to ready, and the binary's size.
func (b *bench) startUp(ctx context.Context) error {
	r, err := b.redis(ctx, false)
	if err != nil {
		return err
	}
	var took []float64
	for range b.starts {
		begin := time.Now()
		p, ready, err := b.launch(r.url)
		if err != nil {
			return err
		}
		if err := p.await(ctx, ready); err != nil {
			return err
		}
		took = append(took, float64(time.Since(begin).Milliseconds()))
		p.stop()
	}
	info, err := os.Stat(b.gatewayAt)
	if err != nil {
		return err
	}
	const limit, most = 150, 25e6
	size := float64(info.Size())
	b.find("P9", "start to ready < 150 ms; binary < 25 MB", fmt.Sprintf("%.0f ms (median of %d); %.1f MB", median(took), b.starts, size/1e6),
		median(took) < limit && size < most)
	return nil
}
