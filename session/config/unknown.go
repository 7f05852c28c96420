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

// unknown returns, in order, the names of the variables that begin with [Prefix] and are no
// setting. It leaves out the settings of apps if those of an app were not read.
func (r *reader) unknown() (names []string) {
	for _, line := range os.Environ() {
		name, _, _ := strings.Cut(line, "=")
		skipped := r.skipped && strings.HasPrefix(name, Prefix+"APP_")
		if strings.HasPrefix(name, Prefix) && !r.known[name] && !skipped {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unknownError returns the error for an unknown setting, with what to do about it.
func (r *reader) unknownError(name string) error {
	if serviceLink.MatchString(strings.TrimPrefix(name, Prefix)) {
		return fmt.Errorf("unknown setting %s; if Kubernetes set it for a Service of this name, give the pod enableServiceLinks: false", name)
	}
	return fmt.Errorf("unknown setting %s; did you mean %s?", name, r.nearest(name))
}

// serviceLink matches the rest of the variable names, after "TOKENGATE_", that Kubernetes
// sets in every pod for a Service called tokengate, or tokengate-admin and the like.
// They look like settings.
var serviceLink = regexp.MustCompile(`^(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// nearest returns the known setting whose name is the most similar to name.
func (r *reader) nearest(name string) string {
	return Nearest(name, slices.Collect(maps.Keys(r.known)))
}

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
