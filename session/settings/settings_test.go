package settings

import (
	"crypto/rand"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type inner struct {
	Life time.Duration `env:"LIFE" desc:"life"`
}

type sample struct {
	Text  string        `env:"TEXT" desc:"text"`
	Key   string        `env:"KEY" secret:"true" desc:"key"`
	On    bool          `env:"ON" desc:"on"`
	N     int           `env:"N" desc:"n"`
	List  []string      `env:"LIST" desc:"list"`
	Addr  netip.Addr    `env:"ADDR" desc:"addr"`
	Grace time.Duration `env:"GRACE" desc:"grace"`
	Inner inner         `env:"IN_"`
}

func TestLoad(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(keyFile, []byte("from a file\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := sample{Text: "default", N: 7, List: []string{"x"}}
	env := NewEnv([]string{
		"P_TEXT=", "P_KEY_FILE=" + keyFile, "P_ON=true", "P_LIST= a, ,b ", "P_ADDR=10.0.0.1", "P_GRACE=30d", "P_IN_LIFE=90s",
	})
	if err := Load(env, "P_", &got); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Key: "from a file", On: true, N: 7, List: []string{"a", "b"}, Addr: netip.MustParseAddr("10.0.0.1"),
		Grace: 720 * time.Hour, Inner: inner{90 * time.Second},
	}
	if got.Text != want.Text || got.Key != want.Key || got.On != want.On || got.N != want.N ||
		strings.Join(got.List, "|") != "a|b" || got.Addr != want.Addr || got.Grace != want.Grace || got.Inner != want.Inner {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// The key is the same wherever the app is, another for any other app and signing
// key, and whoever sees it has not seen the signing key.
func TestDecoyKey(t *testing.T) {
	key := func(signing, name string) string {
		return string(App{SigningKey: signing, SecretKey: []string{rand.Text()}}.DecoyKey(name))
	}
	const signing = "0123456789abcdef0123456789abcdef"
	shop := key(signing, "shop")
	if shop != key(signing, "shop") || len(shop) != 32 {
		t.Errorf("twice made, the key is %x and %x", shop, key(signing, "shop"))
	}
	if shop == key(signing, "blog") || shop == key(signing[1:], "shop") || strings.Contains(shop, signing[:8]) {
		t.Errorf("%x is another app's or the signing key's own", shop)
	}
}

func TestLoadFaultsNameTheSettingAndNotTheValue(t *testing.T) {
	for _, c := range []struct {
		line string
		want string
	}{
		{"P_N=hunter2", "P_N: give a whole number"},
		{"P_ON=hunter2", "P_ON: give true or false"},
		{"P_GRACE=hunter2", "P_GRACE: give a duration"},
		{"P_GRACE=-1d", "P_GRACE: give a duration"},
		{"P_GRACE=213504d", "P_GRACE: give a duration such as 90s, 12h or 30d; 106751d is the longest"},
		{"P_KEY_FILE=/nonexistent", "P_KEY: _FILE can't be read"},
	} {
		err := Load(NewEnv([]string{c.line}), "P_", &sample{})
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", c.line, err, c.want)
		}
	}
}

func TestSecretGivenTwice(t *testing.T) {
	err := Load(NewEnv([]string{"P_KEY=a", "P_KEY_FILE=b"}), "P_", &sample{})
	if err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Error(err)
	}
}

func TestUnknownNamesTheNearest(t *testing.T) {
	env := NewEnv([]string{"P_GRAVE=1s", "OTHER=1", "P_TEXT=x"})
	if err := Load(env, "P_", &sample{}); err != nil {
		t.Fatal(err)
	}
	unknown := env.Unknown("P_")
	if len(unknown) != 1 || unknown[0] != "P_GRAVE is no setting; did you mean P_GRACE?" {
		t.Errorf("%q", unknown)
	}
}

func TestServiceLinksAreNamed(t *testing.T) {
	links := []string{
		"P_PORT", "P_PORT_8000_TCP", "P_PORT_8000_TCP_ADDR", "P_PORT_8000_TCP_PORT", "P_PORT_8000_TCP_PROTO",
		"P_PORT_53_UDP", "P_SERVICE_HOST", "P_SERVICE_PORT", "P_SERVICE_PORT_HTTP", "P_ADMIN_PORT", "P_ADMIN_SERVICE_HOST",
	}
	unknown := NewEnv(links).Unknown("P_")
	if len(unknown) != len(links) {
		t.Errorf("%q", unknown)
	}
	for _, line := range unknown {
		if !strings.Contains(line, " is no setting; ") || !strings.Contains(line, "enableServiceLinks: false") {
			t.Errorf("%q", line)
		}
	}
	for _, line := range NewEnv([]string{"P_TRANSPORT=x", "P_PORTS=x", "P_SERVICE=x", "P_PORT_HTTP=x"}).Unknown("P_") {
		if strings.Contains(line, "enableServiceLinks") {
			t.Errorf("%q", line)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "12h": 12 * time.Hour, "90s": 90 * time.Second, "0s": 0, "200ms": 200 * time.Millisecond, "106751d": 106751 * day,
	} {
		d, ok := ParseDuration(text)
		if !ok || d != want {
			t.Errorf("%s: %v %v", text, d, ok)
		}
		if back, ok := ParseDuration(FormatDuration(want)); !ok || back != want {
			t.Errorf("%v is printed as %s", want, FormatDuration(want))
		}
	}
	for _, text := range []string{"106752d", "213504d", "2147483648d", "9223372036854775808d", "2562048h", "-1d", "1.5d", "d", "", "1"} {
		if d, ok := ParseDuration(text); ok {
			t.Errorf("%q is taken for %v", text, d)
		}
	}
}

func TestLoadAppSaysWhatIsMissing(t *testing.T) {
	lines := []string{"TOKENGATE_APP_WEB_SHOP_SECRET_KEY=s", "TOKENGATE_APP_WEB_SHOP_USERS=file:u", "TOKENGATE_APP_WEB_SHOP_SIGNING_KEY=k"}
	if _, err := LoadApp(NewEnv(lines), "web-shop", DefaultApp()); err != nil {
		t.Fatal(err)
	}
	for i, missing := range []string{"SECRET_KEY", "USERS", "SIGNING_KEY"} {
		rest := append(append([]string{}, lines[:i]...), lines[i+1:]...)
		_, err := LoadApp(NewEnv(rest), "web-shop", DefaultApp())
		if err == nil || !strings.Contains(err.Error(), "TOKENGATE_APP_WEB_SHOP_"+missing+" is required") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	for _, name := range []string{"", "Shop", "1shop", "a_b", strings.Repeat("a", 33)} {
		if _, err := LoadApp(NewEnv(lines), name, DefaultApp()); err == nil {
			t.Errorf("%q passes as an app name", name)
		}
	}
	bad := append(lines, "TOKENGATE_APP_WEB_SHOP_LONG_SESSION_ABSOLUTE_LIFETIME=0s")
	if _, err := LoadApp(NewEnv(bad), "web-shop", DefaultApp()); err == nil || !strings.Contains(err.Error(), "LONG_SESSION_ABSOLUTE_LIFETIME") {
		t.Error(err)
	}
}

// TestDemoTellsWhatWasMadeUp: each of the two by itself, and no setting's value.
func TestDemoTellsWhatWasMadeUp(t *testing.T) {
	const secret, users = "TOKENGATE_APP_DEMO_SECRET_KEY=own", "TOKENGATE_APP_DEMO_USERS=file:own"
	for _, c := range []struct {
		lines         []string
		secret, users bool // made up
	}{
		{nil, true, true}, {[]string{users}, true, false}, {[]string{secret}, false, true}, {[]string{secret, users}, false, false},
	} {
		_, demo, err := LoadApps(NewEnv(c.lines), []string{"demo"}, true)
		if err != nil {
			t.Fatal(err)
		}
		key, name, password := demo.MadeUp()
		if (key != "") != c.secret || (name != "") != c.users || (password != "") != c.users || key == "own" {
			t.Errorf("%q: secret %q, user %q, password %q", c.lines, key, name, password)
		}
	}
	var none *Demo
	if key, name, password := none.MadeUp(); key+name+password != "" {
		t.Error("no demo has made something up")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("P_GRACE", "30d")
	f.Add("P_LIST", "a,,b")
	f.Add("P_IN_LIFE", "99999999999999999999d")
	f.Fuzz(func(t *testing.T, name, value string) {
		env := NewEnv([]string{name + "=" + value})
		err := Load(env, "P_", &sample{})
		if err != nil && len(value) > 8 && strings.Contains(err.Error(), value) {
			t.Errorf("%q is echoed: %v", value, err)
		}
		env.Unknown("P_")
	})
}
