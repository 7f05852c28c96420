package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// loggedAddress is the address of the client in TestC89EveryOutcomeIsLogged.
const loggedAddress = "198.51.100.7"

// forwardedFor is an [http.RoundTripper] that sends requests on behalf of loggedAddress.
type forwardedFor struct{ http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (f forwardedFor) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Forwarded-For", loggedAddress)
	return f.RoundTripper.RoundTrip(req)
}

// logged is a gateway in another time zone, whose log is JSON.
type logged struct {
	*testing.T
	gateway *gatewaytest.Gateway
	client  *gatewaytest.Client
	source  *fileSource
	begin   time.Time
}

func startLogged(t *testing.T) *logged {
	t.Helper()
	_, err := time.LoadLocation("Asia/Tokyo")
	must(t, err)
	inTokyo := func(name string, args ...string) *exec.Cmd {
		return exec.Command("env", append([]string{"TZ=Asia/Tokyo", name}, args...)...)
	}
	source := &fileSource{t, writeFile(t, "users.json", []byte("[]"))}
	source.set(newAccount(t, 7, "annabelle", oldPassword), newAccount(t, 8, "ben", oldPassword))
	l := &logged{T: t, source: source, begin: time.Now().Add(-time.Second)}
	l.gateway = gatewaytest.StartOn(t, inTokyo, freeport.Address(t), freeport.Address(t), redistest.Standalone(t).URL, gatewaytest.Settings{
		"LOG_FORMAT": "json", "TRUSTED_PROXIES": "127.0.0.1/32", "ADMIN_TOKEN": adminToken, "APP_USERS": "file:" + source.path, "APP_LOGIN_ATTEMPTS": "3",
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "2",
	})
	l.client = l.gateway.Client()
	l.client.HTTP.Transport = forwardedFor{l.client.HTTP.Transport}
	return l
}

// logLine is a line of the log. Values that are not strings are in their JSON form.
type logLine map[string]string

