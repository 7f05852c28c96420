// Package mutants is a ledger of deliberate faults, each with the test that
// must find it. `go run ./deploy/proofs/mutate` makes one after the other in a
// copy of the tree and shows that the test fails. A fault that survives is a
// hole in the tests.
//
// A fault is a file NAME.txtar: what is wrong, a line "run: PACKAGE TESTS", and
// for each change a section named after the file, with the old text, a line of
// "====", and the new text. The old text stands in the file exactly once.
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
	Name    string // its file without ".txtar"
	What    string // what is wrong, in one line
	Package string // of the test, such as "./deploy/proofs"
	Tests   string // -run's regular expression
	Changes []Change
}

// Change replaces text in one file, whose path is from the module's root.
type Change struct{ File, Old, New string }

const separator = "====\n"

// All gives the ledger by name. It fails where a file is not of the form.
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
			return Mutant{}, fmt.Errorf("%s: no old text and separator", f.Name)
		}
		m.Changes = append(m.Changes, Change{f.Name, string(before), string(after)})
	}
	return m, nil
}

// Apply makes the fault in the tree at root and gives what undoes it. Where
// the old text isn't there exactly once nothing is changed.
func (m Mutant) Apply(root string) (undo func() error, err error) {
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
			return nil, fmt.Errorf("%s holds the old text %d times, want once: %q", c.File, n, c.Old)
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
