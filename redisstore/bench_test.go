package redisstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// bench measures a step with 1 and 64 concurrent clients, with and without pipelining,
// each on its own server. It also reports Redis's CPU time per step. prepare is called
// once per client.
func bench(b *testing.B, prepare func(s *redisstore.Store) (step func() error)) {
	for _, query := range []string{"", "?auto_pipeline=false"} {
		for _, clients := range []int{1, 64} {
			b.Run(fmt.Sprintf("clients=%d%s", clients, query), func(b *testing.B) {
				srv := redistest.Standalone(b)
				s := open(b, srv.URL+query)
				steps := make(chan func() error, clients)
				for range clients {
					steps <- prepare(s)
				}
				b.SetParallelism(max(1, clients/2))
				b.ReportAllocs()
				before := cpuSeconds(b, srv)
				b.ResetTimer()
				run := func(pb *testing.PB) {
					step := <-steps
					defer func() { steps <- step }()
					for pb.Next() {
						if err := step(); err != nil {
							b.Error(err)
							return
						}
					}
				}
				b.RunParallel(run)
				b.ReportMetric((cpuSeconds(b, srv)-before)*1e6/float64(b.N), "redis-µs/op")
			})
		}
	}
}

// cpuSeconds returns the CPU time that a server has used.
func cpuSeconds(tb testing.TB, srv *redistest.Server) (total float64) {
	tb.Helper()
	for line := range strings.Lines(srv.Do("INFO", "cpu")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_user" || name == "used_cpu_sys" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				tb.Fatal(err)
			}
			total += n
		}
	}
	return total
}

func BenchmarkRefresh(b *testing.B) {
	bench(b, func(s *redisstore.Store) func() error {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		current := login(b, s, o, policy).Session
		return func() error {
			refreshed, err := s.Refresh(ctx, refreshStep(o, current, policy))
			current = refreshed.Session
			return err
		}
	})
}

func BenchmarkCreate(b *testing.B) {
	bench(b, func(s *redisstore.Store) func() error {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		return func() error {
			_, err := s.Create(ctx, createStep(o, policy))
			return err
		}
	})
}

func BenchmarkList(b *testing.B) {
	bench(b, func(s *redisstore.Store) func() error {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		login(b, s, o, policy)
		caller := login(b, s, o, policy).Session.ID
		return func() error {
			_, err := s.List(ctx, session.ListStep{Owner: o, Types: session.Types, Caller: caller})
			return err
		}
	})
}

func BenchmarkLive(b *testing.B) {
	bench(b, func(s *redisstore.Store) func() error {
		o := session.Owner{App: "shop", User: string(session.NewID())}
		id := login(b, s, o, policy).Session.ID
		return func() error { return s.Live(ctx, session.LiveStep{Owner: o, ID: id}) }
	})
}
