package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"tokengate/session/config"
)

// runEnv prints every setting with its default and meaning.
func runEnv(_ context.Context, in *invocation) error {
	if in.flags["markdown"] != "" {
		return printMarkdown(in.Out, config.AllRows())
	}
	return printTable(in.Out, config.AllRows())
}

// printTable writes rows as aligned columns. A name that ends in "*" also has a _FILE
// form.
func printTable(w io.Writer, rows []config.Row) error {
	columns := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintf(columns, "%s%s\t%s\t%s\n", r.Name, fileMark(r), cmp.Or(r.Default, "-"), r.Meaning)
	}
	return columns.Flush()
}

// printMarkdown writes the same table for the documents.
func printMarkdown(w io.Writer, rows []config.Row) error {
	table := []string{"| name | default | meaning |", "|---|---|---|"}
	for _, r := range rows {
		def := "–"
		if r.Default != "" {
			def = "`" + r.Default + "`"
		}
		meaning := strings.NewReplacer("|", `\|`, "<", `\<`, "*", `\*`).Replace(r.Meaning)
		table = append(table, fmt.Sprintf("| `%s`%s | %s | %s |", r.Name, fileMark(r), def, meaning))
	}
	_, err := fmt.Fprintln(w, strings.Join(table, "\n"))
	return err
}

// fileMark returns the mark of a setting that has a _FILE form.
func fileMark(r config.Row) string {
	if r.Secret {
		return "*"
	}
	return ""
}
