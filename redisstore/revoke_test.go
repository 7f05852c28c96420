package redisstore_test

import (
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestRevokedSessionFreesItsPlace checks that every step that revokes a session deletes
// it from the sorted set, whose members count towards the cap, and from the data hash.
func TestRevokedSessionFreesItsPlace(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Limit, p.Max, p.DestroyOldest, p.RetryWindow = true, 2, true, 0
	logout := func(current session.Session) {
		if _, err := s.Logout(ctx, logoutStep(current, p)); err != nil {
			t.Error(err)
		}
	}
	for name, step := range map[string]func(current session.Session){
		"Revoke": func(current session.Session) { revoke(t, s, current.ID) },
		"Logout": logout,
		"RevokeOthers": func(session.Session) {
			if _, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Cause: session.CauseOthers}); err != nil {
				t.Error(err)
			}
		},
		"replay": func(current session.Session) {
			refresh(t, s, alice, current, p)
			_, _ = s.Refresh(ctx, refreshStep(alice, current, p))
		},
		"eviction": func(session.Session) {
			loginAs(t, s, alice, session.Long, p)
			logout(loginAs(t, s, alice, session.Long, p))
			revoke(t, s, list(t, s)[0].ID)
		},
	} {
		step(loginAs(t, s, alice, session.Long, p))
		for _, key := range keys(srv) {
			if strings.HasSuffix(key, ":LONG:"+alice.User) {
				t.Errorf("%s left the key %s", name, key)
				srv.Do("DEL", key)
			}
		}
	}
}
