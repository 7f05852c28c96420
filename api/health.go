package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// ReadyTimeout is the time that Options.Ready may take.
const ReadyTimeout = 2 * time.Second

// healthz reports that the process is alive. It does not check Redis, because a
// restart of this process would not bring Redis back.
func (s *Server) healthz(x *exchange) error {
	x.debugOnly = true
	x.write(http.StatusOK, append(x.buffer(), `{"status":"ok"}`...))
	return nil
}

// readyz reports whether the instance should get requests. With the parameter
// exclude=redis, named as in Kubernetes' own endpoints, it does not check Redis.
// Balancers should use that: all instances share one Redis, so when it is down no
// other instance is better. Each instance still answers the requests that do not
// need Redis, and the others with a 503 and Retry-After.
func (s *Server) readyz(x *exchange) error {
	x.debugOnly = true
	withRedis := true
	for _, part := range x.Request.URL.Query()["exclude"] {
		if part != "redis" {
			return invalidFields([]fieldError{{"exclude", []string{`Valid options: "redis".`}}})
		}
		withRedis = false
	}
	if s.draining != nil {
		if err := s.draining(); err != nil {
			return notReady(err)
		}
	}
	if withRedis && s.ready != nil {
		ctx, cancel := context.WithTimeout(x.ctx(), ReadyTimeout)
		defer cancel()
		if err := s.ready(ctx); err != nil {
			return notReady(err)
		}
	}
	x.write(http.StatusOK, append(x.buffer(), `{"status":"ready"}`...))
	return nil
}

func notReady(why error) *wireError {
	return &wireError{answer: detail(http.StatusServiceUnavailable, why.Error()), code: codeNotReady}
}

// readinessLogInterval is the least time between two lines in the log that the instance is not
// ready.
const readinessLogInterval = 10 * time.Second

// LogReadiness returns a function like ready that logs when the instance ceases to be
// ready, with the cause and at most every 10 s, and when it is ready again. It is made once in
// a process, for [Options].Ready. A check that the caller gave up is not logged.
func LogReadiness(log *slog.Logger, ready func(context.Context) error) func(context.Context) error {
	failures := rate.Sometimes{Interval: readinessLogInterval}
	var logged atomic.Bool // a failure has been logged, and no success since
	return func(ctx context.Context) error {
		err := ready(ctx)
		switch {
		case errors.Is(ctx.Err(), context.Canceled):
		case err != nil:
			failures.Do(func() {
				logged.Store(true)
				log.Warn("not ready", "error", err)
			})
		case logged.Load() && logged.Swap(false):
			log.Info("ready again")
		}
		return err
	}
}
