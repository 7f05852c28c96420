package api

import (
	"fmt"
	"net/netip"
	"strings"
)

// Networks is a list of networks. Its text form is CIDRs, comma-separated; the
// zero value holds none.
type Networks []netip.Prefix

// UnmarshalText reads the text form.
func (n *Networks) UnmarshalText(text []byte) error {
	*n = nil
	for cidr := range strings.SplitSeq(string(text), ",") {
		if cidr = strings.TrimSpace(cidr); cidr == "" {
			continue
		}
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("%q is no network: give CIDRs such as 10.0.0.0/8", cidr)
		}
		*n = append(*n, p.Masked())
	}
	return nil
}

// String is the text form.
func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return strings.Join(texts, ",")
}
