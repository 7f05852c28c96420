package redisstore_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestPingInCluster checks that one master's answer is enough, whichever it is, and that
// Ping does not wait for the others.
func TestPingInCluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s := open(t, c.URL+"?dial_timeout=500ms")
	ping := func() error {
		limited, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return s.Ping(limited)
	}
	if err := ping(); err != nil {
		t.Fatal(err)
	}
	for only, node := range c.Nodes {
		for i, other := range c.Nodes {
			if i != only {
				other.Do("CLIENT", "PAUSE", "1500", "ALL")
			}
		}
		if err := ping(); err != nil {
			t.Errorf("only %s answers: %v", node.Addr, err)
		}
		for _, other := range c.Nodes {
			other.Do("PING") // waits for the end of the pause
		}
	}
	c.Nodes[0].Kill()
	c.Nodes[1].Kill()
	if err := ping(); err != nil {
		t.Errorf("two of three masters are down: %v", err)
	}
	c.Nodes[2].Kill()
	if err := ping(); session.CodeOf(err) != session.Unavailable {
		t.Errorf("all masters are down: got %v, want %s", err, session.Unavailable)
	}
}

func TestWarnings(t *testing.T) {
	// check wants n warnings, the last of which contains text.
	check := func(got []string, err error, n int, text string) {
		t.Helper()
		if err != nil || len(got) != n || n > 0 && !strings.Contains(got[n-1], text) {
			t.Errorf("got %q, %v; want %d warnings, the last with %q", got, err, n, text)
		}
	}
	srv := redistest.Standalone(t, "--appendonly", "yes")
	s := open(t, srv.URL)
	got, err := s.Warnings(ctx)
	check(got, err, 0, "")
	srv.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	got, err = s.Warnings(ctx)
	check(got, err, 1, "allkeys-lru")
	srv.Do("CONFIG", "SET", "appendonly", "no")
	got, err = s.Warnings(ctx)
	check(got, err, 2, "append-only file is off")
	got, err = open(t, srv.URL, waiting).Warnings(ctx)
	check(got, err, 4, "min-replicas-to-write is 0")
	got, err = open(t, redistest.Standalone(t, "--rename-command", "INFO", "").URL).Warnings(ctx)
	check(got, err, 1, "does not know INFO")

	c := redistest.Cluster(t, 2)
	c.Nodes[0].Do("CONFIG", "SET", "appendonly", "yes")
	c.Nodes[1].Do("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
	got, err = open(t, c.URL).Warnings(ctx)
	if err != nil || len(got) != 2 || !strings.Contains(got[0], "volatile-ttl") {
		t.Errorf("Cluster: got %q, %v; want 2 warnings, the first with volatile-ttl", got, err)
	}
}

// TestWarningsAboutReplicas checks the warnings about a primary whose replica may take over,
// alone and in a Cluster.
func TestWarningsAboutReplicas(t *testing.T) {
	r, c := redistest.Sentinel(t), redistest.Cluster(t, 1)
	c.Replicate(t)
	for url, primary := range map[string]*redistest.Server{r.URL: r.Primary, c.URL: c.Nodes[0]} {
		primary.Do("CONFIG", "SET", "appendonly", "yes")
		for _, step := range []struct {
			minReplicas string
			change      func(*redisstore.Options)
			want        []string
		}{
			{"0", func(*redisstore.Options) {}, []string{"WAIT_REPLICAS is 0"}},
			{"0", waiting, []string{"set min-replicas-to-write to 1 and min-replicas-max-lag to 3, as in deploy/redis-ha.conf"}},
			{"1", waiting, nil},
			{"1", func(o *redisstore.Options) { o.WaitReplicas = 2 }, []string{"1 replicas are connected, fewer than WAIT_REPLICAS (2)"}},
		} {
			primary.Do("CONFIG", "SET", "min-replicas-to-write", step.minReplicas)
			got, err := open(t, url, step.change).Warnings(ctx)
			matching := len(got) == len(step.want)
			for i := range min(len(got), len(step.want)) {
				matching = matching && strings.Contains(got[i], step.want[i])
			}
			if err != nil || !matching {
				t.Errorf("%s, min-replicas-to-write %s: got %q, %v; want %q", url, step.minReplicas, got, err, step.want)
			}
		}
	}
}
