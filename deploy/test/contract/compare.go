package contract

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Mismatch is a part of an answer that is not as expected.
type Mismatch struct {
	Path    string // status, headers.NAME, body.MEMBER or tokens.MEMBER.CLAIM
	Problem string
}

// String returns the path and the problem.
func (m Mismatch) String() string { return m.Path + ": " + m.Problem }

// comparison collects the mismatches of one answer.
type comparison struct {
	vars       *variables
	answer     *answer
	mismatches []Mismatch
}

// compare returns the parts of an answer that differ from an expectation.
func (v *variables) compare(want *Expectation, a *answer) []Mismatch {
	c := &comparison{vars: v, answer: a}
	if want.Status != 0 && want.Status != a.status {
		c.add("status", "got %d, want %d: %s", a.status, want.Status, short(a.text))
	}
	if want.Headers != nil {
		c.compareHeaders(want.Headers)
	}
	if want.Body.Given {
		c.compareBody(want.Body.V, a.json, "body")
	}
	if want.BodyText.Given {
		c.compareBody(want.BodyText.V, a.text, "body")
	}
	for _, name := range slices.Sorted(maps.Keys(want.Tokens)) {
		c.compareToken(want.Tokens[name], a.members()[name], "tokens."+name)
	}
	return c.mismatches
}

func (c *comparison) add(path, format string, args ...any) {
	c.mismatches = append(c.mismatches, Mismatch{path, fmt.Sprintf(format, args...)})
}

func (c *comparison) compareHeaders(want map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := c.answer.headers[name]; !equal(got, want[name]) {
			c.add("headers."+name, "got %s, want %s", short(got), short(want[name]))
		}
	}
	const challenge = "www-authenticate"
	got, sent := c.answer.headers[challenge]
	if _, wanted := want[challenge]; sent && !wanted && c.answer.status != 401 {
		c.add("headers."+challenge, "got %s, want no such header", short(got))
	}
}

// compareBody compares a value inside the body with a value or rule of the
// recording.
func (c *comparison) compareBody(want, got any, path string) {
	if object, ok := want.(map[string]any); ok && c.compareRule(object, got, path) {
		return
	}
	if text, ok := want.(string); ok {
		c.compareText(text, got, path)
		return
	}
	if kind(want) != kind(got) {
		c.add(path, "got %s, want %s", short(got), short(want))
		return
	}
	switch want := want.(type) {
	case map[string]any:
		c.compareObject(want, got.(map[string]any), path)
	case []any:
		c.compareList(want, got.([]any), path)
	default:
		if !equal(want, got) {
			c.add(path, "got %s, want %s", short(got), short(want))
		}
	}
}

// compareRule compares got with a rule, an object such as {"$re": "..."}. It
// returns false if want is an ordinary object.
func (c *comparison) compareRule(want map[string]any, got any, path string) bool {
	if len(want) != 1 {
		return false
	}
	for name, spec := range want {
		switch name {
		case "$ts":
			c.compareTimestamp(spec, got, path)
		case "$re":
			c.comparePattern(spec, got, path)
		case "$any":
		case "$oneof":
			if list, _ := spec.([]any); !slices.ContainsFunc(list, func(v any) bool { return equal(v, got) }) {
				c.add(path, "got %s, want one of %s", short(got), short(spec))
			}
		case "$repeat":
			if !equal(c.vars.substitute(want), got) {
				c.add(path, "the long text differs")
			}
		default:
			return false
		}
	}
	return true
}

func (c *comparison) comparePattern(spec, got any, path string) {
	pattern, err := regexp.Compile(pythonText(spec))
	if err != nil {
		c.add(path, "invalid $re in the recording: %v", err)
		return
	}
	if text, ok := got.(string); !ok || !pattern.MatchString(text) {
		c.add(path, "got %s, want a match of %s", short(got), pattern)
	}
}

var sessionIDShape = regexp.MustCompile(`^[-A-Za-z0-9_]{1,510}$`)

// compareText compares got with a string, which is a placeholder such as
// <session_id>, or may contain references to variables.
func (c *comparison) compareText(want string, got any, path string) {
	switch want {
	case "<jwt:refresh>":
		c.checkTokenType("refresh", got, path) // the signature is not compared, because only the gateway checks it
	case "<jwt:access>":
		if text, ok := got.(string); c.checkTokenType("access", got, path) && ok && !verifies(text, c.vars.signingKey) {
			c.add(path, "the token is not signed with the signing key")
		}
	case "<session_id>":
		if text, ok := got.(string); !ok || !sessionIDShape.MatchString(text) {
			c.add(path, "got %s, want a session id", short(got))
		}
	default:
		if value := c.vars.substitute(want); !equal(value, got) {
			c.add(path, "got %s, want %s", short(got), short(value))
		}
	}
}

func (c *comparison) checkTokenType(want string, got any, path string) bool {
	if tok, ok := readToken(got); ok && tok.claims["token_type"] == want {
		return true
	}
	c.add(path, "got %s, want a token of type %s", short(got), want)
	return false
}

func (c *comparison) compareObject(want, got map[string]any, path string) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if value, ok := got[name]; ok {
			c.compareBody(want[name], value, path+"."+name)
		} else {
			c.add(path+"."+name, "missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok && !c.mayAdd(name, path) {
			c.add(path+"."+name, "unexpected: %s", short(got[name]))
		}
	}
}

// mayAdd reports whether a gateway may add the member to an error's body.
func (c *comparison) mayAdd(name, path string) bool {
	return path == "body" && c.answer.status >= 400 && slices.Contains([]string{"code", "cause", "messages", "ticket"}, name)
}

func (c *comparison) compareList(want, got []any, path string) {
	if len(want) != len(got) {
		c.add(path, "got %d items, want %d: %s", len(got), len(want), short(got))
		return
	}
	for i := range want {
		c.compareBody(want[i], got[i], fmt.Sprintf("%s[%d]", path, i))
	}
}

// ignores reports whether a path is not compared, either in any step or in this
// one.
func (s *Step) ignores(want *Expectation, path string) bool {
	if path == "headers.vary" || path == "headers.allow" && want.Status != 405 {
		return true
	}
	for prefix := range s.QuirkPaths {
		if path == prefix || strings.HasPrefix(path, prefix+".") || strings.HasPrefix(path, prefix+"[") {
			return true
		}
	}
	return false
}
