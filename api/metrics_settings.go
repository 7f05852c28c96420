package api

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SettingsMetrics reports whether the settings that are in use are the latest ones. The names
// are like those of Prometheus's own metrics.
type SettingsMetrics struct {
	faults, successful, successTime prometheus.Gauge
}

// NewSettingsMetrics registers the metrics with registry. It fails if one of them is already
// registered.
func NewSettingsMetrics(registry *prometheus.Registry) (*SettingsMetrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "tokengate", Name: name, Help: help})
	}
	m := &SettingsMetrics{
		faults:      gauge("config_faults", "Faults in settings whose last valid values are in use."),
		successful:  gauge("config_last_reload_successful", "Whether the settings had no fault when they were last read: 1 or 0."),
		successTime: gauge("config_last_reload_success_timestamp_seconds", "When the settings were last read without a fault, in seconds since 1970."),
	}
	m.Reloaded(0, time.Now())
	return m, errors.Join(registry.Register(m.faults), registry.Register(m.successful), registry.Register(m.successTime))
}

// Reloaded reports that the settings were read, and how many faults they had.
func (m *SettingsMetrics) Reloaded(faults int, now time.Time) {
	m.faults.Set(float64(faults))
	if faults > 0 {
		m.successful.Set(0)
		return
	}
	m.successful.Set(1)
	m.successTime.Set(float64(now.Unix()))
}
