package rules

import (
	"strings"
	"testing"
)

// maxReadmeBytes keeps README readable in one go; the rest belongs in deploy/docs.
const maxReadmeBytes = 10_000

func TestReadmeIsShort(t *testing.T) {
	if size := len(files(t, ".md")["README.md"]); size > maxReadmeBytes {
		t.Errorf("README.md has %d bytes, want at most %d: move the details to deploy/docs", size, maxReadmeBytes)
	}
}

// TestReadmeShowsMeasuredFigures checks that the rows of README's table of speed are rows of
// the table that deploy/bench has made.
func TestReadmeShowsMeasuredFigures(t *testing.T) {
	documents := files(t, ".md")
	measured := documents["deploy/docs/performance.md"]
	_, section, _ := strings.Cut(documents["README.md"], "\n## Speed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := 0
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "| P") {
			continue
		}
		rows++
		if !strings.Contains(measured, "\n"+line) {
			t.Errorf("performance.md lacks README's row %s", line)
		}
	}
	if rows != 3 {
		t.Errorf("got %d rows of speed in README, want 3", rows)
	}
}
