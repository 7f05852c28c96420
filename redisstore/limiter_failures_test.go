package redisstore_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestLimiterOutOfMemory checks that, while memory is full, no attempt passes and nothing
// changes, and that rows can be ended.
func TestLimiterOutOfMemory(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	strict := attempt
	strict.Failures = 2
	reserve(t, s, strict, 2)
	before := dump(srv)
	srv.Do("CONFIG", "SET", "maxmemory", "1")
	other := attempt
	other.Account, other.Network = "other", "192.0.2.1/32"
	wantUnavailable(t, map[string]error{
		"Reserve": s.Limiter().Reserve(ctx, other), "a refused Reserve": s.Limiter().Reserve(ctx, strict), "Release": s.Limiter().Release(ctx, strict),
	})
	if after := dump(srv); !maps.Equal(after, before) {
		t.Errorf("failed methods have changed %q to %q", before, after)
	}
	if err := s.Limiter().Forget(ctx, strict.App, strict.Account); err != nil {
		t.Error(err)
	}
	srv.Do("CONFIG", "SET", "maxmemory", "0")
	reserve(t, s, strict, 2)
}

// TestLimiterCorruptData checks that methods fail with Internal if the data in Redis is
// corrupt, and not with Unavailable.
func TestLimiterCorruptData(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	reserve(t, s, attempt, 1)
	for _, key := range keys(srv) {
		srv.Do("SET", key, "nonsense")
	}
	for method, err := range map[string]error{"Reserve": s.Limiter().Reserve(ctx, attempt), "Release": s.Limiter().Release(ctx, attempt)} {
		if session.CodeOf(err) != session.Internal {
			t.Errorf("%s: got %v, want internal", method, err)
		}
	}
}

// TestLimiterLaterVersion checks that a row is read to which a later version has appended
// something.
func TestLimiterLaterVersion(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	a := attempt
	a.Failures, a.Network = 4, ""
	for range 2 { // without a time for the next attempt, and with one
		reserve(t, s, a, 2)
		for _, key := range keys(srv) {
			row := srv.Do("GET", key)
			if strings.Count(row, "|") == 1 {
				row += "|"
			}
			srv.Do("SET", key, row+"|x", "KEEPTTL")
		}
	}
	wantThrottled(t, s, a, session.LimitAccount)
	if err := s.Limiter().Release(ctx, a); err != nil {
		t.Error(err)
	}
	reserve(t, s, a, 1)
	wantThrottled(t, s, a, session.LimitAccount)
}

// TestGivenUpAttemptIsNotSent checks that no attempt is counted whose caller has given up, also
// while it waited for a connection. One that is only late is counted.
func TestGivenUpAttemptIsNotSent(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			s := open(t, d.url+"&pool_size=1&pool_timeout=20s&read_timeout=20s")
			reserve(t, s, attempt, 1) // loads the scripts
			if err := s.Limiter().Succeed(ctx, attempt); err != nil {
				t.Fatal(err)
			}
			before := dump(d.server)
			cancelled, cancel := context.WithCancel(ctx)
			cancel()
			wantUnavailable(t, map[string]error{"cancelled": s.Limiter().Reserve(cancelled, attempt)})
			d.server.Do("CLIENT", "KILL", "TYPE", "normal") // makes the next one dial
			d.proxy.frozen.Store(true)
			defer d.proxy.frozen.Store(false)
			cancelled, cancel = context.WithCancel(ctx)
			result := make(chan error, 1)
			go func() { result <- s.Limiter().Reserve(cancelled, attempt) }()
			time.Sleep(100 * time.Millisecond)
			cancel()
			d.proxy.frozen.Store(false)
			wantUnavailable(t, map[string]error{"cancelled while it was connected": <-result})
			for key, value := range dump(d.server) {
				if strings.Contains(key, "}:failures:") {
					t.Errorf("an attempt that was given up has changed %v to %s %s", before, key, value)
				}
			}
			if err := s.Limiter().Reserve(readAgo(time.Minute), attempt); err != nil {
				t.Errorf("a late attempt: %v", err)
			}
		})
	}
}

// TestLimiterLostReply checks that an attempt whose reply was lost is not repeated, and counts.
func TestLimiterLostReply(t *testing.T) {
	for name, d := range behindProxies(t) {
		t.Run(name, func(t *testing.T) {
			s, a := open(t, d.url), attempt
			a.Account, a.Failures = name, 3
			reserve(t, s, a, 1)
			d.proxy.lose.Store(1)
			wantUnavailable(t, map[string]error{"Reserve": s.Limiter().Reserve(ctx, a)})
			if d.proxy.lose.Load() > 0 {
				t.Fatal("no reply was lost")
			}
			reserve(t, s, a, 1)
			wantThrottled(t, s, a, session.LimitAccount)
		})
	}
}

// TestAttemptCannotBeGivenBack checks that a refused attempt fails with Unavailable if the other
// budget can't get it back.
func TestAttemptCannotBeGivenBack(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, func(o *redisstore.Options) {
		o.Observe = func(_ string, code session.Code, _ time.Duration) {
			if code == session.Throttled {
				srv.Kill()
			}
		}
	})
	a := attempt
	a.NetworkLimit.Attempts = 1
	reserve(t, s, a, 1)
	wantUnavailable(t, map[string]error{"Reserve": s.Limiter().Reserve(ctx, a)})
}

// TestRefusedAttemptIsGivenBackWithoutClient checks that an attempt that only its network's
// budget refuses does not count for the account, although the client disconnects meanwhile.
func TestRefusedAttemptIsGivenBackWithoutClient(t *testing.T) {
	disconnect := func() {}
	s := open(t, redistest.Standalone(t).URL, func(o *redisstore.Options) {
		o.Observe = func(script string, _ session.Code, _ time.Duration) {
			if script == "reserve_rate" {
				disconnect()
			}
		}
	})
	a := attempt
	a.Failures, a.NetworkLimit.Attempts = 2, 1
	other := a
	other.Account = "another"
	reserve(t, s, other, 1)
	for range 5 {
		request, cancel := context.WithCancel(ctx)
		defer cancel()
		disconnect = cancel
		if err := s.Limiter().Reserve(request, a); session.CodeOf(err) != session.Throttled {
			t.Fatalf("got %v, want %s", err, session.Throttled)
		}
	}
	a.Network = ""
	reserve(t, s, a, 2)
}

// TestRefusedNetworkHoldsNoAccount checks that logins from a network that was refused take
// nothing from an account before the network's budget allows them: meanwhile the account's
// owner would be refused.
func TestRefusedNetworkHoldsNoAccount(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	a := attempt
	a.Failures, a.NetworkLimit.Attempts = 1, 1
	other := a
	other.Account = "another"
	reserve(t, s, other, 1)
	wantThrottled(t, s, a, session.LimitNetwork)
	srv.Do("CONFIG", "RESETSTAT")
	for range 5 {
		wantThrottled(t, s, a, session.LimitNetwork)
	}
	if stats := srv.Do("INFO", "commandstats"); strings.Contains(stats, "cmdstat_set:") {
		t.Errorf("a budget was changed: %s", stats)
	}
	if err := s.Limiter().Release(ctx, other); err != nil {
		t.Fatal(err)
	}
	reserve(t, s, a, 1)
	a.Network = ""
	wantThrottled(t, s, a, session.LimitAccount)
}
