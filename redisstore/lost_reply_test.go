package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestLostReply checks that a step whose reply was lost has run once, because the client
// does not repeat it, and fails with Unavailable.
func TestLostReply(t *testing.T) {
	single := redistest.Standalone(t)
	node, toCluster := proxiedCluster(t)
	toSingle := newProxy(t, single.Addr)
	for name, c := range map[string]struct {
		srv   *redistest.Server
		proxy *proxy
		url   string
	}{
		"standalone":        {single, toSingle, "redis://" + toSingle.addr},
		"pipelined":         {single, toSingle, "redis://" + toSingle.addr + "?auto_pipeline=true"},
		"cluster":           {node, toCluster, "redis+cluster://" + toCluster.addr},
		"cluster pipelined": {node, toCluster, "redis+cluster://" + toCluster.addr + "?auto_pipeline=true"},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := open(t, c.url), session.Owner{App: "shop", User: strings.ReplaceAll(name, " ", "")}
			first := login(t, s, o, policy).Session
			current := refresh(t, s, o, first, policy) // loads the script
			var err error
			runs := countCommands(t, c.srv, func() {
				c.proxy.loseReply.Store(true)
				_, err = s.Refresh(ctx, refreshStep(o, current, policy))
				time.Sleep(100 * time.Millisecond) // a second run would arrive
			})["evalsha"]
			if session.CodeOf(err) != session.Unavailable || runs != 1 || c.proxy.loseReply.Load() {
				t.Fatalf("got %v after %d runs of the script, want %s after 1", err, runs, session.Unavailable)
			}
			retried, err := s.Refresh(ctx, refreshStep(o, current, policy))
			if err != nil || retried.Code != session.Retried || retried.Session.Generation != first.Generation+2 {
				t.Errorf("retry: got %+v, %v; want %s and generation %d", retried, err, session.Retried, first.Generation+2)
			}
		})
	}
}
