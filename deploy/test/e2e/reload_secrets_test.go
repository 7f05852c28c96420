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

// TestSecretFilesAreReread checks that what a replaced secret allowed is refused while a
// session goes on, and that a file with a fault changes nothing. TestSettingsChangeUnderLoad
// replaces secrets in the steps of operations.md.
func TestSecretFilesAreReread(t *testing.T) {
	t.Parallel()
	f, keys := secretFiles{t, t.TempDir()}, newSigningKeys(t)
	settings := f.settings(map[string]string{
		"ADMIN_TOKEN": gatewaytest.AdminToken, "APP_SIGNING_KEY": keys["EdDSA"], "APP_REFRESH_KEY": "refresh-key-1-0123456789abcdef0123456789",
	})
	settings["APPS"], settings["APP_ALGORITHM"] = gatewaytest.App, "EdDSA"
	r := startReloading(t, 2, redistest.Standalone(t).URL, newAppsDir(t, "web"), settings)
	s := login(t, r.gateways[0].Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
	t.Run("signing-key", func(t *testing.T) { r.replaceSigningKey(t, f, s, newSigningKeys(t)["EdDSA"]) })
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

func (r *reloadTest) replaceSigningKey(t *testing.T, f secretFiles, s *clientSession, next string) {
	signed := s.access
	f.set("APP_SIGNING_KEY", next)
	r.until("the old key is refused", func(g *gatewaytest.Gateway) bool {
		return g.Client().Authz(t.Context(), signed).Status == http.StatusUnauthorized
	})
	r.checkAtEach(s, "with another signing key")
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
		kept, before := f.get(name), r.logged()
		change()
		r.untilFault(before, words...)
		r.checkAtEach(s, words[0]+" has a fault")
		r.checkServed("web", words[0]+" has a fault")
		before = r.logged()
		f.set(name, kept)
		r.untilRepaired(before)
		r.checkAtEach(s, words[0]+" is repaired")
	}
	breakFile("APP_SIGNING_KEY", func() { f.set("APP_SIGNING_KEY", "no-key-"+secretMark) }, appPrefix+"SIGNING_KEY")
	breakFile("APP_REFRESH_KEY", func() { must(t, os.Remove(f.file("APP_REFRESH_KEY"))) }, appPrefix+"REFRESH_KEY", "no such file")
	breakFile("ADMIN_TOKEN", func() { f.set("ADMIN_TOKEN", secretOf("web")) }, "ADMIN_TOKEN", "SECRET_KEY")
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
	before := r.logged()
	f.set("USERS", "ftp://gate:third-"+secretMark+"@127.0.0.1/")
	r.untilFault(before, "USERS")
	requireStatus(t, http.StatusOK, c.Login(t.Context(), 0, "SHORT", "x"), "login with a fault")
}
