package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// kidOf returns the key ID in a token's header.
func kidOf(t *testing.T, token string) string {
	t.Helper()
	encoded, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	must(t, err)
	var header struct{ KID string }
	must(t, json.Unmarshal(raw, &header))
	return header.KID
}

// publishedKeys returns the number of keys that a gateway publishes for an app.
func publishedKeys(t *testing.T, g *gatewaytest.Gateway, app string) int {
	t.Helper()
	var set struct{ Keys []json.RawMessage }
	must(t, json.Unmarshal(requireStatus(t, http.StatusOK, get(t, g, "/apps/"+app+"/jwks.json"), "jwks.json").Body, &set))
	return len(set.Keys)
}

// secretFiles are files of secrets by the names of their settings, and the settings that name
// them.
type secretFiles struct {
	t    *testing.T
	path string
}

func (f secretFiles) file(name string) string { return filepath.Join(f.path, strings.ToLower(name)) }

// set replaces a secret.
func (f secretFiles) set(name, value string) {
	f.t.Helper()
	replaceFile(f.t, f.file(name), value+"\n")
}

// get returns a secret.
func (f secretFiles) get(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(f.file(name))
	must(f.t, err)
	return strings.TrimSpace(string(text))
}

// settings returns the settings that name the files of some secrets, and writes these.
func (f secretFiles) settings(secrets map[string]string) gatewaytest.Settings {
	f.t.Helper()
	all := gatewaytest.Settings{}
	for name, value := range secrets {
		f.set(name, value)
		all[name+"_FILE"] = f.file(name)
	}
	return all
}

