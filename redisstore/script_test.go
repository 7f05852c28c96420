package redisstore_test

import (
	"testing"

	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
)

// TestScriptsAreLoadedAgain checks that a step succeeds after Redis has lost its
// scripts, and that later steps send the script's digest only.
func TestScriptsAreLoadedAgain(t *testing.T) {
	r := redistest.Sentinel(t)
	stores := map[string]*redisstore.Store{
		"plain":     open(t, r.URL+"?auto_pipeline=false"),
		"pipelined": open(t, r.URL),
		"waiting":   open(t, r.URL, func(o *redisstore.Options) { o.WaitReplicas = 1 }),
	}
	for name, s := range stores {
		current := login(t, s, alice, policy).Session
		for range 2 {
			r.Primary.Do("SCRIPT", "FLUSH")
			before := current.Generation
			current = refresh(t, s, alice, current, policy)
			if current.Generation != before+1 {
				t.Errorf("%s: got generation %d, want %d", name, current.Generation, before+1)
			}
		}
		got := countCommands(t, r.Primary, func() { current = refresh(t, s, alice, current, policy) })
		if got["evalsha"] != 1 || got["eval"] != 0 {
			t.Errorf("%s: with the script loaded, a refresh runs %v, want one evalsha and no eval", name, got)
		}
	}
}
