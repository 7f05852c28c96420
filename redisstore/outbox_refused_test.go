package redisstore_test

import (
	"maps"
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestOutboxRefused checks that a step that revokes sessions changes nothing if Redis
// refuses the write to the outbox: a session must not end without a trace there.
func TestOutboxRefused(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	full, many := policy, policy
	full.Max, many.Limit = 2, false
	current, ann := login(t, s, alice, many).Session, session.Owner{App: alice.App, User: "7"}
	other := refresh(t, s, alice, login(t, s, alice, many).Session, many)
	colliding := createStep(alice, full) // at the maximum, and with the fields of a session
	colliding.Session.ID = other.ID[:10] + current.ID[10:]
	credential := createStep(alice, many)
	credential.Session.Credential = session.Fingerprint{1}
	credential.RevokeChanged = login(t, s, alice, many).Now.AddDate(0, 0, 1)
	withCredential := createStep(alice, many)
	withCredential.Session.Credential = session.Fingerprint{2}
	if _, err := s.Create(ctx, withCredential); err != nil {
		t.Fatal(err)
	}
	put(t, s, account(7, "ann"))
	ofAnn := login(t, s, ann, policy).Session
	inactive := account(7, "ann")
	inactive.Active = false
	put(t, s, inactive)
	revoke(t, s, login(t, s, alice, many).Session.ID) // so that there are tombstones, and an outbox
	if _, err := s.RevokeApp(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	replay := refreshStep(alice, other, policy)
	replay.Generation, replay.Policy.RetryWindow = 1, 0
	replayedLogout := logoutStep(other, replay.Policy)
	replayedLogout.Generation = 1
	ofInactive := refreshStep(ann, ofAnn, policy)
	ofInactive.CheckUser = true
	before := dump(srv)
	srv.Do("ACL", "SETUSER", "default", "-xadd")
	for name, step := range map[string]func() error{
		"Create that evicts":              func() error { _, err := s.Create(ctx, createStep(alice, full)); return err },
		"Create with an ID that collides": func() error { _, err := s.Create(ctx, colliding); return err },
		"Create with another credential":  func() error { _, err := s.Create(ctx, credential); return err },
		"Refresh that is a replay":        func() error { _, err := s.Refresh(ctx, replay); return err },
		"Refresh of an inactive user":     func() error { _, err := s.Refresh(ctx, ofInactive); return err },
		"Revoke":                          func() error { _, err := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: current.ID}); return err },
		"RevokeOthers": func() error {
			_, err := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types})
			return err
		},
		"Logout":                                func() error { _, err := s.Logout(ctx, logoutStep(current, policy)); return err },
		"Logout that is a replay":               func() error { _, err := s.Logout(ctx, replayedLogout); return err },
		"RevokeApp":                             func() error { _, err := s.RevokeApp(ctx, alice.App); return err },
		"RevokeApp of an app with a not-before": func() error { _, err := s.RevokeApp(ctx, "other"); return err },
	} {
		s = open(t, srv.URL) // one that does not know yet that a right is missing
		wantUnavailable(t, map[string]error{name: step()})
		if after := dump(srv); !maps.Equal(after, before) {
			t.Errorf("%s was refused, and changed %q to %q", name, before, after)
			before = after
		}
	}
	srv.Do("ACL", "SETUSER", "default", "+xadd")
	revoke(t, s, current.ID)
}

// TestCollidingIDRevokesNothing checks that a login whose ID collides with a session's
// changes nothing, also if it would have evicted a session.
func TestCollidingIDRevokesNothing(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	p := policy
	p.Max = 2
	login(t, s, alice, p)
	other := login(t, s, alice, p).Session
	colliding := createStep(alice, p)
	colliding.Session.ID = other.ID[:10] + colliding.Session.ID[10:]
	before := dump(srv)
	_, err := s.Create(ctx, colliding)
	wantUnavailable(t, map[string]error{"Create": err})
	if after := dump(srv); !maps.Equal(after, before) {
		t.Errorf("a failed step changed %q to %q", before, after)
	}
}

// TestRefusedWriteKeepsUsers checks that an account, and the counter of integer IDs, are as
// before if Redis refuses one of the commands that write them.
func TestRefusedWriteKeepsUsers(t *testing.T) {
	srv := redistest.Standalone(t)
	s := open(t, srv.URL)
	ann := account(42, "ann")
	put(t, s, ann)
	if _, err := s.Directory().NextID(ctx, "shop", 41); err != nil {
		t.Fatal(err)
	}
	before := dump(srv)
	changed := ann
	changed.Password = "another"
	for _, command := range []string{"del", "sadd", "hset"} {
		s = open(t, srv.URL) // one that does not know yet that a right is missing
		srv.Do("ACL", "SETUSER", "default", "-"+command)
		wantUnavailable(t, map[string]error{"PutAccount without " + command: replace(s, changed)})
		srv.Do("ACL", "SETUSER", "default", "+"+command)
	}
	for _, command := range []string{"del", "set"} {
		s = open(t, srv.URL)
		srv.Do("ACL", "SETUSER", "default", "-"+command)
		_, err := s.Directory().NextID(ctx, "shop", 0)
		wantUnavailable(t, map[string]error{"NextID without " + command: err})
		srv.Do("ACL", "SETUSER", "default", "+"+command)
	}
	if after := dump(srv); !maps.Equal(after, before) {
		t.Errorf("a refused step changed %q to %q", before, after)
	}
}
