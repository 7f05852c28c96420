package config

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"
)

// TestDummyKey checks that all instances of an app derive the same key, that other apps
// and signing keys get other keys, and that the key does not contain the signing key.
func TestDummyKey(t *testing.T) {
	key := func(signing, name string) string {
		return string(App{SigningKey: signing, SecretKey: []string{rand.Text()}}.DummyKey(name))
	}
	const signing = "0123456789abcdef0123456789abcdef"
	shop := key(signing, "shop")
	if shop != key(signing, "shop") || len(shop) != 32 {
		t.Errorf("got the keys %x and %x, want the same key of 32 bytes twice", shop, key(signing, "shop"))
	}
	if shop == key(signing, "blog") || shop == key(signing[1:], "shop") || strings.Contains(shop, signing[:8]) {
		t.Errorf("%x is also the key of another app or signing key, or contains the signing key", shop)
	}
}

// webShop holds the settings that the app "web-shop" requires.
var webShop = []string{
	"TOKENGATE_APP_WEB_SHOP_SECRET_KEY=s", "TOKENGATE_APP_WEB_SHOP_USERS=file:u", "TOKENGATE_APP_WEB_SHOP_SIGNING_KEY=k",
}

func TestLoadAppRequiresSettings(t *testing.T) {
	if _, err := LoadApp(NewEnv(webShop), "web-shop", DefaultApp()); err != nil {
		t.Fatal(err)
	}
	for i, missing := range []string{"SECRET_KEY", "USERS", "SIGNING_KEY"} {
		rest := slices.Delete(slices.Clone(webShop), i, i+1)
		_, err := LoadApp(NewEnv(rest), "web-shop", DefaultApp())
		if err == nil || !strings.Contains(err.Error(), "TOKENGATE_APP_WEB_SHOP_"+missing+" is required") {
			t.Errorf("without %s: got %v, want the error that it is required", missing, err)
		}
	}
}

// TestSecrets checks that the passwords in URLs are among the secrets of the process.
func TestSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		redis, users, setting, want string
	}{
		"Redis":            {"redis://:p%40ss@h1:6379/0", "", "the password in TOKENGATE_REDIS_URL", "p@ss"},
		"Cluster":          {"redis+cluster://gate:a:b@h1:7000,h2:7001", "", "the password in TOKENGATE_REDIS_URL", "a:b"},
		"Sentinel":         {"rediss+sentinel://u:p@h1,h2/main?sentinel_password=guard", "", "the password parameter in TOKENGATE_REDIS_URL", "guard"},
		"socket":           {"unix://:p@/run/redis.sock", "", "the password in TOKENGATE_REDIS_URL", "p"},
		"no password":      {"redis://h1@2/0", "", "the password in TOKENGATE_REDIS_URL", ""},
		"PostgreSQL":       {"", "postgres://u:secret@db/app", "the password in TOKENGATE_APP_WEB_SHOP_USERS", "secret"},
		"PostgreSQL, long": {"", "postgres://db/app?user=u&password=secret", "the password parameter in TOKENGATE_APP_WEB_SHOP_USERS", "secret"},
		"HTTP":             {"", "https://u:secret@users.example.com/check?x=1", "the password in TOKENGATE_APP_WEB_SHOP_USERS", "secret"},
		"file":             {"", "file:/a:b@c", "the password in TOKENGATE_APP_WEB_SHOP_USERS", ""},
		"admin token":      {"", "", "TOKENGATE_ADMIN_TOKEN", "operator"},
	} {
		config := Config{Process: Process{AdminToken: "operator", Redis: Redis{URL: c.redis}}, ByApp: map[string]App{"web-shop": {Users: c.users}}}
		if got, listed := config.Secrets()[c.setting]; got != c.want || !listed {
			t.Errorf("%s: got %q for %s, want %q", name, got, c.setting, c.want)
		}
	}
}

func TestLoadAppRejectsInvalidNames(t *testing.T) {
	for _, name := range []string{"", "Shop", "1shop", "a_b", strings.Repeat("a", 33)} {
		if _, err := LoadApp(NewEnv(webShop), name, DefaultApp()); err == nil {
			t.Errorf("the app name %q is accepted", name)
		}
	}
}

func TestLoadAppRejectsInvalidPolicy(t *testing.T) {
	lines := append(slices.Clone(webShop), "TOKENGATE_APP_WEB_SHOP_LONG_SESSION_ABSOLUTE_LIFETIME=0s")
	if _, err := LoadApp(NewEnv(lines), "web-shop", DefaultApp()); err == nil || !strings.Contains(err.Error(), "LONG_SESSION_ABSOLUTE_LIFETIME") {
		t.Errorf("got %v, want an error that names LONG_SESSION_ABSOLUTE_LIFETIME", err)
	}
}

func TestInMemoryAppsRejectUsersInRedis(t *testing.T) {
	lines := []string{"TOKENGATE_APP_SHOP_SECRET_KEY=s", "TOKENGATE_APP_SHOP_USERS=redis:", "TOKENGATE_APP_SHOP_SIGNING_KEY=k"}
	for _, inMemory := range []bool{false, true} {
		_, _, err := LoadApps(NewEnv(lines), []string{"shop"}, inMemory)
		if rejected := err != nil && strings.Contains(err.Error(), "TOKENGATE_APP_SHOP_USERS is redis:"); rejected != inMemory {
			t.Errorf("sessions in memory: %t: got %v, want users in redis: rejected only if true", inMemory, err)
		}
	}
}
