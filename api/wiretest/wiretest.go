// Package wiretest runs scripts of requests and expected answers against a gateway.
// The gateway is either a handler in the test's process or the whole program.
//
// A script is a txtar file. Its comment section is a list of lines:
//
//	POST /api/session/list/ {"session":"ALL"}    a request: method, path, body
//	< Authorization: JWT $access                 a header of the request; the value "-" removes it
//	> 200                                        the answer must have this status
//	> Vary: Accept                               the answer must have this header; "-" means that it must not
//	> {"Short":"*","Long":"*"}                   the answer must have this JSON body
//	> ={}                                        the answer must have exactly this body
//	wait 1.5s                                    wait for a duration
//	set stale $refresh                           set a variable
//	# a comment
//
// A path that begins with "admin:" is on the admin listener. A body is sent as
// application/json unless a header says otherwise. The body @NAME stands for the
// content of the archive's file NAME. A request with the header
// "Transfer-Encoding: chunked" is sent without a length.
//
// In requests and expectations, $name stands for the value of a variable. If an
// expected text is only $name, and the variable has no value yet, the variable is
// set to the text in the answer. "!text" matches any other text, "~RE" a text that
// matches the regular expression, and "*" any value. A member "..." allows members
// that are not listed.
//
// The archive's file "settings" has settings of the app in the form NAME=value.
// NAME is the part of the environment variable after TOKENGATE_APP_<app>_.
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

// The name and the secret of the app that every script uses. Scripts refer to the
// secret as $secret.
const (
	App    = "wire"
	Secret = "wire-secret-0123456789"
)

// User is a user that scripts log in as.
type User struct {
	ID             int64
	Name, Password string
	Active         bool
}

// Users lists the users of the app.
var Users = []User{
	{1, "alice", "alice-pw-1", true},
	{2, "bob", "bob-pw-1", true},
	{3, "carol", "carol-pw-1", false},
	{4, "12345", "67890", true},
	{5, "dave", " spaced pw ", true},
}

// AdminToken is the token of the admin API. Scripts refer to it as $admin.
const AdminToken = "wire-admin-token"

// Target is the gateway that a script runs against.
type Target struct {
	Public string // base URL of the public listener, without a trailing slash
	Admin  string // base URL of the admin listener
}

// Script is one script file.
type Script struct {
	Name     string
	Settings []string // NAME=value
	lines    []string
	files    map[string]string
}

// Load reads the scripts whose paths match a pattern as in [filepath.Glob].
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

// run is the state of a running script.
type run struct {
	*testing.T
	Script
	target Target
	client *http.Client
	vars   map[string]string

	line        int // number of the current line, from 1
	lastRequest string
	pending     *request
	answer      *answer // to the last request; nil before it is sent
}

// Run runs the script. It stops at the first failure and reports its line.
func (s Script) Run(t *testing.T, target Target) {
	t.Helper()
	r := &run{
		T: t, Script: s, target: target, vars: map[string]string{"secret": Secret, "admin": AdminToken},
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	defer r.client.CloseIdleConnections()
	for i, line := range s.lines {
		r.line = i + 1
		r.runLine(strings.TrimSpace(line))
	}
	r.send()
}

var requestLine = regexp.MustCompile(`^([A-Z]+) (\S+)(?: (.*))?$`)

func (r *run) runLine(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "", "#":
	case "<":
		r.addHeader(rest)
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
			r.fatalf("invalid line %q", line)
		}
		r.lastRequest = line
		r.pending = r.newRequest(m[1], m[2], m[3])
	}
}

func (r *run) must(err error) {
	if err != nil {
		r.fatalf("%v", err)
	}
}

// fatalf fails the test with the current line, the last request and its answer.
func (r *run) fatalf(format string, args ...any) {
	r.Helper()
	got := ""
	if r.answer != nil {
		got = fmt.Sprintf("\nanswer: %d %s", r.answer.status, r.answer.body)
	}
	r.Fatalf("%s:%d: %s\nafter: %s%s", r.Name, r.line, fmt.Sprintf(format, args...), r.lastRequest, got)
}

var variable = regexp.MustCompile(`\$[a-z][a-z0-9_]*`)

// expand replaces variables by their values. A variable without a value fails the
// test.
func (r *run) expand(s string) string {
	return variable.ReplaceAllStringFunc(s, func(name string) string {
		value, ok := r.vars[name[1:]]
		if !ok {
			r.fatalf("%s has no value; the variables are %v", name, slices.Sorted(maps.Keys(r.vars)))
		}
		return value
	})
}
