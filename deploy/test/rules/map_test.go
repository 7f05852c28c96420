package rules

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sourceMap is the document that lists the packages.
const sourceMap = ".github/ARCHITECTURE.md"

// Parts of the source map.
var (
	mapRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*) \\| [^|]+ \\|$") // a package, what it imports, its job
	span   = regexp.MustCompile("`([^`\n]+)`")
	inTree = regexp.MustCompile(`^[\w.][\w.-]*(/[\w.-]+)+$|^\w+\.(go|mod|md)$`) // a path from the root
)

// TestSourceMapListsPackages checks that the table has each package of the module with
// what it imports, and no other package.
func TestSourceMapListsPackages(t *testing.T) {
	listed := map[string][]string{}
	for _, row := range mapRow.FindAllStringSubmatch(files(t, ".md")[sourceMap], -1) {
		imports := []string{}
		for _, name := range span.FindAllStringSubmatch(row[2], -1) {
			imports = append(imports, name[1])
		}
		listed[row[1]] = imports
	}
	for name, imports := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		name = directory(name)
		want := []string{}
		for _, imported := range imports {
			if strings.HasPrefix(imported, "tokengate/") {
				want = append(want, directory(imported))
			}
		}
		got, found := listed[name]
		switch delete(listed, name); {
		case !found:
			t.Errorf("%s lacks the package %s", sourceMap, name)
		case !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))):
			t.Errorf("%s: %s imports %q, want %q", sourceMap, name, got, want)
		}
	}
	for name := range listed {
		t.Errorf("%s lists %s, which is not a package", sourceMap, name)
	}
}

// directory returns the directory of a package of this module, and main.go for the module's
// own package.
func directory(name string) string {
	if dir, ok := strings.CutPrefix(name, "tokengate/"); ok {
		return dir
	}
	return "main.go"
}

// TestPathsInGuidesExist checks the paths that the guides for developers name.
func TestPathsInGuidesExist(t *testing.T) {
	named := 0
	for document, text := range files(t, ".md") {
		if !strings.HasPrefix(document, ".github/") {
			continue
		}
		for _, found := range span.FindAllStringSubmatch(text, -1) {
			if !inTree.MatchString(found[1]) {
				continue
			}
			named++
			if _, err := os.Stat(filepath.Join(root, found[1])); err != nil {
				t.Errorf("%s: %v", document, err)
			}
		}
	}
	if named < 50 {
		t.Errorf("found only %d paths in the guides", named)
	}
}
