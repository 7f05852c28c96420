package mutants_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tokengate/deploy/test/resilience/mutants"
)

// TestMutantsMatchTheCode checks that every fault can still be applied, and that the test
// that finds it still exists.
func TestMutantsMatchTheCode(t *testing.T) {
	const root = "../../../.."
	all, err := mutants.All()
	if err != nil {
		t.Fatal(err)
	}
	proofs, err := os.ReadFile(filepath.Join(root, "deploy/docs/proofs.md"))
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(strings.Fields(string(proofs)), " "); !strings.Contains(text, fmt.Sprintf("makes each of the %d faults", len(all))) {
		t.Errorf("proofs.md says another number of faults than %d", len(all))
	}
	for _, m := range all {
		for _, c := range m.Changes {
			text, err := os.ReadFile(filepath.Join(root, c.File))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(text), c.Old); n != 1 {
				t.Errorf("%s: %s contains the old text %d times, want once: %q", m.Name, c.File, n, c.Old)
			}
		}
		test := regexp.MustCompile(`\w+`).FindString(m.Tests)
		if !hasTest(t, filepath.Join(root, m.Package), test) {
			t.Errorf("%s: %s has no test %s", m.Name, m.Package, test)
		}
	}
}

func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(text) {
			return true
		}
	}
	return false
}
