package cli

import (
	"strings"
	"testing"
)

// TestWalkthroughCommentsAreHarmless checks that the comments have no characters that mean
// something to a shell: an interactive zsh runs a comment as a command.
func TestWalkthroughCommentsAreHarmless(t *testing.T) {
	for line := range strings.Lines(walkthrough) {
		if strings.HasPrefix(line, "#") && strings.ContainsAny(line, "'\"`$;&|<>()[]{}*?!~\\") {
			t.Errorf("got the comment %q, want words and commas only", line)
		}
	}
}

func TestWalkthroughWithoutDemo(t *testing.T) {
	var out strings.Builder
	if PrintWalkthrough(&out, "127.0.0.1:1", false, nil); out.Len() > 0 {
		t.Errorf("got %q, want no output", &out)
	}
}
