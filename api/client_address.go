package api

import (
	"net/http"
	"net/netip"
	"strings"

	"tokengate/api/listen"
)

// clientOf returns the address that a request came from.
func (s *Server) clientOf(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // zero on a Unix socket, see [listen.Trusts]
	addr := peer.Addr().Unmap()
	if isForwarded(r) && !listen.Trusts(s.trusted, addr) {
		s.process.warnForwarded(s.log, addr)
	}
	return clientAddr(addr, r.Header["X-Forwarded-For"], s.trusted)
}

// clientAddr returns the client's address from X-Forwarded-For. It reads the
// entries from the right, where the nearest proxy wrote, and stops at the first
// hop that is not a trusted proxy, because that hop may have made up everything
// to its left. If an entry is not an address, the result is the proxy that
// passed it on.
func clientAddr(peer netip.Addr, forwarded []string, trusted []netip.Prefix) netip.Addr {
	hop := peer
	for i := len(forwarded) - 1; i >= 0; i-- {
		for rest := forwarded[i]; rest != ""; {
			if !listen.Trusts(trusted, hop) {
				return hop
			}
			comma := strings.LastIndexByte(rest, ',')
			next, ok := parseHop(strings.TrimSpace(rest[comma+1:]))
			if !ok {
				return hop
			}
			hop = next
			rest = rest[:max(comma, 0)]
		}
	}
	return hop
}

// parseHop parses one entry of X-Forwarded-For, which no standard defines: an
// address, with or without brackets and a port.
func parseHop(s string) (netip.Addr, bool) {
	if withPort, err := netip.ParseAddrPort(s); err == nil {
		return withPort.Addr().Unmap(), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return addr.Unmap(), err == nil
}
