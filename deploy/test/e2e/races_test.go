package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	maxSessions         = 2
	concurrentLogins    = 64
	concurrentRefreshes = 20
)

// TestLimitHoldsUnderConcurrentLogins logs in one user from many clients at once, through
// two gateways, while a reader polls the user's set of sessions in Redis. The set must
// never have more than the maximum number of sessions.
func TestLimitHoldsUnderConcurrentLogins(t *testing.T) {
	server := redistest.Standalone(t)
	gateways := startTwoGateways(t, server, gatewaytest.Settings{
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    strconv.Itoa(maxSessions),
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "true",
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     strconv.Itoa(maxSessions),
		"APP_LONG_SESSION_DESTROY_OLDEST_ACTIVE_SESSION":  "false",
	})
	race := limitRace{gateways, [2]*gatewaytest.Client{gateways[0].Client(), gateways[1].Client()}, server}
	for round := range rounds(t, 20) {
		race.run(t, round, "SHORT", checkEviction)
		race.run(t, round, "LONG", checkRejection)
	}
}

// limitRace has the parts of TestLimitHoldsUnderConcurrentLogins.
type limitRace struct {
	gateways [2]*gatewaytest.Gateway
	clients  [2]*gatewaytest.Client
	server   *redistest.Server
}

// run runs one round with one session type. check checks the responses to the logins.
func (r limitRace) run(t *testing.T, round int, sessionType string, check func(*testing.T, limitRace, []gatewaytest.Response)) {
	t.Helper()
	user := round % gatewaytest.Users
	r.revokeAll(t, user)
	key := r.sessionsKey(t, user, sessionType)
	highest, stop := r.pollSize(t, key)
	logins := sendConcurrently(concurrentLogins, func(i int) gatewaytest.Response {
		return r.clients[i%2].Login(t.Context(), user, sessionType, strconv.Itoa(i))
	})
	stop()
	if n := highest.Load(); n != maxSessions {
		t.Errorf("round %d, %s: the reader saw up to %d sessions, want %d", round, sessionType, n, maxSessions)
	}
	if n := redisInt(t, r.server, "ZCARD", key); n != maxSessions {
		t.Errorf("round %d, %s: got %d sessions after the logins, want %d", round, sessionType, n, maxSessions)
	}
	check(t, r, logins)
}

// checkEviction checks that every login succeeded, that the maximum number of sessions is
// live, and that the others are reported as evicted.
func checkEviction(t *testing.T, r limitRace, logins []gatewaytest.Response) {
	t.Helper()
	live := 0
	for i, login := range logins {
		requireStatus(t, http.StatusOK, login, "login")
		refresh := r.clients[i%2].Refresh(t.Context(), "SHORT", login.Refresh)
		if refresh.Status == http.StatusOK {
			live++
			continue
		}
		requireStatus(t, http.StatusUnauthorized, refresh, "refresh of an evicted session")
		if refresh.Cause != "evicted" && refresh.Cause != "" { // only the last 32 tombstones are kept
			t.Errorf("refresh of an evicted session: got cause %q, want evicted", refresh.Cause)
		}
	}
	if live != maxSessions {
		t.Errorf("got %d live sessions, want %d", live, maxSessions)
	}
}

// checkRejection checks that as many logins succeeded as the maximum allows, and that the
// others were rejected with limit_reached.
func checkRejection(t *testing.T, r limitRace, logins []gatewaytest.Response) {
	t.Helper()
	succeeded := 0
	for _, login := range logins {
		if login.Status == http.StatusOK {
			succeeded++
			requireStatus(t, http.StatusOK, r.clients[1].Refresh(t.Context(), "LONG", login.Refresh), "refresh")
			continue
		}
		requireStatus(t, http.StatusBadRequest, login, "login above the maximum")
		if login.Code != "limit_reached" {
			t.Errorf("login above the maximum: got code %q, want limit_reached", login.Code)
		}
	}
	if succeeded != maxSessions {
		t.Errorf("%d logins succeeded, want %d", succeeded, maxSessions)
	}
}

func (r limitRace) revokeAll(t *testing.T, user int) {
	t.Helper()
	path := fmt.Sprintf("/admin/apps/%s/users/%d/sessions", gatewaytest.App, user+1)
	requireStatus(t, http.StatusOK, sendAdmin(t, r.gateways[0], http.MethodDelete, path), "revoke the user's sessions")
}

// sessionsKey returns the key of the user's sessions. To find it, it creates a session and
// revokes it again.
func (r limitRace) sessionsKey(t *testing.T, user int, sessionType string) string {
	t.Helper()
	requireStatus(t, http.StatusOK, r.clients[0].Login(t.Context(), user, sessionType, "probe"), "login")
	keys := redisKeys(r.server, fmt.Sprintf("tg:{%s:??}:%s:%d", gatewaytest.App, sessionType, user+1))
	if len(keys) != 1 {
		t.Fatalf("got the keys %q, want one key of the user's sessions", keys)
	}
	r.revokeAll(t, user)
	return keys[0]
}

