package api

import (
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for _, valid := range []string{
		"a", "0-9._A", strings.Repeat("x", 128), "7b1f6a0e-2c5d-4f0e-9a3b-0d1e2f3a4b5c", "c2hvcC8xKw==", "app@host:1234/5", "00-4bf92f3577b34da6-01|9~2",
		"Self=1-67891234-12456789abcdef012345678a;Root=1-67891233-abcdef012345678912345678",
	} {
		if got := requestID(valid); got != valid {
			t.Errorf("requestID(%q) = %q, want it unchanged", valid, got)
		}
	}
	for _, invalid := range []string{"", strings.Repeat("x", 129), "a b", "a\nb", "é", "a,b", `"`, "<b>", "a\x7f", "a\\b", "{}", "$(a)", "a'b", "a%0ab"} {
		if got := requestID(invalid); got == invalid || len(got) != 32 {
			t.Errorf("requestID(%q) = %q, want a new id", invalid, got)
		}
	}
}
