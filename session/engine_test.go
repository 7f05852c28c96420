package session_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

func TestNewRefuses(t *testing.T) {
	store := memstore.New(memstore.Options{})
	both := map[session.Type]session.Policy{session.Long: good(), session.Short: good()}
	for _, c := range []struct {
		name   string
		change func(cfg *session.Config)
		want   string // in the error; empty: none
	}{
		{"nothing", func(*session.Config) {}, ""},
		{"no store", func(c *session.Config) { c.Store = nil }, "Store"},
		{"no ledger", func(c *session.Config) { c.Ledger = nil }, "Ledger"},
		{"no revocations", func(c *session.Config) { c.Revocations = nil }, "Revocations"},
		{"no signer", func(c *session.Config) { c.Apps[0].Signer = nil }, "app shop: a signer"},
		{"no checker", func(c *session.Config) { c.Apps[0].Checker = nil }, "app shop: a signer and a checker"},
		{"short access tokens", func(c *session.Config) { c.Apps[0].AccessLifetime = time.Second - 1 }, "ACCESS_TOKEN_LIFETIME"},
		{"no secret", func(c *session.Config) { c.Apps[1].Secrets = nil }, "app other: SECRET_KEY is empty"},
		{"one name", func(c *session.Config) { c.Apps[1].Name = "shop" }, "app shop: two apps"},
		{"one secret", func(c *session.Config) { c.Apps[1].Secrets = []string{"x", "s"} }, "app other: SECRET_KEY is also that of app shop"},
		{"one key", func(c *session.Config) { c.Apps[1].Signer = c.Apps[0].Signer }, "app other: its access tokens and those of app shop would be good for each other"},
		{"a secret twice", func(c *session.Config) { c.Apps[0].Secrets = []string{"s", "s"} }, ""},
		{"a type without policy", func(c *session.Config) {
			c.Apps[0].Policies = map[session.Type]session.Policy{session.Long: good()}
		}, "no policy for SHORT"},
		{"a policy out of bounds", func(c *session.Config) {
			c.Apps[0].Policies = map[session.Type]session.Policy{session.Long: good(), session.Short: {}}
		}, "app shop: SHORT_SESSION_REFRESH_TOKEN_LIFETIME is 0s"},
	} {
		app := session.App{
			Name: "shop", Secrets: []string{"s"}, Policies: both, AccessLifetime: time.Second, Signer: &signer{}, Checker: &checker{},
		}
		other := app
		other.Name, other.Secrets, other.Signer = "other", []string{"o"}, &signer{key: "other"}
		cfg := session.Config{
			Apps: []session.App{app, other}, Store: store, Ledger: store, Revocations: session.NewRevocations(keep, bound),
		}
		c.change(&cfg)
		engine, err := session.New(cfg)
		if c.want == "" && (err != nil || engine.App("shop") == nil || engine.App("none") != nil) ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), `"s"`) {
			t.Errorf("%s: the error tells a secret: %v", c.name, err)
		}
	}
}

// TestLoginOfAChangedAccount: the store compares what the password has matched.
func TestLoginOfAChangedAccount(t *testing.T) {
	r := newRig(t)
	users := r.App("shop").Checker.(*checker).users
	alice := users["alice"]
	alice.Hash = "of before"
	users["alice"] = alice
	_, err := r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
	r.fails(err, session.UserUnknown, "")
}

