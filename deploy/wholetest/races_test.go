package wholetest

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

const (
	capMax    = 2
	logins    = 64
	refreshes = 20
)

// TestCapHoldsUnderConcurrentLogins logs one user in from many clients at once,
// through two processes, while a reader watches the user's set in Redis.
func TestCapHoldsUnderConcurrentLogins(t *testing.T) {
	server := redistest.Standalone(t)
	gateways := pair(t, server, rig.Settings{
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    strconv.Itoa(capMax),
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "true",
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     strconv.Itoa(capMax),
		"APP_LONG_SESSION_DESTROY_OLDEST_ACTIVE_SESSION":  "false",
	})
	race := capRace{gateways, [2]*rig.Client{gateways[0].Client(), gateways[1].Client()}, server}
	for round := range rounds(t, 20) {
		race.run(t, round, "SHORT", evicting)
		race.run(t, round, "LONG", refusing)
	}
}

type capRace struct {
	gateways [2]*rig.Gateway
	clients  [2]*rig.Client
	server   *redistest.Server
}

func (r capRace) run(t *testing.T, round int, sessionType string, check func(*testing.T, capRace, []rig.Answer)) {
	t.Helper()
	user := round % rig.Users
	r.clear(t, user)
	key := r.key(t, user, sessionType)
	highest, stop := r.watch(t, key)
	answers := together(logins, func(i int) rig.Answer {
		return r.clients[i%2].Login(t.Context(), user, sessionType, strconv.Itoa(i))
	})
	stop()
	if n := highest.Load(); n != capMax {
		t.Errorf("round %d, %s: the reader saw up to %d sessions, want %d", round, sessionType, n, capMax)
	}
	conn := dialRedis(t, r.server)
	if n := conn.number("ZCARD", key); n != capMax {
		t.Errorf("round %d, %s: %d sessions in the end, want %d", round, sessionType, n, capMax)
	}
	_ = conn.conn.Close()
	check(t, r, answers)
}

// evicting: every login succeeds, two sessions live, the others say why not.
func evicting(t *testing.T, r capRace, answers []rig.Answer) {
	t.Helper()
	live := 0
	for i, a := range answers {
		want(t, http.StatusOK, a, "login")
		refresh := r.clients[i%2].Refresh(t.Context(), "SHORT", a.Refresh)
		if refresh.Status == http.StatusOK {
			live++
			continue
		}
		want(t, http.StatusUnauthorized, refresh, "refresh of an evicted session")
		if refresh.Cause != "evicted" && refresh.Cause != "" { // traces are kept of the last 32
			t.Errorf("an evicted session's cause is %q", refresh.Cause)
		}
	}
	if live != capMax {
		t.Errorf("%d sessions refresh, want %d", live, capMax)
	}
}

// refusing: two logins succeed, the others are told why not.
func refusing(t *testing.T, r capRace, answers []rig.Answer) {
	t.Helper()
	succeeded := 0
	for _, a := range answers {
		if a.Status == http.StatusOK {
			succeeded++
			want(t, http.StatusOK, r.clients[1].Refresh(t.Context(), "LONG", a.Refresh), "refresh")
			continue
		}
		if want(t, http.StatusBadRequest, a, "login past the cap"); a.Code != "limit_reached" {
			t.Errorf("refused as %q", a.Code)
		}
	}
	if succeeded != capMax {
		t.Errorf("%d logins succeeded, want %d", succeeded, capMax)
	}
}

func (r capRace) clear(t *testing.T, user int) {
	t.Helper()
	path := fmt.Sprintf("/admin/apps/%s/users/%d/sessions", rig.App, user+1)
	want(t, http.StatusOK, operator(t, r.gateways[0], http.MethodDelete, path), "end the user's sessions")
}

// key is the name of the user's set, found out by a login that leaves no trace.
func (r capRace) key(t *testing.T, user int, sessionType string) string {
	t.Helper()
	want(t, http.StatusOK, r.clients[0].Login(t.Context(), user, sessionType, "probe"), "login")
	conn := dialRedis(t, r.server)
	defer conn.conn.Close()
	keys := conn.keys(fmt.Sprintf("tg:{%s:??}:%s:%d", rig.App, sessionType, user+1))
	if len(keys) != 1 {
		t.Fatalf("the user's set is one of %q", keys)
	}
	r.clear(t, user)
	return keys[0]
}

