package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tokengate/session/config"
)

// appFile is a valid file of an app.
const appFile = "# the shop\n\nSECRET_KEY=s\nUSERS=file:u\nSIGNING_KEY=k=1\r\n"

// appsDir makes a folder with files, given as NAME.env and their content.
func appsDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// mustRead reads settings that are valid.
func mustRead(t *testing.T, lines ...string) *config.Config {
	t.Helper()
	c, err := read(t, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReadAppsDir(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "key")
	write(t, secret, "from a file\n")
	dir := appsDir(t, map[string]string{
		"shop.env": appFile, "blog.env": "SECRET_KEY=b\nUSERS=file:u\nSIGNING_KEY_FILE=" + secret + "\nACCESS_TOKEN_LIFETIME=90s\nISSUER=\n",
		".hidden.env": "x", "shop.env~": "x", "README": "x", ".env": "x",
	})
	if err := os.Mkdir(filepath.Join(dir, "..data"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := mustRead(t, web("TOKENGATE_APPS_DIR="+dir)...)
	if want := []string{"web-shop", "blog", "shop"}; !slices.Equal(c.Names, want) {
		t.Errorf("got the apps %q, want %q", c.Names, want)
	}
	if shop := c.ByApp["shop"]; shop.SigningKey != "k=1" || shop.Algorithm != "HS256" {
		t.Errorf("shop: got the key %q and the algorithm %s, want k=1 and the default", string(shop.SigningKey), shop.Algorithm)
	}
	if blog := c.ByApp["blog"]; blog.SigningKey != "from a file" || blog.AccessTokenLifetime.String() != "1m30s" {
		t.Errorf("blog: got the key %q and the lifetime %s, want those of the file", string(blog.SigningKey), blog.AccessTokenLifetime)
	}
	for app, want := range map[string]string{"web-shop": webPrefix, "shop": filepath.Join(dir, "shop.env") + ": "} {
		if got := c.SettingPrefix(app); got != want {
			t.Errorf("%s: got the prefix %q, want %q", app, got, want)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "shop.env"), filepath.Join(dir, "blog.env"), secret, "u"} {
		if !slices.Contains(c.Files(), path) {
			t.Errorf("Files: got %q, want %s among them", c.Files(), path)
		}
	}
}

// TestAppsDirReplacesApps checks that TOKENGATE_APPS is not required with a folder, also with
// an empty one, and that there is no demo app then.
func TestAppsDirReplacesApps(t *testing.T) {
	for _, files := range []map[string]string{{"shop.env": appFile}, {}} {
		for _, url := range []string{"redis://x", ""} {
			c := mustRead(t, slices.DeleteFunc([]string{"TOKENGATE_APPS_DIR=" + appsDir(t, files), "TOKENGATE_REDIS_URL=" + url}, func(line string) bool { return strings.HasSuffix(line, "URL=") })...)
			if len(c.Names) != len(files) || c.Demo != nil {
				t.Errorf("%d files, URL %q: got the apps %q", len(files), url, c.Names)
			}
		}
	}
}

func TestAppsDirFaults(t *testing.T) {
	const settings = "SECRET_KEY=hunter2\nUSERS=file:u\nSIGNING_KEY=k\n"
	for content, want := range map[string]string{
		settings + "aHVudGVyMg=":                               "SHOP: a line does not begin with the name of a setting and =: write NAME=value",
		settings + "postgres://u:hunter2@h/db?sslmode=disable": "SHOP: a line does not begin with the name of a setting and =",
		"\ufeff" + settings:                                    "SHOP: a line does not begin with the name of a setting and =",
		"":                                                     "SHOP: SECRET_KEY is required: give the secret that the app sends with a login",
		settings + "LEEWAY=hunter2":                            "SHOP: LEEWAY: give a duration such as 90s, 12h or 30d; 106751d is the longest",
		settings + "ISSUERS=hunter2":                           "SHOP: unknown setting ISSUERS; did you mean ISSUER?",
		settings + "RETRY_WINDOW=1s":                           "SHOP: unknown setting RETRY_WINDOW; give LONG_SESSION_RETRY_WINDOW, SHORT_SESSION_RETRY_WINDOW or both",
		settings + "hunter2":                                   "SHOP: line 4 is not of the form NAME=value",
		settings + "export ISSUER=x":                           "SHOP: line 4 is not of the form NAME=value",
		settings + "SECRET_KEY=x":                              "SHOP: SECRET_KEY is given twice: keep one",
		settings + `ISSUER="hunter2"`:                          "SHOP: ISSUER has quotes around its value, which would be part of it: leave them out",
		settings + "TOKENGATE_APP_SHOP_ISSUER=hunter2":         "SHOP: TOKENGATE_APP_SHOP_ISSUER: in this file the setting's name is ISSUER",
		settings + "PASSWORD_MIN_LENGTH=0":                     "SHOP: PASSWORD_MIN_LENGTH is 0: give 1 to 128 characters",
		settings + "LONG_SESSION_RETRY_WINDOW=1h":              "SHOP: LONG_SESSION_RETRY_WINDOW is 1h0m0s: give ",
		settings + "REFRESH_KEY_FILE=/nosuch":                  "SHOP: REFRESH_KEY: _FILE can't be read: no such file or directory",
		settings + "USERS_FILE=/etc/passwd":                    "SHOP: USERS: is given twice: keep it or USERS_FILE, not both",
		"SECRET_KEY=s\nSIGNING_KEY=k\nUSERS=redis:":            "SHOP: USERS is redis: but TOKENGATE_REDIS_URL is empty: set it, or keep the users in a file",
	} {
		dir := appsDir(t, map[string]string{"shop.env": content})
		_, err := read(t, "TOKENGATE_APPS_DIR="+dir)
		want = strings.Replace(want, "SHOP", filepath.Join(dir, "shop.env"), 1)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVyMg") {
			t.Errorf("%q: got %v, want %s", content, err, want)
		}
	}
	dir := appsDir(t, map[string]string{"Shop.env": settings})
	for want, lines := range map[string][]string{
		`Shop.env: invalid app name "Shop": give lower-case letters`:                   {"TOKENGATE_APPS_DIR=" + dir},
		"TOKENGATE_APPS_DIR can't be read: no such file or directory":                  {"TOKENGATE_APPS_DIR=/nosuch"},
		"the app web-shop is in TOKENGATE_APPS and has the file ":                      web("TOKENGATE_APPS_DIR=" + appsDir(t, map[string]string{"web-shop.env": settings})),
		"unknown setting TOKENGATE_APP_SHOP_ISSUER; the settings of this app are in /": web("TOKENGATE_APP_SHOP_ISSUER=x", "TOKENGATE_APPS_DIR="+appsDir(t, map[string]string{"shop.env": settings})),
	} {
		if _, err := read(t, lines...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestPipeIsRejected checks that a pipe in the place of a file is an error: reading it could
// wait without an end.
func TestPipeIsRejected(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, pipe)
	if _, err := read(t, web("TOKENGATE_ADMIN_TOKEN_FILE="+pipe)...); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("a secret: got %v, want an error", err)
	}
	dir := t.TempDir()
	makePipe(t, filepath.Join(dir, "shop.env"))
	if _, err := read(t, "TOKENGATE_APPS_DIR="+dir); err == nil || !strings.Contains(err.Error(), "it is not a regular file") {
		t.Errorf("an app: got %v, want an error", err)
	}
}