func TestLogin(t *testing.T) {
	r := newRig(t)
	for _, secret := range []string{"s-new", "s-old"} {
		tokens, err := r.Login(t.Context(), session.LoginRequest{
			Secret: secret, Username: "alice", Password: "alice", Type: " long ", Info: "phone",
		})
		if err != nil {
			t.Fatal(err)
		}
		access, refresh := r.claims(tokens.Access, session.Access), r.claims(tokens.Refresh, session.Refresh)
		whole := r.now.Truncate(time.Second)
		for name, ok := range map[string]bool{
			"session":        tokens.Session.Valid() && access.Session == tokens.Session && refresh.Session == tokens.Session,
			"user":           access.User == session.NumberID(1) && refresh.User == session.NumberID(1),
			"access times":   access.Issued.Equal(whole) && access.Expires.Equal(whole.Add(keep)) && access.AuthTime.Equal(whole),
			"refresh times":  refresh.Issued.Equal(whole) && refresh.Expires.Equal(whole.Add(time.Hour)),
			"refresh":        refresh.Generation == 1 && refresh.Type == session.Long && refresh.Extra == nil,
			"claims of user": string(access.Extra) == `{"role":"admin"}`,
		} {
			if !ok {
				t.Errorf("%s: access %+v, refresh %+v", name, access, refresh)
			}
		}
		r.told("login shop/1 ok")
	}
}

// TestLoginRefused: secret before credentials, credentials before type.
func TestLoginRefused(t *testing.T) {
	for _, c := range []struct {
		req  session.LoginRequest
		code session.Code
		told string
	}{
		{session.LoginRequest{Secret: "x", Username: "alice", Password: "alice", Type: "LONG"}, session.InvalidCredentials, "login / invalid_credentials"},
		{session.LoginRequest{Secret: "", Username: "x", Password: "x", Type: "x"}, session.InvalidCredentials, "login / invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "alice", Password: "x", Type: "x"}, session.InvalidCredentials, "login shop/ invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "carol", Password: "carol", Type: "LONG"}, session.InvalidCredentials, "login shop/ invalid_credentials"},
		{session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "ALL"}, session.InvalidType, "login shop/1 invalid_type"},
		{session.LoginRequest{Secret: "o", Username: "bob", Password: "bob", Type: "LONG"}, session.InvalidCredentials, "login other/ invalid_credentials"},
	} {
		r := newRig(t)
		_, err := r.Login(t.Context(), c.req)
		r.fails(err, c.code, "")
		r.told(c.told)
		if r.store.asked != 0 {
			t.Errorf("%+v: the store was asked", c.req)
		}
	}
}

func TestLoginAtTheMaximum(t *testing.T) {
	r := newRig(t)
	first := r.login(session.Long)
	r.now = r.now.Add(time.Second)
	r.login(session.Long)
	_, err := r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
	r.fails(err, session.OK, "")
	if last := r.events.events[1]; last.Session != first.Session || last.By != string(r.events.events[0].Session) {
		t.Errorf("told %+v", r.events.events)
	}
	r.told("login shop/1 ok", "login shop/1 ok evicted")
	_, err = r.refresh(first.Refresh)
	r.fails(err, session.Ended, session.CauseEvicted)
}

func TestLoginFailures(t *testing.T) {
	r := newRig(t)
	req := session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"}
	for _, code := range []session.Code{session.Busy, session.Unavailable} {
		r.checker.fails = session.Fail(code, nil)
		_, err := r.Login(t.Context(), req)
		r.fails(err, code, "")
		r.told("login shop/ " + string(code))
	}
	r.checker.fails, r.signer.broken = nil, errors.New("no key")
	_, err := r.Login(t.Context(), req)
	r.fails(err, session.Internal, "")
	r.told("login shop/1 internal")
}

// TestLoginThatCantBeSigned: what is wrong with a user's claims ends no other
// session of his.
func TestLoginThatCantBeSigned(t *testing.T) {
	for name, spoil := range map[string]func(*rig){
		"no token with these claims": func(r *rig) { r.signer.broken = errors.New("no UTF-8") },
		"too many": func(r *rig) {
			alice := r.checker.users["alice"]
			alice.Claims = []byte(`{"x":"` + strings.Repeat("x", session.MaxClaims) + `"}`)
			r.checker.users["alice"] = alice
		},
	} {
		r := newRig(t)
		first := r.login(session.Long)
		r.now = r.now.Add(time.Second)
		r.login(session.Long) // as many as there may be
		spoil(r)
		asked := r.store.asked
		_, err := r.Login(t.Context(), session.LoginRequest{Secret: "s-new", Username: "alice", Password: "alice", Type: "LONG"})
		r.fails(err, session.Internal, "")
		r.told("login shop/1 internal")
		r.signer.broken = nil
		if _, err := r.refresh(first.Refresh); err != nil || r.store.asked != asked+1 {
			t.Errorf("%s: the store was asked %d times; the first session's refresh: %v", name, r.store.asked-asked-1, err)
		}
	}
}

