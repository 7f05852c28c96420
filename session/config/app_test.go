package config

import (
	"crypto/rand"
	"strings"
	"testing"
)

// TestDummyKey checks that all instances of an app derive the same key, that other apps
// and signing keys get other keys, and that the key does not contain the signing key.
func TestDummyKey(t *testing.T) {
	key := func(signing, name string) string {
		return string(App{SigningKey: Secret(signing), SecretKey: Secrets{rand.Text()}}.DummyKey(name))
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
		config := Config{Process: Process{AdminToken: "operator", Redis: Redis{URL: Secret(c.redis)}}, ByApp: map[string]App{"web-shop": {Users: Secret(c.users)}}}
		if got, listed := config.Secrets()[c.setting]; got != c.want || !listed {
			t.Errorf("%s: got %q for %s, want %q", name, got, c.setting, c.want)
		}
	}
}

// TestExtensionWithoutEffect checks that a setting which needs another one is named.
func TestExtensionWithoutEffect(t *testing.T) {
	a := DefaultApp()
	a.SecretKey = Secrets{rand.Text()}
	a.LongSession.ExtendSessionEveryTime = parsed(true)
	if got := a.Warnings(); got != nil {
		t.Errorf("got the warnings %q, want none for LONG, which is extended", got)
	}
	a.ShortSession.ExtendSessionEveryTime = parsed(true)
	if got := a.Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "SHORT_SESSION_EXTEND_SESSION_EVERY_TIME has no effect without SHORT_SESSION_EXTEND_SESSION") {
		t.Errorf("got the warnings %q, want one about SHORT", got)
	}
}
