package redisstore_test

import (
	"maps"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestCommandsPerStep counts the commands of the steps that matter for performance: the
// one command that the client sends, and those that its script runs. Each further command
// takes Redis's only thread from all other steps.
func TestCommandsPerStep(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Max = 100
	unlimited := p
	unlimited.Limit = false
	rejecting := p
	rejecting.DestroyOldest = false
	current := loginAs(t, s, alice, session.Long, p)
	for range 3 {
		revoke(t, s, loginAs(t, s, alice, session.Long, p).ID)
	}
	// Each script is run once before, so that it is loaded.
	current = refresh(t, s, alice, current, p)
	plain := login(t, s, alice, p).Session
	list(t, s)
	extending := p
	extending.ExtendEveryTime, extending.Lifetime = true, p.Lifetime+1e10
	unchanging := p
	unchanging.Rotate, unchanging.UpdateLastLogin = false, false
	_ = s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID})
	for _, step := range []struct {
		name string
		run  func()
		want string
	}{
		{"refresh", func() { current = refresh(t, s, alice, current, p) }, "evalsha time get hget hget hset"},
		{"refresh without claims", func() { plain = refresh(t, s, alice, plain, p) }, "evalsha time get hget hset"},
		{"refresh that changes nothing", func() { plain = refresh(t, s, alice, plain, unchanging) }, "evalsha time get hget zrem"},
		{"refresh that extends", func() { current = refresh(t, s, alice, current, extending) },
			"evalsha time get hget hget hset zadd zrevrange pexpireat pexpireat"},
		{"retried refresh", func() { spent := current; spent.Generation--; refresh(t, s, alice, spent, p) },
			"evalsha time get hget hget zrem hset"},
		{"create", func() { login(t, s, alice, p) },
			"evalsha time get zrangebyscore zrangebyscore hmget hget hset zadd zrevrange pexpireat pexpireat"},
		{"create without eviction", func() { login(t, s, alice, rejecting) },
			"evalsha time get zrangebyscore zcard hget hset zadd zrevrange pexpireat pexpireat"},
		{"create without a maximum", func() { login(t, s, alice, unlimited) },
			"evalsha time get zrangebyscore zcard hget hset zadd zrevrange pexpireat pexpireat"},
		{"list", func() {
			_, _ = s.List(ctx, session.ListStep{Owner: alice, Caller: current.ID, Types: session.Types})
		}, "evalsha time get zrem hget hget zrange hgetall zrange hgetall"},
		{"list of one type", func() { _, _ = s.List(ctx, session.ListStep{Owner: alice, Types: session.Types[:1]}) },
			"evalsha time get zrem zrange hgetall"},
		{"live", func() { _ = s.Live(ctx, session.LiveStep{Owner: alice, ID: current.ID}) }, "evalsha time get zrem hget hget"},
		{"revoke", func() { revoke(t, s, current.ID) },
			"evalsha time get hget hget zscore zrem zrem hdel zrevrange pexpireat pexpireat " +
				"zadd zremrangebyrank pexpireat xadd pexpire publish"},
	} {
		want := map[string]int{}
		for name := range strings.FieldsSeq(step.want) {
			want[name]++
		}
		if got := countCommands(t, srv, step.run); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", step.name, got, want)
		}
	}
}
