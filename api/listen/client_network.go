package listen

import "net/netip"

// Network returns the network that stands for one client in limits: an IPv4 address, or the
// /64 of an IPv6 address, because a client can have all addresses of that. It is empty if the
// address is invalid, as on a Unix socket.
func Network(addr netip.Addr) string {
	switch addr = addr.Unmap(); {
	case !addr.IsValid():
		return ""
	case addr.Is4():
		return addr.String()
	}
	network, _ := addr.WithZone("").Prefix(64) // an IPv6 address has that many bits
	return network.String()
}

// Trusts reports whether the header of a hop is read. The peer on a Unix socket, which has
// no address, is trusted: the permissions of the socket's file say which process connects.
func Trusts(trusted []netip.Prefix, hop netip.Addr) bool {
	if !hop.IsValid() {
		return true
	}
	for _, p := range trusted {
		if p.Contains(hop) {
			return true
		}
	}
	return false
}
