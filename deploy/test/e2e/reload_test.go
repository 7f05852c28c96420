package e2e

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestHangupReloads checks that SIGHUP makes a gateway read its settings, and that it serves
// all requests meanwhile. A fault that stays is logged again.
func TestHangupReloads(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 1, "", newAppsDir(t, "web"), nil)
	g := r.gateways[0]
	for range 5 {
		g.Hangup()
		r.checkServed("web", "after SIGHUP")
	}
	poll(t, "SIGHUP is logged", func() bool { return strings.Contains(g.Log(), "SIGHUP") })
	r.write("mail", nil)
	g.Hangup()
	r.untilKnown("mail")
	before := r.logged()
	r.write("mail", appFile{"ALGORITHM": "none"})
	r.untilFault(before, r.file("mail"), "ALGORITHM")
	g.Hangup()
	poll(t, "the fault is logged a second time", func() bool { return strings.Count(g.Log(), faultLine) == 2 })
	before = r.logged()
	r.write("mail", nil)
	g.Hangup()
	r.untilRepaired(before)
	g.Stop()
	if code := g.ExitCode(); code != 0 {
		t.Errorf("SIGTERM: got exit code %d, want 0", code)
	}
	g.Restart() // the apps are those of the folder
	r.checkServed("mail", "after a restart")
}

// TestAppsAreAddedChangedAndRemoved checks that instances follow the folder of apps, while a
// session of another app goes on.
func TestAppsAreAddedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 2, redistest.Standalone(t).URL, newAppsDir(t, "web"), nil)
	web := newClientSession(t, r.client(r.gateways[0], "web"), r.client(r.gateways[0], "web").Login(t.Context(), 0, "LONG", "x"), "LONG")

	r.write("mail", nil)
	r.untilKnown("mail")
	r.checkServed("mail", "added")
	web.checkLive("after another app was added")
	r.checkRevocationsReach("mail")
	mail := newClientSession(t, r.client(r.gateways[0], "mail"), r.client(r.gateways[0], "mail").Login(t.Context(), 0, "LONG", "x"), "LONG")

	const next = "next-secret-" + secretMark
	r.write("mail", appFile{"SECRET_KEY": secretOf("mail") + "," + next, "ACCESS_TOKEN_LIFETIME": "7m"})
	r.untilAccepted("mail", next)
	r.checkServed("mail", "with its old secret")
	for _, g := range r.gateways {
		claims := claimsOf(t, r.client(g, "mail").Login(t.Context(), 1, "LONG", "x").Access)
		if lifetime := claims["exp"].(float64) - claims["iat"].(float64); lifetime != (7 * time.Minute).Seconds() {
			t.Errorf("ACCESS_TOKEN_LIFETIME=7m: got a token that lives %v s, want 420", lifetime)
		}
	}
	r.write("mail", appFile{"SECRET_KEY": next})
	r.until("the old secret is refused", func(g *gatewaytest.Gateway) bool {
		return r.client(g, "mail").Login(t.Context(), 2, "LONG", "x").Status == http.StatusBadRequest
	})
	mail.c = r.gateways[1].Client().As("mail", next)
	mail.checkLive("with the new secret")
	web.checkLive("after another app was changed")

	r.remove("mail")
	r.untilUnknown("mail")
	for _, g := range r.gateways {
		c := g.Client().As("mail", next)
		requireStatus(t, http.StatusBadRequest, c.Login(t.Context(), 0, "LONG", "x"), "login to a removed app")
		requireStatus(t, http.StatusNotFound, c.Authz(t.Context(), mail.access), "authz of a removed app")
	}
	web.checkLive("after another app was removed")
	r.write("mail", appFile{"SECRET_KEY": next})
	r.untilKnown("mail")
	mail.checkLive("after the app came back")
}

// checkRevocationsReach checks that the second gateway learns of a session of an app that the
// first one revokes.
func (r *reloadTest) checkRevocationsReach(app string) {
	r.Helper()
	c, other := r.client(r.gateways[0], app), r.client(r.gateways[1], app)
	s := newClientSession(r.T, c, c.Login(r.Context(), 5, "LONG", "x"), "LONG")
	requireStatus(r.T, http.StatusOK, other.Authz(r.Context(), s.access), "authz")
	requireStatus(r.T, http.StatusOK, c.Logout(r.Context(), s.refresh), "logout")
	s.c = other
	s.authzUntilRejected("after a logout at the other gateway")
}

