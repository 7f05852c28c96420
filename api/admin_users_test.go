package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
	"tokengate/session/password"
	"tokengate/session/users"
)

// accounts returns the manager of the users in the store's directory.
func (g *gateway) accounts(t testing.TB, opts options) session.AccountManager {
	t.Helper()
	least := map[string]int{}
	if opts.minPassword > 0 {
		least[wiretest.App] = opts.minPassword
	}
	m, err := users.NewManager(users.ManagerOptions{
		Directory: g.store.Directory(), Queue: password.NewQueue(1, time.Minute, nil), MinPassword: least,
		Revoke: func(ctx context.Context, owner session.Owner, by string) (session.RevokeResult, error) {
			return g.engine.RevokeUser(ctx, owner, session.CauseAccount, by)
		},
	})
	must(t, err)
	return m
}

// pendingAccounts is an AccountManager whose changes are all pending.
type pendingAccounts struct{ session.AccountManager }

func (p pendingAccounts) AddAccount(ctx context.Context, app string, n session.NewAccount) (session.Account, session.Durability, error) {
	a, _, err := p.AccountManager.AddAccount(ctx, app, n)
	return a, session.Pending, err
}

func (p pendingAccounts) ChangeAccount(ctx context.Context, app string, id session.UserID, c session.AccountChange, by string) (session.Account, session.Durability, error) {
	a, _, err := p.AccountManager.ChangeAccount(ctx, app, id, c, by)
	return a, session.Pending, err
}

func (p pendingAccounts) RemoveAccount(ctx context.Context, app string, id session.UserID, by string) (session.RevokeResult, error) {
	result, err := p.AccountManager.RemoveAccount(ctx, app, id, by)
	result.Durability = session.Pending
	return result, err
}

const (
	usersPath    = "/admin/apps/wire/users"
	authorized   = "Authorization: Bearer " + wiretest.AdminToken
	newUserEve   = `{"username":"eve","password":"eve's password","id":7}`
	eveIsCreated = `{"user_id":7,"username":"eve","is_active":true,"claims":{}}`
)

func TestAdminUsersReportDurability(t *testing.T) {
	g := newGateway(t, options{minPassword: 8, change: func(o *api.Options) { o.Accounts = pendingAccounts{o.Accounts} }})
	for _, c := range []struct{ method, path, body, want string }{
		{"POST", usersPath, newUserEve, "pending"},
		{"GET", usersPath + "/7", "", ""},
		{"PATCH", usersPath + "/7", `{"is_active":false}`, "pending"},
		{"DELETE", usersPath + "/7", "", "pending"},
	} {
		w := do(g.admin, c.method, c.path, c.body, authorized)
		if got := w.Header().Get("Durability"); w.Code >= 300 || got != c.want {
			t.Errorf("%s %s: got %d %s with the durability %q, want %q", c.method, c.path, w.Code, w.Body, got, c.want)
		}
	}
}

// TestAdminUsersKeepSecrets checks that neither answers nor the log have passwords or hashes.
func TestAdminUsersKeepSecrets(t *testing.T) {
	g := newGateway(t, options{minPassword: 8})
	var answers strings.Builder
	for _, c := range []struct{ method, path, body string }{
		{"POST", usersPath, newUserEve}, {"POST", usersPath, `{"username":"eve","password":"sécret"}`},
		{"POST", usersPath, `{"username":"eve","password":["sécret password"]}`},
		{"PATCH", usersPath + "/7", `{"password":"sécret password"}`}, {"PATCH", usersPath + "/7", `{"password":"sécret\u0000password"}`},
		{"PATCH", usersPath + "/7", `{"sécret":1`}, {"GET", usersPath, ""}, {"GET", usersPath + "/7", ""}, {"DELETE", usersPath + "/7", ""},
	} {
		answers.WriteString(do(g.admin, c.method, c.path, c.body, authorized).Body.String())
	}
	for _, secret := range []string{"eve's password", "sécret", "argon2", "$"} {
		if strings.Contains(answers.String(), secret) || strings.Contains(g.log.String(), secret) {
			t.Errorf("%q is in an answer or in the log:\n%s\n%s", secret, &answers, g.log)
		}
	}
	if !strings.Contains(g.log.String(), "endpoint=admin_change_user") || !strings.Contains(g.log.String(), "user=7") {
		t.Errorf("the log does not name the endpoint and the user:\n%s", g.log)
	}
}

