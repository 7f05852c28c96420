package config_test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"tokengate/session"
	"tokengate/session/config"
	"tokengate/session/config/configtest"
)

const webPrefix = "TOKENGATE_APP_WEB_SHOP_"

// web returns the settings that a gateway with the app "web-shop" requires, and more lines.
func web(lines ...string) []string {
	return append([]string{
		"TOKENGATE_APPS=web-shop", webPrefix + "SECRET_KEY=s", webPrefix + "USERS=file:u", webPrefix + "SIGNING_KEY=k",
	}, lines...)
}

// read reads the settings in lines of the form NAME=value, and nothing else.
func read(t testing.TB, lines ...string) (*config.Config, error) {
	t.Helper()
	configtest.Setenv(t, lines...)
	return config.Read()
}

func TestReadSettings(t *testing.T) {
	c, err := read(t, web(webPrefix+"ACCESS_TOKEN_LIFETIME=90s", webPrefix+"LONG_SESSION_EXTEND_SESSION=false")...)
	if err != nil {
		t.Fatal(err)
	}
	app := c.ByApp["web-shop"]
	if app.AccessTokenLifetime.Value != 90*time.Second || app.LongSession.ExtendSession.Value || app.SecretKey[0] != "s" {
		t.Errorf("got %+v, want what the environment says", app)
	}
	if policy := app.ShortSession; policy.RefreshTokenLifetime.String() != "1d" || policy.MaxNumberActiveSessions.Value != 2 {
		t.Errorf("got the policy %+v, want the defaults of SHORT", policy)
	}
}

// TestFaultsAreReportedTogether checks that faults of different kinds are reported together, one
// in each line.
func TestFaultsAreReportedTogether(t *testing.T) {
	const appName = `TOKENGATE_APPS: invalid app name "Shop": give lower-case letters, digits and -, starting with a letter, at most 32 characters`
	const secretKey = "TOKENGATE_APP_SHOP_SECRET_KEY is required: give the secret that the app sends with a login"
	const users = "TOKENGATE_APP_SHOP_USERS is required: give file:PATH, redis:, or an http(s):// or postgres:// address"
	const signingKey = "TOKENGATE_APP_SHOP_SIGNING_KEY is required: give the key that signs this app's tokens"
	for _, test := range []struct {
		lines []string
		want  []string
	}{
		{[]string{"TOKENGATE_APPS=shop"}, []string{secretKey, users, signingKey}},
		{[]string{"TOKENGATE_APPS=Shop"}, []string{appName, secretKey, users, signingKey}},
		{[]string{"TOKENGATE_APPS=Shop", "TOKENGATE_APP_SHOP_SECRET_KEY=s", "TOKENGATE_APP_SHOP_USERS=file:u"}, []string{appName, signingKey}},
		{[]string{"TOKENGATE_APPS=Shop", "TOKENGATE_LISTEN=", "TOKENGATE_APP_SHOP_SECRET_KYE=s", "TOKENGATE_APP_SHOP_USERS_FILE=/nosuch", "TOKENGATE_APP_SHOP_SIGNING_KEY=k", "TOKENGATE_APP_SHOP_LEEWAY=x"}, []string{
			"TOKENGATE_LISTEN is empty: give HOST:PORT, :PORT for every interface, or unix:/PATH", appName, secretKey,
			"TOKENGATE_APP_SHOP_USERS: _FILE can't be read: no such file or directory",
			"TOKENGATE_APP_SHOP_LEEWAY: give a duration such as 90s, 12h or 30d; 106751d is the longest",
			"unknown setting TOKENGATE_APP_SHOP_SECRET_KYE; did you mean TOKENGATE_APP_SHOP_SECRET_KEY?",
		}},
		{[]string{"TOKENGATE_REDIS_URL=redis://h", "TOKENGATE_APP_SHOP_SECRET_KEY=s", "TOKENGATE_APS=shop"}, []string{
			"TOKENGATE_APPS is required with TOKENGATE_REDIS_URL: name the apps that this gateway fronts, or give TOKENGATE_APPS_DIR",
			"unknown setting TOKENGATE_APS; did you mean TOKENGATE_APPS?",
		}},
		{web(webPrefix+"PASSWORD_MIN_LENGTH=0", webPrefix+"LONG_SESSION_RETRY_WINDOW=301s", webPrefix+"SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS=-1"), []string{
			webPrefix + "PASSWORD_MIN_LENGTH is 0: give 1 to 128 characters",
			webPrefix + "LONG_SESSION_RETRY_WINDOW is 5m1s: give 0s to 300s",
			webPrefix + "SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS is -1: give 0 to 1000, or LIMIT_NUMBER_OF_AVAIL_SESSIONS=false",
		}},
	} {
		_, err := read(t, test.lines...)
		if err == nil || err.Error() != strings.Join(test.want, "\n") {
			t.Errorf("%q: got\n%v\nwant\n%s", test.lines, err, strings.Join(test.want, "\n"))
		}
	}
}