// TestFirstAppIsAdded checks that a gateway starts with an empty folder and serves the first
// app that is added.
func TestFirstAppIsAdded(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 2, redistest.Standalone(t).URL, newAppsDir(t), nil)
	requireStatus(t, http.StatusBadRequest, r.client(r.gateways[0], "web").Login(t.Context(), 0, "LONG", "x"), "login without any app")
	r.write("web", nil)
	r.untilKnown("web")
	r.checkServed("web", "added")
	r.checkRevocationsReach("web")
}

// brokenFiles are files of apps with the words that the error must have.
var brokenFiles = map[string]struct {
	changes appFile
	append  string
	word    string
}{
	"syntax":       {nil, "next-secret-" + secretMark, "line 6"},
	"unknown":      {appFile{"SECRET_KEYS": secretMark}, "", "did you mean SECRET_KEY?"},
	"prefix":       {appFile{"TOKENGATE_APP_PREFIX_ISSUER": secretMark}, "", "the setting's name is ISSUER"},
	"twice":        {nil, "SECRET_KEY=" + secretMark, "SECRET_KEY is given twice"},
	"missing":      {appFile{"SIGNING_KEY": ""}, "", "SIGNING_KEY is required"},
	"value":        {appFile{"ACCESS_TOKEN_LIFETIME": secretMark}, "", "ACCESS_TOKEN_LIFETIME"},
	"key":          {appFile{"ALGORITHM": "EdDSA"}, "", "SIGNING_KEY"},
	"short-key":    {appFile{"SIGNING_KEY": secretMark}, "", "SIGNING_KEY"},
	"policy":       {appFile{"LONG_SESSION_RETRY_WINDOW": "1h"}, "", "RETRY_WINDOW"},
	"no-user-file": {appFile{"USERS": "file:/nowhere/users.json"}, "", "USERS"},
	"no-file":      {appFile{"SECRET_KEY": "", "SECRET_KEY_FILE": "/nowhere/secret"}, "", "SECRET_KEY"},
	"quotes":       {appFile{"SECRET_KEY": `"` + secretMark + `"`}, "", "has quotes"},
	"empty":        {appFile{"SECRET_KEY": "", "SIGNING_KEY": "", "USERS": ""}, "", "USERS is required"},
}

// TestBrokenAppKeepsLastValues checks that apps with a fault keep their last valid settings,
// that apps which were changed or added at the same moment get theirs, and that new apps with
// the same faults are left out.
func TestBrokenAppKeepsLastValues(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 1, "", newAppsDir(t, append(slices.Sorted(maps.Keys(brokenFiles)), "web")...), nil)
	const next, newApp = "next-secret-" + secretMark, "new-"
	before := r.logged()
	for app, broken := range brokenFiles {
		replaceFile(t, r.file(app), r.text(app, broken.changes)+broken.append)
		replaceFile(t, r.file(newApp+app), r.text(newApp+app, broken.changes)+broken.append)
	}
	r.write("web", appFile{"SECRET_KEY": next})
	r.write("zoo", nil)
	r.untilAccepted("web", next)
	r.untilKnown("zoo")
	for app, broken := range brokenFiles {
		r.untilFault(before, r.file(app), broken.word)
		r.checkServed(app, "with a fault")
		if n := before.count(r.gateways[0], faultLine, r.file(newApp+app)); n != 1 || knows(t, r.gateways[0], newApp+app) {
			t.Errorf("%s: got %d log lines and the app known: %t; want one line, and the app left out", newApp+app, n, knows(t, r.gateways[0], newApp+app))
		}
	}
	if n, want := metric(t, r.gateways[0], "tokengate_config_faults"), float64(2*len(brokenFiles)); n != want {
		t.Errorf("got the metric %v, want %v faults", n, want)
	}
	before = r.logged()
	for app := range brokenFiles {
		r.remove(newApp + app)
		r.write(app, appFile{"SECRET_KEY": app + next})
	}
	r.untilRepaired(before)
	for app := range brokenFiles {
		r.untilAccepted(app, app+next)
	}
}

