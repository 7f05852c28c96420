package api_test

import (
	"net/netip"
	"strings"
	"testing"

	"tokengate/api"
	"tokengate/api/wiretest"
)

// TestNewRejectsInvalidOptions checks that New rejects each invalid option with an error
// that does not contain the admin token.
func TestNewRejectsInvalidOptions(t *testing.T) {
	g := newGateway(t, options{})
	valid := api.Options{}
	newGateway(t, options{change: func(o *api.Options) { valid = *o }})
	for name, change := range map[string]func(*api.Options){
		"no engine":       func(o *api.Options) { o.Engine = nil },
		"no logger":       func(o *api.Options) { o.Logger = nil },
		"no metrics":      func(o *api.Options) { o.Metrics = nil },
		"unknown app":     func(o *api.Options) { o.Apps = map[string]api.App{"nope": {}} },
		"bad header":      func(o *api.Options) { o.Apps = map[string]api.App{wiretest.App: {HeaderName: "a b"}} },
		"bad scheme":      func(o *api.Options) { o.Apps = map[string]api.App{wiretest.App: {HeaderTypes: []string{""}}} },
		"username field":  func(o *api.Options) { o.Apps = map[string]api.App{wiretest.App: {UsernameField: "session"}} },
		"bad network":     func(o *api.Options) { o.TrustedProxies = []netip.Prefix{{}} },
		"space in token":  func(o *api.Options) { o.AdminToken = "hunter2 hunter2" },
		"tab after token": func(o *api.Options) { o.AdminToken = "hunter2\t" },
	} {
		opts := valid
		change(&opts)
		if _, err := api.New(opts); err == nil {
			t.Errorf("%s: New returned no error", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error contains the token: %v", name, err)
		}
	}
	if _, err := api.NewMetrics(g.registry); err == nil {
		t.Error("NewMetrics registered the same metrics twice")
	}
}

func TestJWKS(t *testing.T) {
	const keys = `{"keys":[{"kty":"OKP"}]}`
	g := newGateway(t, options{change: func(o *api.Options) {
		o.Apps = map[string]api.App{wiretest.App: {JWKS: func() []byte { return []byte(keys) }}}
	}})
	for range 2 { // the requests in between reuse buffers and must not change the keys
		expect(t, g.do("GET", "/apps/wire/jwks.json", ""), 200, keys)
		g.login(t)
	}
}
