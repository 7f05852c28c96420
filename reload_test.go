package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/session/cli"
	"tokengate/session/config"
	"tokengate/session/config/configtest"
)

// reloadTest is a gateway with sessions in memory, whose apps are files in a folder.
type reloadTest struct {
	*testing.T
	reloader
	dir string
	log bytes.Buffer
}

// startReload assembles a gateway with the apps of these files, given as the names of the apps
// and their settings, and with more settings.
func startReload(t *testing.T, files map[string]string, settings ...string) *reloadTest {
	t.Helper()
	r := &reloadTest{T: t, dir: t.TempDir()}
	for name, content := range files {
		r.write(name, content)
	}
	configtest.Setenv(t, append(settings, "TOKENGATE_APPS_DIR="+r.dir)...)
	c, err := config.Read()
	must(t, err)
	g, err := assemble(t.Context(), c, cli.Stdio{Out: &r.log, Err: &r.log})
	must(t, err)
	t.Cleanup(func() { g.stopFollow() })
	r.reloader = reloader{gateway: g}
	g.follow(t.Context(), c.Names, func() {})
	return r
}

func (r *reloadTest) write(app, content string) {
	r.Helper()
	must(r.T, os.WriteFile(filepath.Join(r.dir, app+".env"), []byte(content), 0o600))
}

// appSettings returns the settings of an app without users that can log in.
func (r *reloadTest) appSettings(secret, key string) string {
	r.Helper()
	return fmt.Sprintf("SECRET_KEY=%s\nSIGNING_KEY=%s\nUSERS=file:%s\n", secret, key, writeFile(r.T, `[{"id": 1, "username": "a", "password": "!"}]`))
}

// key returns a signing key.
func key(name string) string { return strings.Repeat(name+"-", 20) }

