// Command mutate applies each fault of package mutants to a copy of the tree and checks
// that the fault's test fails. It exits with an error if a fault survives.
//
//	go run ./deploy/test/resilience/mutate [NAME…]
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"tokengate/deploy/test/resilience/mutants"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(names []string) error {
	all, err := mutants.All()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutants.Mutant) bool {
		return len(names) > 0 && !slices.Contains(names, m.Name)
	})
	tree, err := copyTree()
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	passing, survivors := map[string]bool{}, 0
	for _, m := range all {
		if key := m.Package + " " + m.Tests; !passing[key] {
			if out, passed := test(tree, m); !passed {
				return fmt.Errorf("%s fails without any fault:\n%s", key, out)
			}
			passing[key] = true
		}
		if err := try(tree, m); errors.Is(err, errSurvived) {
			survivors++
		} else if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if survivors > 0 {
		return fmt.Errorf("%d of %d faults survived", survivors, len(all))
	}
	fmt.Printf("found all %d faults\n", len(all))
	return nil
}

var errSurvived = errors.New("survived")

// try applies one fault, runs its test and reverts the fault.
func try(tree string, m mutants.Mutant) error {
	revert, err := m.Apply(tree)
	if err != nil {
		return err
	}
	start := time.Now()
	out, passed := test(tree, m)
	took := time.Since(start).Round(100 * time.Millisecond)
	if err := revert(); err != nil {
		return err
	}
	switch {
	case strings.Contains(out, "Error compiling script"), strings.Contains(out, unbuilt):
		return fmt.Errorf("the changed program does not build or run: %s", out)
	case passed:
		fmt.Printf("SURVIVED  %-32s %6s  %s\n", m.Name, took, m.What)
		return errSurvived
	}
	fmt.Printf("found     %-32s %6s  by %s: %s\n", m.Name, took, strings.Join(failures(out), " "), m.What)
	return nil
}

const unbuilt = "[build failed]" // the text that go test prints

// test builds the gateway and runs a fault's test. It returns what the test printed and
// whether it passed.
func test(tree string, m mutants.Mutant) (out string, passed bool) {
	if out, err := command(tree, "go", "build", "-o", binary, "."); err != nil {
		return out + unbuilt, false
	}
	out, err := command(tree, "go", "test", "-count=1", "-vet=off", "-timeout=10m", m.Package, "-run", m.Tests)
	return out, err == nil
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failures returns the names of the tests that failed: of nested ones, the innermost.
func failures(out string) (names []string) {
	for _, match := range failed.FindAllStringSubmatch(out, -1) {
		names = slices.DeleteFunc(names, func(n string) bool { return strings.HasPrefix(match[1], n+"/") })
		names = append(names, match[1])
	}
	if len(names) == 0 {
		return []string{"a crash"}
	}
	return names[:min(len(names), 2)]
}

// binary is the name of the gateway that the tests start. It is built once for each fault.
const binary = "tokengate"

// command runs a command in the tree.
func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	for _, line := range os.Environ() {
		if !strings.HasPrefix(line, "TOKENGATE_") {
			cmd.Env = append(cmd.Env, line)
		}
	}
	cmd.Env = append(cmd.Env, "TOKENGATE_BIN="+filepath.Join(dir, binary))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// copyTree copies the current module to a temporary directory, without hidden
// directories.
func copyTree() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", err
	}
	tree, err := os.MkdirTemp("", "tokengate-mutants")
	if err != nil {
		return "", err
	}
	from := os.DirFS(string(bytes.TrimSpace(out)))
	return tree, fs.WalkDir(from, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && d.Name()[0] == '.':
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(tree, path), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, path), text, 0o644)
	})
}
