package redisstore_test

import (
	"maps"
	"strings"
	"testing"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestPingFindsServersThatCannotRunSteps checks that Ping and Warnings fail on servers
// that answer PING but run no steps, with the reason, and leave nothing there.
func TestPingFindsServersThatCannotRunSteps(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	before := dump(srv)
	wantRunning := func() {
		t.Helper()
		_, err := s.Warnings(ctx)
		if pinged := s.Ping(ctx); pinged != nil || err != nil {
			t.Fatalf("got %v from Ping and %v from Warnings, want no error", pinged, err)
		}
		if after := dump(srv); !maps.Equal(after, before) {
			t.Fatalf("the probe changed %q to %q", before, after)
		}
	}
	wantRunning()
	for name, c := range map[string]struct{ fail, repair, want string }{
		"memory is full":         {"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "OOM"},
		"too few replicas":       {"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0", "NOREPLICAS"},
		"no right to a command":  {"ACL SETUSER default -xadd", "ACL SETUSER default +@all", "(XADD)"},
		"no right to delete":     {"ACL SETUSER default -del", "ACL SETUSER default +@all", "(DEL)"},
		"no right to the keys":   {"ACL SETUSER default resetkeys", "ACL SETUSER default allkeys", "key"},
		"no right to run SCRIPT": {"ACL SETUSER default -evalsha", "ACL SETUSER default +@all", "evalsha"},
	} {
		srv.Do(strings.Fields(c.fail)...)
		_, warned := s.Warnings(ctx)
		for method, err := range map[string]error{"Ping": s.Ping(ctx), "Warnings": warned} {
			wantUnavailable(t, map[string]error{name + ": " + method: err})
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v from %s, want an error with %q", name, err, method, c.want)
			}
		}
		srv.Do(strings.Fields(c.repair)...)
		waitFor(t, "the key of the probe has expired", func() bool { return maps.Equal(dump(srv), before) })
		wantRunning()
	}
}

// TestURLOfAnotherKind checks that Ping and Warnings say what to give instead of a URL that
// does not fit the server.
func TestURLOfAnotherKind(t *testing.T) {
	replicated, cluster := redistest.Sentinel(t), redistest.Cluster(t, 2)
	for name, c := range map[string]struct{ url, want string }{
		"replica":            {replicated.Replica.URL, "is a replica"},
		"one Cluster node":   {cluster.Nodes[0].URL, "give redis+cluster://"},
		"other Cluster node": {cluster.Nodes[1].URL, "give redis+cluster://"},
		"Sentinel":           {"redis://" + replicated.Sentinel.Addr, "is a Sentinel"},
		"Sentinel of Valkey": {"redis://" + answering(t, "info", "$20\r\nserver_mode:sentinel"), "is a Sentinel"},
		"no Cluster":         {strings.Replace(replicated.Primary.URL, "redis:", "redis+cluster:", 1), "give redis://"},
	} {
		s := open(t, c.url)
		_, warned := s.Warnings(ctx)
		for method, err := range map[string]error{"Ping": s.Ping(ctx), "Warnings": warned} {
			wantUnavailable(t, map[string]error{name + ": " + method: err})
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v from %s, want an error with %q", name, err, method, c.want)
			}
		}
	}
}

// TestPingWithoutINFO checks that the gateway is ready if Redis does not know INFO or
// denies it, and that Warnings fails only if it is denied.
func TestPingWithoutINFO(t *testing.T) {
	unknown := redistest.Standalone(t, "--rename-command", "INFO", "")
	denied := redistest.Standalone(t)
	denied.Do("ACL", "SETUSER", "default", "-info")
	for _, srv := range []*redistest.Server{unknown, denied} {
		if err := open(t, srv.URL).Ping(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := open(t, denied.URL).Warnings(ctx); err == nil || !strings.Contains(err.Error(), "info") {
		t.Errorf("got %v, want an error about INFO", err)
	}
}

// TestWarningsAskEachMaster checks that Warnings fails if one master of a Cluster lacks a
// right, which Ping does not.
func TestWarningsAskEachMaster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	s := open(t, c.URL)
	for _, node := range c.Nodes {
		node.Do("ACL", "SETUSER", "default", "-zscore")
		if _, err := s.Warnings(ctx); err == nil || !strings.Contains(err.Error(), "(ZSCORE)") {
			t.Errorf("got %v, want an error about ZSCORE", err)
		}
		if err := s.Ping(ctx); err != nil {
			t.Errorf("Ping: %v", err)
		}
		node.Do("ACL", "SETUSER", "default", "+zscore")
	}
	if _, err := s.Warnings(ctx); err != nil {
		t.Error(err)
	}
}

// TestReady checks that Ready fails exactly if the owner's steps can't write.
func TestReady(t *testing.T) {
	srv := redistest.Standalone(t)
	s, pipelined := open(t, srv.URL+"?auto_pipeline=false"), open(t, srv.URL)
	for _, change := range []struct{ fail, repair string }{
		{"CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"},
		{"CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"},
		{"ACL SETUSER default -set", "ACL SETUSER default +@all"},
	} {
		for _, s := range []*redisstore.Store{s, pipelined} {
			if err := s.Ready(ctx, alice); err != nil {
				t.Fatal(err)
			}
			srv.Do(strings.Fields(change.fail)...)
			wantUnavailable(t, map[string]error{change.fail: s.Ready(ctx, alice)})
			srv.Do(strings.Fields(change.repair)...)
		}
	}
	if left := keys(srv); len(left) != 0 {
		t.Errorf("Ready has left the keys %q", left)
	}
	c := redistest.Cluster(t, 2)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s = open(t, c.URL+"?dial_timeout=500ms")
	owners := map[session.Code]int{}
	ask := func() {
		for _, user := range strings.Split("abcdefghijkl", "") {
			owner := session.Owner{App: "shop", User: user}
			err := s.Ready(ctx, owner)
			_, created := s.Create(ctx, createStep(owner, policy))
			if session.CodeOf(err) != session.CodeOf(created) {
				t.Errorf("user %s: got %v from Ready and %v from Create, want the same code", user, err, created)
			}
			owners[session.CodeOf(err)]++
		}
	}
	ask()
	if owners[session.OK] != 12 {
		t.Errorf("got %v, want 12 owners ready", owners)
	}
	c.Nodes[1].Kill()
	ask()
	if owners[session.Unavailable] == 0 || owners[session.OK] == 12 {
		t.Errorf("got %v with half of the Cluster, want some owners ready", owners)
	}
}