func TestReadRejectsInvalidAppNames(t *testing.T) {
	for _, name := range []string{"Shop", "1shop", "a_b", "a b", "ä", strings.Repeat("a", 33)} {
		_, err := read(t, "TOKENGATE_APPS="+name, "TOKENGATE_APP_1SHOP_SECRET_KEY=x", "TOKENGATE_APP_A_B_SECRET_KEY=x")
		if err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("TOKENGATE_APPS: invalid app name %q", name)) {
			t.Errorf("%s: got %v, want the error that the app name is invalid", name, err)
		}
		if err != nil && name != "Shop" && strings.Contains(err.Error(), "unknown setting") {
			t.Errorf("%s: got %v, want no word of the app's settings", name, err)
		}
	}
}

func TestReadRejectsEmptySettings(t *testing.T) {
	for name, fault := range map[string]string{
		"SECRET_KEY": "is required", "USERS": "is required", "SIGNING_KEY": "is required",
		"ALGORITHM": "is empty", "USERNAME_FIELD": "is empty", "TOKEN_PROFILE": "is empty", "AUTH_HEADER_TYPES": "is empty",
	} {
		if _, err := read(t, web(webPrefix+name+"=")...); err == nil || !strings.HasPrefix(err.Error(), webPrefix+name+" "+fault+": give ") {
			t.Errorf("%s: got %v, want the error that it %s", name, err, fault)
		}
	}
}

// TestReadRejectsEmptyFiles checks that an empty file is an error also for a secret that need
// not be given: without an address of Redis, sessions would be kept in memory.
func TestReadRejectsEmptyFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte("\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TOKENGATE_REDIS_URL", webPrefix + "VERIFYING_KEYS"} {
		if _, err := read(t, web(name+"_FILE="+path)...); err == nil || err.Error() != name+": _FILE names an empty file: write the value to it" {
			t.Errorf("%s: got %v, want the error that the file is empty", name, err)
		}
	}
	if _, err := read(t, web("TOKENGATE_ADMIN_TOKEN_FILE=/dev/zero")...); err == nil || err.Error() != "TOKENGATE_ADMIN_TOKEN: _FILE can't be read: it is not a regular file" {
		t.Errorf("a file without end: got %v, want an error", err)
	}
}

