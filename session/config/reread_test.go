package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/session/config"
)

func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reread reads the settings again and checks the faults, each by a part of its text.
func reread(t *testing.T, c *config.Config, faults ...string) *config.Config {
	t.Helper()
	next, got := c.Reread()
	for i, f := range got {
		if i >= len(faults) || !strings.Contains(f.Error(), faults[i]) {
			t.Errorf("got the fault %v, want %q", f, faults)
		}
	}
	if len(got) != len(faults) {
		t.Errorf("got %d faults, want %q", len(got), faults)
	}
	return next
}

// settings returns a valid file of an app with a secret.
func settings(secret string) string {
	return "SECRET_KEY=" + secret + "\nUSERS=file:u\nSIGNING_KEY=k\n"
}

// checkApps checks the names of the apps and their secrets.
func checkApps(t *testing.T, c *config.Config, want ...string) {
	t.Helper()
	var got []string
	for _, name := range c.Names {
		got = append(got, name+"="+c.ByApp[name].SecretKey[0])
	}
	if !slices.Equal(got, want) || len(c.ByApp) != len(want) {
		t.Errorf("got the apps %q (%d), want %q", got, len(c.ByApp), want)
	}
}

func TestReread(t *testing.T) {
	dir := appsDir(t, map[string]string{"blog.env": settings("b"), "shop.env": settings("s")})
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "w")
	first := mustRead(t, "TOKENGATE_APPS=web", "TOKENGATE_APP_WEB_SECRET_KEY_FILE="+secret, "TOKENGATE_APP_WEB_USERS=file:u", "TOKENGATE_APP_WEB_SIGNING_KEY=k",
		"TOKENGATE_APPS_DIR="+dir)
	if same := reread(t, first); !same.Process.Equal(first.Process) || !same.ByApp["shop"].Equal(first.ByApp["shop"]) {
		t.Error("the same settings are not equal")
	}
	write(t, secret, "w2")
	write(t, filepath.Join(dir, "blog.env"), settings("b2"))
	write(t, filepath.Join(dir, "new.env"), settings("n"))
	if err := os.Remove(filepath.Join(dir, "shop.env")); err != nil {
		t.Fatal(err)
	}
	checkApps(t, reread(t, first), "web=w2", "blog=b2", "new=n")
	checkApps(t, first, "web=w", "blog=b", "shop=s")
}

// TestRereadKeepsLastValid checks that a fault concerns its own app only.
func TestRereadKeepsLastValid(t *testing.T) {
	dir := appsDir(t, map[string]string{"blog.env": settings("b"), "shop.env": settings("s")})
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "admin")
	first := mustRead(t, "TOKENGATE_APPS_DIR="+dir, "TOKENGATE_ADMIN_TOKEN_FILE="+token)

	write(t, token, "")
	write(t, filepath.Join(dir, "blog.env"), settings("b2"))
	write(t, filepath.Join(dir, "new.env"), "SECRET_KEY")
	write(t, filepath.Join(dir, "shop.env"), settings("s2")+"LEEWAY=x\n")
	second := reread(t, first, "TOKENGATE_ADMIN_TOKEN", "new.env: line 1", "shop.env: LEEWAY")
	checkApps(t, second, "blog=b2", "shop=s")
	if string(second.AdminToken) != "admin" {
		t.Errorf("got the admin token %q, want the last valid one", string(second.AdminToken))
	}
	if !slices.Contains(second.Files(), filepath.Join(dir, "new.env")) {
		t.Errorf("Files: got %q, want also the file with a fault", second.Files())
	}

	write(t, token, "admin2")
	write(t, filepath.Join(dir, "new.env"), settings("n"))
	write(t, filepath.Join(dir, "shop.env"), settings("s2"))
	if third := reread(t, second); string(third.AdminToken) != "admin2" {
		t.Errorf("got the admin token %q, want the new one", string(third.AdminToken))
	} else {
		checkApps(t, third, "blog=b2", "new=n", "shop=s2")
	}
}

