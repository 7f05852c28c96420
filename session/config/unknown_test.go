package config_test

import (
	"strings"
	"testing"

	"tokengate/session/config"
)

func TestUnknownSettingSuggestsNearest(t *testing.T) {
	for line, nearest := range map[string]string{
		"TOKENGATE_APS=shop": "TOKENGATE_APPS", "TOKENGATE_SHUTDOWN_GRAVE=1s": "TOKENGATE_SHUTDOWN_GRACE",
		webPrefix + "SECRET_KEYFILE=f": webPrefix + "SECRET_KEY_FILE", webPrefix + "LONG_RETRY_WINDOW=1s": webPrefix + "LONG_SESSION_RETRY_WINDOW",
	} {
		name, _, _ := strings.Cut(line, "=")
		_, err := read(t, web("TOKEN=1", line)...)
		if want := "unknown setting " + name + "; did you mean " + nearest + "?"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestServiceLinksAreRecognized(t *testing.T) {
	links := []string{
		"PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "PORT_8000_TCP_PORT", "PORT_8000_TCP_PROTO",
		"PORT_53_UDP", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "ADMIN_PORT", "ADMIN_SERVICE_HOST",
	}
	for _, name := range links {
		_, err := read(t, web(config.Prefix+name+"=x")...)
		if err == nil || !strings.HasPrefix(err.Error(), "unknown setting "+config.Prefix+name+"; ") || !strings.Contains(err.Error(), "enableServiceLinks: false") {
			t.Errorf("%s: got %v, want the advice for service links", name, err)
		}
	}
	for _, name := range []string{"TRANSPORT", "PORTS", "SERVICE", "PORT_HTTP"} {
		if _, err := read(t, web(config.Prefix+name+"=x")...); err == nil || strings.Contains(err.Error(), "enableServiceLinks") {
			t.Errorf("%s: got %v, want no advice for service links", name, err)
		}
	}
}
