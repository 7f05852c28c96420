package resilience

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// causeTest has two gateways over one Redis. Sessions are revoked through one of them, and the other one
// receives the revocations.
type causeTest struct {
	*testing.T
	server          *redistest.Server
	revoker, second *gatewaytest.Gateway
	client          *gatewaytest.Client // of revoker
	user            int
}

func newCauseTest(t *testing.T, s gatewaytest.Settings) *causeTest {
	server := redistest.Standalone(t)
	gateways := startGateways(t, 2, server.URL, merge(gatewaytest.Settings{"LOG_FORMAT": "json"}, s))
	return &causeTest{T: t, server: server, revoker: gateways[0], second: gateways[1], client: gateways[0].Client()}
}

func (c *causeTest) login(sessionType string) gatewaytest.Response {
	c.Helper()
	a := c.client.Login(context.Background(), c.user, sessionType, "client")
	if a.Status != http.StatusOK {
		c.Fatalf("login: got %d %s, want 200", a.Status, a.Body)
	}
	return a
}

// admin sends a request to the revoker's admin API.
func (c *causeTest) admin(method, path string) gatewaytest.Response {
	c.Helper()
	req, err := http.NewRequest(method, c.revoker.AdminURL+path, nil)
	if err != nil {
		c.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+gatewaytest.AdminToken)
	a := c.client.Do(req)
	if a.Status != http.StatusOK {
		c.Fatalf("%s %s: got %d %s, want 200", method, path, a.Status, a.Body)
	}
	return a
}

// adminSessions returns the admin API's path of the user's sessions.
func (c *causeTest) adminSessions() string {
	return fmt.Sprintf("/admin/apps/%s/users/%d/sessions", gatewaytest.App, c.user+1)
}

