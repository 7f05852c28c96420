package config

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "12h": 12 * time.Hour, "90s": 90 * time.Second, "0s": 0, "200ms": 200 * time.Millisecond, "106751d": 106751 * day,
	} {
		d, err := parseDuration(text)
		if err != nil || d != want {
			t.Errorf("%s: got %v, %v, want %v", text, d, err, want)
		}
		if back, err := parseDuration(formatDuration(want)); err != nil || back != want {
			t.Errorf("%v is formatted as %s, which parses as %v, %v", want, formatDuration(want), back, err)
		}
	}
	for _, text := range []string{"106752d", "213504d", "2147483648d", "9223372036854775808d", "2562048h", "-1d", "1.5d", "d", "", "1"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q: got %v, want no duration", text, d)
		}
	}
}
