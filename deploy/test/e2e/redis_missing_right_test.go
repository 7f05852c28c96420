package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestMissingRight takes one of neededCommands after the other from the Redis user. The
// command "check" must name it, and a gateway that is running must not answer with 500.
func TestMissingRight(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	redisURL := addRestrictedUser(t, server, "gate", neededCommands)
	env := newCommandEnv(redisURL, "TOKENGATE_REDIS_PREFIX=gate")
	users := fmt.Sprintf(`[{"id": 1, "username": %q, "password": %q, "is_active": true}]`, gatewaytest.Username(0), gatewaytest.PasswordHash)
	if code, output := env.run(t, "", "user", "import", "--app", gatewaytest.App, writeFile(t, "users.json", []byte(users))); code != 0 {
		t.Fatalf("import: got exit code %d, output %s; want 0", code, output)
	}
	g := gatewaytest.Start(t, redisURL, gatewaytest.Settings{"REDIS_PREFIX": "gate", "APP_USERS": "redis:"})
	for _, name := range neededCommands {
		d := &deniedCommand{T: t, name: name, gateway: g, client: g.Client()}
		d.prepare()
		server.Do("ACL", "SETUSER", "gate", "-"+name)
		code, output := env.run(t, "", "check")
		if named := regexp.MustCompile(`(?i)['(]` + name + `[')]`).MatchString(output); code != 1 || !named {
			t.Errorf("check without the right to %s: got exit code %d, output %s; want 1, and its name", name, code, output)
		}
		d.callSessionEndpoints()
		d.callAdminEndpoints()
		if reply := server.Do("ACL", "SETUSER", "gate", "+"+name); reply != "OK" {
			t.Fatalf("ACL SETUSER: got %q, want OK", reply)
		}
	}
	requireStatus(t, http.StatusOK, g.Client().Login(t.Context(), 0, "LONG", "with all rights"), "login")
}

// deniedCommand calls the endpoints of a gateway whose Redis user lacks one command.
type deniedCommand struct {
	*testing.T
	name    string
	gateway *gatewaytest.Gateway
	client  *gatewaytest.Client

	logins [4]gatewaytest.Response
}

// prepare creates sessions, while the Redis user has all rights.
func (d *deniedCommand) prepare() {
	d.Helper()
	for i := range d.logins {
		d.logins[i] = requireStatus(d.T, http.StatusOK, d.client.Login(d.Context(), 0, "LONG", d.name), "login before "+d.name+" is denied")
	}
}

// check checks that a response has one of the statuses, or is 503 with the time to try
// again.
func (d *deniedCommand) check(step string, resp gatewaytest.Response, allowed ...int) {
	d.Helper()
	if resp.Status == http.StatusServiceUnavailable {
		if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); resp.Code != "unavailable" || err != nil || after < 1 {
			d.Errorf("%s without the right to %s: got 503 with the code %q and Retry-After %q, want unavailable and a time",
				step, d.name, resp.Code, resp.Header.Get("Retry-After"))
		}
		return
	}
	for _, status := range allowed {
		if resp.Status == status {
			return
		}
	}
	d.Errorf("%s without the right to %s: got status %d, body %s, error %v; want one of %d, or 503", step, d.name, resp.Status, resp.Body, resp.Err, allowed)
}

func (d *deniedCommand) callSessionEndpoints() {
	d.Helper()
	ctx, c, first := d.Context(), d.client, d.logins[0]
	d.check("login", c.Login(ctx, 0, "SHORT", "phone"), http.StatusOK)
	d.check("login of an unknown user", c.Login(ctx, 1, "SHORT", "phone"), http.StatusBadRequest)
	d.check("refresh", c.Refresh(ctx, "LONG", first.Refresh), http.StatusOK)
	d.check("retried refresh", c.Refresh(ctx, "LONG", first.Refresh), http.StatusOK)
	d.check("verify", c.Verify(ctx, first.Access), http.StatusOK)
	d.check("verify of a refresh token", c.VerifyRefresh(ctx, d.logins[1].Refresh), http.StatusOK)
	d.check("authz", c.Authz(ctx, first.Access), http.StatusOK)
	_, list := c.List(ctx, first.Access)
	d.check("list", list, http.StatusOK)
	d.check("destroy", c.Destroy(ctx, first.Access, d.logins[2].SessionID), http.StatusOK)
	d.check("logout", c.Logout(ctx, d.logins[3].Refresh), http.StatusOK)
	d.check("destroy all others", c.DestroyOthers(ctx, d.logins[1].Access, d.logins[1].Refresh, "ALL"), http.StatusOK)
}

