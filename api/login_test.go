package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tokengate/api"
	"tokengate/api/wiretest"
)

// guess logs alice in with a password.
func (g *gateway) guess(password string, headers ...string) *httptest.ResponseRecorder {
	body := `{"username":"alice","password":"` + password + `","secret_key":"` + wiretest.Secret + `","session":"LONG","info":"x"}`
	return g.do("POST", "/api/session/login/", body, headers...)
}

// TestLoginLimit checks what a client gets over the limit of failed logins, that a known
// device gets in, and that the refusals are logged, counted and listed.
func TestLoginLimit(t *testing.T) {
	g := newGateway(t, options{loginAttempts: 2, change: func(o *api.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's peer is 192.0.2.1
	}})
	const from = "X-Forwarded-For: 2001:db8:1:2:3::4"
	device := g.guess("alice-pw-1").Header().Get("Device-Token")
	for range 2 {
		expect(t, g.guess("wrong", from), 400, `{"non_field_errors":["Invalid Credentials or not active account found!"],"code":"invalid_credentials"}`)
	}
	for _, password := range []string{"wrong", "alice-pw-1"} {
		start := time.Now()
		w := g.guess(password, from)
		if took := time.Since(start); took < time.Second {
			t.Errorf("the refusal took %s, want a second", took)
		}
		expect(t, w, http.StatusTooManyRequests, `{"detail":"Too many logins. Try again later.","code":"throttled"}`)
		if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || wait < 50 || wait > 60 {
			t.Errorf("got Retry-After %q, want about 60", w.Header().Get("Retry-After"))
		}
	}
	if w := g.guess("alice-pw-1", from, "Device-Token: "+device); w.Code != http.StatusOK || w.Header().Get("Device-Token") == "" {
		t.Errorf("the known device got %d and token %q, want 200 and one", w.Code, w.Header().Get("Device-Token"))
	}
	key := accountKey("alice")
	for name, want := range map[string][]string{
		"login":   {"msg=login", "account=" + key},
		"failure": {"msg=refusal", "code=invalid_credentials", "account=" + key, "network=2001:db8:1:2::/64"},
		"refusal": {"msg=refusal", "code=throttled", "account=" + key, "network=2001:db8:1:2::/64", "limit=account"},
	} {
		if !hasLine(g.log.String(), want...) {
			t.Errorf("%s: no line contains %v in\n%s", name, want, g.log)
		}
	}
	if strings.Contains(g.log.String(), "alice") || strings.Contains(g.log.String(), device) {
		t.Error("the log contains a username or the token of a device")
	}
	want := `
		# HELP tokengate_logins_refused_total Logins refused by a limit of failed logins, by app and limit (account, device or network).
		# TYPE tokengate_logins_refused_total counter
		tokengate_logins_refused_total{app="wire",limit="account"} 2
	`
	if err := testutil.GatherAndCompare(g.registry, strings.NewReader(want), "tokengate_logins_refused_total"); err != nil {
		t.Error(err)
	}
	w := do(g.admin, "GET", "/admin/apps/wire/attacks", "", "Authorization: Bearer "+wiretest.AdminToken)
	expect(t, w, 200, `{"refusals":[{"limit":"account","key":`+strconv.Quote(key)+`,"count":2}]}`)
	expect(t, do(g.admin, "GET", "/admin/apps/wire/attacks", ""), 401, `{"detail":"The admin token is missing or wrong.","code":"admin_token"}`)
}

// TestDeviceTokenIsNotInBody checks that the answer of a login has the members of the Django
// app only.
func TestDeviceTokenIsNotInBody(t *testing.T) {
	var members map[string]json.RawMessage
	decode(t, newGateway(t, options{}).guess("alice-pw-1"), &members)
	if len(members) != 3 || members["refresh"] == nil || members["access"] == nil || members["session_id"] == nil {
		t.Errorf("got members %v", members)
	}
}
