package api

import (
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"tokengate/session"
)

// noStore is the Cache-Control of every answer whose handler sets no other, because
// nearly all answers contain a token or a list of sessions.
var noStore = []string{"no-store"}

// observe is the outermost handler. It creates the exchange, and counts and logs
// it at the end, even if the handler panicked.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			ResponseWriter: w, Request: r, server: s, start: time.Now(), challenge: s.challenge,
			id: requestID(r.Header.Get("X-Request-Id")), trace: traceID(r.Header["Traceparent"]),
		}
		x.arrival.Read, x.arrival.Pauses = x.start, s.pauses
		w.Header()["Cache-Control"] = noStore
		x.setHeader("X-Request-Id", x.id)
		s.metrics.requestStarted()
		defer s.finish(x)
		next.ServeHTTP(x, r)
	})
}

// finish ends an exchange. It must be deferred directly, or else recover returns
// nil.
func (s *Server) finish(x *exchange) {
	p := recover()
	abort := p != nil && !s.answerPanic(x, p)
	x.releaseBuffer()
	took := time.Since(x.start)
	s.metrics.requestFinished(x, took)
	s.logRequest(x, took)
	if abort {
		panic(http.ErrAbortHandler) // closes the connection, so that the client notices the partial answer
	}
}

// answerPanic logs a handler's panic and answers 500. If an answer had already been
// started, it sends nothing and returns false.
func (s *Server) answerPanic(x *exchange, p any) bool {
	if p != http.ErrAbortHandler {
		s.log.Error("panic", slog.String("request", x.id), slog.Any("value", p), slog.String("stack", string(debug.Stack())))
	}
	started := x.status != 0 // the client has a status, which cannot be changed
	x.code, x.err = session.Internal, errors.New("panic")
	if !started {
		x.writeError(session.Fail(session.Internal, x.err))
	}
	return !started
}
