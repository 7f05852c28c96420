package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImagePrintsVersion builds the program with the linker flags of the Dockerfile and
// checks that it prints the version that was passed to the build.
func TestImagePrintsVersion(t *testing.T) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	must(t, err)
	_, rest, _ := strings.Cut(string(dockerfile), `-ldflags "`)
	flags, _, found := strings.Cut(rest, `"`)
	if !found || !strings.Contains(string(dockerfile), "\nARG VERSION=\n") {
		t.Fatal("the Dockerfile has no VERSION argument or no linker flags")
	}
	for version, want := range map[string]string{"v1.2.3-4-gabc": "tokengate v1.2.3-4-gabc go", "": "tokengate (devel) go"} {
		binary := filepath.Join(t.TempDir(), "tokengate")
		build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", strings.ReplaceAll(flags, "$VERSION", version), "-o", binary, "tokengate")
		if output, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		output, err := exec.Command(binary, "version").Output()
		if must(t, err); !strings.HasPrefix(string(output), want) {
			t.Errorf("VERSION=%q: got %q, want %q", version, output, want)
		}
	}
}
