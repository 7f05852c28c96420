package redistest_test

import (
	"testing"

	"tokengate/redisstore/redistest"
)

func TestStandalone(t *testing.T) {
	s := redistest.Standalone(t, "--maxmemory", "10mb")
	if got, want := s.Do("CONFIG", "GET", "maxmemory"), "maxmemory\n10485760"; got != want {
		t.Errorf("maxmemory: got %q, want %q", got, want)
	}
	s.Do("SET", "k", "v")
	s.Kill()
	if got := s.Do("GET", "k"); got != "" {
		t.Errorf("after Kill: got the reply %q, want none", got)
	}
	s.Restart()
	if got := s.Do("DBSIZE"); got != "0" {
		t.Errorf("after Restart: got DBSIZE %q, want 0", got)
	}
}

func TestSentinel(t *testing.T) {
	r := redistest.Sentinel(t)
	old := r.Primary.Addr
	r.FailOver()
	if r.Primary.Addr == old || r.Primary.Do("SET", "k", "v") != "OK" {
		t.Errorf("primary %s, which was %s before, takes no writes", r.Primary.Addr, old)
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	accepted := 0
	for _, node := range c.Nodes {
		if node.Do("SET", "k", "v") == "OK" {
			accepted++
		}
	}
	if len(c.Nodes) != 3 || accepted != 1 {
		t.Errorf("%d of %d nodes accept the key, want 1 of 3", accepted, len(c.Nodes))
	}
}
