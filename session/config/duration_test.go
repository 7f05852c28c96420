package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "12h": 12 * time.Hour, "90s": 90 * time.Second, "0s": 0, "200ms": 200 * time.Millisecond, "106751d": 106751 * day,
	} {
		d, ok := ParseDuration(text)
		if !ok || d != want {
			t.Errorf("%s: got %v, %v, want %v", text, d, ok, want)
		}
		if back, ok := ParseDuration(FormatDuration(want)); !ok || back != want {
			t.Errorf("%v is formatted as %s, which parses as %v, %v", want, FormatDuration(want), back, ok)
		}
	}
	for _, text := range []string{"106752d", "213504d", "2147483648d", "9223372036854775808d", "2562048h", "-1d", "1.5d", "d", "", "1"} {
		if d, ok := ParseDuration(text); ok {
			t.Errorf("%q: got %v, want no duration", text, d)
		}
	}
}
