package redisstore_test

import (
	"regexp"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestKeysOfOneUserShareASlot checks that all keys of a step have the same hash tag,
// whatever characters the user's ID has.
func TestKeysOfOneUserShareASlot(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	form := regexp.MustCompile(`^tg:\{shop:[0-3][0-9a-f]\}:[^{}]*$`)
	for _, user := range []string{"42", "a{b}c", "}{", "x:y", "%7B", "ünï|çødé"} {
		o := session.Owner{App: "shop", User: user}
		before := map[string]bool{}
		for _, k := range keys(srv) {
			before[k] = true
		}
		first := loginAs(t, s, o, session.Long, policy)
		if _, err := s.Revoke(ctx, session.RevokeStep{Owner: o, ID: first.ID, Cause: session.CauseUser}); err != nil {
			t.Fatal(err)
		}
		loginAs(t, s, o, session.Short, policy)
		slots := map[string]bool{}
		for _, k := range keys(srv) {
			if !before[k] {
				slots[srv.Do("CLUSTER", "KEYSLOT", k)] = true
			}
			if !form.MatchString(k) && !before[k] {
				t.Errorf("user %q: key %q does not match %s", user, k, form)
			}
		}
		if len(slots) != 1 {
			t.Errorf("user %q: the keys are in slots %v, want one", user, slots)
		}
		listed, err := s.List(ctx, session.ListStep{Owner: o, Types: session.Types})
		if err != nil || len(listed.Sessions) != 1 {
			t.Errorf("user %q: List: got %v, %v; want 1 session", user, listed, err)
		}
	}
}
