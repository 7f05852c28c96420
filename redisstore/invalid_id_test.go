package redisstore_test

import (
	"testing"

	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// TestInvalidIDs checks that an ID that NewID can't return names no session, even if it
// is the name of another field in the data hash.
func TestInvalidIDs(t *testing.T) {
	s := open(t, redistest.Standalone(t).URL)
	created := login(t, s, alice, policy).Session
	for _, id := range []session.ID{created.ID + "i", created.ID + "c", "-", "|", "x"} {
		invalid := created
		invalid.ID = id
		_, refreshErr := s.Refresh(ctx, refreshStep(alice, invalid, policy))
		_, revokeErr := s.Revoke(ctx, session.RevokeStep{Owner: alice, ID: id})
		_, logoutErr := s.Logout(ctx, session.LogoutStep{Owner: alice, ID: id, Type: created.Type})
		_, othersErr := s.RevokeOthers(ctx, session.RevokeOthersStep{Owner: alice, Types: session.Types, Keep: id})
		for step, err := range map[string]error{
			"Refresh": refreshErr, "Revoke": revokeErr, "Logout": logoutErr, "RevokeOthers": othersErr, "Live": s.Live(ctx, session.LiveStep{Owner: alice, ID: id}),
		} {
			if session.CodeOf(err) != session.Unknown {
				t.Errorf("%s of %q: got %v, want %s", step, id, err, session.Unknown)
			}
		}
		if _, err := s.List(ctx, session.ListStep{Owner: alice, Caller: id, Types: session.Types}); session.CodeOf(err) != session.TokenRevoked {
			t.Errorf("List by %q: got %v, want %s", id, err, session.TokenRevoked)
		}
		step := createStep(alice, policy)
		step.Session.ID = id
		if _, err := s.Create(ctx, step); session.CodeOf(err) != session.Internal {
			t.Errorf("Create of %q: got %v, want %s", id, err, session.Internal)
		}
	}
	listed, err := s.List(ctx, session.ListStep{Owner: alice, Caller: created.ID, Types: session.Types})
	if err != nil || len(listed.Sessions) != 1 {
		t.Errorf("List: got %v, %v; want 1 session", listed, err)
	}
}
