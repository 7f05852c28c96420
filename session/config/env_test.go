package config

import (
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
		"P_TEXT=", "P_KEY_FILE=" + keyFile, "P_ON=true", "P_LIST= a, ,b\r\n \nc\n", "P_ADDR=10.0.0.1", "P_GRACE=30d", "P_IN_LIFE=90s",
	})
	if err := Load(env, "P_", &got); err != nil {
		t.Fatal(err)
	}
	want := sample{
		Key: "from a file", On: true, N: 7, List: []string{"a", "b", "c"}, Addr: netip.MustParseAddr("10.0.0.1"),
		Grace: 720 * time.Hour, Inner: inner{90 * time.Second},
	}
	if got.Text != want.Text || got.Key != want.Key || got.On != want.On || got.N != want.N ||
		strings.Join(got.List, "|") != "a|b|c" || got.Addr != want.Addr || got.Grace != want.Grace || got.Inner != want.Inner {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestLoadErrorsOmitTheValue checks that an error names the setting and never contains the
// invalid value, which may be a secret.
func TestLoadErrorsOmitTheValue(t *testing.T) {
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
			t.Errorf("%s: got %v, want %q", c.line, err, c.want)
		}
	}
}

func TestLoadRejectsSecretGivenTwice(t *testing.T) {
	err := Load(NewEnv([]string{"P_KEY=a", "P_KEY_FILE=b"}), "P_", &sample{})
	if err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("got %v, want the error that the setting is given twice", err)
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
			t.Errorf("the error contains the value %q: %v", value, err)
		}
		env.Unknown("P_")
	})
}
