package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestC85DeviceTokens checks that only the token of the same app and account makes a device
// known. Any other is ignored: it neither fails a login nor lets one past the limit.
func TestC85DeviceTokens(t *testing.T) {
	t.Parallel()
	const limit = 10
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 1, server.URL, gatewaytest.Settings{
		"APP_LOGIN_ATTEMPTS": strconv.Itoa(limit),
		"APPS":               gatewaytest.App + ",mail", mailPrefix + "SECRET_KEY": mailSecret, mailPrefix + "SIGNING_KEY": "mail-" + gatewaytest.SigningKey,
		mailPrefix + "USERS": "file:" + gatewaytest.UserFile(t),
	})
	own := l.device(attempt{})
	session := requireStatus(t, http.StatusOK, l.login(attempt{}), "login")
	ignored := map[string]string{
		"of another account": l.device(attempt{username: "user1"}), "of another app": l.device(attempt{secret: mailSecret}),
		"an access token": session.Access, "a refresh token": session.Refresh,
		"tampered with": tamper(own), "cut": own[:len(own)-1], "longer": own + "A", "without its beginning": own[1:],
		"a word": "device", "dots": "..", "a dot": ".", "quotes": `"` + own + `"`, "not ASCII": "é\xff", "10 KB": strings.Repeat("A", 10_000),
		"10 KB more": own + strings.Repeat("A", 10_000), "10 KB of dots": strings.Repeat(".", 10_000), "two tokens": own + ", " + own,
		"no algorithm": "eyJhbGciOiJub25lIn0." + strings.Join(strings.Split(own+"..", ".")[1:2], "") + ".",
	}
	names := slices.Sorted(maps.Keys(ignored))
	for _, name := range names {
		resp := requireStatus(t, http.StatusOK, l.login(attempt{device: ignored[name]}), "login with the device token "+name)
		if token := resp.Header.Get("Device-Token"); token == "" || token == ignored[name] {
			t.Errorf("login with the device token %s: got the device token %q, want a new one", name, token)
		}
	}
	awaitOutcomes(t, server)
	l.fail(limit, attempt{}, "before the limit")
	refusals := sendConcurrently(len(names), func(i int) gatewaytest.Response { return l.login(attempt{device: ignored[names[i]]}) })
	for i, resp := range refusals {
		l.checkThrottled(resp, "login at the limit with the device token "+names[i])
	}
	gatewaytest.WaitUntil(t, patience, "each refusal is that of the account", func() bool {
		return len(linesOf(l.gateways[0].Log(), "step=login", "code=throttled", "limit=account")) == len(names)
	})
	for range 3 {
		own = l.device(attempt{device: own})
	}
	c := l.gateways[0].Client()
	for step, resp := range map[string]gatewaytest.Response{
		"authz": c.Authz(t.Context(), own), "refresh": c.Refresh(t.Context(), "LONG", own), "logout": c.Logout(t.Context(), own), "verify": c.Verify(t.Context(), own),
	} {
		if resp.Status != http.StatusUnauthorized && resp.Status != http.StatusBadRequest {
			t.Errorf("%s with a device token: got status %d, body %s; want 401", step, resp.Status, resp.Body)
		}
	}
}

