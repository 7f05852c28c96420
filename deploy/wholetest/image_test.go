package wholetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestTheImageTellsItsVersion links with the flags that the image is built with.
func TestTheImageTellsItsVersion(t *testing.T) {
	file, err := os.ReadFile("../Dockerfile")
	must(t, err)
	_, rest, _ := strings.Cut(string(file), `-ldflags "`)
	flags, _, found := strings.Cut(rest, `"`)
	if !found || !strings.Contains(string(file), "\nARG VERSION=\n") {
		t.Fatal("the Dockerfile takes no VERSION for its linker flags")
	}
	for given, want := range map[string]string{"v1.2.3-4-gabc": "tokengate v1.2.3-4-gabc go", "": "tokengate (devel) go"} {
		program := filepath.Join(t.TempDir(), "tokengate")
		build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", strings.ReplaceAll(flags, "$VERSION", given), "-o", program, "tokengate")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		out, err := exec.Command(program, "version").Output()
		if must(t, err); !strings.HasPrefix(string(out), want) {
			t.Errorf("with VERSION=%q: %q, want %q", given, out, want)
		}
	}
}
