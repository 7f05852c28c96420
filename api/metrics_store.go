package api

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/session"
)

// StoreMetrics counts and times the scripts of a store in Redis, which need one round
// trip each, and reports the state of its connection pool.
type StoreMetrics struct {
	seconds *prometheus.HistogramVec
	scripts *prometheus.CounterVec
	clocks  *prometheus.GaugeVec
}

// Connections describes a store's connection pool. Total and Idle are the current
// numbers of connections. Hits, Misses and Timeouts count the steps since the start
// that found a free connection, found none, or got none in time.
type Connections struct {
	Total, Idle            uint32
	Hits, Misses, Timeouts uint32
}

// NewStoreMetrics registers the metrics with registry and calls connections each
// time they are read. It fails if they are already registered.
func NewStoreMetrics(registry *prometheus.Registry, connections func() Connections) (*StoreMetrics, error) {
	m := &StoreMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "tokengate", Name: "script_seconds", Help: "Time of one script, including the round trip.",
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 3},
		}, []string{"script"}),
		scripts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tokengate", Name: "scripts_total", Help: "Scripts run, by script and result code.",
		}, []string{"script", "code"}),
		clocks: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "tokengate", Name: "redis_clock_offset_seconds", Help: "How far the clock of a Redis node is ahead of this instance's.",
		}, []string{"node"}),
	}
	gauge := func(name, help string, pick func(Connections) uint32) prometheus.Collector {
		opts := prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help}
		return prometheus.NewGaugeFunc(opts, func() float64 { return float64(pick(connections())) })
	}
	timeouts := prometheus.CounterOpts{Namespace: "tokengate", Name: "redis_pool_timeouts_total", Help: "Steps that got no connection in time."}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.seconds, m.scripts, m.clocks,
		gauge("redis_connections", "Open connections.", func(c Connections) uint32 { return c.Total }),
		gauge("redis_connections_idle", "Open connections that are idle.", func(c Connections) uint32 { return c.Idle }),
		prometheus.NewCounterFunc(timeouts, func() float64 { return float64(connections().Timeouts) }),
	} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// ObserveClock records how far a Redis node's clock is ahead of this instance's.
func (m *StoreMetrics) ObserveClock(node string, offset time.Duration) {
	m.clocks.WithLabelValues(node).Set(offset.Seconds())
}

// ObserveScript records one run of a script.
func (m *StoreMetrics) ObserveScript(script string, code session.Code, took time.Duration) {
	m.seconds.WithLabelValues(script).Observe(took.Seconds())
	m.scripts.WithLabelValues(script, string(code)).Inc()
}