// TestRereadKeepsAppsOfLostFolder checks that the apps stay if their folder can't be read, or
// is another one without apps, as when its file system is not mounted. The last app of the
// folder can be removed like each other one.
func TestRereadKeepsAppsOfLostFolder(t *testing.T) {
	dir := appsDir(t, map[string]string{"shop.env": settings("s")})
	c := mustRead(t, "TOKENGATE_APPS_DIR="+dir)
	moved := dir + "-moved"
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(dir, moved)
	c = reread(t, c, "TOKENGATE_APPS_DIR can't be read")
	checkApps(t, c, "shop=s")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		c = reread(t, c, "TOKENGATE_APPS_DIR has no file NAME.env, and is another folder")
		checkApps(t, c, "shop=s")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	move(moved, dir)
	c = reread(t, c)
	checkApps(t, c, "shop=s")
	if err := os.Remove(filepath.Join(dir, "shop.env")); err != nil {
		t.Fatal(err)
	}
	checkApps(t, reread(t, c))
}

// TestRereadKeepsOrder checks that apps that stay without their folder keep their order.
func TestRereadKeepsOrder(t *testing.T) {
	files := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		files[name+".env"] = settings(name)
	}
	dir := appsDir(t, files)
	c := mustRead(t, "TOKENGATE_APPS_DIR="+dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		next := reread(t, c, "TOKENGATE_APPS_DIR can't be read")
		checkApps(t, next, "a=a", "b=b", "c=c", "d=d", "e=e", "f=f")
		c = next
	}
}

// TestRereadKeepsRedisURL checks that a file of the address that can't be read does not mean
// sessions in memory.
func TestRereadKeepsRedisURL(t *testing.T) {
	url := filepath.Join(t.TempDir(), "url")
	write(t, url, "redis://x")
	c := mustRead(t, "TOKENGATE_REDIS_URL_FILE="+url, "TOKENGATE_APPS=web", "TOKENGATE_APP_WEB_SECRET_KEY=w", "TOKENGATE_APP_WEB_USERS=redis:", "TOKENGATE_APP_WEB_SIGNING_KEY=k")
	if err := os.Remove(url); err != nil {
		t.Fatal(err)
	}
	c = reread(t, c, "TOKENGATE_REDIS_URL: _FILE can't be read")
	checkApps(t, c, "web=w")
	if c.InMemory() {
		t.Error("sessions are in memory")
	}
}

// TestRereadKeepsDemo checks that the generated values stay the same.
func TestRereadKeepsDemo(t *testing.T) {
	c := mustRead(t)
	next := reread(t, c)
	if !next.ByApp["demo"].Equal(c.ByApp["demo"]) || next.Demo.Password != c.Demo.Password {
		t.Error("the demo app has changed")
	}
}

func TestKeep(t *testing.T) {
	dir := appsDir(t, map[string]string{"blog.env": settings("b"), "shop.env": settings("s")})
	first := mustRead(t, "TOKENGATE_APPS_DIR="+dir)
	write(t, filepath.Join(dir, "new.env"), settings("n"))
	write(t, filepath.Join(dir, "shop.env"), settings("s2"))
	next := reread(t, first)
	for _, step := range []struct {
		app     string
		changed bool
	}{{"shop", true}, {"shop", false}, {"blog", false}, {"new", true}, {"new", false}, {"", false}} {
		if changed := next.Keep(first, step.app); changed != step.changed {
			t.Errorf("Keep(%q): got %t, want %t", step.app, changed, step.changed)
		}
	}
	checkApps(t, next, "blog=b", "shop=s")
}

func TestWatcher(t *testing.T) {
	dir := t.TempDir()
	file, missing := filepath.Join(dir, "file"), filepath.Join(dir, "missing")
	write(t, file, "1")
	var w config.Watcher
	check := func(what string, want ...bool) {
		t.Helper()
		for i, want := range want {
			if got := w.Changed([]string{file, missing}); got != want {
				t.Errorf("%s, call %d: got %t, want %t", what, i+1, got, want)
			}
		}
	}
	check("first", false, true, false)
	write(t, file, "12")
	check("written", false)
	write(t, file, "123")
	check("written again", false, true, false)
	write(t, missing, "")
	check("made", false, true, false)
	replacement := filepath.Join(dir, "replacement")
	write(t, replacement, "123")
	if err := os.Rename(replacement, file); err != nil {
		t.Fatal(err)
	}
	check("replaced", false, true, false)
	if err := os.Remove(missing); err != nil {
		t.Fatal(err)
	}
	check("removed", false, true, false)
	stat, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "321")
	if err := os.Chtimes(file, time.Time{}, stat.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("written with the same size and modification time", false, true, false)
	for i, want := range []bool{false, false, false, true, false} {
		write(t, file, strings.Repeat("x", i))
		check("written again and again", want)
	}
}
