package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestSettingsChangeUnderLoad changes apps and every secret, by files alone, while clients send
// requests to four gateways behind HAProxy. No request fails: neither of the apps that do not
// change, nor of those that change in the steps of operations.md.
func TestSettingsChangeUnderLoad(t *testing.T) {
	b := startReloadBed(t)
	loads := []*load{b.startAppLoad("steady", secretOf("steady")), b.startAppLoad(gatewaytest.App, gatewaytest.Secret)}
	clients := b.startChangingLoad("moving", secretOf("moving"))
	time.Sleep(recoveryTime)

	b.write("added", nil)
	b.live("an app is added", func(g *gatewaytest.Gateway) bool { return knows(t, g, "added") })
	added := b.startChangingLoad("added", secretOf("added"))
	b.replaceSecretKey(clients)
	b.replaceSigningKey(clients)
	b.replaceRefreshKey(clients)
	b.replaceUsers(clients)
	b.write("added", appFile{"ACCESS_TOKEN_LIFETIME": "7m"})
	b.live("a lifetime is changed", func(g *gatewaytest.Gateway) bool {
		claims := claimsOf(t, b.probe(g, "added", secretOf("added")).Access)
		return claims["exp"].(float64)-claims["iat"].(float64) == 420
	})
	b.replaceAdminToken()
	b.replaceRedisPassword()
	b.remove("leaving")
	b.live("an app is removed", func(g *gatewaytest.Gateway) bool { return !knows(t, g, "leaving") })
	clients.awaitRounds()
	added.awaitRounds()
	for _, l := range append(loads, clients.load, added.load) {
		l.stop()
	}
	b.checkFigures()
	b.checkRedisPassword()
}

// reloadBed is HAProxy in front of four gateways that read one set of files.
type reloadBed struct {
	*reloadTest
	client  *gatewaytest.Client // of HAProxy
	redis   *redistest.Server
	secrets secretFiles
	source  *userSource     // of the app moving
	figures []time.Duration // how long each change took
}

const (
	firstRedisPassword, nextRedisPassword = "redis-first-" + secretMark, "redis-next-" + secretMark
	firstUsersPassword, nextUsersPassword = "users-first-" + secretMark, "users-next-" + secretMark
)

func startReloadBed(t *testing.T) *reloadBed {
	t.Helper()
	b := &reloadBed{redis: redistest.Standalone(t), secrets: secretFiles{t, t.TempDir()}, source: startUserSource(t)}
	b.redis.Do("ACL", "SETUSER", "gate", "on", ">"+firstRedisPassword, "allkeys", "allchannels", "allcommands")
	d := newAppsDir(t, "steady", "leaving")
	for name, value := range map[string]string{
		"SECRET_KEY": secretOf("moving"), "SIGNING_KEY": newEdKey(t), "REFRESH_KEY": "refresh-first-0123456789abcdef0123456789abcdef",
		"USERS": b.usersURL(firstUsersPassword), "VERIFYING_KEYS": newEdKey(t),
	} {
		b.secrets.set(name, value)
	}
	d.write("moving", appFile{
		"ALGORITHM": "EdDSA", "SECRET_KEY": "", "SIGNING_KEY": "", "USERS": "",
		"SECRET_KEY_FILE": b.secrets.file("SECRET_KEY"), "SIGNING_KEY_FILE": b.secrets.file("SIGNING_KEY"), "USERS_FILE": b.secrets.file("USERS"),
		"REFRESH_KEY_FILE": b.secrets.file("REFRESH_KEY"), "VERIFYING_KEYS_FILE": b.secrets.file("VERIFYING_KEYS"),
	})
	settings := b.secrets.settings(map[string]string{"ADMIN_TOKEN": gatewaytest.AdminToken, "REDIS_URL": b.redisURL(firstRedisPassword)})
	settings["APPS"], settings["TRUSTED_PROXIES"] = gatewaytest.App, "127.0.0.1/32"
	b.reloadTest = startReloading(t, 4, "", d, settings)
	address := freeport.Address(t)
	startHAProxy(t, writeFile(t, "haproxy.cfg", fourGatewaysConfig(t)), address, b.gateways)
	b.client = gatewaytest.NewClient("http://" + address)
	return b
}

// newEdKey returns a new private key for EdDSA.
func newEdKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	return privatePEM(t, key)
}

// userSource is an HTTP source with the users of gatewaytest. It counts its requests by their
// password.
type userSource struct {
	url  string
	mu   sync.Mutex
	used map[string]int
}

func startUserSource(t *testing.T) *userSource {
	t.Helper()
	s := &userSource{used: map[string]int{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		s.mu.Lock()
		s.used[password]++
		s.mu.Unlock()
		var login struct{ Username string }
		var n int
		if err := json.NewDecoder(r.Body).Decode(&login); err != nil {
			t.Error(err)
		}
		_, _ = fmt.Sscanf(login.Username, "user%d", &n)
		_, _ = fmt.Fprintf(w, `{"user_id": %d}`, n+1)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// count returns the number of requests with a password.
func (s *userSource) count(password string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[password]
}

func (b *reloadBed) usersURL(password string) string {
	return strings.Replace(b.source.url, "://", "://gate:"+url.QueryEscape(password)+"@", 1)
}

func (b *reloadBed) redisURL(password string) string {
	return "redis://gate:" + url.QueryEscape(password) + "@" + b.redis.Addr
}

// clientsPerApp is the number of clients of each kind that an app has.
const clientsPerApp = 2

// startAppLoad starts clients of an app that does not change.
func (b *reloadBed) startAppLoad(app, secret string) *load {
	l := &load{t: b.T, client: b.client.As(app, secret), stopping: make(chan struct{})}
	b.Cleanup(l.wg.Wait)
	for i := range clientsPerApp {
		l.wg.Go(func() { l.useSession(i) })
		l.wg.Go(func() { l.logIn(clientsPerApp + i) })
	}
	return l
}

// live waits until the condition holds at each gateway, and logs how long that took since the
// files were written.
func (b *reloadBed) live(what string, holds func(g *gatewaytest.Gateway) bool) {
	b.Helper()
	took := b.until(what, holds)
	b.Logf("%-40s live on %d gateways after %4d ms", what, len(b.gateways), took.Milliseconds())
	b.figures = append(b.figures, took)
}

// checkFigures logs how long the changes took, and checks that none took longer than a
// machine that is busy with other work explains.
func (b *reloadBed) checkFigures() {
	slices.Sort(b.figures)
	median, longest := b.figures[len(b.figures)/2], b.figures[len(b.figures)-1]
	b.Logf("%d changes: median %d ms, longest %d ms", len(b.figures), median.Milliseconds(), longest.Milliseconds())
	if longest > 10*time.Second {
		b.Errorf("changes took %v, want at most 10 s each", b.figures)
	}
	for _, g := range b.gateways {
		if lines := linesOf(g.Log(), "level=ERROR"); lines != nil {
			b.Errorf("a gateway has logged errors: %q", lines)
		}
	}
}

// probe logs in at one gateway.
func (b *reloadBed) probe(g *gatewaytest.Gateway, app, secret string) gatewaytest.Response {
	return g.Client().As(app, secret).Login(b.Context(), 63, "SHORT", "probe")
}
