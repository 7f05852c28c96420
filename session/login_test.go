package session_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func TestLogin(t *testing.T) {
	f := newFixture(t)
	for _, secret := range []string{"s-new", "s-old"} {
		tokens, err := f.Login(t.Context(), session.LoginRequest{
			Secret: secret, Username: "alice", Password: "alice", Type: " long ", Info: "phone",
		})
		if err != nil {
			t.Fatal(err)
		}
		access, refresh := f.claims(tokens.Access, session.KindAccess), f.claims(tokens.Refresh, session.KindRefresh)
		now := f.now.Truncate(time.Second)
		for name, ok := range map[string]bool{
			"session":            tokens.Session.Valid() && access.Session == tokens.Session && refresh.Session == tokens.Session,
			"user":               access.User == session.NumberID(1) && refresh.User == session.NumberID(1),
			"access times":       access.Issued.Equal(now) && access.Expires.Equal(now.Add(retention)) && access.AuthTime.Equal(now),
			"refresh times":      refresh.Issued.Equal(now) && refresh.Expires.Equal(now.Add(time.Hour)),
			"generation or type": refresh.Generation == 1 && refresh.Type == session.Long && refresh.Extra == nil,
			"user's claims":      string(access.Extra) == `{"role":"admin"}`,
		} {
			if !ok {
				t.Errorf("wrong %s: access token %+v, refresh token %+v", name, access, refresh)
			}
		}
		f.wantEvents("login shop/1 ok")
	}
}

// TestLoginRejects checks that the secret is checked before the credentials, and
// those before the type.
func TestLoginRejects(t *testing.T) {
	for _, c := range []struct {
		req   session.LoginRequest
		code  session.Code
		event string
	}{
		{session.LoginRequest{Secret: "x", Username: "alice", Password: "alice", Type: "LONG"}, session.InvalidCredentials, "login / invalid_credentials"},
		{session.LoginRequest{Secret: "", Username: "x", Password: "x", Type: "x"}, session.InvalidCredentials, "login / invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "alice", Password: "x", Type: "x"}, session.InvalidCredentials, "login shop/ invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "carol", Password: "carol", Type: "LONG"}, session.InvalidCredentials, "login shop/ invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "ALL"}, session.InvalidType, "login shop/1 invalid_type"},
		{session.LoginRequest{Secret: "o", Username: "bob", Password: "bob", Type: "LONG"}, session.InvalidCredentials, "login other/ invalid_credentials"},
	} {
		f := newFixture(t)
		_, err := f.Login(t.Context(), c.req)
		f.wantError(err, c.code, "")
		f.wantEvents(c.event)
		if f.store.calls != 0 {
			t.Errorf("%+v: got %d steps of the store, want none", c.req, f.store.calls)
		}
	}
}

func TestLoginEvicts(t *testing.T) {
	f := newFixture(t)
	first := f.login(session.Long)
	f.now = f.now.Add(time.Second)
	f.login(session.Long)
	_, err := f.loginAs("alice")
	f.wantError(err, session.OK, "")
	events := f.events.events
	if last := events[1]; last.Session != first.Session || last.By != string(events[0].Session) {
		t.Errorf("got events %+v, want the first session evicted by the new one", events)
	}
	f.wantEvents("login shop/1 ok", "login shop/1 ok evicted")
	_, err = f.refresh(first.Refresh)
	f.wantError(err, session.Revoked, session.CauseEvicted)
}

func TestLoginFailures(t *testing.T) {
	f := newFixture(t)
	for _, code := range []session.Code{session.Busy, session.Unavailable} {
		f.checker.checkErr = session.Fail(code, nil)
		_, err := f.loginAs("alice")
		f.wantError(err, code, "")
		f.wantEvents("login shop/ " + string(code))
	}
	f.checker.checkErr, f.signer.signErr = nil, errors.New("no key")
	_, err := f.loginAs("alice")
	f.wantError(err, session.Internal, "")
	f.wantEvents("login shop/1 internal")
}

