package session_test

import (
	"testing"
	"time"

	"tokengate/session"
)

func TestUserSessions(t *testing.T) {
	f := newFixture(t)
	revoked, live := f.login(session.Long), f.login(session.Short)
	_, err := f.RevokeSession(t.Context(), alice, revoked.Session, "ops")
	f.wantError(err, session.OK, "")
	f.wantEvents("admin shop/1 ok", "admin shop/1 ok operator")
	got, err := f.UserSessions(t.Context(), alice)
	f.wantError(err, session.OK, "")
	f.wantEvents("admin shop/1 ok")
	if len(got.Live) != 1 || got.Live[0].ID != live.Session || len(got.Tombstones) != 1 || got.Tombstones[0].By != "ops" {
		t.Errorf("got %+v, want the live session %s and one tombstone by ops", got, live.Session)
	}
}

func TestRevokeSession(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	calls := f.store.calls
	for _, id := range []session.ID{"", "not|a:session", session.NewID()} {
		_, err := f.RevokeSession(t.Context(), alice, id, "ops")
		f.wantError(err, session.Unknown, "")
	}
	if f.store.calls != calls+1 {
		t.Errorf("got %d steps of the store, want one for the only valid ID", f.store.calls-calls)
	}
	_, err := f.RevokeSession(t.Context(), alice, tokens.Session, "ops")
	f.wantError(err, session.OK, "")
	_, err = f.RevokeSession(t.Context(), alice, tokens.Session, "ops")
	f.wantError(err, session.Revoked, session.CauseOperator)
}

func TestRevokeUser(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.login(session.Short)
	result, err := f.RevokeUser(t.Context(), alice, session.CauseAccount, "ops")
	f.wantError(err, session.OK, "")
	f.wantEvents("admin shop/1 ok", "admin shop/1 ok account", "admin shop/1 ok account")
	if len(result.Revoked) != 2 {
		t.Errorf("got %v revoked, want two sessions", result.Revoked)
	}
	f.wantLive(0)
	_, err = f.refresh(tokens.Refresh)
	f.wantError(err, session.Revoked, session.CauseAccount)
	_, err = f.RevokeUser(t.Context(), alice, session.CauseAccount, "ops") // nothing is left to revoke
	f.wantError(err, session.OK, "")
}

func TestRevokeApp(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	f.now = f.now.Add(time.Second)
	_, err := f.RevokeApp(t.Context(), "shop", "ops")
	f.wantError(err, session.OK, "")
	f.wantEvents("admin shop/ ok", "admin shop/ ok app")
	_, err = f.refresh(tokens.Refresh)
	f.wantError(err, session.Revoked, session.CauseApp)
	later := f.login(session.Long)
	_, err = f.refresh(later.Refresh)
	f.wantError(err, session.OK, "")
}

// TestAdminStepsRejectUnknownApp checks that an unknown app's name is in no event,
// because each app is a label of metrics.
func TestAdminStepsRejectUnknownApp(t *testing.T) {
	f := newFixture(t)
	owner := session.Owner{App: "none", User: "1"}
	_, err := f.UserSessions(t.Context(), owner)
	f.wantError(err, session.AppUnknown, "")
	_, err = f.RevokeSession(t.Context(), owner, session.NewID(), "ops")
	f.wantError(err, session.AppUnknown, "")
	_, err = f.RevokeUser(t.Context(), owner, session.CauseOperator, "ops")
	f.wantError(err, session.AppUnknown, "")
	_, err = f.RevokeApp(t.Context(), "none", "ops")
	f.wantError(err, session.AppUnknown, "")
	f.wantEvents("admin /1 app_not_found", "admin /1 app_not_found", "admin /1 app_not_found", "admin / app_not_found")
	if f.store.calls != 0 {
		t.Errorf("got %d steps of the store, want none", f.store.calls)
	}
}