// admin sends a request to the admin API, with a body in JSON unless it is empty.
func (d *deniedCommand) admin(method, path, body string) gatewaytest.Response {
	d.Helper()
	req, err := http.NewRequestWithContext(d.Context(), method, d.gateway.AdminURL+path, strings.NewReader(body))
	must(d.T, err)
	req.Header.Set("Authorization", "Bearer "+gatewaytest.AdminToken)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return gatewaytest.NewClient(d.gateway.AdminURL).Do(req)
}

func (d *deniedCommand) callAdminEndpoints() {
	d.Helper()
	ofApp := "/admin/apps/" + gatewaytest.App
	one := ofApp + "/users/1"
	d.check("list of users", d.admin(http.MethodGet, ofApp+"/users", ""), http.StatusOK)
	d.check("user", d.admin(http.MethodGet, one, ""), http.StatusOK)
	d.check("change of a user", d.admin(http.MethodPatch, one, `{"claims": {"without": "`+d.name+`"}}`), http.StatusOK)
	added := d.admin(http.MethodPost, ofApp+"/users", `{"username": "without-`+d.name+`", "password": "correct horse", "integer_id": true}`)
	d.check("new user", added, http.StatusCreated)
	d.check("sessions of a user", d.admin(http.MethodGet, one+"/sessions", ""), http.StatusOK)
	d.check("end of a session", d.admin(http.MethodDelete, one+"/sessions/"+d.logins[1].SessionID, ""), http.StatusOK, http.StatusNotFound)
	d.check("end of a user's sessions", d.admin(http.MethodDelete, one+"/sessions", ""), http.StatusOK)
	d.check("removal of a user", d.admin(http.MethodDelete, ofApp+"/users/99", ""), http.StatusNotFound)
	d.check("end of the app's sessions", d.admin(http.MethodDelete, ofApp+"/sessions", ""), http.StatusOK)
}

// TestStartOnUnusableRedis starts a gateway on a Redis that can't run every step, and on one
// that is a replica. The gateway logs the cause, readyz answers with it, and "check" fails with
// it; as soon as Redis can be used, so can the gateway.
func TestStartOnUnusableRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g, env := gatewaytest.Start(t, server.URL, nil), newCommandEnv(server.URL)
	for _, c := range []struct{ fail, repair, want string }{
		{"ACL SETUSER default -zscore", "ACL SETUSER default +@all", "(ZSCORE)"},
		{"REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "the server is a replica"},
	} {
		g.Kill()
		server.Do(strings.Fields(c.fail)...)
		logged := len(g.Log())
		g.Launch()
		gatewaytest.WaitUntil(t, 20*time.Second, "the gateway has logged "+c.want, func() bool {
			log := g.Log()[logged:]
			return strings.Contains(log, "Redis can't be used") && strings.Contains(log, c.want)
		})
		ready := gatewaytest.NewClient(g.AdminURL)
		gatewaytest.WaitUntil(t, 20*time.Second, "readyz answers", func() bool { return getReady(t, ready).Status != 0 })
		if resp := getReady(t, ready); resp.Status != http.StatusServiceUnavailable || !strings.Contains(string(resp.Body), c.want) {
			t.Errorf("readyz: got status %d, body %s; want 503 with %q", resp.Status, resp.Body, c.want)
		}
		if code, output := env.run(t, "", "check"); code != 1 || !strings.Contains(output, c.want) {
			t.Errorf("check: got exit code %d, output %s; want 1 and %q", code, output, c.want)
		}
		server.Do(strings.Fields(c.repair)...)
		g.WaitReady(20 * time.Second)
	}
}

func getReady(t *testing.T, c *gatewaytest.Client) gatewaytest.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL+"/readyz", nil)
	must(t, err)
	return c.Do(req)
}
