package samples

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/text"
)

// root is the module's directory.
const root = "../../.."

// block is one code block of a document.
type block struct {
	document string // path from the root
	line     int    // of the first line of the code
	language string // empty for an indented block
	file     string // second word after the fence
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.document, b.line) }

// documents returns the paths of all Markdown files from the root, except those in
// testdata and in hidden directories other than .github.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || name == "tmp" || strings.HasPrefix(name, ".") && name != ".." && name != ".github") {
			return fs.SkipDir
		}
		if d.Type().IsRegular() && filepath.Ext(name) == ".md" {
			rel, _ := filepath.Rel(root, path) // both begin with root
			paths = append(paths, filepath.ToSlash(rel))
		}
		return nil
	})
	must(t, err)
	if !slices.Contains(paths, "README.md") || !slices.Contains(paths, "deploy/docs/users.md") {
		t.Fatalf("the documents are missing in %q", paths)
	}
	return paths
}

// blocks returns the code blocks of a document, in order.
func blocks(t *testing.T, document string) []block {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, document))
	must(t, err)
	return parseBlocks(t, document, source)
}

func parseBlocks(t *testing.T, document string, source []byte) (found []block) {
	t.Helper()
	add := func(n ast.Node, info string) {
		words := append(strings.Fields(info), "", "")
		b := block{document: document, language: words[0], file: words[1], text: string(n.Lines().Value(source))}
		if lines := n.Lines(); lines.Len() > 0 {
			b.line = 1 + bytes.Count(source[:lines.At(0).Start], []byte("\n"))
		}
		found = append(found, b)
	}
	tree := goldmark.DefaultParser().Parse(text.NewReader(source))
	must(t, ast.Walk(tree, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.FencedCodeBlock:
			info := ""
			if n.Info != nil {
				info = string(n.Info.Value(source))
			}
			add(n, info)
		case *ast.CodeBlock:
			add(n, "")
		case *ast.HTMLBlock:
			if html := string(n.Lines().Value(source)); strings.Contains(html, "<pre") || strings.Contains(html, "<code") {
				add(n, "html")
			}
		}
		return ast.WalkContinue, nil
	}))
	return found
}

// TestBlocksAreFound checks that code is found wherever Markdown allows it.
func TestBlocksAreFound(t *testing.T) {
	source := strings.Join([]string{
		"text", "", "    indented", "", "```go", "fenced", "```", "", "~~~sh a.sh", "tildes", "~~~", "",
		"* item", "", "  ```json", "  {}", "  ```", "", "> ```python", "> quoted", "> ```", "", "<pre>", "html", "</pre>", "",
	}, "\n")
	var got []string
	for _, b := range parseBlocks(t, "x.md", []byte(source)) {
		got = append(got, fmt.Sprintf("%s|%s|%s|%d", b.language, b.file, strings.TrimSpace(b.text), b.line))
	}
	want := []string{"||indented|3", "go||fenced|6", "sh|a.sh|tildes|10", "json||{}|16", "python||quoted|20", "html||<pre>\nhtml|23"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
