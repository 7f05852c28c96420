package cli

import (
	"strings"
	"testing"
)

func TestWalkthroughWithoutDemo(t *testing.T) {
	var out strings.Builder
	if PrintWalkthrough(&out, "127.0.0.1:1", nil); out.Len() > 0 {
		t.Errorf("got %q, want no output", &out)
	}
}
