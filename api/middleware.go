package api

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
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

// logRequest writes the request's log line. The line has no query, because a client may
// have put a token there.
func (s *Server) logRequest(x *exchange, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status >= http.StatusInternalServerError && x.code != codeClientGone && x.code != codeNotReady: // readiness has lines of its own
		level = slog.LevelError
	case x.debugOnly:
		level = slog.LevelDebug
	}
	if !s.log.Enabled(x.Request.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 13)
	attrs = append(attrs,
		slog.String("endpoint", x.endpointName()), slog.String("method", shorten(x.Request.Method, maxLogMethod)), slog.String("path", logPath(x.Request.URL.Path)),
		slog.String("code", string(x.resultCode())), slog.Int("status", x.status),
		slog.Duration("took", took), slog.String("client", x.clientIP()), slog.String("request", x.id))
	attrs = appendNonEmpty(attrs, "trace", x.trace)
	attrs = appendNonEmpty(attrs, "app", x.app)
	attrs = appendNonEmpty(attrs, "user", x.user)
	attrs = appendNonEmpty(attrs, "session", string(x.session))
	if x.err != nil && level == slog.LevelError {
		attrs = append(attrs, slog.Any("error", x.err))
	}
	s.log.LogAttrs(x.Request.Context(), level, "request", attrs...)
}

// maxRequestID is the maximum length of an X-Request-Id from a client, in bytes.
const maxRequestID = 128

// requestID returns the id that the client sent if it is harmless in a log and a
// header, else a new one. The signs are those of the ids that proxies make.
func requestID(sent string) string {
	if sent == "" || len(sent) > maxRequestID {
		return newRequestID()
	}
	for i := range len(sent) {
		if c := sent[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte("-._=:/+;@|~", c) < 0 {
			return newRequestID()
		}
	}
	return sent
}

// newRequestID returns 128 random bits. The id only distinguishes requests and is
// not secret, so math/rand, which makes no system call, is good enough.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}
