package redisstore

import (
	"log/slog"
	"sync"
	"time"
)

// outageInterval is how often a failure that lasts is logged, and outageChange how soon
// after that another cause is.
const (
	outageInterval = time.Minute
	outageChange   = 10 * time.Second
)

// outage logs a failure that may last or come again: when it begins and while it lasts, but at
// most once a minute, or after 10 s if the cause is another one, and when it is over.
type outage struct {
	logger *slog.Logger // nil means none
	failed string       // what the log says while it lasts
	over   string       // and then

	mu       sync.Mutex
	lasts    bool
	loggedAt time.Time // when a failure was logged last
	logged   string    // its cause
}

// report logs the error, or with nil that the failure is over, unless that is known.
func (o *outage) report(err error) {
	if o.logger == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		if o.lasts {
			o.lasts = false
			o.logger.Info(o.over)
		}
		return
	}
	wait := outageInterval
	if err.Error() != o.logged {
		wait = outageChange
	}
	if time.Since(o.loggedAt) >= wait {
		o.lasts, o.loggedAt, o.logged = true, time.Now(), err.Error()
		o.logger.Error(o.failed, "error", withoutArgs(err))
	}
}
