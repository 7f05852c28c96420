package api

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tokengate/session"
)

// StoreMetrics counts what a store on a server does: its scripts, which are
// one round trip each, and its connections.
type StoreMetrics struct {
	seconds *prometheus.HistogramVec
	scripts *prometheus.CounterVec
}

// Connections is the state of a store's connections: how many there are, and
// since the start how often one was there, was not, or was not in time.
type Connections struct {
	Total, Idle            uint32
	Hits, Misses, Timeouts uint32
}

// NewStoreMetrics registers them with registry; connections is asked whenever
// metrics are read. It fails when they are registered already.
func NewStoreMetrics(registry *prometheus.Registry, connections func() Connections) (*StoreMetrics, error) {
	m := &StoreMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "tokengate", Name: "script_seconds", Help: "Time of one script, round trip included.",
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 3},
		}, []string{"script"}),
		scripts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tokengate", Name: "scripts_total", Help: "Scripts run, by the word that they came to.",
		}, []string{"script", "code"}),
	}
	gauge := func(name, help string, pick func(Connections) uint32) prometheus.Collector {
		opts := prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help}
		return prometheus.NewGaugeFunc(opts, func() float64 { return float64(pick(connections())) })
	}
	timeouts := prometheus.CounterOpts{Namespace: "tokengate", Name: "redis_pool_timeouts_total", Help: "Steps that found no free connection in time."}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.seconds, m.scripts,
		gauge("redis_connections", "Open connections.", func(c Connections) uint32 { return c.Total }),
		gauge("redis_connections_idle", "Open connections that wait for work.", func(c Connections) uint32 { return c.Idle }),
		prometheus.NewCounterFunc(timeouts, func() float64 { return float64(connections().Timeouts) }),
	} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// Observe notes one run of a script.
func (m *StoreMetrics) Observe(script string, code session.Code, took time.Duration) {
	m.seconds.WithLabelValues(script).Observe(took.Seconds())
	m.scripts.WithLabelValues(script, string(code)).Inc()
}