func TestRefresh(t *testing.T) {
	r := newRig(t)
	first := r.login(session.Long)
	r.now = r.now.Add(time.Minute)
	second, err := r.refresh(first.Refresh)
	r.fails(err, session.OK, "")
	r.told("refresh shop/1 ok")
	access, refresh := r.claims(second.Access, session.Access), r.claims(second.Refresh, session.Refresh)
	if now := r.now.Truncate(time.Second); !access.Issued.Equal(now) || !refresh.Issued.Equal(now) || refresh.Generation != 2 ||
		!access.AuthTime.Equal(now.Add(-time.Minute)) || string(access.Extra) != `{"role":"admin"}` || second.Session != first.Session {
		t.Errorf("access %+v, refresh %+v", access, refresh)
	}
	r.now = r.now.Add(good().RetryWindow - time.Second)
	again, err := r.refresh(first.Refresh)
	r.fails(err, session.OK, "")
	r.told("refresh shop/1 retried")
	if again.Refresh != second.Refresh || again.Access == second.Access {
		t.Errorf("a retry got another refresh token, or the same access token")
	}
}

// TestRefreshKeepsToken: where nothing is due, no refresh token is given.
func TestRefreshKeepsToken(t *testing.T) {
	r := newRig(t)
	p := good()
	p.Rotate = false
	r.policies[session.Long] = p
	first := r.login(session.Long)
	for range 2 {
		tokens, err := r.refresh(first.Refresh)
		r.fails(err, session.OK, "")
		if tokens.Refresh != "" || tokens.Access == "" {
			t.Errorf("got refresh token %q, access token %q", tokens.Refresh, tokens.Access)
		}
	}
}

func TestRefreshReplay(t *testing.T) {
	r := newRig(t)
	first := r.login(session.Long)
	second, err := r.refresh(first.Refresh)
	r.fails(err, session.OK, "")
	r.now = r.now.Add(good().RetryWindow + time.Second)
	r.events.take()
	_, err = r.refresh(first.Refresh)
	r.fails(err, session.Replayed, session.CauseReplay)
	r.told("refresh shop/1 replayed", "refresh shop/1 ok replay")
	_, err = r.refresh(second.Refresh)
	r.fails(err, session.Ended, session.CauseReplay)
	r.told("refresh shop/1 ended")
}

// TestRefreshRefused: secret before type, type before token; and none of these
// harms the session.
func TestRefreshRefused(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	for _, c := range []struct {
		secret, kind, token string
		code                session.Code
		told                string
	}{
		{"x", "x", "x", session.InvalidClient, "refresh / invalid_client"},
		{"s-new", "x", tokens.Refresh, session.InvalidType, "refresh shop/ invalid_type"},
		{"s-new", "ALL", tokens.Refresh, session.InvalidType, "refresh shop/ invalid_type"},
		{"s-new", "LONG", "x", session.Unknown, "refresh shop/ unknown"},
		{"s-new", "LONG", tokens.Access, session.Unknown, "refresh shop/ unknown"},
		{"o", "LONG", tokens.Refresh, session.Unknown, "refresh other/ unknown"},
	} {
		_, err := r.Refresh(t.Context(), session.RefreshRequest{Secret: c.secret, Type: c.kind, Token: c.token})
		r.fails(err, c.code, "")
		r.told(c.told)
	}
	_, err := r.refresh(tokens.Refresh)
	r.fails(err, session.OK, "")
}

