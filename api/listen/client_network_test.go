package listen

import (
	"net/netip"
	"testing"
)

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64", "::1": "::/64",
	} {
		if got := Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("Network(%s) = %q, want %q", in, got, want)
		}
	}
	if got := Network(netip.Addr{}); got != "" {
		t.Errorf("an invalid address: got %q, want nothing", got)
	}
}
