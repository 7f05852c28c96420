package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/config"
)

// diffSessions are sessions that were created under the default policies, by app. Those of
// shop are 0 to 9 days old.
func diffSessions(now time.Time) map[string][]session.Session {
	each := map[string][]session.Session{}
	policies := config.DefaultApp().Policies()
	for day := range 10 {
		created := policies[session.Long].Start(session.Session{ID: session.NewID(), Type: session.Long}, now.AddDate(0, 0, -day))
		each["shop"] = append(each["shop"], created)
	}
	each["bank"] = []session.Session{policies[session.Short].Start(session.Session{ID: session.NewID(), Type: session.Short}, now.Add(-time.Hour))}
	return each
}

func TestPolicyDiff(t *testing.T) {
	c := newCLITest(t)
	c.now = time.Now()
	c.each = diffSessions(c.now)
	env := c.env
	const long = "TOKENGATE_APP_SHOP_LONG_SESSION_"
	for _, test := range []struct {
		settings []string
		line     string
		want     string
	}{
		{nil, "", "shop SHORT 0 0 0 shop LONG 10 0 0 bank SHORT 1 0 0 bank LONG 0 0 0 files SHORT 0 0 0 files LONG 0 0 0"},
		{nil, "--app shop", "shop SHORT 0 0 0 shop LONG 10 0 0"},
		{[]string{long + "REFRESH_TOKEN_LIFETIME=60d", long + "ABSOLUTE_LIFETIME=400d"}, "--app shop", "shop SHORT 0 0 0 shop LONG 10 0 0"},
		{[]string{long + "REFRESH_TOKEN_LIFETIME=7d"}, "--app shop", "shop SHORT 0 0 0 shop LONG 10 3 7"},
		{[]string{long + "ABSOLUTE_LIFETIME=60d"}, "--app shop", "shop SHORT 0 0 0 shop LONG 10 0 10"},
		{[]string{"TOKENGATE_APP_BANK_SHORT_SESSION_REFRESH_TOKEN_LIFETIME=30m"}, "--app bank", "bank SHORT 1 1 0 bank LONG 0 0 0"},
		{[]string{"TOKENGATE_APP_BANK_SHORT_SESSION_REFRESH_TOKEN_LIFETIME=2h"}, "--app bank", "bank SHORT 1 0 1 bank LONG 0 0 0"},
	} {
		c.env = append(slices.Clone(env), test.settings...)
		if out := c.must("", "policy diff "+test.line); words(out) != "APP TYPE LIVE WOULD END WOULD BE SHORTENED "+test.want {
			t.Errorf("%q %s: got\n%s\nwant %s", test.settings, test.line, out, test.want)
		}
		path := filepath.Join(t.TempDir(), "new.env")
		if err := os.WriteFile(path, []byte("# new\r\n\n"+strings.Join(test.settings, "\r\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		c.env = append(slices.Clone(env), long+"REFRESH_TOKEN_LIFETIME=30d")
		if out := c.must("", "policy diff --env-file "+path+" "+test.line); words(out) != "APP TYPE LIVE WOULD END WOULD BE SHORTENED "+test.want {
			t.Errorf("%q in a file, %s: got\n%s\nwant %s", test.settings, test.line, out, test.want)
		}
	}
	c.env = env
	appFile := filepath.Join(t.TempDir(), "shop.env")
	if err := os.WriteFile(appFile, []byte("LONG_SESSION_REFRESH_TOKEN_LIFETIME=1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.mustFail("", "policy diff --env-file "+appFile, "give a copy of their folder as TOKENGATE_APPS_DIR")
	c.mustFail("", "policy diff --app nosuch", `no such app "nosuch"`)
	c.storageErr = session.Fail(session.Unavailable, nil)
	c.mustFail("", "policy diff", "unavailable")
	c.env = slices.DeleteFunc(slices.Clone(env), func(line string) bool { return strings.HasPrefix(line, "TOKENGATE_REDIS_URL=") })
	c.mustFail("", "policy diff") // users of apps in Redis need it
}

func TestEnvFile(t *testing.T) {
	c := newCLITest(t)
	path := filepath.Join(t.TempDir(), "new.env")
	for content, want := range map[string]string{
		"A=1\nsécret\n":                      "line 2 is not of the form NAME=value",
		"\n\n=sécret":                        "line 3 is not of the form",
		"export A=sécret":                    "line 1 is not of the form",
		"A=1\nTOKENGATE_LISTEN=sécret\x00":   "line 2 is not of the form",
		"TOKENGATE_LOG_LEVELS=sécret":        "unknown setting TOKENGATE_LOG_LEVELS",
		"TOKENGATE_APP_SHOP_LEEWAY=sécret\n": "TOKENGATE_APP_SHOP_LEEWAY",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c.mustFail("", "policy diff --env-file "+path, want)
		if err := c.run("", "policy diff --env-file "+path); err == nil || strings.Contains(err.Error(), "sécret") {
			t.Errorf("%q: got %v, want an error without the value", content, err)
		}
	}
	c.mustFail("", "policy diff --env-file /no/such/file", "no such file")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("another-secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("TOKENGATE_APP_SHOP_SECRET_KEY_FILE="+secret+"\nTOKENGATE_APP_BANK_SECRET_KEY=x=y\nNO_SETTING=set\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NO_SETTING", "stays")
	c.env = append(c.env, "TOKENGATE_APP_BANK_SECRET_KEY_FILE="+secret)
	c.env = slices.DeleteFunc(c.env, func(line string) bool { return strings.HasPrefix(line, "TOKENGATE_APP_BANK_SECRET_KEY=") })
	c.must("", "policy diff --env-file "+path)
	if got := os.Getenv("NO_SETTING"); got != "stays" {
		t.Errorf("a variable that is no setting: got %q, want it unchanged", got)
	}
}
