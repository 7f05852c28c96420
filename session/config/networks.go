package config

import (
	"errors"
	"net/netip"
	"strings"
)

// Networks is a list of networks. The zero value is an empty list.
type Networks []netip.Prefix

// parseNetworks parses a list of CIDRs and addresses. An address is a network of one.
func parseNetworks(text string) (n Networks, err error) {
	var list List
	_ = list.Decode(text)
	for _, entry := range list {
		p, err := parseNetwork(entry)
		if err != nil {
			return nil, errors.New("give addresses or CIDRs such as 10.0.0.0/8, comma-separated")
		}
		n = append(n, p)
	}
	return n, nil
}

// parseNetwork parses a CIDR or an address. An IPv4 address may be mapped to IPv6, and is
// returned as IPv4, because the addresses that it is compared with are.
func parseNetwork(text string) (netip.Prefix, error) {
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err == nil && addr.Zone() != "" {
			err = errors.New("a network has no zone")
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), err
	}
	p, err := netip.ParsePrefix(text)
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), err
}

// String returns the text form.
func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}