// TestSecretFilesAreReread checks that each secret of a file can be replaced without a restart,
// in the steps of operations.md, while a session goes on.
func TestSecretFilesAreReread(t *testing.T) {
	t.Parallel()
	f, keys := secretFiles{t, t.TempDir()}, newSigningKeys(t)
	settings := f.settings(map[string]string{
		"ADMIN_TOKEN": gatewaytest.AdminToken, "APP_SECRET_KEY": gatewaytest.Secret, "APP_SIGNING_KEY": keys["EdDSA"],
		"APP_VERIFYING_KEYS": keys["ES256"], "APP_REFRESH_KEY": "refresh-key-1-0123456789abcdef0123456789",
	})
	settings["APPS"], settings["APP_ALGORITHM"] = gatewaytest.App, "EdDSA"
	r := startReloading(t, 2, redistest.Standalone(t).URL, newAppsDir(t, "web"), settings)
	s := login(t, r.gateways[0].Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
	t.Run("signing-key", func(t *testing.T) { r.replaceSigningKey(t, f, s, keys["EdDSA"], newSigningKeys(t)["EdDSA"]) })
	t.Run("refresh-key", func(t *testing.T) { r.replaceRefreshKey(t, f, s) })
	t.Run("secret-key", func(t *testing.T) { r.replaceSecretKey(t, f, s) })
	t.Run("admin-token", func(t *testing.T) { r.replaceAdminToken(t, f) })
	t.Run("fault", func(t *testing.T) { r.breakSecretFiles(t, f, s) })
}

// checkAtEach checks that a session goes on at each gateway.
func (r *reloadTest) checkAtEach(s *clientSession, step string) {
	for _, g := range r.gateways {
		s.c = g.Client().As(s.c.App, s.c.Secret)
		s.checkLive(step)
	}
}

func (r *reloadTest) replaceSigningKey(t *testing.T, f secretFiles, s *clientSession, old, next string) {
	f.set("APP_VERIFYING_KEYS", next)
	r.until("the next key is published", func(g *gatewaytest.Gateway) bool { return publishedKeys(t, g, gatewaytest.App) == 2 })
	former := kidOf(t, s.access)
	r.checkAtEach(s, "step 1")
	if kid := kidOf(t, s.access); kid != former {
		t.Errorf("step 1: the tokens have the key %s, want the old one, %s", kid, former)
	}
	f.set("APP_SIGNING_KEY", next)
	f.set("APP_VERIFYING_KEYS", old)
	signed := s.access
	r.until("the next key signs", func(g *gatewaytest.Gateway) bool {
		s.c = g.Client()
		s.checkLive("step 2")
		return kidOf(t, s.access) != former
	})
	for _, g := range r.gateways {
		requireStatus(t, http.StatusOK, g.Client().Authz(t.Context(), signed), "step 2: authz with a token of the old key")
	}
	f.set("APP_VERIFYING_KEYS", next)
	r.until("the old key is refused", func(g *gatewaytest.Gateway) bool {
		s.c = g.Client()
		s.checkLive("step 3")
		return g.Client().Authz(t.Context(), signed).Status == http.StatusUnauthorized && publishedKeys(t, g, gatewaytest.App) == 1
	})
}

func (r *reloadTest) replaceRefreshKey(t *testing.T, f secretFiles, s *clientSession) {
	const old, next = "refresh-key-1-0123456789abcdef0123456789", "refresh-key-2-0123456789abcdef0123456789"
	former, changes := kidOf(t, s.refresh), r.changes(gatewaytest.App)
	f.set("APP_REFRESH_KEY", old+","+next)
	r.untilChanged(gatewaytest.App, changes)
	r.checkAtEach(s, "step 1")
	if kid := kidOf(t, s.refresh); kid != former {
		t.Errorf("step 1: the refresh tokens have the key %s, want the old one, %s", kid, former)
	}
	f.set("APP_REFRESH_KEY", next+","+old)
	r.until("the next key signs", func(g *gatewaytest.Gateway) bool {
		s.c = g.Client()
		s.checkLive("step 2")
		return kidOf(t, s.refresh) != former
	})
	other := login(t, r.gateways[0].Client(), gatewaytest.Username(1), gatewaytest.Password, "LONG")
	changes = r.changes(gatewaytest.App)
	f.set("APP_REFRESH_KEY", next)
	r.untilChanged(gatewaytest.App, changes)
	r.checkAtEach(s, "step 3")
	r.checkAtEach(other, "step 3")
}

func (r *reloadTest) replaceSecretKey(t *testing.T, f secretFiles, s *clientSession) {
	const next = "next-secret-" + secretMark
	f.set("APP_SECRET_KEY", gatewaytest.Secret+","+next)
	r.untilAccepted(gatewaytest.App, next)
	r.checkAtEach(s, "step 1")
	s.c = s.c.As(gatewaytest.App, next)
	r.checkAtEach(s, "step 2")
	f.set("APP_SECRET_KEY", next)
	r.until("the old secret is refused", func(g *gatewaytest.Gateway) bool {
		return g.Client().Login(t.Context(), 2, "SHORT", "x").Status == http.StatusBadRequest
	})
	r.checkAtEach(s, "step 3")
}

func (r *reloadTest) replaceAdminToken(t *testing.T, f secretFiles) {
	const next = "next-admin-token-" + secretMark
	list := func(g *gatewaytest.Gateway, token string) int {
		return sendWithHeader(t, gatewaytest.NewClient(g.AdminURL), http.MethodGet, "/admin/apps/web/users/1/sessions", "Authorization", "Bearer "+token).Status
	}
	f.set("ADMIN_TOKEN", next)
	r.until("the next admin token is accepted", func(g *gatewaytest.Gateway) bool { return list(g, next) == http.StatusOK })
	for _, g := range r.gateways {
		if status := list(g, gatewaytest.AdminToken); status != http.StatusUnauthorized {
			t.Errorf("the old admin token: got status %d, want 401", status)
		}
	}
}

// breakSecretFiles breaks the files of one app and of the process, and repairs them.
func (r *reloadTest) breakSecretFiles(t *testing.T, f secretFiles, s *clientSession) {
	breakFile := func(name string, change func(), words ...string) {
		kept := f.get(name)
		repairs := strings.Count(r.gateways[0].Log(), repairedLine)
		change()
		r.untilFault(words...)
		r.checkAtEach(s, words[0]+" has a fault")
		r.checkServed("web", words[0]+" has a fault")
		f.set(name, kept)
		r.untilRepaired(repairs + 1)
		r.checkAtEach(s, words[0]+" is repaired")
	}
	breakFile("APP_SIGNING_KEY", func() { f.set("APP_SIGNING_KEY", "no-key-"+secretMark) }, appPrefix+"SIGNING_KEY")
	breakFile("APP_REFRESH_KEY", func() { must(t, os.Remove(f.file("APP_REFRESH_KEY"))) }, appPrefix+"REFRESH_KEY", "no such file")
	breakFile("ADMIN_TOKEN", func() { f.set("ADMIN_TOKEN", secretOf("web")) }, "ADMIN_TOKEN", "SECRET_KEY")
}

// changes returns how often each gateway has logged that an app has changed.
func (r *reloadTest) changes(app string) map[*gatewaytest.Gateway]int {
	counts := map[*gatewaytest.Gateway]int{}
	for _, g := range r.gateways {
		counts[g] = countChanges(g, app)
	}
	return counts
}

// countChanges returns how often a gateway has logged that an app has changed.
func countChanges(g *gatewaytest.Gateway, app string) int {
	return countLines(g, `msg="settings have changed"`, " changed="+app+" ")
}

// untilChanged waits until each gateway has logged more often than before that an app has
// changed.
func (r *reloadTest) untilChanged(app string, before map[*gatewaytest.Gateway]int) {
	r.Helper()
	r.until(app+" is changed", func(g *gatewaytest.Gateway) bool { return countChanges(g, app) > before[g] })
}

// TestUsersFileIsReread checks that the address of a user source can be changed, and the
// password in it, by a file that an app's file names.
func TestUsersFileIsReread(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 100)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, password, _ := req.BasicAuth()
		seen <- req.URL.Path + " " + password
		_, _ = fmt.Fprint(w, `{"user_id": 7}`)
	}))
	defer source.Close()
	address := func(password, path string) string {
		return strings.Replace(source.URL, "://", "://gate:"+password+"@", 1) + path
	}
	f, d := secretFiles{t, t.TempDir()}, newAppsDir(t, "web")
	f.set("USERS", address("first-"+secretMark, "/a"))
	d.write("mail", appFile{"USERS": "", "USERS_FILE": f.file("USERS")})
	r := startReloading(t, 1, "", d, nil)
	c := r.client(r.gateways[0], "mail")
	s := newClientSession(t, c, c.Login(t.Context(), 0, "LONG", "x"), "LONG")
	if got := <-seen; got != "/a first-"+secretMark {
		t.Errorf("the user source was asked at %q", got)
	}
	for _, next := range [][2]string{{"second-" + secretMark, "/a"}, {"second-" + secretMark, "/b"}} {
		f.set("USERS", address(next[0], next[1]))
		r.until("the other address is asked", func(g *gatewaytest.Gateway) bool {
			requireStatus(t, http.StatusOK, c.Login(t.Context(), 0, "SHORT", "x"), "login")
			return <-seen == next[1]+" "+next[0]
		})
		s.checkLive("with another address of the user source")
	}
	f.set("USERS", "ftp://gate:third-"+secretMark+"@127.0.0.1/")
	r.untilFault("USERS")
	requireStatus(t, http.StatusOK, c.Login(t.Context(), 0, "SHORT", "x"), "login with a fault")
}
