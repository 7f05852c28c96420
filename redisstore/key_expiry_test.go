package redisstore_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// runWritingSteps runs every step that writes, and leaves sessions of both types.
func runWritingSteps(tb testing.TB, s *redisstore.Store, p session.Policy) {
	tb.Helper()
	for range p.Max + 1 { // evicts
		loginAs(tb, s, alice, session.Short, p)
	}
	first, second := loginAs(tb, s, alice, session.Long, p), loginAs(tb, s, alice, session.Long, p)
	spent := first
	for range 3 {
		first = refresh(tb, s, alice, first, p)
	}
	if _, err := s.Refresh(ctx, refreshStep(alice, spent, p)); session.CodeOf(err) != session.Replayed {
		tb.Fatal(err)
	}
	revoke(tb, s, second.ID)
	third := loginAs(tb, s, alice, session.Long, p)
	if _, err := s.Logout(ctx, logoutStep(third, p)); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator}); err != nil {
		tb.Fatal(err)
	}
	if _, err := s.RevokeApp(ctx, alice.App); err != nil {
		tb.Fatal(err)
	}
	loginAs(tb, s, alice, session.Short, p)
	loginAs(tb, s, alice, session.Long, p)
}

// about reports whether two durations are equal, up to the rounding to whole seconds.
func about(a, b time.Duration) bool { return math.Abs(float64(a-b)) < float64(1100*time.Millisecond) }

// TestKeysExpire checks the lifetime of every key against the schema in keys.go.
func TestKeysExpire(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	runWritingSteps(t, s, policy)
	o := redisstore.Defaults()
	want := map[string]time.Duration{
		"}:LONG:": policy.Lifetime, "}:data:LONG:": policy.Lifetime,
		"}:SHORT:": policy.Lifetime, "}:data:SHORT:": policy.Lifetime,
		"}:tombstones:": o.TombstoneLifetime, "}:revocations": o.Retention, "}:not_before": o.NotBeforeLifetime,
	}
	found := map[string]int{}
	for _, key := range keys(srv) {
		for part, d := range want {
			if !strings.Contains(key, part) {
				continue
			}
			found[part]++
			if got := ttl(t, srv, key); !about(got, d) {
				t.Errorf("%s expires in %s, want %s", key, got, d)
			}
		}
		if ttl(t, srv, key) < 0 {
			t.Errorf("%s never expires", key)
		}
	}
	for part := range want {
		if found[part] == 0 {
			t.Errorf("no key contains %q: %q", part, keys(srv))
		}
	}
}

// TestKeysExpireWithLastSession checks that the keys expire with the session that lives
// longest, also after that session was revoked.
func TestKeysExpireWithLastSession(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	long, short := policy, policy
	short.Lifetime = time.Hour
	loginAs(t, s, alice, session.Long, short)
	revoked := loginAs(t, s, alice, session.Long, long)
	check := func(after string, want time.Duration) {
		t.Helper()
		n := 0
		for _, key := range keys(srv) {
			if !strings.Contains(key, "}:LONG:") && !strings.Contains(key, "}:data:") {
				continue
			}
			n++
			if got := ttl(t, srv, key); !about(got, want) {
				t.Errorf("after %s: %s expires in %s, want %s", after, key, got, want)
			}
		}
		if n != 2 {
			t.Errorf("after %s: got %d keys, want 2", after, n)
		}
	}
	check("Create", long.Lifetime)
	revoke(t, s, revoked.ID)
	check("Revoke", time.Hour)
	if _, err := s.Logout(ctx, logoutStep(loginAs(t, s, alice, session.Long, long), long)); err != nil {
		t.Fatal(err)
	}
	check("Logout", time.Hour)
	replayed := loginAs(t, s, alice, session.Long, long)
	refresh(t, s, alice, refresh(t, s, alice, replayed, long), long)
	if _, err := s.Refresh(ctx, refreshStep(alice, replayed, long)); session.CodeOf(err) != session.Replayed {
		t.Fatal(err)
	}
	check("a replay", time.Hour)
	evicted := loginAs(t, s, alice, session.Long, long)
	one := short
	one.Max, one.Lifetime = 1, 30*time.Minute
	loginAs(t, s, alice, session.Long, one)
	check("an eviction of "+string(evicted.ID), 30*time.Minute)
	extended := loginAs(t, s, alice, session.Long, short)
	long.ExtendEveryTime = true
	refresh(t, s, alice, extended, long)
	check("an extension", long.Lifetime)
}

// TestAllKeysExpire checks that no key is left when all lifetimes have passed.
func TestAllKeysExpire(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL, func(o *redisstore.Options) {
		o.TombstoneLifetime, o.Retention, o.NotBeforeLifetime = time.Second, time.Second, time.Second
	})
	p := policy
	p.Lifetime, p.AbsoluteLifetime, p.ExtendOnceAfter, p.RetryWindow = time.Second, 2*time.Second, time.Second, 0
	runWritingSteps(t, s, p)
	account := session.Account{ID: session.NumberID(1), Username: "ann", Active: true}
	if _, err := s.Directory().PutAccount(ctx, "shop", account, session.Account{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Directory().RemoveAccount(ctx, "shop", account.ID); err != nil {
		t.Fatal(err)
	}
	if srv.Do("DBSIZE") == "0" {
		t.Fatal("the steps wrote no key")
	}
	deadline := time.Now().Add(20 * time.Second)
	for srv.Do("DBSIZE") != "0" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if left := keys(srv); len(left) > 0 {
		t.Errorf("keys left after all lifetimes: %q", left)
	}
}
