package e2e

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// clockServer is a Redis server whose clock differs from the machine's.
type clockServer struct {
	*redistest.Server
	t    *testing.T
	kill func()
}

func startClockServer(t *testing.T, offset time.Duration) *clockServer {
	t.Helper()
	address := freeport.Address(t)
	s := &clockServer{&redistest.Server{Addr: address, URL: "redis://" + address}, t, func() {}}
	t.Cleanup(func() { s.kill() })
	s.restart(offset)
	return s
}

// restart starts the server again, without its data, with another clock.
func (s *clockServer) restart(offset time.Duration) {
	s.t.Helper()
	s.kill()
	libraries, _ := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if len(libraries) == 0 {
		s.t.Fatal("this test needs Debian's package faketime")
	}
	host, port, _ := net.SplitHostPort(s.Addr)
	dir := s.t.TempDir()
	cmd := exec.Command("redis-server", "--port", port, "--bind", host, "--dir", dir, "--save", "", "--appendonly", "no",
		"--logfile", filepath.Join(dir, "log"))
	// Redis's own allocator asks for the time before libfaketime is ready. glibc's does not.
	cmd.Env = append(os.Environ(), "LD_PRELOAD=libc_malloc_debug.so.0:"+libraries[0], "FAKETIME_DONT_FAKE_MONOTONIC=1",
		fmt.Sprintf("FAKETIME=%+ds", int(offset/time.Second)))
	must(s.t, cmd.Start())
	s.kill = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	poll(s.t, "Redis answers", func() bool { return s.Do("PING") == "PONG" })
	if got := time.Until(s.now()); (got - offset).Abs() > time.Second {
		s.t.Fatalf("Redis's clock differs by %s, want %s", got, offset)
	}
}

// now returns the time by the server's clock.
func (s *clockServer) now() time.Time {
	s.t.Helper()
	seconds, micros, _ := strings.Cut(s.Do("TIME"), "\n")
	sec, err := strconv.ParseInt(seconds, 10, 64)
	must(s.t, err)
	us, err := strconv.ParseInt(strings.TrimSpace(micros), 10, 64)
	must(s.t, err)
	return time.UnixMicro(sec*1e6 + us)
}

// clockOffsets are differences of Redis's clock, with none among them.
var clockOffsets = []time.Duration{0, 2 * time.Second, -2 * time.Second, 400 * time.Second, -400 * time.Second, time.Hour, -time.Hour}

// TestT4RedisClockDiffers checks that tokens are accepted while Redis's clock differs, and
// that their iat is not in the future of either clock.
func TestT4RedisClockDiffers(t *testing.T) {
	t.Parallel()
	for _, offset := range clockOffsets {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			server := startClockServer(t, offset)
			g := startShop(t, server.URL, nil)
			useSessions(t, g, server)

			metrics := requireStatus(t, http.StatusOK, sendAsAdmin(t, g, http.MethodGet, "/metrics"), "metrics")
			found := regexp.MustCompile(`(?m)^tokengate_\w*(?:clock|offset|skew)\w*(?:\{[^}]*\})? (\S+)$`).FindSubmatch(metrics.Body)
			if found == nil {
				t.Fatal("no metric has the offset of Redis's clock")
			}
			value, err := strconv.ParseFloat(string(found[1]), 64)
			if err != nil || math.Abs(math.Abs(value)-offset.Abs().Seconds()) > 1 {
				t.Errorf("got the metric %s, want about %v seconds", found[0], offset.Seconds())
			}
		})
	}
}

// useSessions calls each endpoint that takes a token.
func useSessions(t *testing.T, g *gatewaytest.Gateway, server *clockServer) {
	t.Helper()
	ctx, c := t.Context(), g.Client()
	s := login(t, c, gatewaytest.Username(0), gatewaytest.Password, "LONG")
	other := login(t, c, gatewaytest.Username(0), gatewaytest.Password, "SHORT")
	for step := range 3 {
		issued := s.access
		requireStatus(t, http.StatusOK, c.Authz(ctx, issued), "authz")
		_, list := c.List(ctx, issued)
		requireStatus(t, http.StatusOK, list, "list")
		requireStatus(t, http.StatusOK, verifyToken(t, c, issued, "", ""), "verify")
		requireStatus(t, http.StatusOK, verifyToken(t, c, s.refresh, "refresh", ""), "verify of a refresh token")
		iat, isNumber := claimsOf(t, issued)["iat"].(float64)
		if latest := min(time.Now().Unix(), server.now().Unix()); !isNumber || int64(iat) > latest {
			t.Errorf("refresh %d: the access token has iat %v, want at most %d", step, iat, latest)
		}
		requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh")
	}
	other.checkLive("another session")
	requireStatus(t, http.StatusOK, c.DestroyOthers(ctx, s.access, s.refresh, "ALL"), "destroy all others")
	other.checkEnded("others", "refresh after destroy all others")
	requireStatus(t, http.StatusOK, c.Logout(ctx, s.refresh), "logout")
	s.authzUntilRejected("after logout")
	other.authzUntilRejected("after destroy all others")
}

