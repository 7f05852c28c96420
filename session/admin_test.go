package session_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

var alice = session.Owner{App: "shop", User: "1"}

func TestUserSessions(t *testing.T) {
	r := newRig(t)
	gone, stays := r.login(session.Long), r.login(session.Short)
	_, err := r.EndSession(t.Context(), alice, gone.Session, "ops")
	r.fails(err, session.OK, "")
	r.told("admin shop/1 ok", "admin shop/1 ok operator")
	held, err := r.UserSessions(t.Context(), alice)
	r.fails(err, session.OK, "")
	r.told("admin shop/1 ok")
	if len(held.Sessions) != 1 || held.Sessions[0].ID != stays.Session || len(held.Ended) != 1 || held.Ended[0].By != "ops" {
		t.Errorf("got %+v", held)
	}
	var table strings.Builder
	if err := (session.Operator{Engine: r.Engine, Owner: alice, Name: "ops", Out: &table}).Run(t.Context(), "list", ""); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{string(stays.Session), string(gone.Session), "SHORT", `"phone"`, "operator", "ops", "2030-01-02T03:04:05Z"} {
		if !strings.Contains(table.String(), part) {
			t.Errorf("%q is not in the table:\n%s", part, table.String())
		}
	}
}

func TestEndSession(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	asked := r.store.asked
	for _, id := range []session.ID{"", "nothing|of:ours", session.NewID()} {
		_, err := r.EndSession(t.Context(), alice, id, "ops")
		r.fails(err, session.Unknown, "")
	}
	if r.store.asked != asked+1 {
		t.Error("the store was asked for what is no id of a session")
	}
	_, err := r.EndSession(t.Context(), alice, tokens.Session, "ops")
	r.fails(err, session.OK, "")
	_, err = r.EndSession(t.Context(), alice, tokens.Session, "ops")
	r.fails(err, session.Ended, session.CauseOperator)
}

// TestOperatorEndsNoSession: what the user has not is said in words.
func TestOperatorEndsNoSession(t *testing.T) {
	r := newRig(t)
	for _, id := range []session.ID{"nope", session.NewID()} {
		err := session.Operator{Engine: r.Engine, Owner: alice, Name: "ops", Out: &strings.Builder{}}.Run(t.Context(), "end", id)
		r.fails(err, session.Unknown, "")
		if want := `user 1 has no session "` + string(id) + `"`; !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want …%s…", err, want)
		}
	}
}

func TestEndUser(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.login(session.Short)
	receipt, err := r.EndUser(t.Context(), alice, session.CauseAccount, "ops")
	r.fails(err, session.OK, "")
	r.told("admin shop/1 ok", "admin shop/1 ok account", "admin shop/1 ok account")
	if len(receipt.Ended) != 2 || r.live() != 0 {
		t.Errorf("ended %v, %d live", receipt.Ended, r.live())
	}
	_, err = r.refresh(tokens.Refresh)
	r.fails(err, session.Ended, session.CauseAccount)
	_, err = r.EndUser(t.Context(), alice, session.CauseAccount, "ops")
	r.fails(err, session.OK, "")
}

func TestEndApp(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.now = r.now.Add(time.Second)
	_, err := r.EndApp(t.Context(), "shop", "ops")
	r.fails(err, session.OK, "")
	r.told("admin shop/ ok", "admin shop/ ok app")
	_, err = r.refresh(tokens.Refresh)
	r.fails(err, session.Ended, session.CauseApp)
	fresh := r.login(session.Long)
	_, err = r.refresh(fresh.Refresh)
	r.fails(err, session.OK, "")
}

func TestOperatorsAppMustBe(t *testing.T) {
	r := newRig(t)
	nobody := session.Owner{App: "none", User: "1"}
	_, err := r.UserSessions(t.Context(), nobody)
	r.fails(err, session.AppUnknown, "")
	_, err = r.EndSession(t.Context(), nobody, session.NewID(), "ops")
	r.fails(err, session.AppUnknown, "")
	_, err = r.EndUser(t.Context(), nobody, session.CauseOperator, "ops")
	r.fails(err, session.AppUnknown, "")
	_, err = r.EndApp(t.Context(), "none", "ops")
	r.fails(err, session.AppUnknown, "")
	r.told("admin /1 app_not_found", "admin /1 app_not_found", "admin /1 app_not_found", "admin / app_not_found") // each app is a label of metrics
	if r.store.asked != 0 {
		t.Error("the store was asked")
	}
}
