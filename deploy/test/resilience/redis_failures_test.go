package resilience

import (
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// testbed is one Redis, two gateways and their traffic.
type testbed struct {
	*testing.T
	server  *redistest.Server
	proxy   *gatewaytest.Proxy // between the gateways and the server; nil if the fault needs none
	traffic *traffic
}

// fault is a way in which Redis can fail, and what the gateways must answer during the fault.
type fault struct {
	name    string
	server  []string // options of the server
	url     string   // options of REDIS_URL
	proxied bool     // the gateways reach Redis through a proxy

	inject, repair func(b *testbed) // repair may be nil
	duration       time.Duration    // at least
	losesData      bool             // the sessions are lost after the fault

	// want has the results of requests during the fault, as traffic.expect takes them.
	want map[string]string
}

// sameResults returns a fault's want with the same results for all endpoints that ask Redis on each request.
// The endpoint authz has its own results, because it uses the revocation list.
//
// With a revoked session's token, authz is rejected by the revocation list, or succeeds if the instance has
// not received the revocation yet. If it succeeds after the revocation bound, [trafficClient.useRevoked]
// records a violation.
func sameResults(results, authz string) map[string]string {
	return map[string]string{
		"login": results, "refresh": results, "list": results, "destroy": "?" + results, "logout": "?" + results, "authz": authz,
		"revoked:refresh": "?" + strings.ReplaceAll(results, succeeded, unauthorized),
		"revoked:authz":   "?" + unauthorized + " " + succeeded,
	}
}

// revocationBound is the REVOCATION_BOUND of these tests.
const revocationBound = time.Second

// untilBound is the result of authz if Redis does not answer: it succeeds by the revocation list at first.
// Once the list is older than the revocation bound, authz asks Redis and fails.
const untilBound = succeeded + " " + unavailable

var faults = []fault{
	{
		name:     "killed and restarted empty",
		inject:   func(b *testbed) { b.server.Kill() },
		repair:   func(b *testbed) { b.server.Restart() },
		duration: 2 * time.Second, losesData: true, want: sameResults(unavailable, untilBound),
	},
	{
		name: "killed and restarted with append-only file", server: []string{"--appendonly", "yes", "--appendfsync", "always"},
		inject:   func(b *testbed) { b.server.Kill() },
		repair:   func(b *testbed) { b.server.Restart() },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name:     "scripts flushed repeatedly",
		inject:   func(b *testbed) { b.repeat(10*time.Millisecond, "SCRIPT", "FLUSH") },
		duration: time.Second, want: sameResults(succeeded, succeeded),
	},
	{
		name: "paused longer than the timeout", url: "?read_timeout=300ms",
		inject:   func(b *testbed) { b.server.Suspend() },
		repair:   func(b *testbed) { b.server.Resume() },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name: "slow", proxied: true,
		inject: func(b *testbed) {
			b.proxy.Set(gatewaytest.Faults{Delay: 30 * time.Millisecond, Jitter: 50 * time.Millisecond})
		},
		repair:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{}) },
		duration: time.Second, want: sameResults(succeeded, succeeded),
	},
	{
		name: "slower than the timeout", proxied: true, url: "?read_timeout=300ms",
		inject:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{Delay: 500 * time.Millisecond}) },
		repair:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{}) },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name: "connections stalled", proxied: true, url: "?read_timeout=300ms&dial_timeout=300ms",
		inject:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{Stall: true}) },
		repair:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{}); b.proxy.Cut() },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name: "a fifth of the responses lost", proxied: true,
		inject:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{Lose: .2}) },
		repair:   func(b *testbed) { b.proxy.Set(gatewaytest.Faults{}) },
		duration: 2 * time.Second,
		want: map[string]string{
			"login": "200 503", "refresh": "200 503", "list": "200 503", "destroy": "200?503 401", "logout": "200?503 401",
			"authz": "200?503", "revoked:refresh": "401?503", "revoked:authz": "401?200 503",
		},
	},
	{
		name:     "full",
		inject:   func(b *testbed) { b.mustDo("OK", "CONFIG", "SET", "maxmemory", "1mb") }, // less than is in use
		repair:   func(b *testbed) { b.mustDo("OK", "CONFIG", "SET", "maxmemory", "0") },
		duration: 1500 * time.Millisecond,
		want: map[string]string{
			"login": "503", "refresh": "503", "list": "200", "destroy": "200", "logout": "200", "authz": "200",
			"revoked:refresh": "401", "revoked:authz": "401?200",
		},
	},
	{
		name:     "scripts forbidden",
		inject:   func(b *testbed) { b.mustDo("OK", "ACL", "SETUSER", "default", "-@scripting") },
		repair:   func(b *testbed) { b.mustDo("OK", "ACL", "SETUSER", "default", "+@all") },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name:     "keys forbidden",
		inject:   func(b *testbed) { b.mustDo("OK", "ACL", "SETUSER", "default", "resetkeys", "~other:*") },
		repair:   func(b *testbed) { b.mustDo("OK", "ACL", "SETUSER", "default", "allkeys") },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name: "password changed", proxied: true,
		inject:   func(b *testbed) { b.mustDo("OK", "CONFIG", "SET", "requirepass", "other"); b.proxy.Cut() },
		repair:   func(b *testbed) { b.server.DoWithPassword("other", "CONFIG", "SET", "requirepass", `""`) },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
	{
		name:     "read-only",
		inject:   func(b *testbed) { b.mustDo("OK", "REPLICAOF", "127.0.0.1", "1") },
		repair:   func(b *testbed) { b.mustDo("OK", "REPLICAOF", "NO", "ONE") },
		duration: 2 * time.Second, want: sameResults(unavailable, untilBound),
	},
}

