package e2e

import (
	"maps"
	"net/http"
	"os"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	oldPassword = "first password"
	newPassword = "second password"
)

// startWithSource starts a gateway whose users are in source.
func startWithSource(t *testing.T, source accountSource, more gatewaytest.Settings) *gatewaytest.Gateway {
	t.Helper()
	return startWithSourceOn(t, redistest.Standalone(t), source, more)
}

// startWithSourceOn is startWithSource with a Redis server.
func startWithSourceOn(t *testing.T, server *redistest.Server, source accountSource, more gatewaytest.Settings) *gatewaytest.Gateway {
	t.Helper()
	settings := source.settings()
	maps.Copy(settings, more)
	return startShop(t, server.URL, settings)
}

// seenBy waits until the gateway has seen a change of the source in which the session's user
// was disabled.
func (s *clientSession) seenBy() {
	s.t.Helper()
	s.refreshUntil(http.StatusUnauthorized, "the gateway sees the change of the user source")
}

// TestA1PasswordChangeEndsSessions checks that a session ends when the stored hash of its
// user's password changes, and that other sessions continue.
func TestA1PasswordChangeEndsSessions(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		bob := newAccount(t, 99, "bob", oldPassword)
		accounts := []account{bob}
		hashes := map[string]string{ // by the user's name
			"another-password":      quickHash(t, newPassword, "salt"),
			"another-salt":          quickHash(t, newPassword, "pepper"),
			"same-password-rehash":  quickHash(t, oldPassword, "pepper"),
			"unusable-password":     "!",
			"other-scheme-password": "argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$" + "kLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLCwsLA",
		}
		for name := range hashes {
			accounts = append(accounts, newAccount(t, len(accounts), name, oldPassword))
		}
		source.set(accounts...)
		c := startWithSource(t, source, nil).Client()
		other := login(t, c, "bob", oldPassword, "LONG")
		for i, a := range accounts[1:] {
			long, idle := login(t, c, a.Username, oldPassword, "LONG"), login(t, c, a.Username, oldPassword, "LONG")
			short := login(t, c, a.Username, oldPassword, "SHORT")
			long.checkLive(a.Username + ", before the change")
			accounts[i+1] = a.withHash(hashes[a.Username])
			source.set(accounts...)
			long.authzUntilRejected(a.Username)
			long.checkEnded("account", a.Username+", refresh")
			idle.checkEnded("account", a.Username+", refresh of an idle session")
			short.checkEnded("account", a.Username+", refresh of a SHORT session")
			other.checkLive(a.Username + ", another user")
		}
		requireStatus(t, http.StatusBadRequest, tryLogin(t, c, "another-password", oldPassword, "LONG"), "login with the old password")
		fresh := login(t, c, "another-password", newPassword, "LONG")
		for range 15 { // a file is read again within a second
			fresh.checkLive("session with the new password")
			time.Sleep(100 * time.Millisecond)
		}
	})
}

// TestA1RefreshSeesPasswordChange checks that refreshes alone, without another request, see a
// change of the password.
func TestA1RefreshSeesPasswordChange(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice := newAccount(t, 8, "alice", oldPassword)
		c := startAlice(t, source, newAccount(t, 9, "bob", oldPassword), nil)
		s := login(t, c, "alice", oldPassword, "SHORT")
		source.set(alice.withHash(quickHash(t, newPassword, "salt")))
		s.refreshUntilEnded("account", "refresh after a change of the password")
		s.authzUntilRejected("after the refresh")
	})
}

// startAlice starts a gateway with the users alice and bob.
func startAlice(t *testing.T, source accountSource, bob account, more gatewaytest.Settings) *gatewaytest.Client {
	t.Helper()
	source.set(newAccount(t, 8, "alice", oldPassword), bob)
	return startWithSource(t, source, more).Client()
}