// checkServed checks which apps are served, by their JWK Sets, and that a reload had these
// faults.
func (r *reloadTest) checkServed(apps string, faults ...string) {
	r.Helper()
	for _, name := range strings.Fields("blog shop wiki") {
		w := httptest.NewRecorder()
		r.handler(func(g *snapshot) http.Handler { return g.public }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/apps/"+name+"/jwks.json", nil))
		if served := w.Code == http.StatusOK; served != strings.Contains(apps, name) {
			r.Errorf("%s: got status %d, want only %s served", name, w.Code, apps)
		}
	}
	if len(r.reported) != len(faults) {
		r.Fatalf("got the faults %q, want %q", r.reported, faults)
	}
	for i, fault := range faults {
		if !strings.Contains(r.reported[i], fault) {
			r.Errorf("got the fault %s, want %s", r.reported[i], fault)
		}
	}
}

func TestReloadKeepsWhatHasNotChanged(t *testing.T) {
	r := startReload(t, nil)
	r.write("shop", r.appSettings("shop-secret-0123456789", key("shop")))
	r.write("blog", r.appSettings("blog-secret-0123456789", key("blog")))
	r.reload(t.Context())
	r.checkServed("blog shop")
	before := r.current.Load()
	r.reload(t.Context())
	if r.current.Load() != before {
		t.Error("a reload without a change made a new snapshot")
	}
	r.write("shop", strings.Replace(r.appSettings("shop-secret-0123456789", key("new")), "USERS=", "LEEWAY=1s\nUSERS=", 1))
	r.reload(t.Context())
	now := r.current.Load()
	if now.Sources["blog"] != before.Sources["blog"] || now.apps["blog"].app.Signer != before.apps["blog"].app.Signer {
		t.Error("an app whose settings have not changed was made again")
	}
	if now.Sources["shop"] == before.Sources["shop"] {
		t.Error("the user source of another file is the former one")
	}
}

// TestReloadKeepsUserSource checks that an app's user source stays if only other settings of
// the app change: it knows whose password has changed.
func TestReloadKeepsUserSource(t *testing.T) {
	r := startReload(t, nil)
	settings := r.appSettings("shop-secret-0123456789", key("shop"))
	r.write("shop", settings)
	r.reload(t.Context())
	before := r.current.Load().Sources["shop"]
	r.write("shop", settings+"ACCESS_TOKEN_LIFETIME=1m\n")
	r.reload(t.Context())
	if now := r.current.Load(); now.Sources["shop"] != before || now.apps["shop"].app.AccessLifetime.String() != "1m0s" {
		t.Error("the user source was opened again, or the new lifetime is not used")
	}
	r.write("shop", settings+"RECHECK_USER=off\n")
	r.reload(t.Context())
	if r.current.Load().Sources["shop"] == before {
		t.Error("the user source has the former settings")
	}
}

// TestReloadLeavesOutFaults checks that a fault that only the build of a snapshot finds
// concerns its own app, and that of two apps that do not go together the one that has changed
// is left out, whatever their names.
func TestReloadLeavesOutFaults(t *testing.T) {
	const secret = "blog-secret-0123456789"
	r := startReload(t, nil)
	blog := r.appSettings(secret, key("blog"))
	r.write("blog", blog)
	r.reload(t.Context())
	r.checkServed("blog")
	for settings, fault := range map[string]string{
		r.appSettings("other-secret-0123456789", "short"):                                     "shop.env: SIGNING_KEY",
		r.appSettings(secret, key("shop")):                                                    "shop.env: SECRET_KEY is also that of app blog",
		r.appSettings("other-secret-0123456789", key("blog")):                                 "shop.env: SIGNING_KEY, VERIFYING_KEYS or REFRESH_KEY: tokens of this app and of app blog",
		r.appSettings("other-secret-0123456789", key("shop")) + "USERNAME_FIELD=password\n":   "shop.env: USERNAME_FIELD is password",
		"SECRET_KEY=s\nSIGNING_KEY=" + key("shop") + "\nUSERS=file:/nosuch\n":                 "shop.env: USERS is file:/nosuch",
		r.appSettings("other-secret-0123456789", key("shop")) + "ACCESS_TOKEN_LIFETIME=1ms\n": "shop.env: ACCESS_TOKEN_LIFETIME is 1ms",
		r.appSettings("other-secret-0123456789", key("shop")) + "ALGORITHM=none\n":            "shop.env: ALGORITHM",
	} {
		r.write("shop", settings)
		r.write("wiki", r.appSettings("wiki-secret-0123456789", key("wiki")))
		r.reload(t.Context())
		r.checkServed("blog wiki", fault)
		must(t, os.Remove(filepath.Join(r.dir, "wiki.env")))
		r.reload(t.Context())
		r.checkServed("blog", fault)
	}
	// wiki comes after blog in the order, and its new secret is that of blog; then blog gets that of wiki.
	must(t, os.Remove(filepath.Join(r.dir, "shop.env")))
	r.write("wiki", r.appSettings("wiki-secret-0123456789", key("wiki")))
	r.reload(t.Context())
	r.checkServed("blog wiki")
	r.write("blog", strings.Replace(blog, secret, "wiki-secret-0123456789", 1))
	r.reload(t.Context())
	r.checkServed("blog wiki", "SECRET_KEY is also that of app")
	if got := r.current.Load().config.ByApp["blog"].SecretKey[0]; got != secret {
		t.Errorf("blog: got the secret %s, want the last valid one", got)
	}
	r.write("blog", blog)
	r.reload(t.Context())
	r.checkServed("blog wiki")
	if log := r.log.String(); strings.Contains(log, "secret-0123456789") || !strings.Contains(log, "settings are valid again") {
		t.Errorf("got the log %s, want no secret, and the line that the settings are valid again", log)
	}
}

// TestReloadKeepsRedisURL checks that the store gets its last valid URL back if the new one
// can't be used together with an app.
func TestReloadKeepsRedisURL(t *testing.T) {
	const secret = "shop-secret-0123456789"
	first, rejected := "redis://:first-password@127.0.0.1:1", "redis://:"+secret+"@127.0.0.1:1"
	file := writeFile(t, first)
	r := startReload(t, nil, "TOKENGATE_REDIS_URL_FILE="+file)
	r.write("shop", r.appSettings(secret, key("shop")))
	r.reload(t.Context())
	r.checkServed("shop")
	var urls []string
	r.setRedisURL = func(url string) error {
		urls = append(urls, url)
		return nil
	}
	must(t, os.WriteFile(file, []byte(rejected), 0o600))
	r.reload(t.Context())
	r.checkServed("shop", "SECRET_KEY is also the value of the password in TOKENGATE_REDIS_URL")
	if !slices.Equal(urls, []string{rejected, first}) {
		t.Errorf("got the URLs %q, want the new one and then the last valid one", urls)
	}
	must(t, os.WriteFile(file, []byte(first), 0o600))
	r.setRedisURL = func(string) error { return errors.New("URL is invalid") }
	r.reload(t.Context())
	r.checkServed("shop")
	must(t, os.WriteFile(file, []byte("redis://127.0.0.1:2"), 0o600))
	r.reload(t.Context())
	r.checkServed("shop", "TOKENGATE_REDIS_URL is invalid")
	if got := string(r.current.Load().config.Redis.URL); got != first {
		t.Errorf("got the URL %s, want the last valid one", got)
	}
}

// TestReloadWhileServing reloads while requests are in progress. With the race detector it
// shows that snapshots share nothing that changes.
func TestReloadWhileServing(t *testing.T) {
	r := startReload(t, nil)
	settings := r.appSettings("shop-secret-0123456789", key("shop"))
	r.write("shop", settings)
	r.write("blog", r.appSettings("blog-secret-0123456789", key("blog")))
	r.reload(t.Context())
	handler := r.handler(func(s *snapshot) http.Handler { return s.public })
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for path, want := range map[string]int{"/apps/blog/jwks.json": http.StatusOK, "/apps/blog/authz": http.StatusUnauthorized, "/apps/shop/authz": http.StatusUnauthorized} {
					w := httptest.NewRecorder()
					req := httptest.NewRequest(http.MethodGet, path, nil)
					req.Header.Set("Authorization", "Bearer abc.def.ghi")
					if handler.ServeHTTP(w, req); w.Code != want {
						t.Errorf("%s: got status %d, want %d", path, w.Code, want)
					}
				}
			}
		})
	}
	for i := range 20 {
		r.write("shop", settings+fmt.Sprintf("ACCESS_TOKEN_LIFETIME=%dm\n", i+1))
		r.reload(t.Context())
		r.checkServed("blog shop")
	}
	close(stop)
	clients.Wait()
}

