package proofs

import (
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// lab is what a fault happens to.
type lab struct {
	*testing.T
	server   *redistest.Server
	proxy    *rig.Proxy // between the gateways and the server, where the fault asks for one
	gateways []*rig.Gateway
	traffic  *traffic
}

// fault is a way for Redis to fail, and what the gateways must answer then.
type fault struct {
	name    string
	server  []string // options of the server
	url     string   // options of REDIS_URL
	proxied bool

	inject, mend func(l *lab)
	during       time.Duration // how long it lasts
	forgets      bool          // the sessions are gone after it

	// answers says how requests end while it lasts, by endpoint: the ways that
	// must be seen, then "?" and those that may be.
	answers map[string]string
}

// all is one expectation for every endpoint that asks Redis each time. A
// refused authz of an ended session is the list of revocations at work; until
// an instance has heard of the ending it may pass there, and device.haunt
// complains where that is beyond the bound.
func all(outcomes, authz string) map[string]string {
	return map[string]string{
		"login": outcomes, "refresh": outcomes, "list": outcomes, "destroy": "?" + outcomes, "logout": "?" + outcomes,
		"ended:refresh": "?" + strings.ReplaceAll(outcomes, good, refused), "ended:authz": "?" + refused + " " + good, "authz": authz,
	}
}

// mapBound is REVOCATION_BOUND here.
const mapBound = time.Second

// untilMended is the map at first, then Redis is asked.
const untilMended = good + " " + later

var faults = []fault{
	{
		name:   "killed and restarted empty",
		inject: func(l *lab) { l.server.Kill() },
		mend:   func(l *lab) { l.server.Restart() },
		during: 2 * time.Second, forgets: true, answers: all(later, untilMended),
	},
	{
		name: "killed and restarted with its log", server: []string{"--appendonly", "yes", "--appendfsync", "always"},
		inject: func(l *lab) { l.server.Kill() },
		mend:   func(l *lab) { l.server.Restart() },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name:   "scripts flushed again and again",
		inject: func(l *lab) { l.repeat(10*time.Millisecond, "SCRIPT", "FLUSH") },
		during: time.Second, answers: all(good, good),
	},
	{
		name: "paused for longer than the time-out", url: "?read_timeout=300ms",
		inject: func(l *lab) { l.do("OK", "CLIENT", "PAUSE", "2200", "ALL") },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name: "slow", proxied: true,
		inject: func(l *lab) { l.proxy.Set(rig.Faults{Delay: 30 * time.Millisecond, Jitter: 50 * time.Millisecond}) },
		mend:   func(l *lab) { l.proxy.Set(rig.Faults{}) },
		during: time.Second, answers: all(good, good),
	},
	{
		name: "slower than the time-out", proxied: true, url: "?read_timeout=300ms",
		inject: func(l *lab) { l.proxy.Set(rig.Faults{Delay: 500 * time.Millisecond}) },
		mend:   func(l *lab) { l.proxy.Set(rig.Faults{}) },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name: "cut off without a word", proxied: true, url: "?read_timeout=300ms&dial_timeout=300ms",
		inject: func(l *lab) { l.proxy.Set(rig.Faults{Stall: true}) },
		mend:   func(l *lab) { l.proxy.Set(rig.Faults{}); l.proxy.Cut() },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name: "a fifth of its answers lost", proxied: true,
		inject: func(l *lab) { l.proxy.Set(rig.Faults{Lose: .2}) },
		mend:   func(l *lab) { l.proxy.Set(rig.Faults{}) },
		during: 2 * time.Second,
		answers: map[string]string{
			"login": "200 503", "refresh": "200 503", "list": "200 503", "destroy": "200?503 401", "logout": "200?503 401",
			"authz": "200?503", "ended:refresh": "401?503", "ended:authz": "401?200 503",
		},
	},
	{
		name:   "full",
		inject: func(l *lab) { l.do("OK", "CONFIG", "SET", "maxmemory", "1mb") }, // less than it holds
		mend:   func(l *lab) { l.do("OK", "CONFIG", "SET", "maxmemory", "0") },
		during: 1500 * time.Millisecond,
		answers: map[string]string{
			"login": "503", "refresh": "503", "list": "200", "destroy": "200", "logout": "200", "authz": "200",
			"ended:refresh": "401", "ended:authz": "401?200",
		},
	},
	{
		name:   "scripts forbidden",
		inject: func(l *lab) { l.do("OK", "ACL", "SETUSER", "default", "-@scripting") },
		mend:   func(l *lab) { l.do("OK", "ACL", "SETUSER", "default", "+@all") },
		during: time.Second, answers: all(later, good),
	},
	{
		name:   "keys forbidden",
		inject: func(l *lab) { l.do("OK", "ACL", "SETUSER", "default", "resetkeys", "~other:*") },
		mend:   func(l *lab) { l.do("OK", "ACL", "SETUSER", "default", "allkeys") },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name: "password changed", proxied: true,
		inject: func(l *lab) { l.do("OK", "CONFIG", "SET", "requirepass", "other"); l.proxy.Cut() },
		mend:   func(l *lab) { l.server.DoAs("other", "CONFIG", "SET", "requirepass", `""`) },
		during: 2 * time.Second, answers: all(later, untilMended),
	},
	{
		name:   "read-only",
		inject: func(l *lab) { l.do("OK", "REPLICAOF", "127.0.0.1", "1") },
		mend:   func(l *lab) { l.do("OK", "REPLICAOF", "NO", "ONE") },
		during: time.Second,
		answers: map[string]string{
			"login": "503", "refresh": "503?200", "list": "200", "destroy": "503", "logout": "503", "authz": "200",
			"ended:refresh": "401", "ended:list": "401", "ended:authz": "401?200",
		},
	},
}

// TestRedisFails lets Redis fail in each way while devices go on. A valid
// session is never refused, an ended one never passes, and all is well again
// soon after.
func TestRedisFails(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.try(t)
		})
	}
}