// TestLoginOverlongPassword checks that a password that no user can have is not compared.
func TestLoginOverlongPassword(t *testing.T) {
	f := newFixture(t)
	f.checker.checkErr = session.Fail(session.Internal, errors.New("the password was compared"))
	for length, want := range map[int]session.Code{session.MaxPassword: session.Internal, session.MaxPassword + 1: session.InvalidCredentials} {
		_, err := f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: strings.Repeat("x", length), Type: "LONG"})
		f.wantError(err, want, "")
	}
}

// TestLoginRehashes checks that a login has an outdated hash replaced once the session
// exists, and not if there is none.
func TestLoginRehashes(t *testing.T) {
	f := newFixture(t)
	live := make(chan int, 1)
	user := f.checker.users["alice"]
	user.Rehash = func(context.Context) {
		out, _ := f.store.Store.List(context.Background(), session.ListStep{Owner: alice, Types: session.Types})
		live <- len(out.Sessions)
	}
	f.checker.users["alice"] = user
	f.login(session.Long)
	if got := <-live; got != 1 {
		t.Errorf("got %d sessions when the hash was replaced, want 1", got)
	}
	f.store.down = true
	_, err := f.loginAs("alice")
	f.wantError(err, session.Unavailable, "")
	select {
	case <-live:
		t.Error("the hash was replaced although the login failed")
	case <-time.After(50 * time.Millisecond):
	}
}

// TestLoginChecksCredentialInStore checks that a login of a user of the directory is
// rejected by the store if the credential has changed since it was checked.
func TestLoginChecksCredentialInStore(t *testing.T) {
	f := newFixture(t)
	user := f.checker.users["alice"]
	user.InStore, user.Credential = true, session.Fingerprint{1}
	f.checker.users["alice"] = user
	_, err := f.loginAs("alice")
	f.wantError(err, session.UserUnknown, "")
}

// TestLoginAsksStoreFirst checks that no password is compared while the store can't write,
// so that the answer does not depend on it. The owner that it is asked about is the user, or
// the username of an unknown one.
func TestLoginAsksStoreFirst(t *testing.T) {
	f := newFixture(t)
	f.store.down = true
	for username, owner := range map[string]string{"alice": "1", "bob": "b", "unknown": "unknown"} {
		for _, pw := range []string{username, "wrong"} {
			f.store.asked = nil
			_, err := f.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: username, Password: pw, Type: "LONG"})
			f.wantError(err, session.Unavailable, "")
			if want := []session.Owner{{App: "shop", User: owner}}; !slices.Equal(f.store.asked, want) {
				t.Errorf("%s: the store was asked whether %v are ready, want %v", username, f.store.asked, want)
			}
		}
	}
	if f.checker.compared != 0 {
		t.Errorf("%d passwords were compared, want none", f.checker.compared)
	}
}

// TestLoginUnsignableClaimsEvictNothing checks that a login that fails because of
// the user's claims evicts no other session.
func TestLoginUnsignableClaimsEvictNothing(t *testing.T) {
	for name, breakClaims := range map[string]func(*fixture){
		"signing fails": func(f *fixture) { f.signer.signErr = errors.New("no UTF-8") },
		"claims too long": func(f *fixture) {
			user := f.checker.users["alice"]
			user.Claims = []byte(`{"x":"` + strings.Repeat("x", session.MaxClaims) + `"}`)
			f.checker.users["alice"] = user
		},
	} {
		f := newFixture(t)
		first := f.login(session.Long)
		f.now = f.now.Add(time.Second)
		f.login(session.Long) // now there are as many as the policy allows
		breakClaims(f)
		calls := f.store.calls
		_, err := f.loginAs("alice")
		f.wantError(err, session.Internal, "")
		f.wantEvents("login shop/1 internal")
		f.signer.signErr = nil
		if _, err := f.refresh(first.Refresh); err != nil || f.store.calls != calls+1 {
			t.Errorf("%s: the login took %d steps of the store, want none; the first session's refresh: %v", name, f.store.calls-calls-1, err)
		}
	}
}
