package settings

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Row is one setting in the printed table.
type Row struct {
	Name    string
	Default string // empty: none
	Meaning string
	Secret  bool // may be given as Name_FILE
}

// Rows lists the settings of the struct that src points to; its fields hold the
// defaults.
func Rows(prefix string, src any) []Row {
	var rows []Row
	walk(prefix, reflect.ValueOf(src).Elem(), func(s setting) {
		rows = append(rows, Row{s.name, text(s.value), s.meaning, s.secret})
	})
	return rows
}

func text(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return FormatDuration(value)
	case slog.Level:
		return strings.ToLower(value.String())
	case []string:
		return strings.Join(value, ",")
	}
	return fmt.Sprint(v.Interface())
}

// Print writes rows as aligned columns. A name that ends in "*" has a _FILE form.
func Print(w io.Writer, rows []Row) error {
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(columns, "%s%s\t%s\t%s\n", r.Name, r.mark(), cmp.Or(r.Default, "-"), r.Meaning)
	}
	return columns.Flush()
}

// Command prints rows as "tokengate env" was asked to.
func Command(w io.Writer, rows []Row, args []string) error {
	switch {
	case len(args) == 0:
		return Print(w, rows)
	case len(args) == 1 && args[0] == "--markdown":
		return Markdown(w, rows)
	}
	return errors.New("usage: tokengate env [--markdown]")
}

// Markdown writes the same table for a README.
func Markdown(w io.Writer, rows []Row) error {
	table := []string{"| name | default | meaning |", "|---|---|---|"}
	for _, r := range rows {
		def := "–"
		if r.Default != "" {
			def = "`" + r.Default + "`"
		}
		meaning := strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(r.Meaning)
		table = append(table, fmt.Sprintf("| `%s`%s | %s | %s |", r.Name, r.mark(), def, meaning))
	}
	_, err := fmt.Fprintln(w, strings.Join(table, "\n"))
	return err
}

func (r Row) mark() string {
	if r.Secret {
		return "*"
	}
	return ""
}

// Unknown names the variables that begin with prefix and that no Load has asked
// for, in order, each with what to do about it: the nearest name that one did
// ask for, or how to be rid of a service link.
func (env *Env) Unknown(prefix string) []string {
	var unknown []string
	for name := range env.values {
		suffix, ours := strings.CutPrefix(name, prefix)
		if !ours || env.asked[name] {
			continue
		}
		hint := "did you mean " + env.nearest(name) + "?"
		if serviceLink.MatchString(suffix) {
			hint = "where Kubernetes has set it, for a Service of this name, give the pod enableServiceLinks: false"
		}
		unknown = append(unknown, name+" is no setting; "+hint)
	}
	slices.Sort(unknown)
	return unknown
}

// serviceLink is how the names end that Kubernetes puts into the environment of
// each pod beside a Service. One called tokengate, or tokengate-admin, makes
// them look like settings.
var serviceLink = regexp.MustCompile(
	`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

func (env *Env) nearest(name string) string {
	best, least := "", len(name)+64
	for known := range env.asked {
		if d := distance(name, known); d < least || d == least && known < best {
			best, least = known, d
		}
	}
	return best
}

// distance is Levenshtein's: how many letters differ.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
