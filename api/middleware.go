package api

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"tokengate/session"
)

// noStore is on every answer unless its handler says otherwise: nearly each of
// them holds a token or a list of sessions.
var noStore = []string{"no-store"}

// observe is the outermost handler: it opens the exchange and, at its end,
// counts and logs it, whatever happened in between.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{
			ResponseWriter: w, Request: r, server: s, start: time.Now(), challenge: s.challenge,
			id: requestID(r.Header.Get("X-Request-Id")),
		}
		w.Header()["Cache-Control"] = noStore
		x.setHeader("X-Request-Id", x.id)
		s.metrics.begin()
		defer s.finish(x)
		next.ServeHTTP(x, r)
	})
}

// finish is to be deferred itself, or recover gives it nothing.
func (s *Server) finish(x *exchange) {
	p := recover()
	cut := p != nil && !s.recovered(x, p)
	x.release()
	took := time.Since(x.start)
	s.metrics.end(x, took)
	s.logRequest(x, took)
	if cut {
		panic(http.ErrAbortHandler) // closes the connection: half an answer must not pass for a whole one
	}
}

// recovered answers for a handler that panicked. It tells false when the
// answer had already begun.
func (s *Server) recovered(x *exchange, p any) bool {
	if p != http.ErrAbortHandler {
		s.log.Error("panic", slog.String("request", x.id), slog.Any("value", p), slog.String("stack", string(debug.Stack())))
	}
	begun := x.status != 0 // then the client has a status, which can't be taken back
	x.code, x.err = session.Internal, errors.New("panic")
	if !begun {
		x.refuse(session.Fail(session.Internal, x.err))
	}
	return !begun
}

// logRequest writes the request's line. It tells neither path nor query, where
// a careless client may have put a token.
func (s *Server) logRequest(x *exchange, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case x.status >= http.StatusInternalServerError && x.code != codeClientGone:
		level = slog.LevelError
	case x.quiet:
		level = slog.LevelDebug
	}
	if !s.log.Enabled(x.Request.Context(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs,
		slog.String("endpoint", x.endpointName()), slog.String("code", string(x.word())), slog.Int("status", x.status),
		slog.Duration("took", took), slog.String("client", x.clientText()), slog.String("request", x.id))
	attrs = appendKnown(attrs, "app", x.app)
	attrs = appendKnown(attrs, "user", x.user)
	attrs = appendKnown(attrs, "session", string(x.session))
	if x.err != nil && level == slog.LevelError {
		attrs = append(attrs, slog.Any("error", x.err))
	}
	s.log.LogAttrs(x.Request.Context(), level, "request", attrs...)
}

func appendKnown(attrs []slog.Attr, name, value string) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(name, value))
}

// maxRequestID bounds what is taken over from a client, in bytes.
const maxRequestID = 64

// requestID takes over the caller's id where it is harmless in a log and a
// header, else draws one.
func requestID(sent string) string {
	if sent == "" || len(sent) > maxRequestID {
		return newRequestID()
	}
	for i := range len(sent) {
		if c := sent[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return newRequestID()
		}
	}
	return sent
}

// newRequestID draws 128 bits. An id tells requests apart and is no secret, so
// the generator that asks the system for nothing will do.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64())
	return hex.EncodeToString(b[:])
}

// client is the address that a request came from.
func (s *Server) client(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero on a Unix socket
	return clientAddr(peer.Addr().Unmap(), r.Header["X-Forwarded-For"], s.trusted)
}

// clientAddr reads X-Forwarded-For from the right, where the nearest proxy
// wrote, and stops at the first hop that is no trusted proxy: what stands left
// of it is that hop's word. An entry that is no address ends the walk at the
// proxy that passed it on.
func clientAddr(peer netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	hop := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		for rest := forwarded[i]; rest != ""; {
			if !anyContains(trusted, hop) {
				return hop
			}
			comma := strings.LastIndexByte(rest, ',')
			next, ok := parseHop(strings.TrimSpace(rest[comma+1:]))
			if !ok {
				return hop
			}
			hop = next
			rest = rest[:max(comma, 0)]
		}
	}
	return hop
}

// parseHop reads one entry of a header that no standard describes: an address,
// with or without brackets and a port.
func parseHop(s string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap(), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap(), err == nil
}

func anyContains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
