package config_test

import (
	"testing"

	"tokengate/session/config"
)

// TestDemoReturnsGeneratedValues checks that Generated returns the secret and the user that
// were generated, each only if no setting replaced it, and never the value of a setting.
func TestDemoReturnsGeneratedValues(t *testing.T) {
	const secret, users = "TOKENGATE_APP_DEMO_SECRET_KEY=own", "TOKENGATE_APP_DEMO_USERS=file:own"
	for _, c := range []struct {
		lines         []string
		secret, users bool // whether it is generated
	}{
		{nil, true, true}, {[]string{users}, true, false}, {[]string{secret}, false, true}, {[]string{secret, users}, false, false},
	} {
		settings, err := read(t, c.lines...)
		if err != nil {
			t.Fatal(err)
		}
		key, name, password := settings.Demo.Generated()
		if (key != "") != c.secret || (name != "") != c.users || (password != "") != c.users || key == "own" {
			t.Errorf("%q: got the secret %q, the user name %q and the password %q, want a generated secret: %t, a generated user: %t", c.lines, key, name, password, c.secret, c.users)
		}
	}
}

func TestNilDemoHasNoGeneratedValues(t *testing.T) {
	var none *config.Demo
	if key, name, password := none.Generated(); key+name+password != "" {
		t.Errorf("got %q, %q, %q, want empty values", key, name, password)
	}
}