func TestReadRejectsAppsNamedTwice(t *testing.T) {
	_, err := read(t, web("TOKENGATE_APPS=web-shop,web-shop", webPrefix+"LEEWAY=x")...)
	if want := webPrefix + "LEEWAY: give a duration such as 90s, 12h or 30d; 106751d is the longest\nTOKENGATE_APPS names web-shop twice"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestListenersNeedAddresses checks that the listeners can't have one address, unless the
// system chooses the port.
func TestListenersNeedAddresses(t *testing.T) {
	for address, want := range map[string]bool{":8000": false, "unix:/run/gateway.sock": false, "127.0.0.1:0": true} {
		_, err := read(t, web("TOKENGATE_LISTEN="+address, "TOKENGATE_ADMIN_LISTEN="+address)...)
		if got := err == nil; got != want || err != nil && err.Error() != "TOKENGATE_ADMIN_LISTEN is also TOKENGATE_LISTEN: give it another address" {
			t.Errorf("both at %s: got %v, want it accepted: %v", address, err, want)
		}
	}
}

// TestListenAddresses checks that what can't be an address is rejected, without the value.
func TestListenAddresses(t *testing.T) {
	longestSocket := "unix:/" + strings.Repeat("s", 106)
	for _, name := range []string{"TOKENGATE_LISTEN", "TOKENGATE_ADMIN_LISTEN"} {
		for _, address := range []string{":8000", "127.0.0.1:0", "localhost:http", "[::1]:65535", "gateway.example:8000", "unix:/run/gateway.sock", longestSocket} {
			if _, err := read(t, web(name+"="+address)...); err != nil {
				t.Errorf("%s=%s: got %v, want it accepted", name, address, err)
			}
		}
		for _, address := range []string{"8000", "0.0.0.0", "0.0.0.0:99999", "http://0.0.0.0:8000", "::1:8000", "hunter2-secret", "h:hunter2-secret", "u@h:1", " :8000", "h:-1", "unix:gateway.sock", "unix:/run/", "unix:@gateway", longestSocket + "x"} {
			if _, err := read(t, web(name+"="+address)...); err == nil || !strings.HasPrefix(err.Error(), name+": give HOST:PORT") || strings.Contains(err.Error(), address) {
				t.Errorf("%s=%s: got %v, want an error without the value", name, address, err)
			}
		}
	}
}

// TestPolicySettings gives each setting of a policy another value than its default. Each must
// reach the policy's field, and no other.
func TestPolicySettings(t *testing.T) {
	defaults := config.DefaultApp().LongSession.SessionPolicy()
	for setting, change := range map[string]func(*session.Policy){
		"REFRESH_TOKEN_LIFETIME=29d":           func(p *session.Policy) { p.Lifetime = 29 * 24 * time.Hour },
		"ROTATE_REFRESH_TOKENS=false":          func(p *session.Policy) { p.Rotate = false },
		"BLACKLIST_AFTER_ROTATION=false":       func(*session.Policy) {},
		"REUSE_DETECTION=false":                func(p *session.Policy) { p.ReuseDetection = false },
		"RETRY_WINDOW=31s":                     func(p *session.Policy) { p.RetryWindow = 31 * time.Second },
		"UPDATE_LAST_LOGIN=false":              func(p *session.Policy) { p.UpdateLastLogin = false },
		"EXTEND_SESSION=false":                 func(p *session.Policy) { p.Extend = false },
		"EXTEND_SESSION_EVERY_TIME=true":       func(p *session.Policy) { p.ExtendEveryTime = true },
		"EXTEND_SESSION_ONCE_AFTER_EACH=14d":   func(p *session.Policy) { p.ExtendOnceAfter = 14 * 24 * time.Hour },
		"ABSOLUTE_LIFETIME=400d":               func(p *session.Policy) { p.AbsoluteLifetime = 400 * 24 * time.Hour },
		"LIMIT_NUMBER_OF_AVAIL_SESSIONS=false": func(p *session.Policy) { p.Limit = false },
		"MAX_NUMBER_ACTIVE_SESSIONS=6":         func(p *session.Policy) { p.Max = 6 },
		"DESTROY_OLDEST_ACTIVE_SESSION=false":  func(p *session.Policy) { p.DestroyOldest = false },
	} {
		want := defaults
		change(&want)
		c, err := read(t, web(webPrefix+"LONG_SESSION_"+setting)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.ByApp["web-shop"].Policies()[session.Long]; got != want {
			t.Errorf("%s: got %+v, want %+v", setting, got, want)
		}
	}
}

// TestLongestAccess checks that the leeway counts, and the app with the longest time.
func TestLongestAccess(t *testing.T) {
	c, err := read(t, web("TOKENGATE_APPS=web-shop,blog", webPrefix+"ACCESS_TOKEN_LIFETIME=10m", webPrefix+"LEEWAY=90s",
		"TOKENGATE_APP_BLOG_SECRET_KEY=s", "TOKENGATE_APP_BLOG_USERS=file:u", "TOKENGATE_APP_BLOG_SIGNING_KEY=k", "TOKENGATE_APP_BLOG_ACCESS_TOKEN_LIFETIME=11m")...)
	if err != nil || c.LongestAccess() != 690*time.Second {
		t.Errorf("got %s, %v, want 11m30s", c.LongestAccess(), err)
	}
}

// TestBounds checks the largest and the smallest values, and those beyond them.
func TestBounds(t *testing.T) {
	for setting, valid := range map[string]bool{
		webPrefix + "PASSWORD_MIN_LENGTH=1": true, webPrefix + "PASSWORD_MIN_LENGTH=128": true,
		webPrefix + "PASSWORD_MIN_LENGTH=0": false, webPrefix + "PASSWORD_MIN_LENGTH=129": false,
		webPrefix + "LOGIN_ATTEMPTS=1": true, webPrefix + "LOGIN_ATTEMPTS=100": true,
		webPrefix + "LOGIN_ATTEMPTS=0": false, webPrefix + "LOGIN_ATTEMPTS=101": false,
		webPrefix + "LOGIN_ATTEMPTS_PER_NETWORK=1": true, webPrefix + "LOGIN_ATTEMPTS_PER_NETWORK=1000000": true,
		webPrefix + "LOGIN_ATTEMPTS_PER_NETWORK=0": false, webPrefix + "LOGIN_ATTEMPTS_PER_NETWORK=1000001": false,
		webPrefix + "RECHECK_USER=400d": true, webPrefix + "RECHECK_USER=0s": true,
		webPrefix + "RECHECK_USER=400d1ns": false, webPrefix + "RECHECK_USER=401d": false, webPrefix + "RECHECK_USER=-1ns": false,
		"TOKENGATE_REVOCATION_BOUND=0s": true, "TOKENGATE_REVOCATION_BOUND=-1ns": false,
		"TOKENGATE_IDLE_TIMEOUT=1ns": true, "TOKENGATE_IDLE_TIMEOUT=0s": false, "TOKENGATE_IDLE_TIMEOUT=-1s": false,
		"TOKENGATE_SHUTDOWN_DELAY=0s": true, "TOKENGATE_SHUTDOWN_DELAY=-1ns": false,
		"TOKENGATE_SHUTDOWN_GRACE=0s": true, "TOKENGATE_SHUTDOWN_GRACE=-1ns": false,
	} {
		if _, err := read(t, web(setting)...); (err == nil) != valid {
			t.Errorf("%s: got %v, want it accepted: %t", setting, err, valid)
		}
	}
}

// TestCertificateAndKeyBelongTogether checks that one without the other is rejected.
func TestCertificateAndKeyBelongTogether(t *testing.T) {
	cert, key := "TOKENGATE_TLS_CERT_FILE=/run/cert.pem", "TOKENGATE_TLS_KEY_FILE=/run/key.pem"
	for _, lines := range [][]string{{cert}, {key}, {cert, "TOKENGATE_TLS_KEY_FILE="}} {
		if _, err := read(t, web(lines...)...); err == nil || !strings.Contains(err.Error(), "give both or neither") {
			t.Errorf("%q: got %v, want the error that both are needed", lines, err)
		}
	}
	c, err := read(t, web(cert, key)...)
	if err != nil || c.TLSCertFile != "/run/cert.pem" || c.TLSKeyFile != "/run/key.pem" {
		t.Errorf("got %+v, %v, want both paths", c.Process, err)
	}
}

func TestUsersInRedisNeedRedis(t *testing.T) {
	for url, inMemory := range map[string]bool{"": true, "redis://h": false} {
		_, err := read(t, web(webPrefix+"USERS=redis:", "TOKENGATE_REDIS_URL="+url)...)
		if rejected := err != nil && strings.Contains(err.Error(), webPrefix+"USERS is redis:"); rejected != inMemory {
			t.Errorf("TOKENGATE_REDIS_URL=%s: got %v, want users in redis: rejected: %t", url, err, inMemory)
		}
	}
}

// TestTrustedProxies checks that an address is a network of one, and that what is no network
// is rejected.
func TestTrustedProxies(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "10.0.0.1": "10.0.0.1/32", " 10.1.2.3/8 ,\n2001:db8::1,": "10.0.0.0/8,2001:db8::1/128",
		"::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.1.0.0/104": "10.0.0.0/8", "::ffff:0:0/96,::ffff:0:0/90": "0.0.0.0/0,::ffc0:0:0/90", "0.0.0.0/0,::/0": "0.0.0.0/0,::/0",
	} {
		c, err := read(t, web("TOKENGATE_TRUSTED_PROXIES="+text)...)
		if err != nil || c.TrustedProxies.String() != want {
			t.Errorf("%q: got %s, %v, want %s", text, c.TrustedProxies, err, want)
		}
	}
	for _, text := range []string{"10.0.0.1/33", "10.0.0.256", "10.0.0.1:80", "proxy", "fe80::1%eth0", "fe80::1%eth0/64", "10.0.0.1 10.0.0.2", "[::1]", "010.0.0.1"} {
		if _, err := read(t, web("TOKENGATE_TRUSTED_PROXIES="+text)...); err == nil || strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v, want an error without the value", text, err)
		}
	}
	c, err := read(t, web("TOKENGATE_TRUSTED_PROXIES=10.0.0.1")...)
	if err != nil || !slices.Equal(c.TrustedProxies.Value, config.Networks{netip.MustParsePrefix("10.0.0.1/32")}) {
		t.Errorf("got %v, %v, want a network of one", c.TrustedProxies, err)
	}
}