// TestA1OtherChangesEndNothing checks that a session continues while its user's hash stays,
// whatever else changes in the source.
func TestA1OtherChangesEndNothing(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
		c := startAlice(t, source, bob, nil)
		s := login(t, c, "alice", oldPassword, "LONG")
		renamed := alice
		renamed.Username = "alice2"
		for name, accounts := range map[string][]account{
			"another user's password": {alice, bob.disabled().withHash(quickHash(t, newPassword, "salt"))},
			"other order":             {bob.disabled(), alice},
			"claims":                  {alice.withClaims(`{"role":"admin"}`), bob.disabled()},
			"more users":              {alice, bob.disabled(), newAccount(t, 10, "carol", oldPassword)},
			"another name":            {renamed, bob.disabled()},
		} {
			source.set(alice, bob)
			signal := loginWhenPossible(t, c, "bob", oldPassword, "LONG")
			source.set(accounts...)
			signal.seenBy()
			s.checkLive("after a change of " + name)
		}
	})
}

// TestA1SwitchedOff checks that with SESSION_ENDS_ON_PASSWORD_CHANGE=false, sessions survive a
// change of the password, but not that of a disabled user.
func TestA1SwitchedOff(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
		c := startAlice(t, source, bob, gatewaytest.Settings{"APP_SESSION_ENDS_ON_PASSWORD_CHANGE": "false"})
		s, signal := login(t, c, "alice", oldPassword, "LONG"), login(t, c, "bob", oldPassword, "LONG")
		source.set(alice.withHash(quickHash(t, newPassword, "salt")), bob.disabled())
		signal.seenBy()
		s.checkLive("after a change of the password")
		fresh := login(t, c, "alice", newPassword, "LONG")
		s.checkLive("after a login with the new password")
		source.set(alice.disabled(), bob)
		fresh.refreshUntilEnded("account", "refresh of a disabled user")
		s.checkEnded("account", "refresh of a disabled user")
	})
}

// TestA1LateView checks that a session with the new password continues on an instance that has
// not seen the change of the password yet.
func TestA1LateView(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		server := redistest.Standalone(t)
		alice := newAccount(t, 8, "alice", oldPassword)
		source.set(alice)
		late := gatewaytest.Settings{}
		if _, isPostgres := source.(*postgresSource); isPostgres {
			late["APP_RECHECK_USER"] = "30s" // what an instance knows stays late during the test
		}
		first, second := startWithSourceOn(t, server, source, late), startWithSourceOn(t, server, source, late)
		old := login(t, second.Client(), "alice", oldPassword, "LONG")
		old.checkLive("before the change") // now the second instance knows the old hash
		for round := range 3 {
			password := newPassword + string(rune('0'+round))
			source.set(alice.withHash(quickHash(t, password, "salt")))
			fresh := loginWhenPossible(t, first.Client(), "alice", password, "LONG")
			for range 15 {
				for _, g := range []*gatewaytest.Gateway{second, first} {
					fresh.c = g.Client()
					fresh.checkLive("session with the new password")
				}
				time.Sleep(50 * time.Millisecond)
			}
			if round == 0 {
				old.c = first.Client()
				old.refreshUntilEnded("account", "refresh on the instance of the login")
				old.c = second.Client()
				old.checkEnded("account", "refresh on the other instance")
			}
		}
	})
}

// TestA2IDGivenToAnotherPerson checks that a session of a removed user does not become one of
// the next user with the same id.
func TestA2IDGivenToAnotherPerson(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
		c := startAlice(t, source, bob, nil)
		restored, idle := login(t, c, "alice", oldPassword, "LONG"), login(t, c, "alice", oldPassword, "LONG")
		source.set(bob)
		restored.refreshUntilEnded("account", "refresh of a removed user")
		restored.authzUntilRejected("removed user")
		source.set(alice, bob)
		back := loginWhenPossible(t, c, "alice", oldPassword, "LONG")
		restored.checkEnded("account", "refresh after the user is back")

		source.set(newAccount(t, 8, "carol", newPassword), bob)
		carol := loginWhenPossible(t, c, "carol", newPassword, "LONG")
		for _, s := range []*clientSession{restored, idle, back} {
			s.authzUntilRejected("another person has the id")
			s.refreshUntilEnded("account", "refresh after another person got the id")
		}
		carol.checkLive("session of the next person")
		ids, _ := c.List(t.Context(), carol.access)
		if len(ids["Long"]) != 1 || ids["Long"][0] != carol.id {
			t.Errorf("list of the next person: got the sessions %v, want only %s", ids, carol.id)
		}
	})
}

