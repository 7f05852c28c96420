package api

import (
	"log/slog"
	"net/http"
	"strings"
	"time"
)

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

// The limits of what a log line has from the request's first line, in bytes. A path is
// cut at a segment that may be a token: the shortest JWT is longer than maxLogSegment.
const (
	maxLogMethod  = 32
	maxLogPath    = 256
	maxLogSegment = 64
	keptOfSegment = 8 // of a segment that is too long
)

// logPath returns a path for the log. A segment of more than maxLogSegment bytes, which
// may be a token, and a path of more than maxLogPath are cut.
func logPath(path string) string {
	if len(path) <= maxLogSegment {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if len(segment) > maxLogSegment {
			segments[i] = shorten(segment, keptOfSegment)
		}
	}
	return shorten(strings.Join(segments, "/"), maxLogPath)
}

// shorten returns text, cut if it has more than limit bytes.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
