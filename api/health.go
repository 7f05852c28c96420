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

// readyz says whether the instance should be sent requests.
func (s *Server) readyz(x *exchange) error {
	x.quiet = true
	if s.ready != nil {
		ctx, cancel := context.WithTimeout(x.ctx(), ReadyTimeout)
		defer cancel()
		if err := s.ready(ctx); err != nil {
			return &problem{answer: status(http.StatusServiceUnavailable, err.Error()), code: codeNotReady}
		}
	}
	x.write(http.StatusOK, append(x.buffer(), `{"status":"ready"}`...))
	return nil
}