// TestA2EmptySourceEndsNothing checks that refreshes are 503 while there are no users at all,
// and that the sessions continue when the users are back.
func TestA2EmptySourceEndsNothing(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
		c := startAlice(t, source, bob, nil)
		s := login(t, c, "alice", oldPassword, "LONG")
		for range 2 {
			source.set()
			resp := s.refreshUntil(http.StatusServiceUnavailable, "the gateway sees that there are no users")
			if resp.Header.Get("Retry-After") == "" || resp.Code != "unavailable" {
				t.Errorf("refresh without users: got the headers %v, body %s; want Retry-After and the code unavailable", resp.Header, resp.Body)
			}
			source.set(alice, bob)
			s.refreshUntilLive("after the users are back")
		}
	})
}

// TestA2BrokenFileEndsNothing checks that no session ends while the user file is missing or
// invalid.
func TestA2BrokenFileEndsNothing(t *testing.T) {
	t.Parallel()
	source := &fileSource{t, writeFile(t, "users.json", []byte("[]"))}
	alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
	c := startAlice(t, source, bob, nil)
	s := login(t, c, "alice", oldPassword, "LONG")
	for name, damage := range map[string]func(){
		"missing file":   func() { must(t, os.Remove(source.path)) },
		"empty file":     func() { source.write(nil) },
		"half of a file": func() { source.write([]byte(`[{"id": 9, "username": "bob"`)) },
		"null":           func() { source.write([]byte(`null`)) },
	} {
		damage()
		for begin := time.Now(); time.Since(begin) < 1200*time.Millisecond; time.Sleep(100 * time.Millisecond) {
			if resp := s.tryRefresh(); resp.Status != http.StatusOK && resp.Status != http.StatusServiceUnavailable {
				t.Fatalf("%s: got status %d, body %s; want 200 or 503", name, resp.Status, resp.Body)
			}
		}
		source.set(alice, bob)
		s.refreshUntilLive(name)
	}
}

// refreshUntilLive refreshes until it succeeds. Until then the refreshes must be 503.
func (s *clientSession) refreshUntilLive(step string) {
	s.t.Helper()
	poll(s.t, step+": the session continues", func() bool {
		resp := s.tryRefresh()
		if resp.Status != http.StatusOK && resp.Status != http.StatusServiceUnavailable {
			s.t.Fatalf("%s: got status %d, body %s; want 200 or 503", step, resp.Status, resp.Body)
		}
		return resp.Status == http.StatusOK
	})
	s.checkLive(step)
}

// TestA3DisabledUserLosesSessions checks that a refresh of a disabled user ends the session, and
// that the session stays ended when the user is enabled again.
func TestA3DisabledUserLosesSessions(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		alice, bob := newAccount(t, 8, "alice", oldPassword), newAccount(t, 9, "bob", oldPassword)
		c := startAlice(t, source, bob, nil)
		long, short, other := login(t, c, "alice", oldPassword, "LONG"), login(t, c, "alice", oldPassword, "SHORT"), login(t, c, "bob", oldPassword, "LONG")
		source.set(alice.disabled(), bob)
		long.refreshUntilEnded("account", "refresh of a disabled user")
		long.authzUntilRejected("disabled user")
		short.checkEnded("account", "refresh of another session of a disabled user")
		other.checkLive("session of another user")
		source.set(alice, bob)
		fresh := loginWhenPossible(t, c, "alice", oldPassword, "LONG")
		long.checkEnded("account", "refresh after the user is enabled again")
		short.checkEnded("account", "refresh after the user is enabled again")
		fresh.checkLive("session of after the user is enabled again")
		ids, _ := c.List(t.Context(), fresh.access)
		if len(ids["Long"]) != 1 || len(ids["Short"]) != 0 {
			t.Errorf("list: got the sessions %v, want only %s", ids, fresh.id)
		}
	})
}
