package config

import (
	"strings"
	"testing"
)

func TestUnknownSettingSuggestsNearest(t *testing.T) {
	env := NewEnv([]string{"P_GRAVE=1s", "OTHER=1", "P_TEXT=x"})
	if err := Load(env, "P_", &sample{}); err != nil {
		t.Fatal(err)
	}
	unknown := env.Unknown("P_")
	if len(unknown) != 1 || env.unknownError(unknown[0]).Error() != "unknown setting P_GRAVE; did you mean P_GRACE?" {
		t.Errorf("got the unknown settings %q, want P_GRAVE with the suggestion P_GRACE", unknown)
	}
}

func TestServiceLinksAreRecognized(t *testing.T) {
	links := []string{
		"PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "PORT_8000_TCP_PORT", "PORT_8000_TCP_PROTO",
		"PORT_53_UDP", "SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "ADMIN_PORT", "ADMIN_SERVICE_HOST",
	}
	for _, name := range links {
		err := NewEnv(nil).unknownError(Prefix + name)
		if !strings.HasPrefix(err.Error(), "unknown setting "+Prefix+name+"; ") || !strings.Contains(err.Error(), "enableServiceLinks: false") {
			t.Errorf("%s: got %q, want the advice for service links", name, err)
		}
	}
	for _, name := range []string{"TRANSPORT", "PORTS", "SERVICE", "PORT_HTTP"} {
		if err := NewEnv(nil).unknownError(Prefix + name); strings.Contains(err.Error(), "enableServiceLinks") {
			t.Errorf("%s: got %q, want no advice for service links", name, err)
		}
	}
}
