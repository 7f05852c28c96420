package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// buildFlags matches the build of the program, with its flags and its linker flags.
var buildFlags = regexp.MustCompile(`CGO_ENABLED=0 go build (-trimpath .*-ldflags "(.*)") -o`)

// flagsOf returns the flags of the build in a file, and the linker flags among them.
func flagsOf(t *testing.T, path string) (flags, linker string) {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	found := buildFlags.FindStringSubmatch(string(text))
	if found == nil {
		t.Fatalf("%s does not build the program", path)
	}
	return found[1], found[2]
}

// TestImageHasModulesGo checks that the image is built with the toolchain of go.mod, in
// which `.ci/test` looks for known vulnerabilities, and that README names it.
func TestImageHasModulesGo(t *testing.T) {
	modules, err := os.ReadFile("../../../go.mod")
	must(t, err)
	toolchain := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindStringSubmatch(string(modules))
	if toolchain == nil {
		t.Fatal("go.mod names no toolchain")
	}
	for path, want := range map[string]string{
		"../../Dockerfile": "\nFROM golang:" + toolchain[1] + " AS build\n", "../../../README.md": "GOTOOLCHAIN=go" + toolchain[1] + "`",
	} {
		text, err := os.ReadFile(path)
		must(t, err)
		if !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %q, the toolchain of go.mod", path, want)
		}
	}
}

// TestImagePrintsVersion builds the program with the linker flags of the Dockerfile and
// checks that it prints the version that was passed to the build.
func TestImagePrintsVersion(t *testing.T) {
	dockerfile, err := os.ReadFile("../../Dockerfile")
	must(t, err)
	if !strings.Contains(string(dockerfile), "\nARG VERSION=\n") {
		t.Fatal("the Dockerfile has no VERSION argument")
	}
	_, flags := flagsOf(t, "../../Dockerfile")
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
