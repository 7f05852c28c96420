package api

import (
	"context"
	"net/http"
	"time"
)

// ReadyTimeout is how long Options.Ready may take.
const ReadyTimeout = 2 * time.Second

// healthz says that the process answers, and nothing about what it needs: to
// restart it would not bring Redis back.
func (s *Server) healthz(x *exchange) error {
	x.quiet = true
	x.write(http.StatusOK, append(x.buffer(), `{"status":"ok"}`...))
	return nil
}

// readyz says whether the instance should be sent requests. With exclude=redis,
// in the manner of Kubernetes' own endpoints, Redis is not asked. That is for
// balancers: all instances have one Redis, so when it is away there is none to
// send a request to instead, and each still answers what needs no Redis, and the
// rest with a 503 that says when to try again.
func (s *Server) readyz(x *exchange) error {
	x.quiet = true
	withRedis := true
	for _, part := range x.Request.URL.Query()["exclude"] {
		if part != "redis" {
			return invalidFields([]fault{{"exclude", []string{`Valid options: "redis".`}}})
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

func notReady(why error) *problem {
	return &problem{answer: status(http.StatusServiceUnavailable, why.Error()), code: codeNotReady}
}
