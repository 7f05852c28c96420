package wholetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// shortLives are sessions of seconds. Nothing is evicted.
func shortLives() rig.Settings {
	return rig.Settings{
		"APP_SHORT_SESSION_REFRESH_TOKEN_LIFETIME":         "1s",
		"APP_SHORT_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "false",
		"APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME":          "2s",
		"APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME":       "true",
		"APP_LONG_SESSION_ABSOLUTE_LIFETIME":               "4s",
		"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS":  "false",
	}
}

// longest is when every session of shortLives is over, and Redis has noticed.
const longest = 6 * time.Second

// TestNothingIsLeftWhenLifetimesPass: no request and no sweeper comes after the
// sessions, and half of the gateways is gone.
func TestNothingIsLeftWhenLifetimesPass(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	gateways := pair(t, server, shortLives())
	conn := dialRedis(t, server)
	c := gateways[0].Client()
	for user := range 20 {
		for _, sessionType := range []string{"SHORT", "LONG", "LONG"} {
			info := strings.Repeat("i", 1+10*user)
			a := want(t, http.StatusOK, c.Login(t.Context(), user, sessionType, info), "login")
			if sessionType == "LONG" {
				want(t, http.StatusOK, c.Refresh(t.Context(), sessionType, a.Refresh), "refresh, which extends")
			}
		}
	}
	if n := conn.number("DBSIZE"); n < 40 {
		t.Fatalf("%d keys for 20 users: what is this test about?", n)
	}
	gateways[0].Kill()
	eventually(t, longest, "DBSIZE is 0", func() bool { return conn.number("DBSIZE") == 0 })
}

// TestOnlyTracesAreLeftOfEndedSessions: what explains endings outlives the
// sessions, and has an end of its own.
func TestOnlyTracesAreLeftOfEndedSessions(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := rig.Start(t, server.URL, shortLives())
	conn, c, ctx := dialRedis(t, server), g.Client(), t.Context()
	first := want(t, http.StatusOK, c.Login(ctx, 0, "LONG", "one"), "login")
	second := want(t, http.StatusOK, c.Login(ctx, 0, "LONG", "two"), "login")
	third := want(t, http.StatusOK, c.Login(ctx, 1, "SHORT", "three"), "login")
	want(t, http.StatusOK, c.Destroy(ctx, first.Access, second.SessionID), "destroy")
	want(t, http.StatusOK, c.Logout(ctx, third.Refresh), "logout")
	want(t, http.StatusOK, operator(t, g, http.MethodDelete, "/admin/apps/"+rig.App+"/sessions"), "end the app's sessions")
	traces := func(key string) (kind string, life time.Duration) {
		switch {
		case strings.Contains(key, "}:gone:"):
			return "gone", 7 * 24 * time.Hour
		case strings.HasSuffix(key, "}:endings"):
			return "endings", time.Hour
		case strings.HasSuffix(key, "}:epoch"):
			return "epoch", 400 * 24 * time.Hour
		}
		return "", 0
	}
	eventually(t, longest, "only traces are left", func() bool {
		for _, key := range conn.keys("*") {
			if kind, _ := traces(key); kind == "" {
				return false
			}
		}
		return true
	})
	count := map[string]int{}
	for _, key := range conn.keys("*") {
		kind, life := traces(key)
		count[kind]++
		left := time.Duration(conn.number("PTTL", key)) * time.Millisecond
		if left <= 0 || left > life || left < life-time.Minute {
			t.Errorf("%s lives for %s more, want about %s", key, left, life)
		}
	}
	if count["gone"] != 2 || count["endings"] != 64 || count["epoch"] != 64 {
		t.Errorf("left are %v", count)
	}
	for user, cause := range []string{"user", "logout"} {
		a := operator(t, g, http.MethodGet, fmt.Sprintf("/admin/apps/%s/users/%d/sessions", rig.App, user+1))
		if want(t, http.StatusOK, a, "the operator's list"); !strings.Contains(string(a.Body), `"cause":"`+cause+`"`) {
			t.Errorf("the ending's cause, %s, is forgotten: %s", cause, a.Body)
		}
	}
}
