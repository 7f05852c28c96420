package api

import (
	"strings"
	"testing"
)

func TestRequestID(t *testing.T) {
	for _, valid := range []string{"a", "0-9._A", strings.Repeat("x", 64)} {
		if got := requestID(valid); got != valid {
			t.Errorf("requestID(%q) = %q, want it unchanged", valid, got)
		}
	}
	for _, invalid := range []string{"", strings.Repeat("x", 65), "a b", "a\nb", "é", "a,b", `"`} {
		if got := requestID(invalid); got == invalid || len(got) != 32 {
			t.Errorf("requestID(%q) = %q, want a new id", invalid, got)
		}
	}
}
