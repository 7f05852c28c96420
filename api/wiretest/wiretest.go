// Package wiretest runs scripts of requests and the answers that they must get
// against a gateway, be it a handler in this process or the whole program.
//
// A script is a txtar file. Its comment is a list of lines:
//
//	POST /api/session/list/ {"session":"ALL"}    a request: method, path, body
//	< Authorization: JWT $access                 … with this header ("-": without it)
//	> 200                                        its answer must have this status
//	> Vary: Accept                               … this header ("-": no such header)
//	> {"Short":"*","Long":"*"}                   … this JSON body
//	> ={}                                        … this body, byte for byte
//	wait 1.5s                                    let time pass
//	set stale $refresh                           give a variable a value
//	# a remark
//
// A path that begins with "admin:" goes to the admin listener. A body is sent
// as application/json unless a header says otherwise; @NAME is the content of
// the archive's file NAME. A request with "< Transfer-Encoding: chunked" is
// sent without a length.
//
// In requests and expectations $name stands for a variable. In a JSON body that
// is expected, a text that is nothing but $name takes the variable's value from
// the answer when the variable has none yet. Further: "!$name" is any other
// text, "~RE" one that matches the expression, "*" any value at all, and a
// member "..." allows members that are not listed.
//
// The archive's file "settings" has settings of the app, NAME=value, as they
// follow TOKENGATE_APP_<NAME>_ in the environment.
package wiretest

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// What every script may rely on: an app of this name with this secret, known
// to scripts as $secret, and these users.
const (
	App    = "wire"
	Secret = "wire-secret-0123456789"
)

// User is one of the users that a script may log in as.
type User struct {
	ID             int64
	Name, Password string
	Active         bool
}

// Users are all of them.
var Users = []User{
	{1, "alice", "alice-pw-1", true},
	{2, "bob", "bob-pw-1", true},
	{3, "carol", "carol-pw-1", false},
	{4, "12345", "67890", true},
	{5, "dave", " spaced pw ", true},
}

// AdminToken is the admin API's, known to scripts as $admin.
const AdminToken = "wire-admin-token"

// Target is the gateway that a script runs against.
type Target struct {
	Public string // base URL without a slash at its end
	Admin  string
}

// Script is one file.
type Script struct {
	Name     string
	Settings []string // NAME=value
	lines    []string
	files    map[string]string
}

// Load reads the scripts that match a pattern of package filepath.
func Load(t *testing.T, pattern string) []Script {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no script matches %s (%v)", pattern, err)
	}
	var scripts []Script
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := Script{Name: strings.TrimSuffix(filepath.Base(path), ".txtar"), files: map[string]string{}}
		s.lines = strings.Split(string(archive.Comment), "\n")
		for _, f := range archive.Files {
			s.files[f.Name] = string(f.Data)
		}
		s.Settings = strings.Fields(s.files["settings"])
		scripts = append(scripts, s)
	}
	return scripts
}

// run is one script on its way.
type run struct {
	*testing.T
	Script
	target Target
	client *http.Client
	vars   map[string]string

	line    int // of the script, from 1
	title   string
	pending *request
	answer  *answer // to the last request; nil before the first
}

// Run runs the script; its failures are told with their line.
func (s Script) Run(t *testing.T, target Target) {
	t.Helper()
	r := &run{
		T: t, Script: s, target: target, vars: map[string]string{"secret": Secret, "admin": AdminToken},
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	defer r.client.CloseIdleConnections()
	for i, line := range s.lines {
		r.line = i + 1
		r.step(strings.TrimSpace(line))
	}
	r.send()
}

var requestLine = regexp.MustCompile(`^([A-Z]+) (\S+)(?: (.*))?$`)

func (r *run) step(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "", "#":
	case "<":
		r.header(rest)
	case ">":
		r.send()
		r.expect(rest)
	case "wait":
		r.send()
		d, err := time.ParseDuration(rest)
		r.must(err)
		time.Sleep(d)
	case "set":
		r.send()
		name, value, _ := strings.Cut(rest, " ")
		r.vars[name] = r.expand(value)
	default:
		r.send()
		m := requestLine.FindStringSubmatch(line)
		if m == nil {
			r.fatal("what is this? %s", line)
		}
		r.title = line
		r.pending = r.newRequest(m[1], m[2], m[3])
	}
}

func (r *run) must(err error) {
	if err != nil {
		r.fatal("%v", err)
	}
}

func (r *run) fatal(format string, args ...any) {
	r.Helper()
	got := ""
	if r.answer != nil {
		got = fmt.Sprintf("\nanswer: %d %s", r.answer.status, r.answer.body)
	}
	r.Fatalf("%s:%d: %s\nafter: %s%s", r.Name, r.line, fmt.Sprintf(format, args...), r.title, got)
}

var variable = regexp.MustCompile(`\$[a-z][a-z0-9_]*`)

// expand puts variables in; one without a value is the script's fault.
func (r *run) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(name string) string {
		value, ok := r.vars[name[1:]]
		if !ok {
			r.fatal("%s has no value; there are %v", name, slices.Sorted(maps.Keys(r.vars)))
		}
		return value
	})
}
