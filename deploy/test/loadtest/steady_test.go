package main

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// slowVerifier starts a server that answers every request after a while.
func slowVerifier(t *testing.T, after time.Duration) *virtualUser {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(after) })}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	return (&target{address: listener.Addr().String()}).virtualUser(0)
}

// TestSteadyLoadCountsTheWaitForEarlierAnswers sends requests that are due every 10 ms to a
// server that takes 50 ms for each. The last one, due after 190 ms, is answered after 1 s.
func TestSteadyLoadCountsTheWaitForEarlierAnswers(t *testing.T) {
	l := steadyLoad{op: "verify", users: []*virtualUser{slowVerifier(t, 50*time.Millisecond)}, perSecond: 100, duration: 200 * time.Millisecond, late: time.Minute, renew: 4}
	r := l.run(t.Context())
	if r.Requests != 20 || r.Errors != 0 {
		t.Errorf("got %d requests, faults %v; want 20 and none", r.Requests, r.Faults)
	}
	if r.P99 < 800 {
		t.Errorf("got a p99 of %.0f ms, want at least 800", r.P99)
	}
}

func TestSteadyLoadCountsWhatItCouldNotSend(t *testing.T) {
	l := steadyLoad{op: "verify", users: []*virtualUser{slowVerifier(t, 300*time.Millisecond)}, perSecond: 100, duration: 200 * time.Millisecond, renew: 1}
	r := l.run(t.Context())
	if r.Requests != 20 || r.Faults[notSent] != 19 {
		t.Errorf("got %d requests, faults %v; want 20, of which 19 not sent", r.Requests, r.Faults)
	}
}

// TestAttackOnlyOnThisMachine checks that the subcommand attack refuses other hosts.
func TestAttackOnlyOnThisMachine(t *testing.T) {
	err := runAttack(t.Context(), []string{"-kind", "idle", "-address", "192.0.2.1:80"})
	if err == nil || !strings.Contains(err.Error(), "not on this machine") {
		t.Errorf("got error %v, want one that says that the host is not on this machine", err)
	}
}