// recoveryLimit is generous: what is measured is printed.
const recoveryLimit = 5 * time.Second

func (f fault) try(t *testing.T) {
	l := &lab{T: t, server: redistest.Standalone(t, f.server...)}
	addr := l.server.Addr
	if f.proxied {
		l.proxy = rig.NewProxy(t, addr)
		addr = l.proxy.Addr
	}
	l.gateways = gateways(t, 2, "redis://"+addr+"/0"+f.url, with(unlimited, rig.Settings{"REVOCATION_BOUND": mapBound.String()}))
	l.traffic = startTraffic(t, &traffic{gateways: clients(l.gateways), bound: mapBound})
	time.Sleep(700 * time.Millisecond)
	l.traffic.enter("begins")
	f.inject(l)
	time.Sleep(20 * time.Millisecond)
	l.traffic.during("broken", f.during)
	l.traffic.enter("ends")
	if f.forgets {
		l.traffic.forget()
	}
	if f.mend != nil {
		f.mend(l)
	}
	l.traffic.recovered(recoveryLimit)
	time.Sleep(300 * time.Millisecond) // steps under way since before
	l.traffic.during("after", 500*time.Millisecond)
	l.traffic.stop()
	for endpoint, outcomes := range f.answers {
		l.traffic.expect("broken", endpoint, outcomes)
	}
	after := good
	if f.forgets {
		after += "?" + refused
	}
	for _, endpoint := range []string{"login", "refresh", "list", "authz"} {
		l.traffic.expect("before", endpoint, good)
		l.traffic.expect("after", endpoint, after)
	}
}

// do runs a command at the server and wants an answer.
func (l *lab) do(want string, args ...string) {
	l.Helper()
	if got := l.server.Do(args...); got != want {
		l.Fatalf("%s: %s", strings.Join(args, " "), got)
	}
}

// repeat runs a command again and again for as long as the phase lasts.
func (l *lab) repeat(every time.Duration, args ...string) {
	l.traffic.done.Go(func() {
		for *l.traffic.phase.Load() != "after" && !l.traffic.stopped() {
			l.server.Do(args...)
			time.Sleep(every)
		}
	})
}
