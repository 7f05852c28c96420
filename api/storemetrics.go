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

// Gauge is a number that is read when metrics are.
type Gauge struct {
	Name, Help string
	Counter    bool // only ever grows
	Value      func() float64
}

// NewStoreMetrics registers them, and further gauges, with registry. It fails
// when one of them is registered already.
func NewStoreMetrics(registry *prometheus.Registry, gauges ...Gauge) (*StoreMetrics, error) {
	m := &StoreMetrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "tokengate", Name: "script_seconds", Help: "Time of one script, round trip included.",
			Buckets: []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 3},
		}, []string{"script"}),
		scripts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "tokengate", Name: "scripts_total", Help: "Scripts run, by the word that they came to.",
		}, []string{"script", "code"}),
	}
	errs := []error{registry.Register(m.seconds), registry.Register(m.scripts)}
	for _, g := range gauges {
		opts := prometheus.Opts{Namespace: "tokengate", Name: g.Name, Help: g.Help}
		var c prometheus.Collector = prometheus.NewGaugeFunc(prometheus.GaugeOpts(opts), g.Value)
		if g.Counter {
			c = prometheus.NewCounterFunc(prometheus.CounterOpts(opts), g.Value)
		}
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// Observe notes one run of a script.
func (m *StoreMetrics) Observe(script string, code session.Code, took time.Duration) {
	m.seconds.WithLabelValues(script).Observe(took.Seconds())
	m.scripts.WithLabelValues(script, string(code)).Inc()
}
