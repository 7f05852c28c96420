package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/session"
	"tokengate/session/cli"
	"tokengate/session/users"
)

// TestRetiredSourcesAreClosed checks that a snapshot's user sources are closed when no
// request can use them any more, and that those which the next snapshot has are not.
func TestRetiredSourcesAreClosed(t *testing.T) {
	removed, kept := openCountedSource(t), openCountedSource(t)
	retire := func(wait time.Duration) {
		synctest.Test(t, func(*testing.T) {
			old := &snapshot{Gateway: cli.Gateway{Sources: map[string]*users.Source{"removed": removed.Source, "kept": kept.Source}}}
			old.retire(&snapshot{apps: map[string]builtApp{"kept": {source: kept.Source}}})
			time.Sleep(wait)
		})
	}
	retire(retireDelay - time.Second)
	removed.checkConnections(t, 1)
	retire(retireDelay + time.Second)
	removed.checkConnections(t, 2)
	kept.checkConnections(t, 1)
}

// countedSource is an HTTP source whose server accepts each user.
type countedSource struct {
	*users.Source
	connections atomic.Int32 // that were opened so far
}

// openCountedSource returns a source with an idle connection.
func openCountedSource(t *testing.T) *countedSource {
	t.Helper()
	s := &countedSource{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"user_id": 7}`) }))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	var err error
	if s.Source, err = users.Open(t.Context(), server.URL, users.Options{}); err != nil {
		t.Fatal(err)
	}
	s.checkConnections(t, 1)
	return s
}

// checkConnections checks how many connections there have been after one more request, which
// opens one if the idle one was closed.
func (s *countedSource) checkConnections(t *testing.T, want int32) {
	t.Helper()
	if _, err := s.Check(t.Context(), session.Credentials{Username: "alice", Password: "password"}, func(session.Found) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if got := s.connections.Load(); got != want {
		t.Errorf("got %d connections, want %d", got, want)
	}
}
