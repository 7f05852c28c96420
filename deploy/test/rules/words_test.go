package rules

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// retired lists expressions that the project does not use, and what to write instead.
// The glossary in session/doc.go has one word for each idea.
var retired = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{word(`tells? (whether|that|of|who|what|why|how|apart)`), `"reports whether", "returns", "says"`},
	{word(`[Hh]e|[Hh]is|[Hh]im|[Hh]imself|[Ss]he|[Hh]er|[Hh]ers`), `"they", "their"`},
	{word(`is (?:[a-z]+\.)?[A-Z]\w*'s`), `"implements [session.Store]"`},
	{word(`the seed`), `"the Django app"`},
	{word(`[Ww]ho(ever)? (wants|asks|has|can|uses|comes|is|reads|waits)`), `a noun as the subject`},
	{word(`[Nn]obody|[Ss]omebody`), `a noun, such as "no user"`},
	{word(`[Ee]nding|[Ee]ndings`), `"revocation"`},
	{word(`[Ee]poch|[Ee]ra`), `"not-before"`},
	{word(`[Hh]orizon`), `"retention"`},
	{word(`[Ss]weeps?`), `"poll" or "purge"`},
	{word(`[Dd]ecoys?`), `"dummy hash"`},
	{word(`[Ll]edger`), `"store", "list"`},
	{word(`[Rr]eceipt`), `"result"`},
	{word(`[Dd]uels?|[Vv]isitors?`), `"comparison", "virtual user"`},
	{word(`[Jj]udges?|[Jj]udged`), `"check"`},
	{word(`[Rr]oster|[Ff]arewell|[Rr]ig|[Ww]holetest|[Hh]oldings`), `a plain name`},
	{word(`[Ss]tanding`), `"cached status"`},
	{word(`time-outs?`), `"timeout"`},
	{word(`for ever`), `"forever"`},
	{regexp.MustCompile(`[Dd]ecoy|[Ll]edger|[Hh]orizon|[Ee]ndings|[Vv]isitor|[Tt]heSeed`), `the word of the glossary, also within identifiers`},
}

// anyRetired matches what one of the retired expressions matches. One search for it takes much less time
// than one for each.
var anyRetired = func() *regexp.Regexp {
	patterns := make([]string, len(retired))
	for i, r := range retired {
		patterns[i] = r.pattern.String()
	}
	return regexp.MustCompile(strings.Join(patterns, "|"))
}()

func word(pattern string) *regexp.Regexp { return regexp.MustCompile(`\b(?:` + pattern + `)\b`) }

// TestRetiredWords looks for retired expressions in code and documents. It leaves out
// this file, and the recordings, which are answers of another program.
func TestRetiredWords(t *testing.T) {
	for path, text := range files(t, ".go", ".lua", ".md", ".txtar", ".conf", ".cfg", ".yaml", ".yml", ".txt", "") {
		if path == "deploy/test/rules/words_test.go" || path == "LICENSE" || strings.HasPrefix(path, "api/testdata/contract/") && !strings.HasSuffix(path, ".md") {
			continue
		}
		if !anyRetired.MatchString(text) {
			continue
		}
		n := 0
		for line := range strings.Lines(text) {
			n++
			for _, r := range retired {
				if found := r.pattern.FindString(line); found != "" {
					t.Errorf("%s:%d: %q: write %s", path, n, found, r.instead)
				}
			}
		}
	}
}

// TestNoLinterDirectives rejects comments for a linter that the checks do not run. The
// reason for unusual code is a plain comment.
func TestNoLinterDirectives(t *testing.T) {
	visitFiles(t, func(_ string, set *token.FileSet, file *ast.File) {
		for _, group := range file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//nolint") {
					t.Errorf("%s: %s: give the reason as a plain comment", set.Position(c.Pos()), c.Text)
				}
			}
		}
	})
}

// TestPackageNames rejects names that say nothing about a package's job.
func TestPackageNames(t *testing.T) {
	for name := range goList(t, "./...") {
		base := name[strings.LastIndexByte(name, '/')+1:]
		if slices.Contains([]string{"util", "utils", "common", "base", "helpers", "types", "misc"}, base) {
			t.Errorf("%s: name the package after its job", name)
		}
	}
}