// revocations maps a cause to a function that revokes the session in with that cause and returns the "by"
// that the revocation must have. The functions need causeSettings: at most two LONG sessions and no retry
// window. CauseApp is not included; see TestAppRevocation.
var revocations = map[session.Cause]func(c *causeTest, in gatewaytest.Response) (by string){
	session.CauseUser: func(c *causeTest, in gatewaytest.Response) string {
		c.client.Destroy(c.Context(), c.login("LONG").Access, in.SessionID)
		return ""
	},
	session.CauseOthers: func(c *causeTest, in gatewaytest.Response) string {
		other := c.login("SHORT")
		c.client.DestroyOthers(c.Context(), other.Access, other.Refresh, "LONG")
		return ""
	},
	session.CauseLogout: func(c *causeTest, in gatewaytest.Response) string {
		c.client.Logout(c.Context(), in.Refresh)
		return ""
	},
	session.CauseEvicted: func(c *causeTest, in gatewaytest.Response) string {
		c.login("LONG")
		return c.login("LONG").SessionID
	},
	session.CauseReplay: func(c *causeTest, in gatewaytest.Response) string {
		c.client.Refresh(c.Context(), "LONG", in.Refresh)
		if a := c.client.Refresh(c.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "replayed" || a.Cause != "replay" {
			c.Errorf("replay: got %d %s, want 401 with the code replayed and the cause replay", a.Status, a.Body)
		}
		return ""
	},
	session.CauseTypeMismatch: func(c *causeTest, in gatewaytest.Response) string {
		if a := c.client.Refresh(c.Context(), "SHORT", in.Refresh); a.Status != 401 || a.Cause != "type_mismatch" {
			c.Errorf("refresh as another type: got %d %s, want 401 with the cause type_mismatch", a.Status, a.Body)
		}
		return ""
	},
	session.CauseOperator: func(c *causeTest, in gatewaytest.Response) string {
		c.admin(http.MethodDelete, c.adminSessions()+"/"+in.SessionID+"?by=eve")
		return "eve"
	},
	session.CauseAccount: func(c *causeTest, in gatewaytest.Response) string {
		c.admin(http.MethodDelete, c.adminSessions()+"?cause=account&by=hr")
		return "hr"
	},
}

var causeSettings = gatewaytest.Settings{
	"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2", "APP_LONG_SESSION_RETRY_WINDOW": "0s",
}

// TestCausesAgree revokes a session with each cause in revocations. It checks that the answer to the
// client, the tombstone, the outbox, the admin API, the metric and the log have the same cause, and that
// the other instance rejects the access token.
func TestCausesAgree(t *testing.T) {
	t.Parallel()
	c := newCauseTest(t, causeSettings)
	for _, cause := range session.Causes {
		revoke, ok := revocations[cause]
		if !ok {
			continue
		}
		t.Run(string(cause), func(t *testing.T) {
			c.user++
			sub := *c
			sub.T = t
			before := sub.countRevocations(cause)
			in := sub.login("LONG")
			by := revoke(&sub, in)
			sub.checkCause(in, cause, by)
			if n := sub.countRevocations(cause) - before; n != 1 {
				t.Errorf("the metric counted %v revocations, want 1", n)
			}
		})
	}
}

// checkCause checks each place that has the cause of a session's revocation, except the metric.
func (c *causeTest) checkCause(in gatewaytest.Response, cause session.Cause, by string) {
	c.Helper()
	word := string(cause)
	if a := c.second.Client().Refresh(c.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "ended" || a.Cause != word {
		c.Errorf("refresh: got %d %s, want 401 with the code ended and the cause %s", a.Status, a.Body, word)
	}
	tombstones := strings.Split(c.server.Do("ZRANGE", userKey(c.user, "tombstones"), "0", "-1"), "\n")
	if want := in.SessionID + "|" + word + "|" + by; !slices.Contains(tombstones, want) {
		c.Errorf("tombstones: got %q, want %q among them", tombstones, want)
	}
	c.checkAdminAPI(in.SessionID, fmt.Sprintf(`"cause":%q,"by":%q`, word, by))
	entries := userRevocations(c.server, c.user)
	if !slices.ContainsFunc(entries, func(e outboxEntry) bool {
		return e.cause == word && e.by == by && e.app == gatewaytest.App && slices.Contains(e.ids, in.SessionID)
	}) {
		c.Errorf("outbox: got %v, want session %s with the cause %s", entries, in.SessionID, word)
	}
	c.waitSecondRejects(in.Access)
	gatewaytest.WaitUntil(c, time.Second, "the revocation is logged", func() bool {
		line := c.findLogLine(in.SessionID, word)
		return line != nil && (by == "" || line["by"] == by)
	})
}

// checkAdminAPI checks that the admin API's list of the user's sessions has a revoked session, with the JSON
// members want after its ID.
func (c *causeTest) checkAdminAPI(id, want string) {
	c.Helper()
	got := string(c.admin(http.MethodGet, c.adminSessions()).Body)
	if want := fmt.Sprintf(`{"session_id":%q,`, id) + want; !strings.Contains(got, want) {
		c.Errorf("admin API: got %s, want it to contain %s", got, want)
	}
}

// waitSecondRejects waits until the second gateway rejects an access token.
func (c *causeTest) waitSecondRejects(access string) {
	c.Helper()
	gatewaytest.WaitUntil(c, time.Second, "the other instance rejects the access token", func() bool {
		return c.second.Client().Authz(c.Context(), access).Status == http.StatusUnauthorized
	})
}

// countRevocations returns how many revocations the revoker has counted with a cause.
func (c *causeTest) countRevocations(cause session.Cause) (n float64) {
	for series, value := range readMetrics(c, c.revoker) {
		if strings.HasPrefix(series, "tokengate_sessions_ended_total{") && strings.Contains(series, fmt.Sprintf("cause=%q", cause)) {
			n += value
		}
	}
	return n
}

// findLogLine returns the fields of the revoker's log line about a revocation, or nil if there is none. The
// line of an app's revocation has no session; id is empty then.
func (c *causeTest) findLogLine(id, cause string) map[string]any {
	for line := range strings.Lines(c.revoker.Log()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["cause"] != cause {
			continue
		}
		if text, _ := fields["session"].(string); text == id {
			return fields
		}
	}
	return nil
}

// TestAppRevocation revokes all sessions of an app. It checks that the outbox of each bucket has one entry
// and that the cause is app everywhere.
func TestAppRevocation(t *testing.T) {
	t.Parallel()
	c := newCauseTest(t, nil)
	before := c.countRevocations(session.CauseApp)
	in := c.login("LONG")
	// Access tokens issued in the same second as the revocation are rejected, too. This one must be older.
	time.Sleep(1100 * time.Millisecond)
	c.admin(http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions?by=eve")
	if a := c.second.Client().Refresh(t.Context(), "LONG", in.Refresh); a.Status != 401 || a.Code != "ended" || a.Cause != "app" {
		t.Errorf("refresh: got %d %s, want 401 with the code ended and the cause app", a.Status, a.Body)
	}
	for bucket := range 64 {
		entries := readOutbox(c.server, fmt.Sprintf("tg:{%s:%02x}:revocations", gatewaytest.App, bucket))
		if len(entries) != 1 || entries[0].cause != "app" || entries[0].app != gatewaytest.App {
			t.Errorf("outbox of bucket %d: got %v, want one entry with the cause app", bucket, entries)
		}
	}
	c.checkAdminAPI(in.SessionID, `"cause":"app"`)
	c.waitSecondRejects(in.Access)
	if n := c.countRevocations(session.CauseApp) - before; n != 1 {
		t.Errorf("the metric counted %v revocations, want 1", n)
	}
	if line := c.findLogLine("", "app"); line == nil || line["by"] != "eve" {
		t.Errorf("log: got %v, want a line with by eve", line)
	}
	again := c.login("LONG")
	if c.client.Authz(t.Context(), again.Access).Status != http.StatusOK && c.client.Refresh(t.Context(), "LONG", again.Refresh).Status != http.StatusOK {
		t.Error("a session created after the revocation was rejected")
	}
}

// TestSessionsExpire checks a session that expires unused and one that is extended until its absolute
// lifetime ends. The answers have the cause, but an expiry is not a revocation: it has no tombstone, outbox
// entry or metric. The leeway lets the expired tokens reach the store, and further logins keep the user's
// keys alive.
func TestSessionsExpire(t *testing.T) {
	t.Parallel()
	c := newCauseTest(t, gatewaytest.Settings{
		"APP_LEEWAY": "1m", "APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME": "2s", "APP_LONG_SESSION_ABSOLUTE_LIFETIME": "3s",
		"APP_LONG_SESSION_EXTEND_SESSION": "true", "APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME": "true",
	})
	start := time.Now().Truncate(time.Second).Add(time.Second)
	sleepUntil := func(d time.Duration) { time.Sleep(time.Until(start.Add(d))) }
	sleepUntil(50 * time.Millisecond)
	unused, extended := c.login("LONG"), c.login("LONG")
	sleepUntil(1050 * time.Millisecond)
	if extended = c.client.Refresh(t.Context(), "LONG", extended.Refresh); extended.Status != http.StatusOK {
		t.Fatalf("the session was not extended: got %d %s", extended.Status, extended.Body)
	}
	for i, token := range []string{unused.Refresh, extended.Refresh} {
		cause := []session.Cause{session.CauseExpired, session.CauseAbsolute}[i]
		sleepUntil(time.Duration(i+1)*time.Second + 600*time.Millisecond)
		c.login("LONG")
		sleepUntil(time.Duration(i+2)*time.Second + 50*time.Millisecond)
		a := c.client.Refresh(t.Context(), "LONG", token)
		if a.Status != http.StatusUnauthorized || a.Cause != string(cause) {
			t.Errorf("%s: refresh: got %d %s, want 401 with that cause", cause, a.Status, a.Body)
		}
		if n := c.countRevocations(cause); n != 0 || len(userRevocations(c.server, c.user)) != 0 || c.server.Do("EXISTS", userKey(c.user, "tombstones")) != "0" {
			t.Errorf("%s: the expiry was recorded as a revocation", cause)
		}
	}
}