func TestRefreshExpired(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	r.now = r.now.Add(time.Hour)
	_, err := r.refresh(tokens.Refresh)
	r.fails(err, session.Expired, session.CauseExpired)
	r.told("refresh shop/1 expired")
	_, err = r.refresh(tokens.Refresh) // the record is gone
	r.fails(err, session.Expired, session.CauseExpired)
	r.told("refresh shop/1 expired")
}

// TestC05ReplayOfAnExpiredToken: a token whose own time is over is a replay
// all the same where its session was extended since.
func TestC05ReplayOfAnExpiredToken(t *testing.T) {
	r := newRig(t)
	extending := r.App("shop").Policies[session.Long]
	extending.Extend, extending.ExtendEveryTime = true, true
	r.App("shop").Policies[session.Long] = extending
	first := r.login(session.Long)
	r.now = r.now.Add(50 * time.Minute)
	second, err := r.refresh(first.Refresh)
	r.fails(err, session.OK, "")
	r.now = r.now.Add(20 * time.Minute)
	_, err = r.refresh(first.Refresh)
	r.fails(err, session.Replayed, session.CauseReplay)
	_, err = r.refresh(second.Refresh)
	r.fails(err, session.Ended, session.CauseReplay)
}

// TestRefreshAsAnotherType ends the session, as the seed documents.
func TestRefreshAsAnotherType(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	wrong := session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: tokens.Refresh}
	_, err := r.Refresh(t.Context(), wrong)
	r.fails(err, session.TypeMismatch, session.CauseTypeMismatch)
	r.told("refresh shop/1 type_mismatch", "refresh shop/1 ok type_mismatch")
	for range 2 {
		_, err = r.Refresh(t.Context(), wrong)
		r.fails(err, session.Ended, session.CauseTypeMismatch)
		r.told("refresh shop/1 ended")
	}
	_, err = r.refresh(tokens.Refresh)
	r.fails(err, session.Ended, session.CauseTypeMismatch)
}

// TestSpentTokenAsAnotherType: a token that isn't the session's current one
// ends no session for being sent as another type's.
func TestSpentTokenAsAnotherType(t *testing.T) {
	for detect, want := range map[bool]session.Code{true: session.Replayed, false: session.Spent} {
		r := newRig(t)
		p := r.policies[session.Long]
		p.Rotate, p.ReuseDetection = true, detect
		r.policies[session.Long] = p
		oldest := r.login(session.Long).Refresh
		newest := oldest
		for range 2 {
			tokens, err := r.refresh(newest)
			r.fails(err, session.OK, "")
			newest = tokens.Refresh
		}
		_, err := r.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: oldest})
		cause := session.CauseReplay
		if !detect {
			cause = ""
		}
		r.fails(err, want, cause)
		_, err = r.refresh(newest)
		if session.CodeOf(err) == session.OK == detect {
			t.Errorf("reuse detection %v: after it the newest token is %v", detect, err)
		}
	}
}

// TestRefreshAsksForTheUser: gone is no such session, as the seed has it;
// inactive is told; in doubt nothing happens.
func TestRefreshAsksForTheUser(t *testing.T) {
	r := newRig(t)
	tokens := r.login(session.Long)
	for from, to := range map[session.Code]session.Code{
		session.UserUnknown: session.Unknown, session.UserInactive: session.UserInactive, session.Unavailable: session.Unavailable,
	} {
		r.checker.recheck["1"] = session.Fail(from, nil)
		_, err := r.refresh(tokens.Refresh)
		r.fails(err, to, "")
		r.told("refresh shop/1 " + string(to))
	}
	delete(r.checker.recheck, "1")
	_, err := r.refresh(tokens.Refresh)
	r.fails(err, session.OK, "")
}
