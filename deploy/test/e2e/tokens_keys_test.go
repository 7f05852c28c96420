package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// newSigningKeys returns a signing key for each algorithm.
func newSigningKeys(t *testing.T) map[string]string {
	t.Helper()
	rsaKey, _ := newRSAKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	keys := map[string]string{"RS256": rsaKey, "PS256": rsaKey, "ES256": privatePEM(t, ec), "EdDSA": privatePEM(t, ed)}
	for _, algorithm := range []string{"HS256", "HS384", "HS512"} {
		keys[algorithm] = algorithm + "-" + longKey
	}
	return keys
}

func privatePEM(t *testing.T, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// settingsChange starts gateways one after the other on one Redis server.
type settingsChange struct {
	*testing.T
	redisURL string
	prefix   string
	sessions []*clientSession
	gateway  *gatewaytest.Gateway
}

// start stops the gateway and starts one with other settings.
func (c *settingsChange) start(settings gatewaytest.Settings) {
	c.Helper()
	if c.gateway != nil {
		c.gateway.Kill()
	}
	all := gatewaytest.Settings{"REDIS_PREFIX": c.prefix}
	maps.Copy(all, settings)
	c.gateway = startShop(c.T, c.redisURL, all)
	for _, s := range c.sessions {
		s.c = c.gateway.Client()
	}
}

// login adds a session of each type, of a user of their own.
func (c *settingsChange) login() {
	c.Helper()
	for _, sessionType := range []string{"LONG", "SHORT"} {
		user := gatewaytest.Username(len(c.sessions))
		c.sessions = append(c.sessions, login(c.T, c.gateway.Client(), user, gatewaytest.Password, sessionType))
	}
}

// checkLive checks that all sessions continue, and that the tokens of before are spent.
func (c *settingsChange) checkLive(step string) {
	c.Helper()
	for _, s := range c.sessions {
		before := s.refresh
		s.checkLive(step + ", first refresh")
		retried := requireStatus(c.T, http.StatusOK, s.c.Refresh(c.Context(), s.sessionType, before), step+": retry")
		if retried.Refresh != s.refresh {
			c.Errorf("%s: the retry with the token of before did not get its successor", step)
		}
		s.checkLive(step + ", second refresh")
	}
}

// TestT7AlgorithmChanges checks that sessions continue while ALGORITHM is changed and changed
// back, with the old key in VERIFYING_KEYS.
func TestT7AlgorithmChanges(t *testing.T) {
	t.Parallel()
	server, keys := redistest.Standalone(t), newSigningKeys(t)
	for _, change := range []string{
		"HS256 EdDSA", "HS256 RS256", "HS256 ES256", "HS256 PS256", "HS256 HS384", "HS256 HS512", "HS512 HS256", "HS384 EdDSA",
		"EdDSA HS256", "RS256 EdDSA", "ES256 HS512", "RS256 HS256", "PS256 EdDSA",
	} {
		t.Run(strings.ReplaceAll(change, " ", "-"), func(t *testing.T) {
			t.Parallel()
			from, to, _ := strings.Cut(change, " ")
			using := func(algorithm, retired string) gatewaytest.Settings {
				settings := gatewaytest.Settings{"APP_ALGORITHM": algorithm, "APP_SIGNING_KEY": keys[algorithm]}
				if retired != "" {
					settings["APP_VERIFYING_KEYS"] = keys[retired]
				}
				return settings
			}
			c := &settingsChange{T: t, redisURL: server.URL, prefix: from + to}
			c.start(using(from, ""))
			c.login()
			c.start(using(to, from))
			c.checkLive("after the change")
			c.login()
			c.start(using(from, to))
			c.checkLive("after the change back")
			c.start(using(from, ""))
			c.checkLive("without the other key")
		})
	}
}

// TestT7SameKeyOtherAlgorithm checks that sessions continue if ALGORITHM alone is changed.
func TestT7SameKeyOtherAlgorithm(t *testing.T) {
	t.Parallel()
	server, keys := redistest.Standalone(t), newSigningKeys(t)
	for change, key := range map[string]string{"HS256 HS512": longKey, "HS384 HS256": longKey, "RS256 PS256": keys["RS256"]} {
		t.Run(strings.ReplaceAll(change, " ", "-"), func(t *testing.T) {
			t.Parallel()
			from, to, _ := strings.Cut(change, " ")
			c := &settingsChange{T: t, redisURL: server.URL, prefix: from + to}
			for i, algorithm := range []string{from, to, from} {
				c.start(gatewaytest.Settings{"APP_ALGORITHM": algorithm, "APP_SIGNING_KEY": key})
				if i > 0 {
					c.checkLive("after a change to " + algorithm)
				}
				c.login()
			}
		})
	}
}

// TestT7RefreshKey checks that with a REFRESH_KEY, sessions continue without the old signing
// key, and that the REFRESH_KEY itself can be replaced.
func TestT7RefreshKey(t *testing.T) {
	t.Parallel()
	keys := newSigningKeys(t)
	c := &settingsChange{T: t, redisURL: redistest.Standalone(t).URL, prefix: "tg"}
	const first, second = "first-refresh-key-0123456789abcdef0123456789", "second-refresh-key-0123456789abcdef012345678"
	c.start(gatewaytest.Settings{"APP_SIGNING_KEY": longKey, "APP_REFRESH_KEY": first})
	c.login()
	c.start(gatewaytest.Settings{"APP_SIGNING_KEY": "new-" + longKey, "APP_REFRESH_KEY": first})
	c.checkLive("after a change of the signing key")
	c.login()
	c.start(gatewaytest.Settings{"APP_ALGORITHM": "EdDSA", "APP_SIGNING_KEY": keys["EdDSA"], "APP_REFRESH_KEY": first})
	c.checkLive("after a change of the algorithm")
	c.start(gatewaytest.Settings{"APP_ALGORITHM": "EdDSA", "APP_SIGNING_KEY": keys["EdDSA"], "APP_REFRESH_KEY": second + "," + first})
	c.checkLive("after a change of the refresh key")
	c.login()
	c.start(gatewaytest.Settings{"APP_ALGORITHM": "EdDSA", "APP_SIGNING_KEY": keys["EdDSA"], "APP_REFRESH_KEY": second})
	c.checkLive("without the old refresh key")
	c.start(gatewaytest.Settings{"APP_ALGORITHM": "EdDSA", "APP_SIGNING_KEY": keys["EdDSA"], "APP_REFRESH_KEY": "third-" + first})
	for _, s := range c.sessions {
		requireStatus(t, http.StatusUnauthorized, s.tryRefresh(), "refresh after the loss of the refresh key")
	}
}

// TestT8SettingsOfClaims checks that sessions continue while settings about claims change.
func TestT8SettingsOfClaims(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	const issuer = "https://shop.example.com"
	for name, c := range map[string]struct{ before, after gatewaytest.Settings }{
		"issuer-set":         {nil, gatewaytest.Settings{"APP_ISSUER": issuer}},
		"issuer-changed":     {gatewaytest.Settings{"APP_ISSUER": issuer}, gatewaytest.Settings{"APP_ISSUER": "https://other.example.com"}},
		"issuer-slash":       {gatewaytest.Settings{"APP_ISSUER": issuer}, gatewaytest.Settings{"APP_ISSUER": issuer + "/"}},
		"audience-set":       {nil, gatewaytest.Settings{"APP_AUDIENCE": "shop"}},
		"audience-changed":   {gatewaytest.Settings{"APP_AUDIENCE": "shop"}, gatewaytest.Settings{"APP_AUDIENCE": "shop/"}},
		"audience-list":      {gatewaytest.Settings{"APP_AUDIENCE": "shop"}, gatewaytest.Settings{"APP_AUDIENCE": "mail,web"}},
		"both":               {gatewaytest.Settings{"APP_ISSUER": issuer}, gatewaytest.Settings{"APP_AUDIENCE": "shop"}},
		"user-claim":         {nil, gatewaytest.Settings{"APP_USER_ID_CLAIM": "uid"}},
		"user-claim-sub":     {nil, gatewaytest.Settings{"APP_USER_ID_CLAIM": "sub"}},
		"user-claim-renamed": {gatewaytest.Settings{"APP_USER_ID_CLAIM": "sub"}, gatewaytest.Settings{"APP_USER_ID_CLAIM": "uid"}},
		"type-claim":         {nil, gatewaytest.Settings{"APP_TOKEN_TYPE_CLAIM": "kind"}},
		"jti-claim":          {nil, gatewaytest.Settings{"APP_JTI_CLAIM": "id"}},
		"all-claims":         {nil, gatewaytest.Settings{"APP_JTI_CLAIM": "id", "APP_TOKEN_TYPE_CLAIM": "kind", "APP_USER_ID_CLAIM": "sub", "APP_ISSUER": issuer, "APP_AUDIENCE": "shop"}},
		"profile":            {nil, gatewaytest.Settings{"APP_TOKEN_PROFILE": "rfc9068", "APP_ISSUER": issuer, "APP_AUDIENCE": "shop"}},
		"leeway":             {gatewaytest.Settings{"APP_LEEWAY": "10s"}, gatewaytest.Settings{"APP_LEEWAY": "0s"}},
		"header-types":       {nil, gatewaytest.Settings{"APP_AUTH_HEADER_TYPES": "Bearer"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := &settingsChange{T: t, redisURL: server.URL, prefix: name}
			change.start(c.before)
			change.login()
			change.start(c.after)
			change.checkLive("after the change")
			change.login()
			change.start(c.before)
			change.checkLive("after the change back")
			for _, s := range change.sessions {
				requireStatus(t, http.StatusOK, s.c.Logout(t.Context(), s.refresh), "logout")
			}
		})
	}
}
