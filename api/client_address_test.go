package api

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestClientAddr(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nothing forwarded", "10.0.0.1", nil, "10.0.0.1"},
		{"the header of an untrusted peer is ignored", "192.0.2.9", []string{"198.51.100.1"}, "192.0.2.9"},
		{"one proxy", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"an entry that the client made up", "10.0.0.1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1", []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"in several headers", "10.0.0.1", []string{"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"only trusted hops", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"an entry that is not an address", "10.0.0.1", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty entry", "10.0.0.1", []string{"198.51.100.1, "}, "10.0.0.1"},
		{"with a port", "10.0.0.1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "fd00::1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 without a port", "fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "fd00::1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 in IPv6", "10.0.0.1", []string{"::ffff:10.0.0.7, ::ffff:10.0.0.2"}, "10.0.0.7"},
	} {
		if got := clientAddr(netip.MustParseAddr(c.peer), c.forwarded, trusted); got.String() != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestClientAddrOnUnixSocket checks that the header is read if the peer has no address.
func TestClientAddrOnUnixSocket(t *testing.T) {
	for forwarded, want := range map[string]string{
		"198.51.100.1": "198.51.100.1", "1.1.1.1, 198.51.100.1": "198.51.100.1", "198.51.100.1, 10.0.0.2": "198.51.100.1", "unknown": "invalid IP",
	} {
		if got := clientAddr(netip.Addr{}, []string{forwarded}, prefixes("10.0.0.0/8")); got.String() != want {
			t.Errorf("%s: got %s, want %s", forwarded, got, want)
		}
	}
	if got := clientAddr(netip.Addr{}, nil, nil); got.IsValid() {
		t.Errorf("nothing forwarded: got %s, want no address", got)
	}
}

// FuzzForwardedFor checks that the header of an untrusted peer is ignored, and that
// the result is the peer or an entry of the header.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1", "1.1.1.1, 198.51.100.1", "10.0.0.2")
	f.Add("192.0.2.1", "198.51.100.1", "")
	f.Add("10.0.0.1", ",,[::1]:x, [fe80::1%eth0]:1", "]]")
	trusted := prefixes("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, peerText, first, second string) {
		peer, err := netip.ParseAddr(peerText)
		if err != nil {
			return
		}
		got := clientAddr(peer, []string{first, second}, trusted)
		if !trusted[0].Contains(peer) && got != peer {
			t.Errorf("got %s from the header of the untrusted peer %s", got, peer)
		}
		if got == peer {
			return
		}
		entries := strings.Split(first+","+second, ",")
		if !slices.ContainsFunc(entries, func(e string) bool { a, ok := parseHop(strings.TrimSpace(e)); return ok && a == got }) {
			t.Errorf("got %s, which is not in %q", got, entries)
		}
	})
}
