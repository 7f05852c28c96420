package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// shortLifetimes returns settings with lifetimes of a few seconds, and without limits on
// the number of sessions, so that none is evicted.
func shortLifetimes() gatewaytest.Settings {
	return gatewaytest.Settings{
		"APP_SHORT_SESSION_REFRESH_TOKEN_LIFETIME":         "1s",
		"APP_SHORT_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false",
		"APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME":          "2s",
		"APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME":       "true",
		"APP_LONG_SESSION_ABSOLUTE_LIFETIME":               "4s",
		"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS":  "false",
	}
}

// allExpired is the time after which every session of shortLifetimes has expired and
// Redis has deleted its keys.
const allExpired = 6 * time.Second

// TestExpiredSessionsLeaveNoKeys checks that Redis is empty after all sessions have
// expired, although no request follows and one of the two gateways was killed.
func TestExpiredSessionsLeaveNoKeys(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	gateways := startTwoGateways(t, server, shortLifetimes())
	c := gateways[0].Client()
	for user := range 20 {
		for _, sessionType := range []string{"SHORT", "LONG", "LONG"} {
			info := strings.Repeat("i", 1+10*user)
			login := requireStatus(t, http.StatusOK, c.Login(t.Context(), user, sessionType, info), "login")
			if sessionType == "LONG" {
				requireStatus(t, http.StatusOK, c.Refresh(t.Context(), sessionType, login.Refresh), "refresh, which extends the session")
			}
		}
	}
	if n := redisInt(t, server, "DBSIZE"); n < 40 {
		t.Fatalf("got %d keys for the sessions of 20 users, want at least 40", n)
	}
	gateways[0].Kill()
	gatewaytest.WaitUntil(t, allExpired, "Redis is empty", func() bool { return redisInt(t, server, "DBSIZE") == 0 })
}

// revocationKey returns the kind of a key that records revocations, and the lifetime that
// it has when it is written. For other keys it returns an empty string.
func revocationKey(key string) (kind string, lifetime time.Duration) {
	switch {
	case strings.Contains(key, "}:tombstones:"):
		return "tombstones", 7 * 24 * time.Hour
	case strings.HasSuffix(key, "}:revocations"):
		return "revocations", time.Hour
	case strings.HasSuffix(key, "}:not_before"):
		return "not_before", 400 * 24 * time.Hour
	}
	return "", 0
}

// TestRevocationRecordsOutliveSessions checks that tombstones, revocation outboxes and
// not-before times are kept after the sessions have expired, and that they expire as well.
func TestRevocationRecordsOutliveSessions(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := gatewaytest.Start(t, server.URL, shortLifetimes())
	c, ctx := g.Client(), t.Context()
	first := requireStatus(t, http.StatusOK, c.Login(ctx, 0, "LONG", "one"), "login")
	second := requireStatus(t, http.StatusOK, c.Login(ctx, 0, "LONG", "two"), "login")
	third := requireStatus(t, http.StatusOK, c.Login(ctx, 1, "SHORT", "three"), "login")
	requireStatus(t, http.StatusOK, c.Destroy(ctx, first.Access, second.SessionID), "destroy")
	requireStatus(t, http.StatusOK, c.Logout(ctx, third.Refresh), "logout")
	requireStatus(t, http.StatusOK, sendAdmin(t, g, http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions"), "revoke the app's sessions")
	gatewaytest.WaitUntil(t, allExpired, "only records of revocations are left", func() bool {
		for _, key := range redisKeys(server, "*") {
			if kind, _ := revocationKey(key); kind == "" {
				return false
			}
		}
		return true
	})
	count := map[string]int{}
	for _, key := range redisKeys(server, "*") {
		kind, lifetime := revocationKey(key)
		count[kind]++
		left := time.Duration(redisInt(t, server, "PTTL", key)) * time.Millisecond
		if left <= 0 || left > lifetime || left < lifetime-time.Minute {
			t.Errorf("%s: got a remaining lifetime of %s, want about %s", key, left, lifetime)
		}
	}
	// The tombstones of a user are one key. Each of the app's 64 buckets has an outbox and a
	// not-before time.
	if count["tombstones"] != 2 || count["revocations"] != 64 || count["not_before"] != 64 {
		t.Errorf("got the keys %v, want 2 tombstones, 64 revocations and 64 not_before", count)
	}
	for user, cause := range []string{"user", "logout"} {
		resp := sendAdmin(t, g, http.MethodGet, fmt.Sprintf("/admin/apps/%s/users/%d/sessions", gatewaytest.App, user+1))
		requireStatus(t, http.StatusOK, resp, "the admin API's list")
		if !strings.Contains(string(resp.Body), `"cause":"`+cause+`"`) {
			t.Errorf("the admin API's list: got %s, want the cause %q in it", resp.Body, cause)
		}
	}
}
