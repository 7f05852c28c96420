package redisstore_test

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

var calls = regexp.MustCompile(`cmdstat_(\S+?):calls=(\d+)`)

// counts runs step and says how often the server ran which command for it.
func counts(tb testing.TB, srv *redistest.Server, step func()) map[string]int {
	tb.Helper()
	srv.Do("CONFIG", "RESETSTAT")
	step()
	found := map[string]int{}
	for _, m := range calls.FindAllStringSubmatch(srv.Do("INFO", "commandstats"), -1) {
		if name, _, _ := strings.Cut(m[1], "|"); name != "config" && name != "info" {
			found[name], _ = strconv.Atoi(m[2])
		}
	}
	return found
}

// TestWhatAStepCosts counts, for the steps that matter, the commands that reach
// Redis (one) and those that its script runs. A number that grows here is paid
// at every refresh of every user.
func TestWhatAStepCosts(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := long
	p.Max = 100
	now := loginAs(t, s, alice, session.Long, p)
	for range 3 {
		end(t, s, loginAs(t, s, alice, session.Long, p).ID)
	}
	now = refresh(t, s, now, p)
	plain := login(t, s, alice, p).Session
	_, err := s.List(ctx, session.ListStep{Owner: alice, Types: session.Types})
	if err != nil {
		t.Fatal(err)
	}
	every := p
	every.ExtendEveryTime, every.Lifetime = true, p.Lifetime+1e10
	_ = s.Live(ctx, alice, now.ID)
	for _, step := range []struct {
		name string
		run  func()
		want string
	}{
		{"refresh", func() { now = refresh(t, s, now, p) }, "evalsha time get hget hget hset"},
		{"refresh without claims", func() { plain = refresh(t, s, plain, p) }, "evalsha time get hget hset"},
		{"refresh that extends", func() { now = refresh(t, s, now, every) },
			"evalsha time get hget hget hset zadd zrevrange pexpireat pexpireat"},
		{"refresh again", func() { spent := now; spent.Generation--; refresh(t, s, spent, p) }, "evalsha time get hget hget"},
		{"login", func() { login(t, s, alice, p) },
			"evalsha time get zrangebyscore zcard hsetnx hset zadd zrevrange pexpireat pexpireat"},
		{"list", func() { _, _ = s.List(ctx, session.ListStep{Owner: alice, Caller: now.ID, Types: session.Types}) },
			"evalsha time get hget hget zrange hgetall zrange hgetall"},
		{"list one type", func() { _, _ = s.List(ctx, session.ListStep{Owner: alice, Types: session.Types[:1]}) },
			"evalsha time get zrange hgetall"},
		{"live", func() { _ = s.Live(ctx, alice, now.ID) }, "evalsha time get hget hget"},
		{"end", func() { end(t, s, now.ID) },
			"evalsha time get hget hget zrem zrem hdel zrevrange pexpireat pexpireat " +
				"zadd zremrangebyrank pexpireat xadd pexpire publish"},
	} {
		want := map[string]int{}
		for name := range strings.FieldsSeq(step.want) {
			want[name]++
		}
		if got := counts(t, srv, step.run); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", step.name, got, want)
		}
	}
}

// TestEndingManyIsOneEntry: whatever number of sessions ends in one step, the
// outbox, the channel and the trace are written once.
func TestEndingManyIsOneEntry(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := long
	p.Limit = false
	for range 50 {
		login(t, s, alice, p)
	}
	others := session.EndOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOperator, By: "ann|%7C"}
	var receipt session.Receipt
	got := counts(t, srv, func() {
		var err error
		if receipt, err = s.EndOthers(ctx, others); err != nil {
			t.Fatal(err)
		}
	})
	if len(receipt.Ended) != 50 || got["xadd"] != 1 || got["publish"] != 1 || got["zadd"] != 1 || got["zrem"] != 1 {
		t.Errorf("ended %d, commands %v", len(receipt.Ended), got)
	}
	traces, err := s.Traces(ctx, alice)
	if err != nil || len(traces) != 32 || traces[0].By != others.By {
		t.Errorf("%d traces, the first %+v; %v", len(traces), traces, err)
	}
}

// TestHugeUser: more sessions than Lua takes as arguments at once.
func TestHugeUser(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL+"?auto_pipeline=true")
	const n = 8100
	p := long
	p.Limit = false
	logins(t, s, p, n)
	p.Limit, p.Max, p.DestroyOldest = true, 2, true
	created, err := s.Create(ctx, createStep(alice, p))
	if err != nil || len(created.Evicted) != n-1 {
		t.Fatalf("evicted %d of %d: %v", len(created.Evicted), n, err)
	}
}

func logins(t *testing.T, s *redisstore.Store, p session.Policy, n int) {
	t.Helper()
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := s.Create(ctx, createStep(alice, p))
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}

// TestOneSlot: all keys of one user, and those that its steps share with the
// bucket, have one hash tag, whatever the user is called.
func TestOneSlot(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	tag := regexp.MustCompile(`^tg:\{shop:[0-3][0-9a-f]\}:[^{}]*$`)
	for _, user := range []string{"42", "a{b}c", "}{", "x:y", "%7B", "ünï|çødé"} {
		o := session.Owner{App: "shop", User: user}
		before := map[string]bool{}
		for _, k := range keys(srv) {
			before[k] = true
		}
		first := loginAs(t, s, o, session.Long, long)
		if _, err := s.End(ctx, session.EndStep{Owner: o, ID: first.ID, Cause: session.CauseUser}); err != nil {
			t.Fatal(err)
		}
		loginAs(t, s, o, session.Short, long)
		slots := map[string]bool{}
		for _, k := range keys(srv) {
			if !before[k] {
				slots[srv.Do("CLUSTER", "KEYSLOT", k)] = true
			}
			if !tag.MatchString(k) && !before[k] {
				t.Errorf("%q: key %q", user, k)
			}
		}
		if len(slots) != 1 {
			t.Errorf("%q: slots %v", user, slots)
		}
		list, err := s.List(ctx, session.ListStep{Owner: o, Types: session.Types})
		if err != nil || len(list.Sessions) != 1 {
			t.Errorf("%q: %v %v", user, list, err)
		}
	}
}
