package contract

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Differences are the answers that differ from the recordings on purpose.
type Differences struct {
	Steps []StepDifference
	Paths []PathDifference
}

// StepDifference is a step whose answer has to differ from the recording.
type StepDifference struct {
	Scenario string
	Number   int // of the request, from 1
	Status   int // of the gateway's answer
	Title    string
	Reason   string
}

// PathDifference is a path on which any answer may differ. A step that differs
// on nothing else passes.
type PathDifference struct {
	Path   string // as in [Mismatch]
	Reason string
}

var (
	stepEntry = regexp.MustCompile(`^step (\w+)#(\d+) (\d{3}) (.+)$`)
	pathEntry = regexp.MustCompile(`^path (\S+)$`)
)

// LoadDifferences reads a file of differences. An entry is a line
//
//	step SCENARIO#NUMBER STATUS TITLE
//	path PATH
//
// with its reason in the indented lines after it. Empty lines and lines that
// start with # are comments. An entry without a reason is an error. So is a step
// that is not in scenarios, because it would never be checked.
func LoadDifferences(path string, scenarios []*Scenario) (*Differences, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d, err := parseDifferences(string(text))
	if err == nil {
		err = d.check(scenarios)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func parseDifferences(text string) (*Differences, error) {
	d, reason := &Differences{}, (*string)(nil)
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "" || strings.HasPrefix(line, "#"):
		case reason != nil && line != strings.TrimLeft(line, " \t"):
			*reason = strings.TrimSpace(*reason + " " + trimmed)
		default:
			if reason = d.add(line); reason == nil {
				return nil, fmt.Errorf("invalid line %q", line)
			}
		}
	}
	return d, lines.Err()
}

// add adds an entry and returns a pointer to its reason, or nil if the line is
// not an entry.
func (d *Differences) add(line string) (reason *string) {
	if m := stepEntry.FindStringSubmatch(line); m != nil {
		number, _ := strconv.Atoi(m[2])
		status, _ := strconv.Atoi(m[3])
		d.Steps = append(d.Steps, StepDifference{Scenario: m[1], Number: number, Status: status, Title: m[4]})
		return &d.Steps[len(d.Steps)-1].Reason
	}
	if m := pathEntry.FindStringSubmatch(line); m != nil {
		d.Paths = append(d.Paths, PathDifference{Path: m[1]})
		return &d.Paths[len(d.Paths)-1].Reason
	}
	return nil
}

// check checks that each step exists and that each entry has a reason.
func (d *Differences) check(scenarios []*Scenario) error {
	titles := map[string]string{}
	for _, s := range scenarios {
		number := 0
		for _, step := range s.Steps {
			if step.Request != nil {
				number++
				titles[label(s.Name, number)] = step.Title
			}
		}
	}
	for _, s := range d.Steps {
		title, ok := titles[label(s.Scenario, s.Number)]
		switch name := label(s.Scenario, s.Number); {
		case !ok:
			return fmt.Errorf("step %s: no such step", name)
		case title != s.Title:
			return fmt.Errorf("step %s: got the title %q, want %q", name, s.Title, title)
		case s.Reason == "":
			return fmt.Errorf("step %s: give a reason", name)
		}
	}
	for _, p := range d.Paths {
		if p.Reason == "" {
			return fmt.Errorf("path %s: give a reason", p.Path)
		}
	}
	return nil
}

// Check returns an error for every failure that d does not list, and for every
// step that d lists and that got the recorded answer.
func (d *Differences) Check(r Result) error {
	failed := map[int]Failure{}
	for _, f := range r.Failures {
		if f.Mismatches = d.unlisted(f.Mismatches); len(f.Mismatches) > 0 {
			failed[f.Number] = f
		}
	}
	var problems []error
	for _, s := range d.Steps {
		if s.Scenario != r.Scenario {
			continue
		}
		name := label(s.Scenario, s.Number) + " " + s.Title
		switch f, ok := failed[s.Number]; {
		case !ok:
			problems = append(problems, fmt.Errorf("%s: got the recorded answer, want status %d: %s", name, s.Status, s.Reason))
		case f.Status == s.Status:
			delete(failed, s.Number)
		}
	}
	for _, f := range r.Failures {
		if f, ok := failed[f.Number]; ok {
			problems = append(problems, errors.New(f.String()))
		}
	}
	return errors.Join(problems...)
}

// unlisted returns the mismatches whose path d does not list.
func (d *Differences) unlisted(mismatches []Mismatch) (unlisted []Mismatch) {
	for _, m := range mismatches {
		if !slices.ContainsFunc(d.Paths, func(p PathDifference) bool { return p.Path == m.Path }) {
			unlisted = append(unlisted, m)
		}
	}
	return unlisted
}

// String returns a line with the step, and a line for each mismatch.
func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s %s", f.Class, label(f.Scenario, f.Number), f.Title)
	for _, m := range f.Mismatches {
		fmt.Fprintf(&b, "\n\t%s", m)
	}
	return b.String()
}

func label(scenario string, number int) string { return fmt.Sprintf("%s#%d", scenario, number) }
