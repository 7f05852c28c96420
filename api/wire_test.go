package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokengate/api/wiretest"
	"tokengate/session/config"
	"tokengate/session/config/configtest"
)

// TestWireScripts runs the scripts in testdata over real connections.
func TestWireScripts(t *testing.T) {
	for _, script := range wiretest.Load(t, "testdata/*.txtar") {
		settings := scriptOptions(t, script.Settings)
		t.Run(script.Name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, settings)
			public, admin := httptest.NewServer(g.public), httptest.NewServer(g.admin)
			defer public.Close()
			defer admin.Close()
			script.Run(t, wiretest.Target{Public: public.URL, Admin: admin.URL})
		})
	}
}

// scriptOptions converts a script's settings in the same way as the program does.
func scriptOptions(t *testing.T, settings []string) options {
	t.Helper()
	env := []string{"TOKENGATE_APPS=" + wiretest.App, "TOKENGATE_REDIS_URL=redis://unused"}
	for _, setting := range append([]string{"SECRET_KEY=x", "USERS=x", "SIGNING_KEY=x"}, settings...) {
		env = append(env, config.AppPrefix(wiretest.App)+setting)
	}
	configtest.Setenv(t, env...)
	c, err := config.Read()
	must(t, err)
	app := c.ByApp[wiretest.App]
	o := options{policies: app.Policies(), accessLifetime: app.AccessTokenLifetime.Value}
	if app.Users == "redis:" {
		o.minPassword = app.PasswordMinLength.Value
	}
	return o
}

func TestBodyLimits(t *testing.T) {
	g := newGateway(t, options{})
	server := httptest.NewServer(g.public)
	defer server.Close()
	post := func(body string, chunked bool) *http.Response {
		r, err := http.NewRequest("POST", server.URL+"/api/session/verify/", strings.NewReader(body))
		must(t, err)
		r.Header.Set("Content-Type", "application/json")
		if chunked {
			r.ContentLength = -1
		}
		resp, err := http.DefaultClient.Do(r)
		must(t, err)
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	fits := `{"token":"` + strings.Repeat("x", 64<<10-12) + `"}`
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"at the limit", fits, 401},
		{"one byte over the limit", fits + " ", 413},
		{"far over the limit", fits + strings.Repeat(" ", 1<<20), 413},
		{"unclosed brackets", strings.Repeat("[", 64<<10), 400},
		{"deeply nested brackets", strings.Repeat("[", 9999) + strings.Repeat("]", 9999), 400},
		{"deeply nested objects", `{"x":` + strings.Repeat(`{"y":`, 10_000) + "1" + strings.Repeat("}", 10_001), 400},
	} {
		for _, chunked := range []bool{false, true} {
			if resp := post(c.body, chunked); resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s (chunked: %t): got %d %v, want %d and JSON", c.name, chunked, resp.StatusCode, resp.Header, c.status)
			}
		}
	}
}

func TestInfoLimit(t *testing.T) {
	g := newGateway(t, options{})
	login := func(info string) *httptest.ResponseRecorder {
		return g.do("POST", "/api/session/login/",
			`{"username":"alice","password":"alice-pw-1","secret_key":"`+wiretest.Secret+`","session":"LONG","info":"`+info+`"}`)
	}
	expect(t, login(strings.Repeat("é", 2048)+" "), 200, "*")
	expect(t, login(strings.Repeat("é", 2048)+"x"), 400, `{"info":["Ensure this field has no more than 4096 bytes."],"code":"invalid"}`)
}
