package api

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"tokengate/session"
)

// maxProfileSeconds is how long a profile may be taken.
const maxProfileSeconds = 30

// pprof serves one of Go's profiles, or their list. Profiles cost CPU time and memory, so the
// admin token is required, no profile takes longer than maxProfileSeconds, and at most one
// profile that takes time and one snapshot, such as that of the goroutines, are taken at a
// time.
func (s *Server) pprof(x *exchange) error {
	x.debugOnly = true
	profile := x.param("profile")
	running := &s.process.profile
	if x.Request.URL.Query().Has("seconds") {
		seconds, err := strconv.Atoi(x.Request.URL.Query().Get("seconds"))
		if err != nil || seconds < 1 || seconds > maxProfileSeconds {
			return invalidFields([]fieldError{{"seconds", []string{fmt.Sprintf("Give a whole number from 1 to %d.", maxProfileSeconds)}}})
		}
		running = &s.process.timedProfile
	}
	serve := pprof.Index
	switch profile {
	case "cmdline":
		serve = pprof.Cmdline
	case "symbol":
		serve = pprof.Symbol
	case "profile":
		serve, running = pprof.Profile, &s.process.timedProfile // by default it takes 30 s
	case "trace":
		serve, running = pprof.Trace, &s.process.timedProfile // by default it takes 1 s
	}
	return x.serveAlone(running, serve)
}

// serveAlone calls serve unless it is running.
func (x *exchange) serveAlone(running *atomic.Bool, serve http.HandlerFunc) error {
	if !running.CompareAndSwap(false, true) {
		return &wireError{answer: detail(http.StatusServiceUnavailable, "Another profile is being taken. Try again later."), code: session.Busy}
	}
	defer running.Store(false)
	serve(promptWriter{x}, x.Request)
	return nil
}

// promptTimeout is how long a client may take to receive a piece of a profile.
const promptTimeout = 3 * time.Second

// promptWriter is an exchange that fails if the client does not read. A trace that can't be
// sent piles up in memory for as long as it is taken.
type promptWriter struct{ *exchange }

// Write implements [http.ResponseWriter].
func (w promptWriter) Write(b []byte) (int, error) {
	w.limitWrite(promptTimeout)
	return w.exchange.Write(b)
}
