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

// Metrics counts and times requests, and counts steps and sessions. No label names
// a user.
type Metrics struct {
	registry *prometheus.Registry
	handler  http.Handler // serves the whole registry, including the metrics that main registers
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	steps    *prometheus.CounterVec
	created  *prometheus.CounterVec
	revoked  *prometheus.CounterVec
	refused  *prometheus.CounterVec

	mu       sync.RWMutex
	byLabels map[requestLabels]requestMetrics // avoids WithLabelValues on every request; bounded by the endpoints and codes
}

// requestLabels has the label values of a request.
type requestLabels struct {
	endpoint string
	code     session.Code
}

// requestMetrics has the metrics of requests with the same labels.
type requestMetrics struct {
	requests prometheus.Counter
	seconds  prometheus.Observer
}

// NewMetrics registers the metrics with registry, which the admin handler then
// serves. It fails if one of them is already registered.
func NewMetrics(registry *prometheus.Registry) (*Metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "tokengate", Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: registry, byLabels: map[requestLabels]requestMetrics{},
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes, Timeout: scrapeTimeout}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "tokengate", Name: "requests_in_flight", Help: "Requests in progress.",
		}),
		// From a verification without I/O to a login that waits in the hash queue.
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "tokengate", Name: "request_seconds", Help: "Time to answer a request, by endpoint.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5},
		}, []string{"endpoint"}),
		requests: counter("requests_total", "Requests answered, by endpoint and result code.", "endpoint", "code"),
		steps:    counter("steps_total", "Steps of the engine, by app, step and result code.", "app", "step", "code"),
		created:  counter("sessions_begun_total", "Sessions created, by app and type.", "app", "type"),
		revoked:  counter("sessions_ended_total", "Sessions revoked, by app, type (empty if the step names no type) and cause.", "app", "type", "cause"),
		refused:  counter("logins_refused_total", "Logins refused by a limit of failed logins, by app and limit (account, device or network).", "app", "limit"),
	}
	var errs []error
	for _, c := range []prometheus.Collector{
		m.inFlight, m.seconds, m.requests, m.steps, m.created, m.revoked, m.refused,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		errs = append(errs, registry.Register(c))
	}
	return m, errors.Join(errs...)
}

// WatchRevocations registers metrics of the revocation list, for use in alerts. It
// fails if it has been called before.
func (m *Metrics) WatchRevocations(list *session.RevocationList) error {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help}, value)
	}
	return errors.Join(
		m.registry.Register(gauge("revocations", "Revocations of sessions whose access tokens may not have expired.", func() float64 {
			return float64(list.Size())
		})),
		m.registry.Register(gauge("revocations_age_seconds", "Time since the revocation list was last known to be complete.", func() float64 {
			return list.Age(time.Now()).Seconds()
		})),
	)
}

// The limits of scrapes, which cost CPU time and memory.
const (
	maxScrapes    = 4 // at a time
	scrapeTimeout = 10 * time.Second
)

// serveMetrics handles GET /metrics.
func (s *Server) serveMetrics(x *exchange) error {
	s.metrics.handler.ServeHTTP(x, x.Request)
	if x.status == http.StatusServiceUnavailable {
		x.code = session.Busy
	}
	return nil
}

func (m *Metrics) requestStarted() { m.inFlight.Inc() }

func (m *Metrics) requestFinished(x *exchange, took time.Duration) {
	m.inFlight.Dec()
	r := m.requestMetricsFor(requestLabels{x.endpointName(), x.resultCode()})
	r.requests.Inc()
	r.seconds.Observe(took.Seconds())
}

// requestMetricsFor returns the metrics with the given labels.
func (m *Metrics) requestMetricsFor(l requestLabels) requestMetrics {
	m.mu.RLock()
	r, ok := m.byLabels[l]
	m.mu.RUnlock()
	if ok {
		return r
	}
	r = requestMetrics{m.requests.WithLabelValues(l.endpoint, string(l.code)), m.seconds.WithLabelValues(l.endpoint)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byLabels[l] = r
	return r
}

// countEvent counts one event of the engine: a step, or a revocation that it caused.
func (m *Metrics) countEvent(e session.Event) {
	if e.Cause != "" {
		m.revoked.WithLabelValues(e.App, string(e.Type), string(e.Cause)).Add(float64(max(1, e.Number)))
		return
	}
	m.steps.WithLabelValues(e.App, string(e.Step), string(e.Code)).Inc()
	if limit := session.LimitOf(e.Err); limit != "" {
		m.refused.WithLabelValues(e.App, string(limit)).Inc()
	}
	if e.Step == session.StepLogin && e.Code == session.OK {
		m.created.WithLabelValues(e.App, string(e.Type)).Inc()
	}
}
