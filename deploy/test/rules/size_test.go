package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// root is the module's directory.
const root = "../../.."

// Limits on the size of code. Medians and percentiles are over all Go files, tests
// included.
const (
	maxFunctionLines    = 60
	medianFunctionLines = 12
	p90FunctionLines    = 40
	maxFileLines        = 450
	p90FileLines        = 300
	maxInterfaceMethods = 6 // session.Store has one method per business step instead
)

// files returns the module's text files with one of the extensions, by path from the root,
// without those in hidden directories. A built program is no text.
func files(t *testing.T, extensions ...string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && d.Name() != ".." && strings.HasPrefix(d.Name(), ".") && d.Name() != ".ci" && d.Name() != ".github" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() || !slices.Contains(extensions, filepath.Ext(path)) {
			return nil
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path) // both begin with root
		if utf8.Valid(text) {
			texts[filepath.ToSlash(rel)] = string(text)
		}
		return err
	})
	if err != nil || len(texts) == 0 {
		t.Fatalf("%d files found: %v", len(texts), err)
	}
	return texts
}

// visitFiles calls visit with the syntax tree of each Go file.
func visitFiles(t *testing.T, visit func(path string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	for path, text := range files(t, ".go") {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		visit(path, set, file)
	}
}

func TestFunctionsAreShort(t *testing.T) {
	var all []int
	visitFiles(t, func(path string, set *token.FileSet, file *ast.File) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, want at most %d", path, f.Name.Name, n, maxFunctionLines)
			}
			all = append(all, n)
		}
	})
	checkPercentiles(t, "functions", all, medianFunctionLines, p90FunctionLines)
}

func TestFilesAreShort(t *testing.T) {
	var all []int
	for path, text := range files(t, ".go") {
		n := strings.Count(text, "\n")
		if n > maxFileLines {
			t.Errorf("%s has %d lines, want at most %d", path, n, maxFileLines)
		}
		all = append(all, n)
	}
	checkPercentiles(t, "files", all, maxFileLines, p90FileLines)
}

func checkPercentiles(t *testing.T, what string, lines []int, median, p90 int) {
	t.Helper()
	slices.Sort(lines)
	if got := lines[len(lines)/2]; got > median {
		t.Errorf("the median of all %s is %d lines, want at most %d", what, got, median)
	}
	if got := lines[len(lines)*9/10]; got > p90 {
		t.Errorf("the 90th percentile of all %s is %d lines, want at most %d", what, got, p90)
	}
}

func TestInterfacesAreSmall(t *testing.T) {
	visitFiles(t, func(path string, _ *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			i, ok := spec.Type.(*ast.InterfaceType)
			if ok && i.Methods.NumFields() > maxInterfaceMethods && (path != "session/store.go" || spec.Name.Name != "Store") {
				t.Errorf("%s: %s has %d methods, want at most %d", path, spec.Name.Name, i.Methods.NumFields(), maxInterfaceMethods)
			}
			return true
		})
	})
}

// TestExportedNamesAreDocumented checks all Go files except tests.
func TestExportedNamesAreDocumented(t *testing.T) {
	visitFiles(t, func(path string, set *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, d := range file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no comment", set.Position(name.Pos()), name.Name)
			}
		}
	})
}

// undocumented returns the exported names that a declaration leaves without a comment.
func undocumented(d ast.Decl) (names []*ast.Ident) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && !methodOfUnexported(d) {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
					names = append(names, s.Name)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// methodOfUnexported reports whether a function is a method of an unexported type.
func methodOfUnexported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return false
	}
	receiver := f.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if generic, ok := receiver.(*ast.IndexExpr); ok {
		receiver = generic.X
	}
	name, ok := receiver.(*ast.Ident)
	return ok && !name.IsExported()
}
