package contract

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// addedClaims are the claims that a gateway may add to a token.
var addedClaims = []string{"sid", "gen", "sub", "iss", "aud", "client_id", "auth_time", "type"}

// compareToken compares the header and the claims of a token.
func (c *comparison) compareToken(want TokenExpectation, got any, path string) {
	tok, ok := readToken(got)
	if !ok {
		c.add(path, "got %s, want a token", short(got))
		return
	}
	delete(tok.header, "kid")
	if !equal(tok.header, want.Header) {
		c.add(path+".header", "got %s, want %s", short(tok.header), short(want.Header))
	}
	for _, name := range slices.Sorted(maps.Keys(want.Claims)) {
		if _, ok := tok.claims[name]; ok {
			c.compareClaim(want.Claims[name], tok.claims, name, path+"."+name)
		} else {
			c.add(path+"."+name, "the claim is missing")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tok.claims)) {
		if _, ok := want.Claims[name]; !ok && !slices.Contains(addedClaims, name) {
			c.add(path+"."+name, "unexpected claim %s", short(tok.claims[name]))
		}
	}
}

// compareClaim compares one claim with a value, or with a rule: {"rel": ...} for a
// time, {"new": ...} for a jti that no earlier token had, {"same": ...} for a
// jti that is kept or that no earlier token had.
func (c *comparison) compareClaim(want any, claims map[string]any, name, path string) {
	rule, _ := want.(map[string]any)
	got := claims[name]
	if _, ok := rule["rel"]; ok {
		c.compareNumber(rule, got, path, claims)
	} else if _, ok := rule["new"]; ok {
		c.checkNewID(got, path)
	} else if same, ok := rule["same"]; ok {
		if !equal(got, c.vars.substitute(same)) && !c.isUnusedID(got) {
			c.add(path, "got %s, want %s or one that no earlier token had", short(got), short(same))
		}
	} else if kind(want) != kind(got) || !equal(want, got) {
		c.add(path, "got %s, want %s", short(got), short(want))
	}
}

var tokenIDShape = regexp.MustCompile(`^.{16,64}$`)

func (c *comparison) checkNewID(got any, path string) {
	if text, ok := got.(string); !ok || !tokenIDShape.MatchString(text) {
		c.add(path, "got %s, want 16 to 64 characters", short(got))
	} else if c.vars.jtis[text] {
		c.add(path, "an earlier token had the jti %s", text)
	}
}

func (c *comparison) isUnusedID(got any) bool {
	text, ok := got.(string)
	return ok && !c.vars.jtis[text]
}

// timeRule describes a number by its distance from another one. Most numbers are
// times in Unix seconds.
type timeRule struct {
	Rel       string  `json:"rel"`       // see comparison.origin
	Plus      float64 `json:"plus"`      // seconds after Rel
	Tol       float64 `json:"tol"`       // tolerance in seconds
	Int       *bool   `json:"int"`       // false allows 1.0 for 1
	Precision string  `json:"precision"` // of a timestamp: "s" or "us"
}

// readRule decodes a rule of the recording.
func (c *comparison) readRule(spec any, path string) (rule timeRule, ok bool) {
	if err := decode([]byte(encode(spec, false)), &rule); err != nil {
		c.add(path, "invalid rule %s in the recording: %v", short(spec), err)
		return rule, false
	}
	return rule, true
}

// compareNumber compares a claim with a rule. claims are all claims of the token.
func (c *comparison) compareNumber(spec, got any, path string, claims map[string]any) {
	rule, ok := c.readRule(spec, path)
	if !ok {
		return
	}
	value, ok := float(got)
	switch {
	case !ok:
		c.add(path, "got %s, want a number", short(got))
	case (rule.Int == nil || *rule.Int) && kind(got) != "int":
		c.add(path, "got %s, want an integer", short(got))
	default:
		c.checkRange(rule, value, path, claims)
	}
}

// checkRange checks that a value has the distance from its origin that the rule
// requires.
func (c *comparison) checkRange(rule timeRule, value float64, path string, claims map[string]any) {
	low, high, ok := c.origin(rule.Rel, claims)
	if !ok {
		c.add(path, "the reference %s is not a number", rule.Rel)
		return
	}
	low, high = low+rule.Plus-rule.Tol, high+rule.Plus+rule.Tol
	if value < low || value > high {
		c.add(path, "got %s, want %s to %s, which is %s plus %s",
			decimal(value), decimal(low), decimal(high), rule.Rel, decimal(rule.Plus))
	}
}

func decimal(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// origin returns the number that a rule refers to, as a range. "now" is the time
// of the request, from the start of the second in which it was sent until its
// answer. "self.CLAIM" is a claim of the same token, and "body.MEMBER.CLAIM" of
// another token in the body. Everything else is a reference to a variable.
func (c *comparison) origin(rel string, claims map[string]any) (low, high float64, ok bool) {
	var value any
	if rel == "now" {
		return math.Floor(c.answer.sent), c.answer.received, true
	} else if name, ok := strings.CutPrefix(rel, "body."); ok {
		member, claim, _ := strings.Cut(name, ".")
		tok, _ := readToken(c.answer.members()[member])
		value = tok.claims[claim]
	} else if name, ok := strings.CutPrefix(rel, "self."); ok {
		value = claims[name]
	} else {
		value = c.vars.substitute(rel)
	}
	low, ok = float(value)
	return low, low, ok
}

var timestampShape = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$`)

// compareTimestamp compares a time in a body. last_update may have any precision,
// because the Django app cuts it to seconds at some refreshes.
func (c *comparison) compareTimestamp(spec, got any, path string) {
	rule, ok := c.readRule(spec, path)
	if !ok {
		return
	}
	text, _ := got.(string)
	at, err := time.Parse(time.RFC3339Nano, text)
	fraction := strings.Contains(text, ".")
	switch {
	case !timestampShape.MatchString(text) || err != nil:
		c.add(path, "got %s, want a timestamp", short(got))
		return
	case strings.HasSuffix(path, ".last_update"):
		rule.Tol = max(rule.Tol, 1)
	case rule.Precision == "s" && fraction:
		c.add(path, "got %s, want whole seconds", text)
		return
	case rule.Precision == "us" && !fraction:
		c.add(path, "got %s, want microseconds", text)
		return
	}
	c.checkRange(rule, float64(at.UnixMicro())/1e6, path, nil)
}