// records returns the lines of the log. Each must have its time in UTC.
func (l *logged) records() (all []logLine) {
	l.Helper()
	for line := range strings.Lines(l.gateway.Log()) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			l.Fatalf("the line %s is not JSON: %v", line, err)
		}
		r := logLine{}
		for name, raw := range fields {
			var text string
			if json.Unmarshal(raw, &text) != nil {
				text = string(raw)
			}
			r[name] = text
		}
		at, err := time.Parse(time.RFC3339Nano, r["time"])
		if _, offset := at.Zone(); err != nil || offset != 0 || at.Before(l.begin) || at.After(time.Now().Add(time.Second)) {
			l.Errorf("the line %s has no time of this test in UTC: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// find waits for a line with these fields, such as "step=login code=ok". A field without a
// value, such as account=, may have any. It returns the line.
func (l *logged) find(fields string) (found logLine) {
	l.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(pollInterval) {
		for _, r := range l.records() {
			all := true
			for field := range strings.FieldsSeq(fields) {
				name, value, _ := strings.Cut(field, "=")
				all = all && r[name] != "" && (value == "" || r[name] == value)
			}
			if all {
				return r
			}
		}
		if time.Now().After(deadline) {
			l.Errorf("the log has no line with %s", fields)
			return logLine{}
		}
	}
}

// fromClient waits for a line with these fields and the client's address.
func (l *logged) fromClient(fields string) logLine {
	l.Helper()
	return l.find(fields + " client=" + loggedAddress)
}

// TestC89EveryOutcomeIsLogged checks that the log has each login, refusal, refresh, replay,
// eviction and revocation, with the user or the account, the client, the outcome and the time
// in UTC, wherever the gateway is.
func TestC89EveryOutcomeIsLogged(t *testing.T) {
	t.Parallel()
	l := startLogged(t)
	l.checkLogins()
	l.checkRefreshes()
	l.checkRevocations()
	l.gateway.Stop()
	l.records()
	if log := l.gateway.Log(); strings.Contains(log, "annabelle") || strings.Contains(log, "cornelius") {
		t.Errorf("the log has the name of a user\n%s", log)
	}
}

// checkLogins checks the lines of good, wrong and throttled logins.
func (l *logged) checkLogins() {
	l.Helper()
	first := login(l.T, l.client, "annabelle", oldPassword, "LONG")
	l.fromClient("step=login code=ok app=" + gatewaytest.App + " user=7 session=" + first.id)
	requireStatus(l.T, http.StatusBadRequest, tryLogin(l.T, l.client, "annabelle", "wrong", "LONG"), "wrong password")
	ann := l.fromClient("step=login code=invalid_credentials app=" + gatewaytest.App + " account= network=")
	requireStatus(l.T, http.StatusBadRequest, tryLogin(l.T, l.client, "annabelle", oldPassword, "X"), "invalid type")
	l.fromClient("step=login code=invalid_type network= account=" + ann["account"])
	requireStatus(l.T, http.StatusBadRequest, tryLogin(l.T, l.client, "annabelle", "wrong", "LONG"), "wrong password")
	requireStatus(l.T, http.StatusTooManyRequests, tryLogin(l.T, l.client, "annabelle", oldPassword, "LONG"), "login at the limit")
	l.fromClient("step=login code=throttled app=" + gatewaytest.App + " limit=account network= account=" + ann["account"])
	for _, name := range []string{"cornelius", "cornelius", "cornelius"} {
		requireStatus(l.T, http.StatusBadRequest, tryLogin(l.T, l.client, name, "wrong", "LONG"), "unknown name")
	}
	requireStatus(l.T, http.StatusTooManyRequests, tryLogin(l.T, l.client, "cornelius", "wrong", "LONG"), "unknown name at the limit")
	accounts := map[string]int{}
	for _, r := range l.records() {
		if r["step"] == "login" && r["account"] != "" {
			accounts[r["account"]+" "+r["code"]]++
		}
		if network := r["network"]; network != "" && !contains(network, loggedAddress) {
			l.Errorf("got a line with the network %s, want that of %s", network, loggedAddress)
		}
	}
	if accounts[ann["account"]+" invalid_credentials"] != 2 || accounts[ann["account"]+" throttled"] != 1 {
		l.Errorf("got the lines %v of accounts, want 2 wrong passwords and 1 throttled login of ann, %s", accounts, ann["account"])
	}
	wrong := l.client.Post(l.Context(), "/api/session/login/", "", map[string]string{
		"username": "annabelle", "password": oldPassword, "secret_key": "another-secret", "session": "LONG", "info": "x",
	})
	requireStatus(l.T, http.StatusBadRequest, wrong, "wrong secret of the app")
	l.fromClient("step=login code=invalid_credentials request=" + wrong.Header.Get("X-Request-Id"))
}

// contains reports whether a network, which may be a single address, contains an address.
func contains(network, address string) bool {
	if !strings.Contains(network, "/") {
		return network == address
	}
	prefix, err := netip.ParsePrefix(network)
	return err == nil && prefix.Contains(netip.MustParseAddr(address))
}

// checkRefreshes checks the lines of refreshes, of a replay and of an eviction.
func (l *logged) checkRefreshes() {
	l.Helper()
	s := login(l.T, l.client, "ben", oldPassword, "LONG")
	stolen := s.refresh
	for range 2 {
		resp := requireStatus(l.T, http.StatusOK, s.tryRefresh(), "refresh")
		l.fromClient("endpoint=refresh code=ok user=8 session=" + s.id + " request=" + resp.Header.Get("X-Request-Id"))
	}
	resp := requireStatus(l.T, http.StatusUnauthorized, l.client.Refresh(l.Context(), "LONG", tamper(s.refresh)), "refresh with a tampered token")
	l.fromClient("step=refresh code=" + resp.Code + " request=" + resp.Header.Get("X-Request-Id"))
	requireStatus(l.T, http.StatusUnauthorized, l.client.Refresh(l.Context(), "LONG", stolen), "replay")
	l.fromClient("step=refresh code=replayed user=8 session=" + s.id)
	l.fromClient("cause=replay user=8 session=" + s.id)
	resp = requireStatus(l.T, http.StatusUnauthorized, s.tryRefresh(), "refresh of a revoked session")
	l.fromClient("step=refresh user=8 request=" + resp.Header.Get("X-Request-Id"))
	oldest := login(l.T, l.client, "ben", oldPassword, "LONG")
	for range 2 {
		login(l.T, l.client, "ben", oldPassword, "LONG")
	}
	l.fromClient("cause=evicted user=8 session=" + oldest.id)
}

// checkRevocations checks the lines of every other cause of a revocation.
func (l *logged) checkRevocations() {
	l.Helper()
	ctx, c := l.Context(), l.client
	ben := func() *clientSession { return login(l.T, c, "ben", oldPassword, "SHORT") }
	s, other := ben(), ben()
	requireStatus(l.T, http.StatusOK, c.Logout(ctx, s.refresh), "logout")
	l.fromClient("cause=logout user=8 session=" + s.id)
	s = ben()
	requireStatus(l.T, http.StatusOK, c.Destroy(ctx, s.access, other.id), "destroy")
	l.fromClient("cause=user user=8 session=" + other.id)
	other = ben()
	requireStatus(l.T, http.StatusOK, c.DestroyOthers(ctx, s.access, s.refresh, "SHORT"), "destroy all others")
	l.fromClient("cause=others user=8 session=" + other.id)
	other = ben()
	requireStatus(l.T, http.StatusUnauthorized, c.Refresh(ctx, "LONG", other.refresh), "refresh as another type")
	l.fromClient("cause=type_mismatch user=8 session=" + other.id)

	const users = "/admin/apps/" + gatewaytest.App + "/users/8/sessions"
	other = ben()
	requireStatus(l.T, http.StatusOK, sendAsAdmin(l.T, l.gateway, http.MethodDelete, users), "revoke the user's sessions")
	l.find("cause=operator user=8 client=127.0.0.1 session=" + other.id)
	other = ben()
	l.source.set(newAccount(l.T, 7, "annabelle", oldPassword), newAccount(l.T, 8, "ben", oldPassword).disabled())
	other.refreshUntilEnded("account", "refresh of a disabled user")
	l.fromClient("cause=account user=8 session=" + other.id)
	requireStatus(l.T, http.StatusOK, sendAsAdmin(l.T, l.gateway, http.MethodDelete, "/admin/apps/"+gatewaytest.App+"/sessions"), "revoke the app's sessions")
	l.find("cause=app client=127.0.0.1 app=" + gatewaytest.App)
}

// TestC85NamesInLogAreKeyed checks that the account in the log is keyed by a secret of the
// app: the same name has another one in another app, and it is no plain hash of the name.
func TestC85NamesInLogAreKeyed(t *testing.T) {
	t.Parallel()
	l := startOneLoginLimits(t, 5, gatewaytest.Settings{
		"APPS": gatewaytest.App + ",mail", mailPrefix + "SECRET_KEY": mailSecret, mailPrefix + "SIGNING_KEY": "mail-" + gatewaytest.SigningKey,
		mailPrefix + "USERS": "file:" + gatewaytest.UserFile(t),
	})
	accounts := map[string]string{}
	for _, app := range []struct{ name, secret string }{{gatewaytest.App, gatewaytest.Secret}, {"mail", mailSecret}} {
		for i := range 2 {
			for range 2 {
				l.checkRejected(l.login(attempt{username: gatewaytest.Username(i), password: "wrong", secret: app.secret}), "wrong login")
			}
		}
		var lines []string
		poll(t, "the log has each wrong login", func() bool {
			lines = linesOf(l.gateways[0].Log(), "step=login", "code=invalid_credentials", "app="+app.name+" ")
			return len(lines) == 4
		})
		for _, line := range lines {
			accounts[fieldOf(line, "account")] = app.name
		}
	}
	if len(accounts) != 4 || accounts[""] != "" {
		t.Errorf("got the accounts %v of two names in two apps, want 4", accounts)
	}
	for account := range accounts {
		if len(account) < 11 { // about 64 bits in Base64
			t.Errorf("got the account %s, want at least 64 bits", strconv.Quote(account))
		}
	}
	for app, secret := range map[string]string{gatewaytest.App: gatewaytest.Secret, "mail": mailSecret} {
		resp := l.login(attempt{username: gatewaytest.Username(0), secret: secret})
		requireStatus(t, http.StatusOK, resp, fmt.Sprintf("login to %s", app))
	}
}