// TestFaultsAreRetried checks that settings with a fault are read again although no file has
// changed, since the cause may be another one.
func TestFaultsAreRetried(t *testing.T) {
	file := writeFile(t, "redis://127.0.0.1:1")
	r := startReload(t, nil, "TOKENGATE_REDIS_URL_FILE="+file)
	var tries atomic.Int32
	r.setRedisURL = func(string) error {
		if tries.Add(1) == 1 {
			return errors.New("URL can't be used now")
		}
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.reloadOnChange(ctx, nil)
	}()
	must(t, os.WriteFile(file, []byte("redis://:password@127.0.0.1:1"), 0o600))
	for deadline := time.Now().Add(time.Minute); r.current.Load().config.Redis.URL == "redis://127.0.0.1:1" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-done
	if got := tries.Load(); got != 2 {
		t.Errorf("got %d tries, want the second to succeed", got)
	}
}

// TestConflictKeepsChange checks that an app whose secret a new one takes keeps a change that
// is made at the same moment, although the new app comes first.
func TestConflictKeepsChange(t *testing.T) {
	const secret = "blog-secret-0123456789"
	r := startReload(t, nil)
	blog := r.appSettings(secret, key("blog"))
	r.write("blog", blog)
	r.reload(t.Context())
	r.write("blog", blog+"ACCESS_TOKEN_LIFETIME=7m\n")
	r.write("archive", r.appSettings(secret, key("archive")))
	r.reload(t.Context())
	r.checkServed("blog", "SECRET_KEY is also that of app archive")
	if now := r.current.Load(); now.Engine.App("archive") != nil || now.apps["blog"].app.AccessLifetime != 7*time.Minute {
		t.Error("the new app is served, or the change of the known one is not")
	}
}
