package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func TestLogout(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	for _, c := range []struct {
		secret, token string
		code          session.Code
		told          string
	}{
		{"x", tokens.Refresh, session.InvalidClient, "logout / invalid_client"},
		{"o", tokens.Refresh, session.Unknown, "logout other/ unknown"},
		{"s-new", tokens.Access, session.Unknown, "logout shop/ unknown"},
		{"s-new", "", session.Unknown, "logout shop/ unknown"},
	} {
		_, err := r.Logout(t.Context(), c.secret, c.token)
		r.fails(err, c.code, "")
		r.told(c.told)
	}
	receipt, err := r.Logout(t.Context(), "s-old", tokens.Refresh)
	r.fails(err, session.OK, "")
	r.told("logout shop/1 ok", "logout shop/1 ok logout")
	if len(receipt.Ended) != 1 || receipt.Ended[0].ID != tokens.Session {
		t.Errorf("ended %v", receipt.Ended)
	}
	_, err = r.Logout(t.Context(), "s-old", tokens.Refresh)
	r.fails(err, session.Ended, session.CauseLogout)
	r.told("logout shop/1 ended")
}

func TestLogoutReplay(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	_, err := r.refresh(tokens.Refresh)
	r.fails(err, session.OK, "")
	r.now = r.now.Add(time.Minute)
	r.events.take()
	_, err = r.Logout(t.Context(), "s-new", tokens.Refresh)
	r.fails(err, session.Replayed, session.CauseReplay)
	r.told("logout shop/1 replayed", "logout shop/1 ok replay")
}

// TestLogoutWhateverTheUser: an inactive user, or a source that is away, keeps
// nobody from logging out.
func TestLogoutWhateverTheUser(t *testing.T) {
	r := newRig(t)
	for _, code := range []session.Code{session.UserInactive, session.Unavailable} {
		tokens := r.login(session.Long)
		r.checker.recheck["1"] = session.Fail(code, nil)
		_, err := r.Logout(t.Context(), "s-new", tokens.Refresh)
		r.fails(err, session.OK, "")
	}
	tokens := r.login(session.Long)
	r.checker.recheck["1"] = session.Fail(session.UserUnknown, nil)
	_, err := r.Logout(t.Context(), "s-new", tokens.Refresh)
	r.fails(err, session.Unknown, "")
}

func TestList(t *testing.T) {
	r := newRig(t)
	long := r.login(session.Long)
	r.now = r.now.Add(time.Second)
	short := r.login(session.Short)
	c := r.caller(long.Access)
	for types, want := range map[string][]session.ID{
		"ALL": {long.Session, short.Session}, " all ": {long.Session, short.Session}, "long": {long.Session}, "SHORT": {short.Session},
	} {
		listed, asked, err := r.List(t.Context(), c, types)
		r.fails(err, session.OK, "")
		var got []session.ID
		for _, s := range listed.Sessions {
			got = append(got, s.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || len(asked) != len(want) {
			t.Errorf("%q: got %v of %v, want %v", types, got, asked, want)
		}
		r.told("list shop/1 ok")
	}
	_, _, err := r.List(t.Context(), c, "BOTH")
	r.fails(err, session.InvalidType, "")
	r.told("list shop/1 invalid_type")
	_, err = r.Logout(t.Context(), "s-new", long.Refresh)
	r.fails(err, session.OK, "")
	_, _, err = r.List(t.Context(), c, "ALL")
	r.fails(err, session.TokenRevoked, session.CauseLogout)
}

// TestCallerFromElsewhere has an access token that another program issued with
// the app's key: without a session of ours there is none to check.
func TestCallerFromElsewhere(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	for _, sid := range []session.ID{"", "not one of ours"} {
		access, err := r.signer.Sign(session.Claims{
			Kind: session.Access, User: session.TextID("1"), Session: sid, Issued: r.now, Expires: r.now.Add(time.Minute),
		})
		r.fails(err, session.OK, "")
		listed, _, err := r.List(t.Context(), r.caller(access), "ALL")
		if err != nil || len(listed.Sessions) != 1 || listed.Sessions[0].ID != tokens.Session {
			t.Errorf("sid %q: %v %v", sid, listed, err)
		}
		if _, err := r.Verify(t.Context(), "", access); err != nil {
			t.Errorf("sid %q: %v", sid, err)
		}
	}
}

func TestDestroy(t *testing.T) {
	r := newRig(t)
	mine, target := r.login(session.Long), r.login(session.Short)
	c := r.caller(mine.Access)
	asked := r.store.asked
	for _, id := range []string{"", "nothing|of:ours", string(session.NewID())} {
		_, err := r.Destroy(t.Context(), c, id)
		r.fails(err, session.Unknown, "")
		r.told("destroy shop/1 unknown")
	}
	if r.store.asked != asked+1 {
		t.Error("the store was asked for what is no id of a session")
	}
	_, err := r.Destroy(t.Context(), c, string(target.Session))
	r.fails(err, session.OK, "")
	r.told("destroy shop/1 ok", "destroy shop/1 ok user")
	_, err = r.Destroy(t.Context(), c, string(target.Session))
	r.fails(err, session.Ended, session.CauseUser)
	_, err = r.Destroy(t.Context(), c, string(mine.Session))
	r.fails(err, session.OK, "")
	_, err = r.Destroy(t.Context(), c, string(mine.Session))
	r.fails(err, session.TokenRevoked, session.CauseUser)
}

func TestDestroyOthers(t *testing.T) {
	r := newRig(t)
	mine := r.login(session.Long)
	r.login(session.Long)
	r.login(session.Short)
	bob, err := r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "bob", Password: "bob", Type: "LONG"})
	r.fails(err, session.OK, "")
	r.events.take()
	c := r.caller(mine.Access)
	for _, token := range []string{"", "x", mine.Access, bob.Refresh} {
		_, err := r.DestroyOthers(t.Context(), c, token, "ALL")
		r.fails(err, session.Unknown, "")
		r.told("destroy_others shop/1 unknown")
	}
	_, err = r.DestroyOthers(t.Context(), c, mine.Refresh, "x")
	r.fails(err, session.InvalidType, "")
	r.told("destroy_others shop/1 invalid_type")
	if r.live() != 3 {
		t.Fatalf("%d sessions, want 3", r.live())
	}
	_, err = r.DestroyOthers(t.Context(), c, mine.Refresh, "SHORT")
	r.fails(err, session.OK, "")
	r.told("destroy_others shop/1 ok", "destroy_others shop/1 ok others")
	_, err = r.refresh(mine.Refresh)
	r.fails(err, session.OK, "")
	receipt, err := r.DestroyOthers(t.Context(), c, mine.Refresh, "all") // spent, within the window
	r.fails(err, session.OK, "")
	if len(receipt.Ended) != 1 || r.live() != 1 {
		t.Errorf("ended %v, %d live", receipt.Ended, r.live())
	}
	r.login(session.Short)
	r.now = r.now.Add(good().RetryWindow + time.Second)
	_, err = r.DestroyOthers(t.Context(), c, mine.Refresh, "all")
	r.fails(err, session.Unknown, "")
	if r.live() != 2 {
		t.Errorf("%d live, want 2", r.live())
	}
	if _, err := r.refresh(bob.Refresh); err != nil {
		t.Errorf("bob's session: %v", err)
	}
}

