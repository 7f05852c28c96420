package redisstore_test

import (
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestKeysAreListpacks checks that Redis, with its default settings, keeps the data of a
// usual user in listpacks. The measured memory per session depends on it.
func TestKeysAreListpacks(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	refresh(t, s, alice, loginAs(t, s, alice, session.Long, policy), policy)
	for _, key := range keys(srv) {
		if got := srv.Do("OBJECT", "ENCODING", key); got != "listpack" && got != "ziplist" {
			t.Errorf("%s is a %s, want a listpack", key, got)
		}
	}
}
