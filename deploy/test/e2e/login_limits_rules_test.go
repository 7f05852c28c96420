package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/preload"
	"tokengate/redisstore/redistest"
)

// TestC85DelayGrows checks the waits after the limit: one attempt is allowed after a minute,
// and each wait is twice as long as the one before, up to a day. The test sets the clock of Redis.
func TestC85DelayGrows(t *testing.T) {
	t.Parallel()
	faults := preload.New(t)
	server := redistest.Start(t, redistest.Options{Env: faults.Env()})
	l := startLoginLimits(t, 1, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "3"})
	var ahead time.Duration
	others := 0
	forward := func(d time.Duration) {
		ahead += d
		faults.SetClock(ahead)
		poll(t, "the gateway has learned of the other clock", func() bool {
			others++
			return l.login(attempt{username: gatewaytest.Username(1 + others%(gatewaytest.Users-1))}).Status == http.StatusOK
		})
	}
	began := time.Now()
	l.fail(3, attempt{}, "before the limit")
	for wait, longest := firstWait, 0; longest < 2; wait = min(2*wait, longestWait) {
		if wait == longestWait {
			longest++
		}
		step := fmt.Sprintf("wait of %s", wait)
		forward(wait / 2)
		rest := l.checkThrottled(l.login(attempt{}), step)
		if least := wait/2 - time.Since(began); rest < least || rest > wait/2 {
			t.Errorf("%s: got Retry-After %s after half of it, want %s to %s", step, rest, least, wait/2)
		}
		forward(rest)
		began = time.Now()
		l.fail(1, attempt{}, step+" is over")
	}
	forward(longestWait)
	requireStatus(t, http.StatusOK, l.login(attempt{}), "login after the last wait")
	awaitOutcomes(t, server)
	l.fail(3, attempt{}, "after a success")
	l.checkThrottled(l.login(attempt{}), "after a success and three failures")
}

// TestC85SuccessEndsRow checks that failures count in a row only, and that a success gives no
// other account or device its failures back.
func TestC85SuccessEndsRow(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 1, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "5"})
	l.fail(4, attempt{username: "user1"}, "another account")
	for round := range 4 {
		l.fail(4, attempt{}, fmt.Sprintf("round %d", round))
		device := l.device(attempt{})
		awaitOutcomes(t, server)
		l.fail(4, attempt{device: device}, fmt.Sprintf("round %d, known device", round))
		if round < 3 {
			requireStatus(t, http.StatusOK, l.login(attempt{device: device}), "login from the known device")
			awaitOutcomes(t, server)
		}
	}
	l.fail(5, attempt{}, "more failures")
	l.checkThrottled(l.login(attempt{}), "login after failures in a row")
	l.fail(1, attempt{username: "user1"}, "another account")
	l.checkThrottled(l.login(attempt{username: "user1"}), "login of another account after failures in a row")
}

// TestS2InvalidTypeIsFailedLogin checks that a right password with a session type that does
// not exist is answered as before, but counted and logged as a failed login. Otherwise it
// would be a way to guess passwords without a limit or a trace.
func TestS2InvalidTypeIsFailedLogin(t *testing.T) {
	t.Parallel()
	const limit = 10
	l := startOneLoginLimits(t, limit, nil)
	var answers []gatewaytest.Response
	for range limit {
		answers = append(answers, l.login(attempt{sessionType: "X", address: "192.0.2.7"}))
	}
	const want = `{"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT']"],"code":"invalid_type"}`
	for i, resp := range answers {
		if resp.Status != http.StatusBadRequest || string(resp.Body) != want || resp.Header.Get("Device-Token") != "" {
			t.Errorf("login %d with the type X: got status %d, headers %v, body %s; want 400, no Device-Token, %s", i, resp.Status, resp.Header, resp.Body, want)
		}
	}
	if n := l.source.comparisons(); n != limit {
		t.Errorf("the user source got %d passwords, want %d", n, limit)
	}
	for _, a := range []attempt{{sessionType: "X"}, {sessionType: "X", password: "wrong"}, {}} {
		l.checkThrottled(l.login(a), "login after failures in a row")
	}
	refused := l.waitForLine("step=login", "code=throttled", "limit=account")
	lines := linesOf(l.gateways[0].Log(), "step=login", "code=invalid_type", "account="+fieldOf(refused, "account")+" ", "network=192.0.2.7")
	if len(lines) != limit {
		t.Errorf("got %d lines of failed logins with the account and the network, want %d\n%s", len(lines), limit, l.gateways[0].Log())
	}
	failing := startOneLoginLimits(t, 2, nil)
	failing.fail(1, attempt{}, "before an invalid type")
	requireStatus(t, http.StatusBadRequest, failing.login(attempt{sessionType: "ALL"}), "login with the type ALL")
	failing.checkThrottled(failing.login(attempt{sessionType: "X"}), "both kinds are in one row")
}

