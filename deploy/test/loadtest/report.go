package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// printResults prints runs as a table. CPU is in seconds per 1,000 requests, which
// is milliseconds per request.
func printResults(w io.Writer, all []result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\top\tclients\trequests/s\tp50 ms\tp99 ms\tp999 ms\trequests\terrors\tCPU s per 1,000\tresident MiB")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%d\t%s\t%s\n", r.Name, r.Op, r.Clients, r.PerSecond,
			r.P50, r.P99, r.P999, r.Requests, r.Errors, formatByName(r.CPU, "%.4f"), formatByName(r.RSS, "%.0f"))
	}
	_ = t.Flush() // if standard output is closed, the error cannot be reported either
	for _, r := range all {
		for text, n := range r.Faults {
			fmt.Fprintf(w, "%s: %d × %s\n", r.Name, n, text)
		}
	}
}

// formatByName formats a map as "NAME VALUE, NAME VALUE", sorted by name.
func formatByName(m map[string]float64, format string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, name+" "+fmt.Sprintf(format, m[name]))
	}
	return strings.Join(parts, ", ")
}

// machine describes the machine, the versions and the date of the figures.
func machine() string {
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	version, _ := exec.Command("redis-server", "--version").Output()
	redis := "?"
	for _, field := range strings.Fields(string(version)) {
		if v, ok := strings.CutPrefix(field, "v="); ok {
			redis = v
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, Redis %s, load generator and all servers on the same machine, the gateway on its defaults with every request in its log, %s",
		model, runtime.NumCPU(), runtime.Version(), redis, time.Now().UTC().Format("2006-01-02"))
}

// finding is a target and what was measured.
type finding struct {
	ID       string `json:"id"`
	Target   string `json:"target"`
	Measured string `json:"measured"`
	Met      string `json:"met"` // yes, **no**, or – if there is no bound
}

func verdict(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

// report is everything that a benchmark has measured.
type report struct {
	Machine  string    `json:"machine"`
	Quick    bool      `json:"quick,omitempty"`
	Findings []finding `json:"findings"`
	Notes    []string  `json:"notes"` // lines of figures that explain the findings
	Results  []result  `json:"results"`
}

func (r *report) addFinding(id, target, measured string, met bool) {
	r.Findings = append(r.Findings, finding{id, target, measured, verdict(met)})
}

func (r *report) addNote(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

const (
	markBegin = "<!-- bench: made by deploy/bench -->"
	markEnd   = "<!-- /bench -->"
)

// markdown returns the report in the form in which the documents have it, with the marks.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s.", markBegin, r.Machine)
	if r.Quick {
		b.WriteString(" **Quick sizes: for trying the command out, not for quoting.**")
	}
	b.WriteString("\n\n| | target | measured | met | command |\n|---|---|---|---|---|\n")
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `deploy/bench -only %s` |\n", f.ID, f.Target, f.Measured, f.Met, f.ID)
	}
	b.WriteString("\nThe figures behind it:\n\n")
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "* %s\n", n)
	}
	b.WriteString(markEnd + "\n")
	return b.String()
}

// insert replaces the part of a file from mark to mark with the report. A file
// without marks gets the report appended; a file that does not exist is created.
func (r *report) insert(path string) error {
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	before, rest, found := strings.Cut(string(text), "<!-- bench")
	_, after, closed := strings.Cut(rest, markEnd+"\n")
	if found && !closed {
		return fmt.Errorf("%s has no line %s", path, markEnd)
	}
	return os.WriteFile(path, []byte(before+r.markdown()+after), 0o644)
}
