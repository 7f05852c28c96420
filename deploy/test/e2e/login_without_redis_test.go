package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestLoginWithoutRedis checks that the answer to a login does not depend on the password
// while Redis takes no writes, or is away, with every user source. No service of users is
// asked then.
func TestLoginWithoutRedis(t *testing.T) {
	t.Parallel()
	forEachSource(t, func(t *testing.T, source accountSource) {
		source.set(newAccount(t, 7, "ann", oldPassword))
		checkLoginsWithoutRedis(t, redistest.Standalone(t), source.settings())
	})
	t.Run("http", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			if !strings.Contains(body.String(), `"ann"`) || !strings.Contains(body.String(), oldPassword) {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"user_id":7}`))
		}))
		t.Cleanup(upstream.Close)
		checkLoginsWithoutRedis(t, redistest.Standalone(t), gatewaytest.Settings{"APP_USERS": upstream.URL})
		if n := asked.Load(); n != loginsWithRedis {
			t.Errorf("the service was asked %d times, want %d", n, loginsWithRedis)
		}
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Standalone(t)
		if code, output := newCommandEnv(server.URL).run(t, oldPassword, "user", "add", "ann", "--app", gatewaytest.App); code != 0 {
			t.Fatalf("user add: got exit code %d, output %s; want 0", code, output)
		}
		checkLoginsWithoutRedis(t, server, gatewaytest.Settings{"APP_USERS": "redis:"})
	})
}

// loginsWithRedis is the number of logins that checkLoginsWithoutRedis sends while Redis
// takes writes.
const loginsWithRedis = 6

// checkLoginsWithoutRedis logs in as a user and as an unknown one, with and without the
// right password, in each state of Redis.
func checkLoginsWithoutRedis(t *testing.T, server *redistest.Server, settings gatewaytest.Settings) {
	t.Helper()
	c := gatewaytest.Start(t, server.URL, settings).Client()
	for _, state := range []struct {
		name                  string
		enter                 func()
		right, wrong, unknown int
	}{
		{"Redis works", func() {}, http.StatusOK, http.StatusBadRequest, http.StatusBadRequest},
		{"memory is full", func() { server.Do("CONFIG", "SET", "maxmemory", "1") }, 503, 503, 503},
		{"memory is free", func() { server.Do("CONFIG", "SET", "maxmemory", "0") }, http.StatusOK, http.StatusBadRequest, http.StatusBadRequest},
		{"too few replicas", func() { server.Do("CONFIG", "SET", "min-replicas-to-write", "1") }, 503, 503, 503},
		{"Redis is down", server.Kill, 503, 503, 503},
	} {
		state.enter()
		for _, login := range []struct {
			username, password string
			want               int
		}{{"ann", oldPassword, state.right}, {"ann", "wrong", state.wrong}, {"bob", oldPassword, state.unknown}} {
			resp := tryLogin(t, c, login.username, login.password, "LONG")
			unavailable := resp.Code == "unavailable" && resp.Header.Get("Retry-After") != ""
			if resp.Status != login.want || unavailable != (login.want == http.StatusServiceUnavailable) {
				t.Errorf("%s: login of %s with %q: got status %d, body %s; want %d", state.name, login.username, login.password, resp.Status, resp.Body, login.want)
			}
		}
	}
}
