package rules

import (
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// thirdParty lists the modules that a package may import besides the standard
// library and this module.
var thirdParty = map[string][]string{
	"tokengate":                   {"github.com/prometheus/client_golang"},
	"tokengate/api":               {"github.com/go-chi/chi", "github.com/prometheus/client_golang", "golang.org/x/time"},
	"tokengate/api/listen":        {"github.com/prometheus/client_golang", "golang.org/x/time"},
	"tokengate/api/wiretest":      {"github.com/rogpeppe/go-internal"},
	"tokengate/redisstore":        {"github.com/redis/go-redis"},
	"tokengate/session/config":    {"github.com/kelseyhightower/envconfig"},
	"tokengate/session/cli":       {"github.com/schollz/progressbar", "golang.org/x"},
	"tokengate/session/password":  {"golang.org/x"},
	"tokengate/session/storetest": {"github.com/anishathalye/porcupine"},
	"tokengate/session/token":     {"github.com/lestrrat-go/jwx"},
	"tokengate/session/users":     {"github.com/jackc/pgx", "golang.org/x"},
}

// own lists the packages of this module that a package may import besides
// tokengate/session, which all packages but those in independent may import.
var own = map[string][]string{
	"tokengate": {
		"tokengate/api", "tokengate/api/listen", "tokengate/redisstore", "tokengate/session/cli", "tokengate/session/config",
		"tokengate/session/memstore", "tokengate/session/password", "tokengate/session/token", "tokengate/session/users",
	},
	"tokengate/api":                       {"tokengate/api/listen"},
	"tokengate/api/listen":                {"tokengate/session/files"},
	"tokengate/redisstore":                {"tokengate/lua", "tokengate/session/files"},
	"tokengate/session/cli":               {"tokengate/session/config", "tokengate/session/password", "tokengate/session/users"},
	"tokengate/session/config/configtest": {"tokengate/session/config"},
	"tokengate/session/config":            {"tokengate/session/files"},
	"tokengate/session/password":          {"tokengate/session/fairqueue"},
	"tokengate/session/users":             {"tokengate/session/fairqueue", "tokengate/session/files", "tokengate/session/password"},
	"tokengate/session/storetest":         {"tokengate/session/memstore"}, // the model that other stores are compared with
	"tokengate/redisstore/redistest":      {"tokengate/deploy/test/freeport"},

	"tokengate/deploy/test/gatewaytest": {"tokengate/deploy/test/freeport"},
	"tokengate/deploy/test/pgbouncer":   {"tokengate/deploy/test/freeport"},
}

// independent lists the packages that may not import the engine.
var independent = []string{
	"tokengate/session", "tokengate/session/files", "tokengate/lua", "tokengate/redisstore/redistest", "tokengate/api/listen",
	"tokengate/api/wiretest", "tokengate/deploy/test/freeport", "tokengate/deploy/test/gatewaytest", "tokengate/deploy/test/hosts",
	"tokengate/deploy/test/pgbouncer", "tokengate/deploy/test/preload",
}

// TestImports checks that adapters import the engine and never each other. Packages
// under deploy/test may import more, except those in independent.
func TestImports(t *testing.T) {
	for name, imports := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		if strings.HasPrefix(name, "tokengate/deploy/test/") && !slices.Contains(independent, name) {
			continue
		}
		for _, imported := range imports {
			allowed := imported == "tokengate/session" && !slices.Contains(independent, name) || slices.Contains(own[name], imported)
			for _, module := range thirdParty[name] {
				allowed = allowed || strings.HasPrefix(imported+"/", module+"/")
			}
			if !allowed && !standard(imported) {
				t.Errorf("%s must not import %s", name, imported)
			}
		}
	}
}

// TestProgramHasNoTestCode checks that the shipped program contains no package that is
// meant for tests.
func TestProgramHasNoTestCode(t *testing.T) {
	for dep := range goList(t, "-deps", ".") {
		if base := path.Base(dep); strings.HasPrefix(dep, "tokengate/deploy") || base == "testing" ||
			strings.HasPrefix(dep, "tokengate/") && strings.HasSuffix(base, "test") {
			t.Errorf("the program must not contain %s", dep)
		}
	}
}

// TestEngineNeedsOnlyTheStandardLibrary checks the dependencies of package session.
func TestEngineNeedsOnlyTheStandardLibrary(t *testing.T) {
	for dep := range goList(t, "-deps", "./session") {
		if !standard(dep) && dep != "tokengate/session" || dep == "net/http" {
			t.Errorf("package session must not depend on %s", dep)
		}
	}
}

// standard reports whether a package is in the standard library: the first element of
// its path has no dot.
func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".") && first != "tokengate"
}

// goList returns the words of each line that `go list` prints at the module's root, by
// the first word.
func goList(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v", args, err)
	}
	lines := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		lines[words[0]] = words[1:]
	}
	if len(lines) == 0 {
		t.Fatalf("go list %q prints nothing", args)
	}
	return lines
}