// TestT4RevocationOfTheApp checks that the revocation of all sessions of an app affects the
// sessions of before and none of after, although Redis's clock differs.
func TestT4RevocationOfTheApp(t *testing.T) {
	t.Parallel()
	for _, offset := range clockOffsets {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			g := startShop(t, startClockServer(t, offset).URL, nil)
			before := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
			before.checkLive("before the revocation")
			requireStatus(t, http.StatusOK, sendAsAdmin(t, g, http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions"), "revoke the app's sessions")
			before.authzUntilRejected("after the revocation")
			before.checkEnded("app", "refresh after the revocation")
			after := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
			requireStatus(t, http.StatusOK, g.Client().Authz(t.Context(), after.access), "authz of a new session")
			after.checkLive("a new session")
		})
	}
}

// TestT4TokensExpire checks that access tokens and sessions expire on time although Redis's
// clock differs.
func TestT4TokensExpire(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{0, 2 * time.Second, 400 * time.Second, -400 * time.Second} {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			g := startShop(t, startClockServer(t, offset).URL, gatewaytest.Settings{
				"APP_ACCESS_TOKEN_LIFETIME": "3s", "APP_SHORT_SESSION_REFRESH_TOKEN_LIFETIME": "4s", "APP_SHORT_SESSION_ROTATE_REFRESH_TOKENS": "false",
			})
			begin := time.Now()
			s := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "SHORT")
			resp := g.Client().Authz(t.Context(), s.access)
			if took := time.Since(begin); took < time.Second {
				requireStatus(t, http.StatusOK, resp, "authz after login")
			}
			s.authzUntilRejected("after the token's lifetime")
			if took := time.Since(begin); took < 1500*time.Millisecond || took > 15*time.Second {
				t.Errorf("the access token has expired after %s, want about 3s", took)
			}
			s.checkCause(s.refreshUntil(http.StatusUnauthorized, "the session has expired"), "expired", "refresh after the session's lifetime")
		})
	}
}

// TestT4ClockChanges checks that tokens are accepted at once after a restart of Redis with
// another clock.
func TestT4ClockChanges(t *testing.T) {
	t.Parallel()
	server := startClockServer(t, 0)
	g := startShop(t, server.URL, nil)
	useSessions(t, g, server)
	for _, offset := range []time.Duration{400 * time.Second, -400 * time.Second, 2 * time.Second} {
		server.restart(offset)
		var s *clientSession
		poll(t, "the gateway has connected again", func() bool {
			resp := tryLogin(t, g.Client(), gatewaytest.Username(1), gatewaytest.Password, "LONG")
			if resp.Status == http.StatusOK {
				s = newClientSession(t, g.Client(), resp, "LONG")
			}
			return s != nil
		})
		s.checkLive("after a change of the clock by " + offset.String())
		useSessions(t, g, server)
	}
}

// TestT4WarningOfTheClock checks that check and the log warn of a clock that differs by more
// than a second.
func TestT4WarningOfTheClock(t *testing.T) {
	t.Parallel()
	warning := regexp.MustCompile(`(?mi)^.*level=WARN.*\bclock.*$`)
	for _, offset := range clockOffsets {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			server := startClockServer(t, offset)
			code, output := newCommandEnv(server.URL).run(t, "", "check")
			if warned := warning.MatchString(output); code != 0 || warned != (offset != 0) {
				t.Errorf("check: got exit code %d, output %s; want 0 and a warning of the clock: %v", code, output, offset != 0)
			}
			g := startShop(t, server.URL, nil)
			for i := range 20 {
				login(t, g.Client(), gatewaytest.Username(i), gatewaytest.Password, "LONG")
			}
			if offset != 0 {
				poll(t, "the log has a warning of the clock", func() bool { return warning.MatchString(g.Log()) })
			}
			if n := len(warning.FindAllString(g.Log(), -1)); offset == 0 && n > 0 || n > 5 {
				t.Errorf("the log has %d warnings of the clock:\n%s", n, g.Log())
			}
		})
	}
}
