package e2e

import (
	"net/http"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestUserFileIsReread checks that users can be removed from a user file and added to it, that
// a broken one keeps the last users, and that its fault is reported without any request.
func TestUserFileIsReread(t *testing.T) {
	t.Parallel()
	users := &fileSource{t, writeFile(t, "users.json", nil)}
	alice, bob := newAccount(t, 1, "alice", "Tr0ub4dor-alice"), newAccount(t, 2, "bob", "Tr0ub4dor-bob")
	users.set(alice)
	d := newAppsDir(t, "web")
	d.write("mail", appFile{"USERS": "file:" + users.path})
	r := startReloading(t, 1, "", d, nil)
	c := r.client(r.gateways[0], "mail")
	login := func(a account, password string) gatewaytest.Response {
		return c.Post(t.Context(), "/api/session/login/", "", map[string]string{
			"username": a.Username, "password": password, "secret_key": c.Secret, "session": "LONG", "info": "x",
		})
	}
	s := newClientSession(t, c, login(alice, "Tr0ub4dor-alice"), "LONG")

	users.set(alice, bob)
	poll(t, "bob can log in", func() bool { return login(bob, "Tr0ub4dor-bob").Status == http.StatusOK })
	s.checkLive("after a user was added")
	before := r.logged()
	users.write([]byte(`[{"id": 1, "username": "alice", "password": "` + alice.Password + `"`))
	r.untilFaults(before, 1, "user file can't be used", users.path)
	s.checkLive("with a broken user file")
	requireStatus(t, http.StatusOK, login(bob, "Tr0ub4dor-bob"), "login with a broken user file")
	before = r.logged()
	users.set(bob)
	r.untilFaults(before, 0, "user file is valid again", users.path)
	s.refreshUntil(http.StatusUnauthorized, "alice is removed")
	requireStatus(t, http.StatusBadRequest, login(alice, "Tr0ub4dor-alice"), "login of a removed user")
	r.checkServed("web", "after changes of another app's users")
	if log := r.gateways[0].Log(); strings.Contains(log, "Tr0ub4dor") || strings.Contains(log, alice.Password) {
		t.Errorf("the log has a password or a hash:\n%s", log)
	}
}

// TestReloadKeepsChangedPasswords checks that the access tokens of a former password stay
// refused while the app's keys and other settings are changed.
func TestReloadKeepsChangedPasswords(t *testing.T) {
	t.Parallel()
	users := &fileSource{t, writeFile(t, "users.json", nil)}
	alice := newAccount(t, 1, gatewaytest.Username(0), gatewaytest.Password)
	users.set(alice)
	d := newAppsDir(t, "web")
	const key = "mail-signing-key-0123456789abcdef0123456789abcdef"
	settings := appFile{"USERS": "file:" + users.path}
	d.write("mail", settings)
	r := startReloading(t, 1, redistest.Standalone(t).URL, d, nil)
	c := r.client(r.gateways[0], "mail")
	var sessions []*clientSession // a session is used once, because its refusal revokes it
	for range 5 {
		sessions = append(sessions, newClientSession(t, c, c.Login(t.Context(), 0, "LONG", "x"), "LONG"))
	}
	users.set(alice.withHash(quickHash(t, "another-password", "pepper")))
	sessions[0].authzUntilRejected("after the password was changed")

	for i, change := range []string{"ACCESS_TOKEN_LIFETIME=6m", "PASSWORD_MIN_LENGTH=9", "RECHECK_USER=0s", "SIGNING_KEY=next-" + key} {
		name, value, _ := strings.Cut(change, "=")
		settings["VERIFYING_KEYS"], settings[name] = key, value
		before := r.logged()
		r.write("mail", settings)
		r.untilChanged(before, "mail")
		if resp := c.Authz(t.Context(), sessions[i+1].access); resp.Status != http.StatusUnauthorized {
			t.Errorf("after the change of %s: authz with a token of the former password: got status %d, want 401", name, resp.Status)
		}
		sessions[i+1].checkEnded("account", "refresh with a token of the former password")
	}
}