// TestC85DeviceHasItsOwnBudgets checks that the failures of a known device are its own, and
// that those of its account, of other devices and of its network don't keep it out.
func TestC85DeviceHasItsOwnBudgets(t *testing.T) {
	t.Parallel()
	const limit = 5
	const address = "192.0.2.9"
	server := redistest.Standalone(t)
	l := startLoginLimits(t, 2, server.URL, gatewaytest.Settings{"APP_LOGIN_ATTEMPTS": strconv.Itoa(limit), "APP_LOGIN_ATTEMPTS_PER_NETWORK": "5"})
	phone := l.device(attempt{})
	awaitOutcomes(t, server)
	laptop := l.device(attempt{})
	awaitOutcomes(t, server)

	l.fail(limit, attempt{device: phone}, "phone")
	l.checkThrottled(l.login(attempt{device: phone}), "phone at its limit, with the right password")
	l.waitForLine("step=login", "code=throttled", "limit=device", "account=")
	requireStatus(t, http.StatusOK, l.login(attempt{device: laptop}), "laptop")
	requireStatus(t, http.StatusOK, l.login(attempt{}), "new device")
	awaitOutcomes(t, server)
	l.checkThrottled(l.login(attempt{device: phone}), "phone, after logins from other devices")

	l.fail(limit, attempt{}, "unknown device")
	l.checkThrottled(l.login(attempt{}), "unknown device, with the right password")
	for i := range limit {
		l.checkRejected(l.login(attempt{username: fmt.Sprintf("name-%d", i), password: "wrong", address: address}), "login of another name from the laptop's network")
	}
	l.checkThrottled(l.login(attempt{username: "user1", address: address}), "another user in the laptop's network")
	l.waitForLine("step=login", "code=throttled", "limit=network", "network="+address)
	for range 2 * limit {
		laptop = l.device(attempt{device: laptop, address: address})
	}
	awaitOutcomes(t, server)
	l.fail(limit, attempt{device: laptop, address: address}, "laptop")
	l.checkThrottled(l.login(attempt{device: laptop}), "laptop at its limit, with the right password")
}

// TestC85PasswordChangeForgetsDevices checks that a device that logged in with the former
// password is not known any more: an attacker that had guessed it may hold the token.
func TestC85PasswordChangeForgetsDevices(t *testing.T) {
	t.Parallel()
	const limit = 5
	check := func(t *testing.T, server *redistest.Server, settings gatewaytest.Settings, change func()) {
		t.Helper()
		settings["APP_LOGIN_ATTEMPTS"] = strconv.Itoa(limit)
		l := startLoginLimits(t, 1, server.URL, settings)
		first := l.login(attempt{username: "ann", password: oldPassword})
		former, s := first.Header.Get("Device-Token"), newClientSession(t, l.gateways[0].Client(), first, "LONG")
		change()
		s.refreshUntilEnded("account", "refresh after the change of the password")
		present := l.device(attempt{username: "ann", password: newPassword, device: former})
		awaitOutcomes(t, server)
		for i := 0; l.login(attempt{username: "ann", password: "wrong"}).Status == http.StatusBadRequest; i++ {
			if i > limit {
				t.Fatalf("%d wrong logins were compared, want at most %d", i, limit)
			}
		}
		for range limit {
			l.checkThrottled(l.login(attempt{username: "ann", password: newPassword, device: former}), "login from a device of the former password")
		}
		requireStatus(t, http.StatusOK, l.login(attempt{username: "ann", password: newPassword, device: present}), "login from a device of the present password")
	}
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		server := redistest.Standalone(t)
		c := &commandTest{T: t, env: newCommandEnv(server.URL)}
		c.run(oldPassword, "user", "add", "ann")
		check(t, server, gatewaytest.Settings{"APP_USERS": "redis:"}, func() { c.run(newPassword, "user", "passwd", "ann") })
	})
	forEachSource(t, func(t *testing.T, source accountSource) {
		ann := newAccount(t, 7, "ann", oldPassword)
		source.set(ann)
		check(t, redistest.Standalone(t), source.settings(), func() { source.set(ann.withHash(quickHash(t, newPassword, "salt"))) })
	})
}

// TestC85OneNameManySpellings checks that spellings of a name which the user source gets as
// the same share one budget.
func TestC85OneNameManySpellings(t *testing.T) {
	t.Parallel()
	const limit = 6
	l := startOneLoginLimits(t, limit, nil)
	for i, name := range []string{"user0", " user0", "user0 ", "\tuser0\n", "\u00a0user0", "user0\u2003"} {
		l.checkRejected(l.login(attempt{username: name, password: fmt.Sprintf("wrong-%d", i)}), fmt.Sprintf("login of %q", name))
	}
	for _, c := range l.source.guesses() {
		if c.username != "user0" {
			t.Errorf("the user source got the name %q, want user0", c.username)
		}
	}
	l.checkThrottled(l.login(attempt{}), "login after failures in a row")
	requireStatus(t, http.StatusOK, l.login(attempt{username: "user1"}), "login of another name")
}
