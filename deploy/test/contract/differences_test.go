package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const someDifferences = `# comment

step list#2 401 another title
	The first line
	and the second.

path tokens.access.iat
	Any time.
`

func TestParseDifferences(t *testing.T) {
	d, err := parseDifferences(someDifferences)
	if err != nil {
		t.Fatal(err)
	}
	if want := (StepDifference{"list", 2, 401, "another title", "The first line and the second."}); len(d.Steps) != 1 || d.Steps[0] != want {
		t.Errorf("got the steps %+v, want %+v", d.Steps, want)
	}
	if want := (PathDifference{"tokens.access.iat", "Any time."}); len(d.Paths) != 1 || d.Paths[0] != want {
		t.Errorf("got the paths %+v, want %+v", d.Paths, want)
	}
}

func TestLoadDifferencesRejects(t *testing.T) {
	request := Step{Request: &Request{}}
	first, second := request, request
	first.Title, second.Title = "one title", "another title"
	scenarios := []*Scenario{{Name: "list", Steps: []Step{first, {}, second}}}
	for _, c := range []struct{ name, text, want string }{
		{"good", someDifferences, ""},
		{"empty", "# comment\n", ""},
		{"no status", "step list#2 another title\n\tReason.\n", "invalid line"},
		{"unknown kind", "header vary\n\tReason.\n", "invalid line"},
		{"reason of nothing", "\tReason.\n", "invalid line"},
		{"unknown scenario", "step lists#2 401 another title\n\tReason.\n", "no such step"},
		{"unknown number", "step list#3 401 another title\n\tReason.\n", "no such step"},
		{"other title", "step list#1 401 another title\n\tReason.\n", "title"},
		{"step without a reason", "step list#2 401 another title\n", "reason"},
		{"path without a reason", "path status\n# comment\n", "reason"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "differences.txt")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadDifferences(path, scenarios)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
	if _, err := LoadDifferences(filepath.Join(t.TempDir(), "missing"), scenarios); err == nil {
		t.Error("a missing file: got no error")
	}
}

func TestDifferencesCheck(t *testing.T) {
	d := &Differences{
		Steps: []StepDifference{{"list", 2, 401, "title", "The reason."}, {"other", 1, 401, "title", "The reason."}},
		Paths: []PathDifference{{"tokens.access.iat", "The reason."}},
	}
	failure := func(number, status int, paths ...string) Failure {
		f := Failure{Scenario: "list", Number: number, Status: status, Title: "title", Class: "contract"}
		for _, path := range paths {
			f.Mismatches = append(f.Mismatches, Mismatch{path, "the problem"})
		}
		return f
	}
	expected := failure(2, 401, "status", "body")
	for _, c := range []struct {
		name     string
		failures []Failure
		want     string // part of the error; empty means no error
	}{
		{"as listed", []Failure{expected}, ""},
		{"not failed", nil, "list#2 title: got the recorded answer, want status 401: The reason."},
		{"another status", []Failure{failure(2, 500, "status")}, "[contract] list#2 title\n\tstatus: the problem"},
		{"another step, too", []Failure{failure(1, 401, "status", "body.a"), expected}, "list#1 title\n\tstatus: the problem\n\tbody.a: the problem"},
		{"a path that may differ", []Failure{failure(1, 200, "tokens.access.iat"), expected}, ""},
		{"a path that may differ and another", []Failure{failure(1, 200, "tokens.access.iat", "tokens.access.exp"), expected}, "list#1 title\n\ttokens.access.exp: the problem"},
		{"a listed step that differs on such a path only", []Failure{failure(2, 401, "tokens.access.iat")}, "list#2 title: got the recorded answer"},
		{"no answer", []Failure{failure(2, 0, "answer")}, "list#2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := d.Check(Result{Scenario: "list", Failures: c.failures})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
		})
	}
}
