package e2e

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// ownClaims returns the claims of an access token that the user source has set.
func ownClaims(t *testing.T, access string) map[string]any {
	t.Helper()
	claims := claimsOf(t, access)
	for _, name := range []string{"token_type", "exp", "iat", "jti", "user_id", "sid"} {
		delete(claims, name)
	}
	return claims
}

// refreshUntilClaims refreshes the session until its access token has exactly these claims of
// the user source, a JSON object. The refreshes must succeed.
func (s *clientSession) refreshUntilClaims(want, step string) {
	s.t.Helper()
	var claims map[string]any
	must(s.t, json.Unmarshal([]byte(want), &claims))
	poll(s.t, step+": the claims are "+want, func() bool {
		requireStatus(s.t, http.StatusOK, s.tryRefresh(), step)
		return reflect.DeepEqual(ownClaims(s.t, s.access), claims)
	})
	s.checkLive(step)
	if got := ownClaims(s.t, s.access); !reflect.DeepEqual(got, claims) {
		s.t.Errorf("%s: got the claims %v after another refresh, want %s", step, got, want)
	}
}

// withClaimQueries makes a postgres source return claims at login and at refresh. The columns
// of the recheck query are known by their names.
func withClaimQueries(source accountSource, recheckColumns string) gatewaytest.Settings {
	if _, isPostgres := source.(*postgresSource); !isPostgres {
		return gatewaytest.Settings{}
	}
	return gatewaytest.Settings{
		"APP_USERS_QUERY":         `select id, password, is_active, claims from auth_user where username = $1`,
		"APP_USERS_RECHECK_QUERY": `select ` + recheckColumns + ` from auth_user where id = $1`,
	}
}

// TestA4ClaimsFollowTheSource checks that a refresh takes over the present claims of its user,
// with and without rotation.
func TestA4ClaimsFollowTheSource(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword).withClaims(`{"role":"admin"}`), newAccount(t, 9, "bob", oldPassword).withClaims(`{"role":"guest"}`)
		source.set(alice, bob)
		settings := withClaimQueries(source, "claims, is_active, password")
		settings["APP_SHORT_SESSION_ROTATE_REFRESH_TOKENS"] = "false"
		c := startWithSource(t, source, settings).Client()
		long, short, other := login(t, c, "alice", oldPassword, "LONG"), login(t, c, "alice", oldPassword, "SHORT"), login(t, c, "bob", oldPassword, "LONG")
		for _, claims := range []string{
			`{"role":"admin"}`, `{"role":"user"}`, `{}`, `{"role":"editor","groups":["a","b"],"quota":1.5,"nested":{"x":null}}`, `{"name":"Zoë"}`, ``,
		} {
			if source.set(alice.withClaims(claims), bob); claims == "" {
				claims = `{}`
			}
			for _, s := range []*clientSession{long, short} {
				s.refreshUntilClaims(claims, "refresh of a "+s.sessionType+" session")
			}
			other.refreshUntilClaims(`{"role":"guest"}`, "refresh of another user")
		}
	})
}

// TestA4ColumnsByName checks recheck queries of PostgreSQL with other columns: their order does
// not matter, and what they leave out stays as it was at the login.
func TestA4ColumnsByName(t *testing.T) {
	t.Parallel()
	source := startPostgres(t)
	server := redistest.Standalone(t)
	bob := newAccount(t, 99, "bob", oldPassword)
	for i, columns := range []string{
		"is_active", "not not is_active", "is_active, claims", "claims, is_active", "password, is_active", "password, is_active, claims", "is_active, claims, password",
		"claims as claims, true as is_active, password",
	} {
		has := func(name string) bool {
			return slices.ContainsFunc(strings.Split(columns, ", "), func(column string) bool { return strings.HasPrefix(column, name) })
		}
		alice := newAccount(t, i+1, "alice", oldPassword).withClaims(`{"role":"admin"}`)
		source.set(alice, bob)
		settings := withClaimQueries(source, columns)
		settings["REDIS_PREFIX"] = "columns" + string(rune('0'+i))
		c := startWithSourceOn(t, server, source, settings).Client()
		s := login(t, c, "alice", oldPassword, "LONG")
		source.set(alice.withClaims(`{"role":"user"}`), bob)
		want := `{"role":"admin"}`
		if has("claims") {
			want = `{"role":"user"}`
		}
		s.refreshUntilClaims(want, "recheck of "+columns)
		source.set(alice.withHash(quickHash(t, newPassword, "salt")), bob)
		if has("password") {
			s.refreshUntilEnded("account", "change of the password, recheck of "+columns)
		} else {
			s.checkLive("change of the password, recheck of " + columns)
		}
	}
}

// usernameField is a test of an app whose users log in by another field.
type usernameField struct {
	*testing.T
	c *gatewaytest.Client
}

// login sends a login with these fields beside those that are always the same.
func (u usernameField) login(secret string, fields map[string]any) gatewaytest.Response {
	u.Helper()
	body := map[string]any{"password": oldPassword, "secret_key": secret, "session": "LONG", "info": "x"}
	maps.Copy(body, fields)
	return u.c.Post(u.Context(), "/api/session/login/", "", body)
}

