package config

import (
	"strings"
	"testing"
	"time"
)

func TestRecheck(t *testing.T) {
	for text, want := range map[string]Recheck{
		"": {}, "off": {Set: true, Off: true}, "0s": {Set: true}, "90s": {Set: true, Every: 90 * time.Second}, "2d": {Set: true, Every: 48 * time.Hour},
	} {
		got, err := parseRecheck(text)
		if err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
		if again, err := parseRecheck(got.String()); err != nil || again != got {
			t.Errorf("%q is formatted as %q, which parses as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"-1s", "30", "never", "d", "-1d", "401d", "213504d", "9999999d", "hunter2"} {
		if got, err := parseRecheck(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %+v, %v, want an error without the value", text, got, err)
		}
	}
}
