package api

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"tokengate/session"
)

// Metrics counts requests and what became of sessions. No label tells a user.
type Metrics struct {
	registry *prometheus.Registry
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	steps    *prometheus.CounterVec
	begun    *prometheus.CounterVec
	ended    *prometheus.CounterVec

	mu    sync.RWMutex
	known map[outcome]answered // found by their labels once; as many as there are endpoints and codes
}

// outcome is what came of a request.
type outcome struct {
	endpoint string
	code     session.Code
}

// answered is what is counted of every request with one outcome.
type answered struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// NewMetrics registers the metrics with registry, which the admin handler then
// serves. It fails when one of them is registered already.
func NewMetrics(registry *prometheus.Registry) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tokengate", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: registry, known: map[outcome]answered{},
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "tokengate", Name: "requests_in_flight", Help: "Requests being answered.",
		}),
		// From a verification without I/O to a login that waits for its turn.
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "tokengate", Name: "request_seconds", Help: "Time to answer a request, by endpoint.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"endpoint"}),
		requests: counter("requests_total", "Requests answered, by endpoint and by the word that says how.", "endpoint", "code"),
		steps:    counter("steps_total", "Steps of the engine, by app, step and outcome.", "app", "step", "code"),
		begun:    counter("sessions_begun_total", "Sessions begun, by app and type.", "app", "type"),
		ended:    counter("sessions_ended_total", "Sessions ended, by app, type (empty where the step did not ask for one) and cause.", "app", "type", "cause"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.inFlight, m.seconds, m.requests, m.steps, m.begun, m.ended,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// Watch adds what an alarm needs of the list that access tokens are checked
// against. It fails when a list is watched already.
func (m *Metrics) Watch(list *session.Revocations) error {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help}, value)
	}
	return errors.Join(
		m.registry.Register(gauge("revocations", "Ended sessions whose access tokens may still live.", func() float64 {
			return float64(list.Size())
		})),
		m.registry.Register(gauge("revocations_age_seconds", "Time since the list of them was known to be complete.", func() float64 {
			return list.Age(time.Now()).Seconds()
		})),
	)
}

// handler serves the whole registry, what main has put there included.
func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) begin() { m.inFlight.Inc() }

func (m *Metrics) end(x *exchange, took time.Duration) {
	m.inFlight.Dec()
	a := m.of(outcome{x.endpointName(), x.word()})
	a.requests.Inc()
	a.seconds.Observe(took.Seconds())
}

// of gives the metrics of an outcome.
func (m *Metrics) of(k outcome) answered {
	m.mu.RLock()
	a, known := m.known[k]
	m.mu.RUnlock()
	if known {
		return a
	}
	a = answered{m.requests.WithLabelValues(k.endpoint, string(k.code)), m.seconds.WithLabelValues(k.endpoint)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[k] = a
	return a
}

// count counts one event of the engine: a step, or an ending that it caused.
func (m *Metrics) count(e session.Event) {
	if e.Cause != "" {
		m.ended.WithLabelValues(e.App, string(e.Type), string(e.Cause)).Inc()
		return
	}
	m.steps.WithLabelValues(e.App, string(e.Step), string(e.Code)).Inc()
	if e.Step == session.StepLogin && e.Code == session.OK {
		m.begun.WithLabelValues(e.App, string(e.Type)).Inc()
	}
}