// TestAdminUsersElsewhere checks every endpoint for an app whose users can't be managed, with
// and without a manager, and for an app that does not exist.
func TestAdminUsersElsewhere(t *testing.T) {
	for _, without := range []bool{false, true} {
		g := newGateway(t, options{change: func(o *api.Options) {
			if without {
				o.Accounts = nil
			}
		}})
		for _, c := range []struct{ method, path, body string }{
			{"GET", "/users", ""}, {"GET", "/users?name=alice", ""}, {"POST", "/users", newUserEve},
			{"GET", "/users/1", ""}, {"PATCH", "/users/1", `{"is_active":false}`}, {"DELETE", "/users/1", ""},
		} {
			expect(t, do(g.admin, c.method, "/admin/apps/wire"+c.path, c.body, authorized), 409,
				`{"detail":"USERS of this app is not redis: change its users where they are kept.","code":"users_elsewhere"}`)
			expect(t, do(g.admin, c.method, "/admin/apps/other"+c.path, c.body, authorized), 404, `{"detail":"No such app.","code":"app_not_found"}`)
			expect(t, do(g.admin, c.method, "/admin/apps/wire"+c.path, c.body), 401, "*")
		}
	}
}

// TestAdminUsersWhileOthersChangeThem checks the answer when other operators keep changing a
// user.
func TestAdminUsersWhileOthersChangeThem(t *testing.T) {
	g := newGateway(t, options{minPassword: 8, change: func(o *api.Options) { o.Accounts = changedAccounts{o.Accounts} }})
	expect(t, do(g.admin, "PATCH", usersPath+"/7", `{"is_active":false}`, authorized), 409,
		`{"detail":"The user was changed by others at the same time. Try again.","code":"user_changed"}`)
}

type changedAccounts struct{ session.AccountManager }

func (changedAccounts) ChangeAccount(context.Context, string, session.UserID, session.AccountChange, string) (session.Account, session.Durability, error) {
	return session.Account{}, "", session.Fail(session.UserChanged, nil)
}

// TestAdminUsersReadBody checks bodies that are not what the endpoints take.
func TestAdminUsersReadBody(t *testing.T) {
	g := newGateway(t, options{minPassword: 8})
	expect(t, do(g.admin, "POST", usersPath, newUserEve, authorized), 201, eveIsCreated)
	w := do(g.admin, "PATCH", usersPath+"/7", "is_active=false", authorized, "Content-Type: application/x-www-form-urlencoded")
	expect(t, w, 415, `{"detail":"Unsupported media type \"application/x-www-form-urlencoded\" in request.","code":"unsupported_media_type"}`)
	expect(t, do(g.admin, "PATCH", usersPath+"/7", `[]`, authorized), 400, "*")
	expect(t, do(g.admin, "PATCH", usersPath+"/7", `{"is_active":fals}`, authorized), 400, "*")
	expect(t, do(g.admin, "PATCH", usersPath+"/7", `{"username":"`+strings.Repeat("x", 64<<10)+`"}`, authorized), 413, "*")
	expect(t, do(g.admin, "PATCH", usersPath+"/7", "", authorized), 200, eveIsCreated)
	expect(t, do(g.admin, "PATCH", usersPath+"/7", `{}`, authorized, "Content-Type: application/json; charset=utf-8"), 200, eveIsCreated)
	for body, field := range map[string]string{
		`{"isActive":false}`: "isActive", `{"is_active":false,"is_active":true}`: "is_active", `{"id":8}`: "id",
		`{"is_active":"false"}`: "is_active", `{"is_active":0}`: "is_active", `{"is_active":null}`: "is_active",
		`{"username":5}`: "username", `{"username":null}`: "username", `{"username":" eve"}`: "username", `{"username":"e\u0000"}`: "username",
		`{"username":"e\ud800"}`: "username", `{"password":"e\ud800 is not a character"}`: "password", `{"password":12345678}`: "password",
		`{"claims":[]}`: "claims", `{"claims":"x"}`: "claims",
	} {
		w := do(g.admin, "PATCH", usersPath+"/7", body, authorized)
		var answer map[string]any
		decode(t, w, &answer)
		if _, named := answer[field].([]any); w.Code != 400 || !named || answer["code"] != "invalid" {
			t.Errorf("%s: got %d %s, want 400 and an error of %s", body, w.Code, w.Body, field)
		}
	}
	expect(t, do(g.admin, "GET", usersPath+"/7", "", authorized), 200, eveIsCreated)
}