// pollSize reads the size of a set until stop is called, as fast as one connection allows.
func (r limitRace) pollSize(t *testing.T, key string) (highest *atomic.Int64, stop func()) {
	t.Helper()
	conn, err := net.Dial("tcp", r.server.Addr)
	must(t, err)
	replies, quit, done := bufio.NewReader(conn), make(chan struct{}), make(chan struct{})
	highest = new(atomic.Int64)
	go func() {
		defer close(done)
		for stopping := false; !stopping; {
			select {
			case <-quit:
				stopping = true // after one more read
			default:
			}
			fmt.Fprintf(conn, "ZCARD %s\r\n", key) // the reply is ":2\r\n" for a size of 2
			reply, _ := replies.ReadString('\n')
			size, err := strconv.ParseInt(strings.Trim(reply, ":\r\n"), 10, 64)
			if err != nil {
				t.Errorf("ZCARD %s: got the reply %q, want an integer", key, reply)
				return
			}
			highest.Store(max(highest.Load(), size))
		}
	}()
	return highest, func() {
		close(quit)
		<-done
		_ = conn.Close()
	}
}

// TestConcurrentRefreshesShareOneSuccessor presents one refresh token many times at once,
// within the retry window. All clients must get the same successor.
func TestConcurrentRefreshesShareOneSuccessor(t *testing.T) {
	gateways := startTwoGateways(t, redistest.Standalone(t), nil)
	for round := range rounds(t, 20) {
		clients, login, refreshes := raceRefreshes(t, gateways, round, "LONG")
		for _, resp := range refreshes {
			requireStatus(t, http.StatusOK, resp, "refresh")
			if resp.Refresh != refreshes[0].Refresh || resp.Refresh == login.Refresh {
				t.Fatal("the clients did not get the same successor")
			}
		}
		next := requireStatus(t, http.StatusOK, clients[0].Refresh(t.Context(), "LONG", refreshes[0].Refresh), "refresh with the successor")
		ids, _ := clients[1].List(t.Context(), next.Access)
		if len(ids["Long"]) != 1 || ids["Long"][0] != login.SessionID {
			t.Errorf("list: got the sessions %q, want only %s", ids["Long"], login.SessionID)
		}
		checkUnauthorized(t, clients[1].Refresh(t.Context(), "LONG", login.Refresh), "replayed", "replay", "refresh with a token two generations old")
		checkUnauthorized(t, clients[0].Refresh(t.Context(), "LONG", next.Refresh), "ended", "replay", "refresh with the newest token after the replay")
	}
}

// TestConcurrentRefreshesWithoutRetryWindow presents one refresh token many times at once,
// without a retry window. Exactly one refresh must succeed. With reuse detection the
// others revoke the session; without it the session continues.
func TestConcurrentRefreshesWithoutRetryWindow(t *testing.T) {
	gateways := startTwoGateways(t, redistest.Standalone(t), gatewaytest.Settings{
		"APP_LONG_SESSION_RETRY_WINDOW":     "0s",
		"APP_SHORT_SESSION_RETRY_WINDOW":    "0s",
		"APP_SHORT_SESSION_REUSE_DETECTION": "false",
	})
	for round := range rounds(t, 20) {
		clients, _, refreshes := raceRefreshes(t, gateways, round, "SHORT")
		first := onlySuccess(t, refreshes)
		for _, resp := range refreshes {
			if resp.Status != http.StatusOK {
				checkUnauthorized(t, resp, "spent", "", "refresh with a spent token")
			}
		}
		requireStatus(t, http.StatusOK, clients[1].Refresh(t.Context(), "SHORT", first.Refresh), "refresh with the successor")

		clients, _, refreshes = raceRefreshes(t, gateways, round, "LONG")
		first = onlySuccess(t, refreshes)
		checkUnauthorized(t, clients[1].Refresh(t.Context(), "LONG", first.Refresh), "ended", "replay", "refresh with the successor after replays")
	}
}

// raceRefreshes logs in and presents the refresh token many times at once.
func raceRefreshes(t *testing.T, gateways [2]*gatewaytest.Gateway, round int, sessionType string) (clients [2]*gatewaytest.Client, login gatewaytest.Response, refreshes []gatewaytest.Response) {
	t.Helper()
	clients = [2]*gatewaytest.Client{gateways[0].Client(), gateways[1].Client()}
	t.Cleanup(clients[0].HTTP.CloseIdleConnections)
	t.Cleanup(clients[1].HTTP.CloseIdleConnections)
	login = requireStatus(t, http.StatusOK, clients[0].Login(t.Context(), round%gatewaytest.Users, sessionType, "race"), "login")
	return clients, login, sendConcurrently(concurrentRefreshes, func(i int) gatewaytest.Response {
		return clients[i%2].Refresh(t.Context(), sessionType, login.Refresh)
	})
}

// onlySuccess returns the one refresh that succeeded. The others must have status 401.
func onlySuccess(t *testing.T, refreshes []gatewaytest.Response) (success gatewaytest.Response) {
	t.Helper()
	succeeded := 0
	for _, resp := range refreshes {
		if resp.Status == http.StatusOK {
			success = resp
			succeeded++
			continue
		}
		requireStatus(t, http.StatusUnauthorized, resp, "refresh with a spent token")
	}
	if succeeded != 1 {
		t.Fatalf("%d refreshes succeeded, want 1", succeeded)
	}
	return success
}