// watch asks for a set's size again and again until stop.
func (r capRace) watch(t *testing.T, key string) (highest *atomic.Int64, stop func()) {
	conn, quit, done := dialRedis(t, r.server), make(chan struct{}), make(chan struct{})
	highest = new(atomic.Int64)
	go func() {
		defer close(done)
		for over := false; !over; {
			select {
			case <-quit:
				over = true // and look once more
			default:
			}
			highest.Store(max(highest.Load(), conn.number("ZCARD", key)))
		}
	}()
	return highest, func() {
		close(quit)
		<-done
		_ = conn.conn.Close()
	}
}

// TestConcurrentRefreshesShareOneSuccessor: one token, many refreshes at once,
// within the retry window.
func TestConcurrentRefreshesShareOneSuccessor(t *testing.T) {
	gateways := pair(t, redistest.Standalone(t), nil)
	for round := range rounds(t, 20) {
		clients, first, answers := raceRefreshes(t, gateways, round, "LONG")
		for _, a := range answers {
			want(t, http.StatusOK, a, "refresh")
			if a.Refresh != answers[0].Refresh || a.Refresh == first.Refresh {
				t.Fatal("the callers don't hold the same successor")
			}
		}
		next := want(t, http.StatusOK, clients[0].Refresh(t.Context(), "LONG", answers[0].Refresh), "the successor")
		ids, _ := clients[1].List(t.Context(), next.Access)
		if len(ids["Long"]) != 1 || ids["Long"][0] != first.SessionID {
			t.Errorf("the user's sessions are %q, want the one that logged in", ids["Long"])
		}
		refused(t, clients[1].Refresh(t.Context(), "LONG", first.Refresh), "replayed", "replay", "the token before the spent one")
		refused(t, clients[0].Refresh(t.Context(), "LONG", next.Refresh), "ended", "replay", "the newest token after the replay")
	}
}

// TestConcurrentRefreshesWithoutWindow: exactly one succeeds. Where reuse is
// detected the others end the session, else it goes on.
func TestConcurrentRefreshesWithoutWindow(t *testing.T) {
	gateways := pair(t, redistest.Standalone(t), rig.Settings{
		"APP_LONG_SESSION_RETRY_WINDOW":     "0s",
		"APP_SHORT_SESSION_RETRY_WINDOW":    "0s",
		"APP_SHORT_SESSION_REUSE_DETECTION": "false",
	})
	for round := range rounds(t, 20) {
		clients, _, answers := raceRefreshes(t, gateways, round, "SHORT")
		winner := onlySuccess(t, answers)
		for _, a := range answers {
			if a.Status != http.StatusOK {
				refused(t, a, "spent", "", "a refresh that came too late")
			}
		}
		want(t, http.StatusOK, clients[1].Refresh(t.Context(), "SHORT", winner.Refresh), "the successor")

		clients, _, answers = raceRefreshes(t, gateways, round, "LONG")
		winner = onlySuccess(t, answers)
		refused(t, clients[1].Refresh(t.Context(), "LONG", winner.Refresh), "ended", "replay", "the successor after replays")
	}
}

// raceRefreshes logs in and presents the refresh token many times at once.
func raceRefreshes(t *testing.T, gateways [2]*rig.Gateway, round int, sessionType string) (clients [2]*rig.Client, first rig.Answer, answers []rig.Answer) {
	t.Helper()
	clients = [2]*rig.Client{gateways[0].Client(), gateways[1].Client()}
	t.Cleanup(clients[0].HTTP.CloseIdleConnections)
	t.Cleanup(clients[1].HTTP.CloseIdleConnections)
	first = want(t, http.StatusOK, clients[0].Login(t.Context(), round%rig.Users, sessionType, "race"), "login")
	return clients, first, together(refreshes, func(i int) rig.Answer {
		return clients[i%2].Refresh(t.Context(), sessionType, first.Refresh)
	})
}

func onlySuccess(t *testing.T, answers []rig.Answer) (winner rig.Answer) {
	t.Helper()
	succeeded := 0
	for _, a := range answers {
		if a.Status == http.StatusOK {
			winner = a
			succeeded++
			continue
		}
		want(t, http.StatusUnauthorized, a, "a refresh that came too late")
	}
	if succeeded != 1 {
		t.Fatalf("%d refreshes succeeded, want 1", succeeded)
	}
	return winner
}