// checkFieldError checks that resp is an error of this field only.
func (u usernameField) checkFieldError(resp gatewaytest.Response, field, text string) {
	u.Helper()
	var body map[string]any
	requireStatus(u.T, http.StatusBadRequest, resp, "login")
	must(u.T, json.Unmarshal(resp.Body, &body))
	delete(body, "code")
	if want := map[string]any{field: []any{text}}; !reflect.DeepEqual(body, want) {
		u.Errorf("got the body %s, want %v", resp.Body, want)
	}
}

// TestA5UsernameField checks logins by a field of another name, beside an app with the default
// name on the same gateway.
func TestA5UsernameField(t *testing.T) {
	t.Parallel()
	file := writeFile(t, "users.json", []byte(`[{"id":5,"username":"ann@example.org","email":"ann@example.org","is_active":true,"password":"`+quickHash(t, oldPassword, "salt")+`"}]`))
	for _, field := range []string{"email", "phone_number", "Login"} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			settings := twoApps(file)
			settings["APP_USERNAME_FIELD"] = field
			u := usernameField{t, startShop(t, redistest.Standalone(t).URL, settings).Client()}
			const name, required = "ann@example.org", "This field is required."
			newClientSession(t, u.c, u.login(gatewaytest.Secret, map[string]any{field: name}), "LONG").checkLive("login by " + field)
			newClientSession(t, u.c, u.login(gatewaytest.Secret, map[string]any{field: name, "username": "other"}), "LONG").checkLive("login with both fields")
			requireStatus(t, http.StatusOK, u.login(mailSecret, map[string]any{"username": name}), "login to the other app")
			requireStatus(t, http.StatusOK, u.login(mailSecret, map[string]any{"username": name, field: "other"}), "login to the other app with both fields")

			u.checkFieldError(u.login(gatewaytest.Secret, map[string]any{"username": name}), field, required)
			u.checkFieldError(u.login(gatewaytest.Secret, map[string]any{strings.ToUpper(field): name}), field, required)
			u.checkFieldError(u.login(gatewaytest.Secret, map[string]any{field: nil}), field, "This field may not be null.")
			u.checkFieldError(u.login(gatewaytest.Secret, map[string]any{field: " "}), field, "This field may not be blank.")
			u.checkFieldError(u.login(gatewaytest.Secret, map[string]any{field: []string{name}}), field, "Not a valid string.")
			u.checkFieldError(u.login(mailSecret, map[string]any{field: name}), "username", required)
			resp := requireStatus(t, http.StatusBadRequest, u.login(gatewaytest.Secret, map[string]any{field: "bob@example.org"}), "login of an unknown user")
			if resp.Code != "invalid_credentials" {
				t.Errorf("login of an unknown user: got the body %s, want the code invalid_credentials", resp.Body)
			}
		})
	}
}

// TestA5ImportByUsernameField imports Django's dump of a user model without a username.
func TestA5ImportByUsernameField(t *testing.T) {
	t.Parallel()
	hash := quickHash(t, oldPassword, "salt")
	dump := `[{"model":"contenttypes.contenttype","pk":1,"fields":{"app_label":"auth","model":"user"}},
{"model":"accounts.user","pk":5,"fields":{"password":"` + hash + `","last_login":null,"is_superuser":false,"email":"ann@example.org","is_active":true,"groups":[]}},
{"model":"accounts.user","pk":6,"fields":{"password":"` + hash + `","email":"ben@example.org","username":"ben","is_active":true}},
{"model":"accounts.user","pk":7,"fields":{"password":"` + hash + `","email":"cyd@example.org","is_active":false}}]`
	c := newAccountCommands(t, "USERNAME_FIELD=email")
	if output := c.run(dump, "user", "import", "-"); !strings.Contains(output, "3 users") {
		t.Errorf("user import: got the output %q, want 3 users", output)
	}
	list := c.run("", "user", "list")
	u := usernameField{t, c.client}
	for name, id := range map[string]float64{"ann@example.org": 5, "ben@example.org": 6} {
		if !strings.Contains(list, name) {
			t.Errorf("user list: got the output %s, want %s in it", list, name)
		}
		resp := requireStatus(t, http.StatusOK, u.login(gatewaytest.Secret, map[string]any{"email": name}), "login of "+name)
		if got := claimsOf(t, resp.Access)["user_id"]; got != id {
			t.Errorf("login of %s: got the user id %v, want %v", name, got, id)
		}
	}
	for _, name := range []string{"ben", "cyd@example.org"} {
		requireStatus(t, http.StatusBadRequest, u.login(gatewaytest.Secret, map[string]any{"email": name}), "login of "+name)
	}
	byName := newAccountCommands(t) // without the setting, the users have no name
	byName.fail("", dump[:strings.Index(dump, `{"model":"accounts.user","pk":6`)]+`{"model":"auth.group","pk":1,"fields":{"name":"x"}}]`, "user", "import", "-")
}
