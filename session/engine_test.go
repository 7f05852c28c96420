package session_test

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

func TestNewRejectsInvalidConfig(t *testing.T) {
	store := memstore.New(memstore.Options{})
	both := map[session.Type]session.Policy{session.Long: validPolicy(), session.Short: validPolicy()}
	for _, c := range []struct {
		name   string
		change func(cfg *session.Config)
		want   string // in the error; empty means no error
	}{
		{"unchanged", func(*session.Config) {}, ""},
		{"no store", func(c *session.Config) { c.Store = nil }, "Store"},
		{"no revocation list", func(c *session.Config) { c.Revocations = nil }, "Revocations"},
		{"no signer", func(c *session.Config) { c.Apps[0].Signer = nil }, "app shop: a signer"},
		{"no checker", func(c *session.Config) { c.Apps[0].Checker = nil }, "app shop: a signer and a checker"},
		{"short access lifetime", func(c *session.Config) { c.Apps[0].AccessLifetime = time.Second - 1 }, "ACCESS_TOKEN_LIFETIME"},
		{"no secret", func(c *session.Config) { c.Apps[1].Secrets = nil }, "app other: SECRET_KEY is empty"},
		{"two apps with one name", func(c *session.Config) { c.Apps[1].Name = "shop" }, "app shop: two apps"},
		{"two apps with one secret", func(c *session.Config) { c.Apps[1].Secrets = []string{"x", "s"} }, "app other: SECRET_KEY is also that of app shop"},
		{"two apps with one key", func(c *session.Config) { c.Apps[1].Signer = c.Apps[0].Signer }, "app other: SIGNING_KEY, VERIFYING_KEYS or REFRESH_KEY: tokens of this app and of app shop would be valid for both"},
		{"one app with a secret twice", func(c *session.Config) { c.Apps[0].Secrets = []string{"s", "s"} }, ""},
		{"a type without policy", func(c *session.Config) {
			c.Apps[0].Policies = map[session.Type]session.Policy{session.Long: validPolicy()}
		}, "no policy for SHORT"},
		{"a policy out of bounds", func(c *session.Config) {
			c.Apps[0].Policies = map[session.Type]session.Policy{session.Long: validPolicy(), session.Short: {}}
		}, "app shop: SHORT_SESSION_REFRESH_TOKEN_LIFETIME is 0s"},
	} {
		app := session.App{
			Name: "shop", Secrets: []string{"s"}, Policies: both, AccessLifetime: time.Second, Signer: &signer{}, Devices: &signer{}, Checker: &checker{}, AccountKey: sameKey,
		}
		other := app
		other.Name, other.Secrets, other.Signer = "other", []string{"o"}, &signer{key: "other"}
		cfg := session.Config{
			Apps: []session.App{app, other}, Store: store, Limiter: store.Limiter(), Revocations: session.NewRevocationList(retention, bound, nil),
		}
		c.change(&cfg)
		engine, err := session.New(cfg)
		if c.want == "" && (err != nil || engine.App("shop") == nil || engine.App("none") != nil) ||
			c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), `"s"`) {
			t.Errorf("%s: the error contains a secret: %v", c.name, err)
		}
	}
}

// TestStoreUnavailable checks that every step reports a store that does not answer
// as Unavailable, never as a missing session.
func TestStoreUnavailable(t *testing.T) {
	f := newFixture(t)
	tokens := f.login(session.Long)
	c := f.caller(tokens.Access)
	f.store.down = true
	for name, step := range map[string]func() error{
		"Login":   func() error { _, err := f.loginAs("alice"); return err },
		"Refresh": func() error { _, err := f.refresh(tokens.Refresh); return err },
		"Refresh as another type": func() error {
			_, err := f.Refresh(t.Context(), session.RefreshRequest{Secret: "s-new", Type: "SHORT", Token: tokens.Refresh})
			return err
		},
		"Logout":        func() error { _, err := f.Logout(t.Context(), "s-new", tokens.Refresh); return err },
		"List":          func() error { _, _, err := f.List(t.Context(), c, "ALL"); return err },
		"Destroy":       func() error { _, err := f.Destroy(t.Context(), c, string(tokens.Session)); return err },
		"DestroyOthers": func() error { _, err := f.DestroyOthers(t.Context(), c, tokens.Refresh, "ALL"); return err },
		"Verify":        func() error { _, err := f.Verify(t.Context(), "", tokens.Access); return err },
		"UserSessions":  func() error { _, err := f.UserSessions(t.Context(), alice); return err },
		"RevokeApp":     func() error { _, err := f.RevokeApp(t.Context(), "shop", "ops"); return err },
	} {
		if err := step(); session.CodeOf(err) != session.Unavailable {
			t.Errorf("%s: got %v, want %s", name, err, session.Unavailable)
		}
	}
	f.store.down = false
	if _, err := f.refresh(tokens.Refresh); err != nil {
		t.Errorf("Refresh once the store answers again: %v", err)
	}
}