// TestUnavailable: a store that can't be reached is never taken for one that
// says no.
func TestUnavailable(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	c := r.caller(tokens.Access)
	r.store.down = true
	for name, step := range map[string]func() error{
		"login": func() error {
			_, err := r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
			return err
		},
		"refresh": func() error { _, err := r.refresh(tokens.Refresh); return err },
		"mismatch": func() error {
			_, err := r.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: tokens.Refresh})
			return err
		},
		"logout":        func() error { _, err := r.Logout(t.Context(), "s-new", tokens.Refresh); return err },
		"list":          func() error { _, _, err := r.List(t.Context(), c, "ALL"); return err },
		"destroy":       func() error { _, err := r.Destroy(t.Context(), c, string(tokens.Session)); return err },
		"others":        func() error { _, err := r.DestroyOthers(t.Context(), c, tokens.Refresh, "ALL"); return err },
		"verify":        func() error { _, err := r.Verify(t.Context(), "", tokens.Access); return err },
		"user sessions": func() error { _, err := r.UserSessions(t.Context(), session.Owner{App: "shop", User: "1"}); return err },
		"end app":       func() error { _, err := r.EndApp(t.Context(), "shop", "ops"); return err },
	} {
		if err := step(); session.CodeOf(err) != session.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.store.down = false
	if _, err := r.refresh(tokens.Refresh); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestEventsHoldNoSecret looks for what was sent, and what was given, in all
// that an observer is told.
func TestEventsHoldNoSecret(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	_, _ = r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "pass-word", Type: "LONG"})
	_, _ = r.refresh(tokens.Refresh)
	_, _ = r.refresh("garbage-token")
	_, _ = r.Logout(t.Context(), "s-old", tokens.Refresh)
	_, _ = r.Login(t.Context(), session.LoginRequest{Secret: "se-cret", Username: "alice", Password: "pass-word", Type: "LONG"})
	for _, e := range r.events.events {
		for _, secret := range []string{"s-new", "s-old", "se-cret", "pass-word", "garbage-token", tokens.Refresh, tokens.Access} {
			if strings.Contains(fmt.Sprintf("%+v", e), secret) {
				t.Errorf("an event tells %q: %+v", secret, e)
			}
		}
	}
	if len(r.events.events) < 5 {
		t.Errorf("%d events only", len(r.events.events))
	}
}
