package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// lifetimes returns settings with the same lifetimes for both session types.
func lifetimes(refresh, absolute string) gatewaytest.Settings {
	settings := gatewaytest.Settings{}
	for _, sessionType := range []string{"LONG", "SHORT"} {
		settings["APP_"+sessionType+"_SESSION_REFRESH_TOKEN_LIFETIME"] = refresh
		settings["APP_"+sessionType+"_SESSION_ABSOLUTE_LIFETIME"] = absolute
	}
	return settings
}

// withPolicies returns a copy of settings with more of them, for both session types.
func withPolicies(settings gatewaytest.Settings, more map[string]string) gatewaytest.Settings {
	settings = maps.Clone(settings)
	for name, value := range more {
		settings["APP_LONG_SESSION_"+name] = value
		settings["APP_SHORT_SESSION_"+name] = value
	}
	return settings
}

// listed is a session in the list of its user.
type listed struct {
	ID      string    `json:"session_id"`
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"last_update"`
	Expires time.Time `json:"expires_at"`
}

// listedSessions returns the list of a session's user.
func (s *clientSession) listedSessions() (all []listed) {
	s.t.Helper()
	resp := requireStatus(s.t, http.StatusOK, s.c.Post(s.t.Context(), "/api/session/list/", s.access, map[string]string{"session": "ALL"}), "list")
	var body map[string]struct{ Sessions []listed }
	must(s.t, json.Unmarshal(resp.Body, &body))
	return slices.Concat(body["Long"].Sessions, body["Short"].Sessions)
}

// listed returns the session's entry in the list.
func (s *clientSession) listed() listed {
	s.t.Helper()
	all := s.listedSessions()
	i := slices.IndexFunc(all, func(l listed) bool { return l.ID == s.id })
	if i < 0 {
		s.t.Fatalf("the list has no session %s: %v", s.id, all)
	}
	return all[i]
}

// tokenExpiry returns the expiry of the session's newest refresh token.
func (s *clientSession) tokenExpiry() time.Time {
	s.t.Helper()
	exp, isNumber := claimsOf(s.t, s.refresh)["exp"].(float64)
	if !isNumber {
		s.t.Fatalf("the refresh token has the claims %v, want an exp", claimsOf(s.t, s.refresh))
	}
	return time.Unix(int64(exp), 0)
}

// checkExpiry checks that got is at most limit, and not much less.
func (s *clientSession) checkExpiry(got, limit time.Time, step string) {
	s.t.Helper()
	if early := limit.Sub(got); early < -time.Second || early > 10*time.Second {
		s.t.Errorf("%s: the %s session expires at %s, want %s", step, s.sessionType, got.UTC().Format(time.RFC3339), limit.UTC().Format(time.RFC3339))
	}
}

// loginBoth logs in with a session of each type.
func loginBoth(t *testing.T, g *gatewaytest.Gateway, user int) []*clientSession {
	t.Helper()
	return []*clientSession{
		login(t, g.Client(), gatewaytest.Username(user), gatewaytest.Password, "LONG"), login(t, g.Client(), gatewaytest.Username(user), gatewaytest.Password, "SHORT"),
	}
}

// TestP1TightenedLifetimesShow checks that the list, the verification and a refresh follow a
// tightened lifetime at once, and that access tokens are not affected.
func TestP1TightenedLifetimesShow(t *testing.T) {
	t.Parallel()
	c := &settingsChange{T: t, redisURL: redistest.Standalone(t).URL, prefix: "tg"}
	c.start(nil)
	c.sessions = loginBoth(t, c.gateway, 0)
	before := []string{c.sessions[0].access, c.sessions[1].access}
	long := c.sessions[0].listed()
	c.sessions[0].checkExpiry(long.Expires, long.Created.Add(30*24*time.Hour), "before the change")

	c.start(lifetimes("30s", "60s"))
	for i, s := range c.sessions {
		entry := s.listed()
		s.checkExpiry(entry.Expires, entry.Created.Add(30*time.Second), "list after the change")
		requireStatus(t, http.StatusOK, verifyToken(t, s.c, s.refresh, "refresh", ""), "verify of a refresh token after the change")
		requireStatus(t, http.StatusOK, s.c.Authz(t.Context(), before[i]), "authz with an access token of before the change")
		if again := s.listed(); !again.Expires.Equal(entry.Expires) {
			t.Errorf("the list shows another expiry each time: %s and %s", entry.Expires, again.Expires)
		}
		requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh after the change")
		limit := entry.Created.Add(30 * time.Second)
		if s.sessionType == "LONG" { // only these are extended
			limit = time.Now().Add(30 * time.Second)
		}
		s.checkExpiry(s.tokenExpiry(), limit, "refresh token after the change")
		s.checkExpiry(s.listed().Expires, s.tokenExpiry(), "list after the refresh")
		requireStatus(t, http.StatusOK, s.c.Authz(t.Context(), before[i]), "authz with an access token of before the change")
		s.checkLive("after the change")
	}
}

// TestP1SessionsOverByTheNewPolicy checks sessions that are over as soon as the lifetime is
// tightened: no step counts or accepts them.
func TestP1SessionsOverByTheNewPolicy(t *testing.T) {
	t.Parallel()
	extended := map[string]string{"EXTEND_SESSION": "true", "EXTEND_SESSION_EVERY_TIME": "true"}
	for cause, tightened := range map[string]gatewaytest.Settings{
		"expired":  withPolicies(lifetimes("4s", "1h"), map[string]string{"EXTEND_SESSION": "false"}),
		"absolute": withPolicies(lifetimes("4s", "4s"), extended),
	} {
		t.Run(cause, func(t *testing.T) {
			t.Parallel()
			one := map[string]string{"MAX_NUMBER_ACTIVE_SESSIONS": "1", "DESTROY_OLDEST_ACTIVE_SESSION": "false"}
			tightened = withPolicies(tightened, one)
			c := &settingsChange{T: t, redisURL: redistest.Standalone(t).URL, prefix: "tg"}
			c.start(withPolicies(withPolicies(lifetimes("1d", "7d"), extended), one))
			counted := loginBoth(t, c.gateway, 0)
			c.sessions = loginBoth(t, c.gateway, 1)
			time.Sleep(4500 * time.Millisecond) // the sessions get older than the tightened lifetime
			for _, s := range slices.Concat(c.sessions, counted) {
				requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh before the change") // moves the expiry, not the creation
				if resp := tryLogin(t, s.c, gatewaytest.Username(0), gatewaytest.Password, s.sessionType); resp.Code != "limit_reached" {
					t.Errorf("login at the maximum: got status %d, body %s; want the code limit_reached", resp.Status, resp.Body)
				}
			}
			c.start(tightened)
			for _, s := range c.sessions {
				access := s.access
				requireStatus(t, http.StatusOK, s.c.Authz(t.Context(), access), "authz with an access token of before the change")
				if all := s.listedSessions(); len(all) != 0 {
					t.Errorf("the list has the sessions %v, want none", all)
				}
				requireStatus(t, http.StatusUnauthorized, verifyToken(t, s.c, s.refresh, "refresh", ""), "verify of the refresh token")
				s.checkCause(s.tryRefresh(), cause, "refresh")
				requireStatus(t, http.StatusUnauthorized, s.tryRefresh(), "refresh, once more")
				requireStatus(t, http.StatusOK, s.c.Authz(t.Context(), access), "authz after the refresh")
				newClientSession(t, s.c, tryLogin(t, s.c, gatewaytest.Username(0), gatewaytest.Password, s.sessionType), s.sessionType).checkLive("login in place of a session that is over")
			}
		})
	}
}

// TestP1LoosenedLifetimes checks that a loosened lifetime stretches no session, not even one that
// is extended, and that tightening without a refresh in between can be undone.
func TestP1LoosenedLifetimes(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	for _, every := range []string{"true", "false"} {
		t.Run("extended every time "+every, func(t *testing.T) {
			t.Parallel()
			flags := map[string]string{"EXTEND_SESSION_EVERY_TIME": every, "EXTEND_SESSION_ONCE_AFTER_EACH": "1d"}
			tight, loose := withPolicies(lifetimes("30s", "60s"), flags), withPolicies(lifetimes("30d", "90d"), flags)
			c := &settingsChange{T: t, redisURL: server.URL, prefix: "every-" + every}
			c.start(tight)
			c.sessions = loginBoth(t, c.gateway, 0)
			c.start(loose)
			for _, s := range c.sessions {
				created := s.listed().Created
				s.checkExpiry(s.listed().Expires, created.Add(30*time.Second), "list after the lifetime is loosened")
				for range 2 {
					requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh after the lifetime is loosened")
					if limit := created.Add(60 * time.Second); s.tokenExpiry().After(limit) || s.listed().Expires.After(limit.Add(time.Second)) {
						t.Errorf("the %s session expires at %s, its token at %s; want no later than %s", s.sessionType, s.listed().Expires, s.tokenExpiry(), limit)
					}
				}
			}
			c.sessions = append(c.sessions, loginBoth(t, c.gateway, 1)...)
			untouched := c.sessions[2].listed().Expires
			c.start(tight)
			c.sessions[2].listed()
			requireStatus(t, http.StatusOK, c.sessions[3].tryRefresh(), "refresh after the lifetime is tightened")
			c.start(loose)
			if got := c.sessions[2].listed().Expires; !got.Equal(untouched) {
				t.Errorf("a session that was not refreshed meanwhile expires at %s, want %s", got, untouched)
			}
			requireStatus(t, http.StatusOK, c.sessions[3].tryRefresh(), "refresh after the lifetime is loosened")
			if limit := c.sessions[3].listed().Created.Add(61 * time.Second); c.sessions[3].listed().Expires.After(limit) {
				t.Errorf("a session that was refreshed meanwhile expires at %s, want no later than %s", c.sessions[3].listed().Expires, limit)
			}
			for _, s := range c.sessions {
				s.checkLive("after the changes")
			}
		})
	}
}

// TestP1TighteningLogsOutNoLiveSession checks each combination of the policy's switches: a
// session that is younger than the tightened lifetime continues with its newest token, also if
// refreshes return no new one.
func TestP1TighteningLogsOutNoLiveSession(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	for i := range 16 {
		flag := func(bit int) string { return fmt.Sprint(i&(1<<bit) != 0) }
		flags := map[string]string{
			"ROTATE_REFRESH_TOKENS": flag(0), "EXTEND_SESSION": flag(1), "EXTEND_SESSION_EVERY_TIME": flag(2), "UPDATE_LAST_LOGIN": flag(3),
			"EXTEND_SESSION_ONCE_AFTER_EACH": "10s",
		}
		t.Run(fmt.Sprintf("rotate %s, extend %s, every time %s, update %s", flag(0), flag(1), flag(2), flag(3)), func(t *testing.T) {
			t.Parallel()
			c := &settingsChange{T: t, redisURL: server.URL, prefix: fmt.Sprintf("flags%d", i)}
			c.start(withPolicies(lifetimes("30d", "90d"), flags))
			c.sessions = loginBoth(t, c.gateway, 0)
			refreshed := loginBoth(t, c.gateway, 1)
			for _, s := range refreshed {
				requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh before the change")
			}
			c.sessions = append(c.sessions, refreshed...)
			for _, lifetime := range []time.Duration{10 * time.Minute, 5 * time.Minute} {
				c.start(withPolicies(lifetimes(lifetime.String(), lifetime.String()), flags))
				for _, s := range c.sessions {
					for range 3 {
						s.checkLive("after a change to " + lifetime.String())
						s.checkExpiry(s.listed().Expires, s.listed().Created.Add(lifetime), "list")
					}
				}
			}
		})
	}
}
