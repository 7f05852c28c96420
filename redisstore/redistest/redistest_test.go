package redistest_test

import (
	"testing"

	"tokengate/redisstore/redistest"
)

func TestStandalone(t *testing.T) {
	s := redistest.Standalone(t, "--maxmemory", "10mb")
	if got := s.Do("CONFIG", "GET", "maxmemory"); got != "maxmemory\n10485760" {
		t.Errorf("maxmemory: %q", got)
	}
	s.Do("SET", "k", "v")
	s.Kill()
	if got := s.Do("GET", "k"); got != "" {
		t.Errorf("a dead server answered %q", got)
	}
	s.Restart()
	if got := s.Do("DBSIZE"); got != "0" {
		t.Errorf("after Restart DBSIZE is %q", got)
	}
}

func TestSentinel(t *testing.T) {
	r := redistest.Sentinel(t)
	old := r.Primary.Addr
	r.FailOver()
	if r.Primary.Addr == old || r.Primary.Do("SET", "k", "v") != "OK" {
		t.Errorf("primary %s (was %s) takes no writes", r.Primary.Addr, old)
	}
}

func TestCluster(t *testing.T) {
	c := redistest.Cluster(t, 3)
	taken := 0
	for _, node := range c.Nodes {
		if node.Do("SET", "k", "v") == "OK" {
			taken++
		}
	}
	if len(c.Nodes) != 3 || taken != 1 {
		t.Errorf("%d nodes, %d of which hold one key", len(c.Nodes), taken)
	}
}
