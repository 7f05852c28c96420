// Package mutants holds deliberate faults, each with the test that must find it.
// `go run ./deploy/test/resilience/mutate` applies one after the other to a copy of the
// tree and checks that the test fails. A fault that survives shows a gap in the tests.
//
// A fault is a file NAME.txtar. It starts with what is wrong, in one sentence, and a line
// "run: PACKAGE TESTS". Then each change has a section named after the changed file, with
// the old text, a line "====", and the new text. The old text must be in the file exactly
// once.
package mutants

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

//go:embed *.txtar
var files embed.FS

// Mutant is one fault.
type Mutant struct {
	Name    string // the file's name without ".txtar"
	What    string // what is wrong, in one line
	Package string // of the test, such as "./deploy/test/resilience"
	Tests   string // the regular expression for go test -run
	Changes []Change
}

// Change replaces text in one file. The file's path is relative to the module's root.
type Change struct{ File, Old, New string }

const separator = "====\n"

// All returns the faults in the order of their names. It fails if a file does not have
// the form that the package's comment describes.
func All() ([]Mutant, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Mutant
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(e.Name(), ".txtar"), txtar.Parse(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parse(name string, a *txtar.Archive) (Mutant, error) {
	what, run, ok := strings.Cut(strings.TrimSpace(string(a.Comment)), "\nrun: ")
	pkg, tests, ok2 := strings.Cut(run, " ")
	if !ok || !ok2 || len(a.Files) == 0 {
		return Mutant{}, fmt.Errorf("no line run: PACKAGE TESTS, or no change")
	}
	m := Mutant{Name: name, What: strings.Join(strings.Fields(what), " "), Package: pkg, Tests: tests}
	for _, f := range a.Files {
		before, after, ok := bytes.Cut(f.Data, []byte(separator))
		if !ok || len(before) == 0 {
			return Mutant{}, fmt.Errorf("%s: no old text or no separator", f.Name)
		}
		m.Changes = append(m.Changes, Change{f.Name, string(before), string(after)})
	}
	return m, nil
}

// Apply makes the changes in the tree at root and returns a function that reverts them. If
// an old text is not in its file exactly once, Apply fails and changes nothing.
func (m Mutant) Apply(root string) (revert func() error, err error) {
	before, after := map[string][]byte{}, map[string][]byte{}
	for _, c := range m.Changes {
		path := filepath.Join(root, filepath.FromSlash(c.File))
		text, changed := after[path]
		if !changed {
			if text, err = os.ReadFile(path); err != nil {
				return nil, err
			}
			before[path] = text
		}
		if n := bytes.Count(text, []byte(c.Old)); n != 1 {
			return nil, fmt.Errorf("%s contains the old text %d times, want once: %q", c.File, n, c.Old)
		}
		after[path] = bytes.Replace(text, []byte(c.Old), []byte(c.New), 1)
	}
	return func() error { return write(before) }, write(after)
}

func write(files map[string][]byte) error {
	for path, text := range files {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
