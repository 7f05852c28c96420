package listen

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts the connections of each listener, "public" and "admin".
type Metrics struct {
	open, most      *prometheus.GaugeVec
	closed, refused *prometheus.CounterVec
}

// NewMetrics registers the metrics with registry. It fails if one of them is
// already registered.
func NewMetrics(registry *prometheus.Registry) (*Metrics, error) {
	m := newMetrics()
	return m, errors.Join(registry.Register(m.open), registry.Register(m.most), registry.Register(m.closed), registry.Register(m.refused))
}

func newMetrics() *Metrics {
	label := []string{"listener"}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help}, label)
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tokengate", Name: name, Help: help}, label)
	}
	return &Metrics{
		open:    gauge("connections", "Open connections, by listener."),
		most:    gauge("connections_max", "Connections that may be open, by listener."),
		closed:  counter("connections_closed_total", "Connections closed while they waited for their clients, because new ones needed their places, by listener."),
		refused: counter("connections_refused_total", "New connections closed because all others had requests in work, by listener."),
	}
}

// listenerMetrics has the metrics of one listener.
type listenerMetrics struct {
	listener        string
	open, most      prometheus.Gauge
	closed, refused prometheus.Counter
}

func (m *Metrics) of(listener string) listenerMetrics {
	return listenerMetrics{
		listener, m.open.WithLabelValues(listener), m.most.WithLabelValues(listener), m.closed.WithLabelValues(listener), m.refused.WithLabelValues(listener),
	}
}
