package config

import (
	"fmt"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
)

// unknown returns, in order, the names of the variables that are no setting. It leaves out
// those that may belong to an app whose settings were not read.
func (r *reader) unknown() []string {
	return slices.DeleteFunc(r.names(), func(name string) bool { return r.known[name] || r.ofSkippedApp(name) })
}

// names returns the names of a file's variables, or of those of the environment that begin
// with [Prefix], in order.
func (r *reader) names() (names []string) {
	if r.variables != nil {
		for name := range r.variables {
			names = append(names, name)
		}
	} else {
		for _, line := range os.Environ() {
			if name, _, _ := strings.Cut(line, "="); strings.HasPrefix(name, Prefix) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// ofSkippedApp reports whether a variable may be a setting of an app that was not read.
func (r *reader) ofSkippedApp(name string) bool {
	return r.skipped && r.appPrefix(name) == "" && strings.HasPrefix(name, Prefix+"APP_")
}

// unknownError returns the error for an unknown setting, with what to do about it.
func (r *reader) unknownError(name string) error {
	advice, nearest := "", Nearest(name, slices.Collect(maps.Keys(r.known)))
	value, isFile := strings.CutSuffix(name, fileSuffix)
	app := r.appPrefix(name)
	rest := strings.TrimPrefix(name, app)
	switch missing := missingApp(name); {
	case r.fileOf(name) != "":
		advice = "the settings of this app are in " + r.fileOf(name)
	case strings.HasPrefix(name, Prefix) && serviceLink.MatchString(strings.TrimPrefix(name, Prefix)):
		advice = "if Kubernetes set it for a Service of this name, give the pod enableServiceLinks: false"
	case isFile && r.known[value]:
		advice = "only secrets can be given in a file: give " + value
	case r.known[app+longSession+rest]:
		advice = fmt.Sprintf("give %s%s%s, %s%s%s or both", app, longSession, rest, app, shortSession, rest)
	case app == "" && missing != "" && distance(name, nearest) > maxTypos:
		advice = fmt.Sprintf("if %s is an app, add it to TOKENGATE_APPS", missing)
	default:
		advice = fmt.Sprintf("did you mean %s?", nearest)
	}
	return fmt.Errorf("%sunknown setting %s; %s", r.label, name, advice)
}

// fileOf returns the file of the app that a variable of the environment may belong to, or
// empty.
func (r *reader) fileOf(name string) string {
	for prefix, path := range r.inDir {
		if strings.HasPrefix(name, prefix) && r.appPrefix(name) == "" {
			return path
		}
	}
	return ""
}

// maxTypos is the distance up to which an app's name counts as misspelt.
const maxTypos = 2

// appPrefix returns the prefix of the app that a variable belongs to, or empty if no app has
// been read that it may belong to.
func (r *reader) appPrefix(name string) string {
	for _, prefix := range r.apps {
		if strings.HasPrefix(name, prefix) {
			return prefix
		}
	}
	return ""
}

// missingApp returns what the name of an app would be that has a setting of this name, or
// empty if there is no such setting.
func missingApp(name string) string {
	name, _ = strings.CutPrefix(name, Prefix+"APP_")
	for _, s := range AllRows() {
		setting, _ := strings.CutPrefix(s.Name, Prefix+"APP_<NAME>")
		before, found := strings.CutSuffix(strings.TrimSuffix(name, fileSuffix), setting)
		if app := strings.ToLower(strings.ReplaceAll(before, "_", "-")); found && appName.MatchString(app) {
			return app
		}
	}
	return ""
}

// serviceLink matches the rest of the variable names, after "TOKENGATE_", that Kubernetes
// sets in every pod for a Service called tokengate, or tokengate-admin and the like.
// They look like settings.
var serviceLink = regexp.MustCompile(`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// Nearest returns the most similar of the known names to name, the first in alphabetical
// order if several are, and an empty string if there are none.
func Nearest(name string, known []string) string {
	best, least := "", math.MaxInt
	for _, k := range known {
		if d := distance(name, k); d < least || d == least && k < best {
			best, least = k, d
		}
	}
	return best
}

// distance returns the Levenshtein distance of a and b, in bytes.
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
