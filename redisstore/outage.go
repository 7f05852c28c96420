package redisstore

import (
	"log/slog"
	"sync"
	"time"
)

// outageInterval is how often a failure that lasts is logged.
const outageInterval = time.Minute

// outage logs a failure that may last or come again: when it begins and while it lasts, but at
// most once a minute, and when it is over.
type outage struct {
	logger *slog.Logger // nil means none
	failed string       // what the log says while it lasts
	over   string       // and then

	mu       sync.Mutex
	lasts    bool
	loggedAt time.Time // when a failure was logged last
}

// report logs the error, or with nil that the failure is over, unless that is known.
func (o *outage) report(err error) {
	if o.logger == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil && o.lasts:
		o.lasts = false
		o.logger.Info(o.over)
	case err != nil && time.Since(o.loggedAt) >= outageInterval:
		o.lasts, o.loggedAt = true, time.Now()
		o.logger.Error(o.failed, "error", withoutArgs(err))
	}
}