// TestConflictingApps checks that of two apps that can't both be served, the one that has not
// changed stays, whatever the order of their names. An app of TOKENGATE_APPS stays also.
func TestConflictingApps(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 1, "", newAppsDir(t, "mail", "web"), gatewaytest.Settings{"APPS": gatewaytest.App})
	same := appFile{"SECRET_KEY": secretOf("mail")}
	for _, app := range []string{"before", "zoo", gatewaytest.App} {
		before := r.logged()
		r.write(app, same)
		r.untilFault(before, app)
		r.checkServed("mail", "with a conflict")
		if login := r.gateways[0].Client().Login(t.Context(), 0, "LONG", "x"); login.Status != http.StatusOK {
			t.Errorf("login to the app of TOKENGATE_APPS: got status %d, want 200", login.Status)
		}
		if app != gatewaytest.App && knows(t, r.gateways[0], app) {
			t.Errorf("%s has the secret of another app and is known, want it left out", app)
		}
		before = r.logged()
		r.remove(app)
		r.untilRepaired(before)
	}
	before := r.logged()
	r.write("web", appFile{"SIGNING_KEY": "mail-signing-key-0123456789abcdef0123456789abcdef"})
	r.untilFault(before, "web", "SIGNING_KEY")
	r.checkServed("web", "with the key of another app")
	r.checkServed("mail", "whose key another app has taken")
	before = r.logged()
	r.write("mail", appFile{"SIGNING_KEY": "web-signing-key-0123456789abcdef0123456789abcdef"})
	r.untilRepaired(before) // they have changed places
	r.checkServed("web", "with another key")
	r.checkServed("mail", "with another key")
}

// TestLostAppsDirKeepsApps checks that a folder that is away, or replaced by an empty one,
// removes no app, and that each app of the folder can be removed, also the last one.
func TestLostAppsDirKeepsApps(t *testing.T) {
	t.Parallel()
	r := startReloading(t, 1, "", newAppsDir(t, "mail", "web"), nil)
	away := r.path + ".away"
	checkBoth := func(when string) {
		r.checkServed("mail", when)
		r.checkServed("web", when)
	}
	before := r.logged()
	must(t, os.Rename(r.path, away))
	r.untilFault(before, "TOKENGATE_APPS_DIR")
	checkBoth("without the folder")
	before = r.logged()
	must(t, os.Mkdir(r.path, 0o700))
	r.untilFault(before, "TOKENGATE_APPS_DIR has no file")
	checkBoth("with an empty folder")
	before = r.logged()
	must(t, os.Remove(r.path))
	must(t, os.Rename(away, r.path))
	r.untilRepaired(before)
	checkBoth("with the folder")
	r.remove("mail")
	r.untilUnknown("mail")
	r.remove("web")
	r.untilUnknown("web")
}

// kubernetesFolder is a folder as Kubernetes mounts it: each file is a link through ..data,
// which is replaced as a whole.
type kubernetesFolder struct {
	*testing.T
	path string
	n    int
}

// set replaces all files.
func (k *kubernetesFolder) set(files map[string]string) {
	k.Helper()
	k.n++
	version := "..version-" + strings.Repeat("i", k.n)
	must(k, os.Mkdir(filepath.Join(k.path, version), 0o700))
	for name, text := range files {
		must(k, os.WriteFile(filepath.Join(k.path, version, name), []byte(text), 0o600))
	}
	must(k, os.Symlink(version, filepath.Join(k.path, "..data_tmp")))
	must(k, os.Rename(filepath.Join(k.path, "..data_tmp"), filepath.Join(k.path, "..data")))
	links, err := os.ReadDir(k.path)
	must(k, err)
	for _, link := range links {
		if _, stays := files[link.Name()]; !stays && !strings.HasPrefix(link.Name(), "..") {
			must(k, os.Remove(filepath.Join(k.path, link.Name())))
		}
	}
	for name := range files {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(k.path, name)); !os.IsExist(err) {
			must(k, err)
		}
	}
}

// TestKubernetesFolders checks that apps and secrets in folders that Kubernetes mounts are
// read again when it replaces them.
func TestKubernetesFolders(t *testing.T) {
	t.Parallel()
	d := newAppsDir(t)
	apps, secrets := &kubernetesFolder{T: t, path: d.path}, &kubernetesFolder{T: t, path: t.TempDir()}
	apps.set(map[string]string{"web.env": d.text("web", nil), "mail.env": d.text("mail", nil)})
	secrets.set(map[string]string{"shop": gatewaytest.Secret})
	r := startReloading(t, 1, "", d, gatewaytest.Settings{
		"APPS": gatewaytest.App, "APP_SECRET_KEY_FILE": filepath.Join(secrets.path, "shop"),
	})
	const next = "next-secret-" + secretMark
	apps.set(map[string]string{"web.env": d.text("web", appFile{"SECRET_KEY": next}), "zoo.env": d.text("zoo", nil)})
	r.untilAccepted("web", next)
	r.untilKnown("zoo")
	r.untilUnknown("mail")
	secrets.set(map[string]string{"shop": "shop-" + next})
	r.untilAccepted(gatewaytest.App, "shop-"+next)
	apps.set(map[string]string{"web.env": d.text("web", nil)})
	r.untilAccepted("web", secretOf("web"))
	r.untilUnknown("zoo")
}
