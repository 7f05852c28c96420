package config

import (
	"net/netip"
	"strings"
)

// Networks is a list of networks. Its text form is a comma-separated list of CIDRs.
// The zero value is an empty list.
type Networks []netip.Prefix

// UnmarshalText reads the text form. Its error does not repeat the text.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for cidr := range strings.SplitSeq(string(text), ",") {
		if cidr = strings.TrimSpace(cidr); cidr == "" {
			continue
		}
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return advice("give CIDRs such as 10.0.0.0/8, comma-separated")
		}
		*n = append(*n, p.Masked())
	}
	return nil
}

// String returns the text form.
func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}