// TestC85UnavailableSource checks that a login is not counted if no password was compared,
// because the user source does not work.
func TestC85UnavailableSource(t *testing.T) {
	t.Parallel()
	const limit = 20
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 1, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "20", "APP_LOGIN_ATTEMPTS_PER_NETWORK": "20"})
	l.source.fail.Store(true)
	for i := range 2 * limit {
		requireStatus(t, http.StatusServiceUnavailable, l.login(attempt{address: "192.0.2.1"}), fmt.Sprintf("login %d while the source fails", i))
	}
	l.source.fail.Store(false)
	awaitOutcomes(t, server)
	l.fail(limit, attempt{address: "192.0.2.1"}, "the source works")
	l.checkThrottled(l.login(attempt{}), "login after failures in a row")
	l.checkThrottled(l.login(attempt{username: "user1", address: "192.0.2.1"}), "login from the same network")
}

// TestC85WithoutRedis checks that logins are 503 while Redis is away, whatever the password,
// and that failures of before are still counted when it is back.
func TestC85WithoutRedis(t *testing.T) {
	t.Parallel()
	const limit = 10
	server := redistest.Standalone(t, "--appendonly", "yes", "--appendfsync", "always")
	l := startLoginLimits(t, 2, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": "10"})
	l.fail(limit/2, attempt{}, "before Redis is away")
	l.fail(limit, attempt{username: "user1"}, "before Redis is away")
	server.Kill()
	before := l.source.comparisons()
	for _, a := range []attempt{{}, {password: "wrong"}, {username: "unknown"}, {username: "user1"}, {sessionType: "X"}} {
		for range l.gateways {
			resp := requireStatus(t, http.StatusServiceUnavailable, l.login(a), "login without Redis")
			if resp.Code != "unavailable" || resp.Header.Get("Retry-After") == "" {
				t.Errorf("login without Redis: got the headers %v, body %s; want Retry-After and the code unavailable", resp.Header, resp.Body)
			}
		}
	}
	if n := l.source.comparisons(); n != before {
		t.Errorf("the user source got %d passwords while Redis was away", n-before)
	}
	server.Restart()
	for _, name := range []string{"user0", "user1"} {
		poll(t, "logins of "+name+" are throttled again", func() bool {
			return l.login(attempt{username: name, password: "wrong"}).Status == http.StatusTooManyRequests
		})
		l.checkThrottled(l.login(attempt{username: name}), "login of "+name)
	}
	compared := map[string]int{}
	for _, c := range l.source.guesses() {
		compared[c.username]++
	}
	if compared["user0"] <= limit/2 || compared["user0"] > limit || compared["user1"] != limit {
		t.Errorf("the user source got %v guesses, want at most %d of each name", compared, limit)
	}
}

// waitForLine returns the first line in the log of the gateways that contains all texts.
func (l *loginLimits) waitForLine(texts ...string) (line string) {
	l.Helper()
	poll(l.T, fmt.Sprintf("the log has a line with %q", texts), func() bool {
		for _, g := range l.gateways {
			if lines := linesOf(g.Log(), texts...); len(lines) > 0 {
				line = lines[0]
				return true
			}
		}
		return false
	})
	return line
}

// fieldOf returns the value of a field in a line of the log. The value has no spaces.
func fieldOf(line, name string) string {
	_, rest, _ := strings.Cut(line, " "+name+"=")
	value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	return value
}
