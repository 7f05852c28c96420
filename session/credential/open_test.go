package credential

import (
	"strings"
	"testing"
	"time"
)

func TestOpenRefuses(t *testing.T) {
	const secret = "Tr0ub4dor"
	lane := NewLane(1, 0, nil)
	for _, c := range []struct {
		spec string
		o    Options
		want string
	}{
		{"", Options{DecoyKey: testKey, Lane: lane}, "of no known form"},
		{"users.json", Options{DecoyKey: testKey, Lane: lane}, "of no known form"},
		{"mysql://u:" + secret + "@h/d", Options{DecoyKey: testKey, Lane: lane}, "of no known form"},
		{"file:", Options{DecoyKey: testKey, Lane: lane}, "without a path"},
		{"file:/no/such/file", Options{DecoyKey: testKey, Lane: lane}, "no such file"},
		{"file:/dev/zero", Options{DecoyKey: testKey, Lane: lane}, "not a plain file"},
		{"file:users.json", Options{DecoyKey: testKey}, "Lane is required"},
		{"file:users.json", Options{Lane: lane}, "DecoyKey is required"},
		{"redis:", Options{Lane: lane, DecoyKey: testKey[:15]}, "DecoyKey is required"},
		{"postgres://u:" + secret + "@h/d", Options{Lane: lane}, "DecoyKey is required"},
		{"file:users.json", Options{DecoyKey: testKey, Lane: lane, Query: "select $1"}, "for postgres:// only"},
		{"redis:", Options{DecoyKey: testKey, Lane: lane}, "requires Options.Directory and App"},
		{"redis://:" + secret + "@h:6379", Options{DecoyKey: testKey, Lane: lane}, "give redis: alone"},
		{"https:/verify", Options{}, "not an http(s) URL"},
		{"https://u:" + secret + "%zz@h/verify", Options{}, "not an http(s) URL"},
		{"postgres://u:" + secret + "/x@h/d", Options{DecoyKey: testKey, Lane: lane}, "not a postgres URL"},
		{"postgres://u:" + secret + "@h/d?sslpassword=" + secret + "%zz", Options{DecoyKey: testKey, Lane: lane}, "not a postgres URL"},
		{"postgres://u:" + secret + "@h/d?sslmode=perhaps", Options{DecoyKey: testKey, Lane: lane}, "sslmode is invalid"},
		{"postgres://u:" + secret + "@h/d?pool_max_conns=none", Options{DecoyKey: testKey, Lane: lane}, "can't be used"},
		{"postgres://u:" + secret + "@h/d", Options{DecoyKey: testKey, Lane: lane, Query: "select 1"}, "USERS_QUERY has no $1"},
		{"postgres://u:" + secret + "@h/d", Options{DecoyKey: testKey, Lane: lane, RecheckQuery: "select 1"}, "USERS_RECHECK_QUERY has no $1"},
	} {
		source, err := Open(t.Context(), c.spec, c.o)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want …%s…", c.spec, source, err, c.want)
		} else if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "@h/") {
			t.Errorf("%q shows the address", err)
		}
	}
}

func TestParseRecheck(t *testing.T) {
	for text, want := range map[string]Recheck{
		"": {}, "off": RecheckOff(), "0s": RecheckEvery(0), "90s": RecheckEvery(90 * time.Second), "2d": RecheckEvery(48 * time.Hour),
	} {
		if got, err := ParseRecheck(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"-1s", "30", "never", "d", "-1d", "401d", "213504d", "9999999d"} {
		if got, err := ParseRecheck(text); err == nil || !strings.Contains(err.Error(), "RECHECK_USER") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