// TestRedisFails injects each fault while clients send requests. It checks that no valid session is rejected,
// that no revoked one is accepted, and that all requests succeed again soon after the fault.
func TestRedisFails(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.test(t)
		})
	}
}

// recoveryLimit is how long recovery may take. It is generous, because the log has the measured time.
const recoveryLimit = 5 * time.Second

func (f fault) test(t *testing.T) {
	b := &testbed{T: t, server: redistest.Standalone(t, f.server...)}
	addr := b.server.Addr
	if f.proxied {
		b.proxy = gatewaytest.NewProxy(t, addr)
		addr = b.proxy.Addr
	}
	gateways := startGateways(t, 2, "redis://"+addr+"/0"+f.url, withBound(revocationBound))
	b.traffic = startTraffic(t, &traffic{gateways: clientsOf(gateways), bound: revocationBound})
	b.traffic.runPhase("before", 700*time.Millisecond, usualResults(succeeded))
	b.traffic.enter("starting")
	f.inject(b)
	time.Sleep(20 * time.Millisecond)
	b.traffic.runPhase("broken", f.duration, f.want)
	b.traffic.enter("recovering")
	if f.losesData {
		b.traffic.setDataLost()
	}
	if f.repair != nil {
		f.repair(b)
	}
	b.traffic.waitRecovered(recoveryLimit)
	time.Sleep(300 * time.Millisecond) // for requests that were sent during the fault
	after := succeeded
	if f.losesData {
		after += "?" + unauthorized
	}
	b.traffic.runPhase("after", 500*time.Millisecond, usualResults(after))
	b.traffic.stopAndCheck()
}

// mustDo runs a Redis command and fails the test if the reply is not want.
func (b *testbed) mustDo(want string, args ...string) {
	b.Helper()
	if got := b.server.Do(args...); got != want {
		b.Fatalf("%s: got the reply %q, want %q", strings.Join(args, " "), got, want)
	}
}

// repeat runs a Redis command every interval until the phase "after".
func (b *testbed) repeat(interval time.Duration, args ...string) {
	b.traffic.done.Go(func() {
		for *b.traffic.phase.Load() != "after" && !b.traffic.stopped() {
			b.server.Do(args...)
			time.Sleep(interval)
		}
	})
}
