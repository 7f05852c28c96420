package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// release runs deploy/release and returns what it prints.
func release(args ...string) (string, error) {
	output, err := exec.Command("../../release", args...).CombinedOutput()
	return string(output), err
}

// TestRelease builds the program of this platform as a release has it, and checks its sum
// and the version that it prints. The workflow ci builds the programs of all platforms.
func TestRelease(t *testing.T) {
	const version = "v1.2.3-test"
	dir := filepath.Join(t.TempDir(), "release")
	if output, err := release(version, dir, runtime.GOOS+"/"+runtime.GOARCH); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	name := strings.Join([]string{"tokengate", version, runtime.GOOS, runtime.GOARCH}, "-")
	entries, err := os.ReadDir(dir)
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"SHA256SUMS", name}) {
		t.Errorf("got the files %q, want %s with its sum", names, name)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dir
	if output, err := check.CombinedOutput(); err != nil || string(output) != name+": OK\n" {
		t.Errorf("sha256sum: got %q, %v; want %s: OK", output, err, name)
	}
	output, err := exec.Command(filepath.Join(dir, name), "version").Output()
	if must(t, err); !strings.HasPrefix(string(output), "tokengate "+version+" go") {
		t.Errorf("got %q, want the version %s", output, version)
	}
	if output, err := release(version, dir); err == nil || !strings.Contains(output, "is not empty") {
		t.Errorf("with files of another release in the directory: got %q, %v; want an error", output, err)
	}
	if output, err := release("v1/../x", t.TempDir()); err == nil || !strings.Contains(output, "invalid version") {
		t.Errorf("with a path as version: got %q, %v; want an error", output, err)
	}
	if output, err := release("", t.TempDir()); err == nil || !strings.HasPrefix(output, "deploy/release VERSION") {
		t.Errorf("without a version: got %q, %v; want the usage", output, err)
	}
}

// TestReleaseHasImagesFlags checks that the program in the image and that of a release are
// built with the same flags.
func TestReleaseHasImagesFlags(t *testing.T) {
	image, _ := flagsOf(t, "../../Dockerfile")
	if flags, _ := flagsOf(t, "../../release"); flags != image {
		t.Errorf("deploy/release has the flags\n%s, want those of the Dockerfile\n%s", flags, image)
	}
}

// TestReleaseNotes checks that each version of CHANGELOG.md has a section, and that a tag
// without one is rejected.
func TestReleaseNotes(t *testing.T) {
	output, err := exec.Command("../../release-notes", "v0.1.0").Output()
	if text := string(output); err != nil || !strings.Contains(text, "The first version.") || strings.Contains(text, "## [") {
		t.Errorf("got %q, %v; want the section of 0.1.0", output, err)
	}
	for _, tag := range []string{"v0.1", "v0.1.00", "v99.0.0", "0.1.0", "v0.1.0-", "v0.1.0/x", "v.*.*", ""} {
		if output, err := exec.Command("../../release-notes", tag).Output(); err == nil || len(output) > 0 {
			t.Errorf("%s: got %q, %v; want an error", tag, output, err)
		}
	}
}