// FuzzRead gives one setting a value. If it is accepted, the table's form of it must be read
// as the same. If it is rejected, the error must name the setting and not contain the value.
func FuzzRead(f *testing.F) {
	rows := config.AllRows()
	for i, row := range rows {
		for _, value := range []string{row.Default, "", "hunter2 is a secret", "30d", "-1s", "off", "a,b\n c", "10.0.0.1,::1/64", "9999999999999999999", "tRuE", "Info+1"} {
			f.Add(i, value)
		}
	}
	f.Fuzz(func(t *testing.T, i int, value string) {
		row := rows[uint(i)%uint(len(rows))]
		name := strings.Replace(row.Name, "<NAME>", "WEB_SHOP", 1)
		if strings.ContainsRune(value, 0) || name == "TOKENGATE_APPS" { // no variable has a NUL; the error repeats the names of apps
			t.Skip()
		}
		c, err := read(t, web(name+"="+value)...)
		if err == nil {
			checkReadAgain(t, c, name, row.Secret)
			return
		}
		for line := range strings.Lines(err.Error()) {
			short := strings.TrimPrefix(strings.TrimPrefix(name, webPrefix), config.Prefix)
			if !strings.Contains(line, short) && !strings.Contains(line, "SESSION_") && !strings.Contains(line, "USERS is redis:") {
				t.Errorf("%s=%q: the error does not name the setting: %s", name, value, line)
			}
			if len(value) > 8 && strings.ContainsFunc(value, unicode.IsLetter) && strings.Contains(line, value) { // a number may be repeated
				t.Errorf("%s: the error repeats the value: %s", name, line)
			}
		}
	})
}

// checkReadAgain checks that the printed form of a setting's value is read as the same value.
func checkReadAgain(t *testing.T, c *config.Config, name string, secret bool) {
	t.Helper()
	printed := config.Texts(c)
	if secret { // it is printed as "[secret]"
		return
	}
	again, err := read(t, web(name+"="+printed[name])...)
	if err != nil {
		t.Fatalf("%s=%s: got %v, want the printed form accepted", name, printed[name], err)
	}
	if got := config.Texts(again); !maps.Equal(got, printed) {
		t.Errorf("%s: got %q, want %q", name, got[name], printed[name])
	}
}
