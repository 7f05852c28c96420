package api

import (
	"strings"
	"testing"
)

func TestWalkthroughOfNothingMadeUp(t *testing.T) {
	var out strings.Builder
	if Walkthrough(&out, "127.0.0.1:1", "", "", ""); out.Len() > 0 {
		t.Errorf("it prints\n%s", &out)
	}
}
