package contract

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// reference matches $name, and $name.claim for a claim of the token in a
// variable.
var reference = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)(?:\.([a-z_]+))?`)

// variables are the values that the steps of a scenario have captured or made.
type variables struct {
	values     map[string]any
	jtis       map[string]bool // jti of all tokens in earlier answers
	signingKey string
	now        func() time.Time
}

func newVariables(c Config) *variables {
	return &variables{
		values:     map[string]any{"secret": c.Secret, "signing_key": c.SigningKey},
		jtis:       map[string]bool{},
		signingKey: c.SigningKey,
		now:        time.Now,
	}
}

// get returns a variable or, if claim is not empty, a claim of the token in the
// variable. If it is undefined, get returns a text that no gateway accepts.
func (v *variables) get(name, claim string) any {
	value, ok := v.values[name]
	if !ok {
		return "UNDEFINED-" + name
	}
	if claim == "" {
		return value
	}
	tok, ok := readToken(value)
	if !ok {
		return "UNDEFINED-" + name + "." + claim
	}
	return tok.claims[claim]
}

// substitute returns x with all references replaced, also inside lists and
// objects. A text that is nothing but a reference becomes the value with its type.
// {"$repeat": [text, n]} becomes a long text, {"$now": seconds} the current time
// plus seconds as an integer, and {"$nowf": seconds} the same with a fraction.
func (v *variables) substitute(x any) any {
	switch x := x.(type) {
	case string:
		return v.substituteText(x)
	case []any:
		list := make([]any, len(x))
		for i, item := range x {
			list[i] = v.substitute(item)
		}
		return list
	case map[string]any:
		if value, ok := v.generate(x); ok {
			return value
		}
		return v.substituteMembers(x)
	}
	return x
}

func (v *variables) substituteText(text string) any {
	if m := reference.FindStringSubmatch(text); m != nil && m[0] == text {
		return v.get(m[1], m[2])
	}
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		m := reference.FindStringSubmatch(found)
		return pythonText(v.get(m[1], m[2]))
	})
}

func (v *variables) substituteMembers(x map[string]any) map[string]any {
	object := make(map[string]any, len(x))
	for name, value := range x {
		object[name] = v.substitute(value)
	}
	return object
}

// generate returns the value of an object whose only member is $repeat, $now or
// $nowf. For other objects ok is false.
func (v *variables) generate(x map[string]any) (value any, ok bool) {
	if len(x) != 1 {
		return nil, false
	}
	now := v.seconds()
	if parts, ok := x["$repeat"].([]any); ok && len(parts) == 2 {
		text, isText := parts[0].(string)
		n, isNumber := float(parts[1])
		return strings.Repeat(text, int(max(n, 0))), isText && isNumber
	}
	if plus, ok := float(x["$now"]); ok {
		whole := math.Floor(now) + plus
		return json.Number(strconv.FormatFloat(whole, 'f', -1, 64)), true
	}
	if plus, ok := float(x["$nowf"]); ok {
		return json.Number(strconv.FormatFloat(now+plus, 'f', 6, 64)), true
	}
	return nil, false
}

// capture stores a value of an answer's body. The path names members and list
// indexes, separated by dots. If the value is missing or null, the variable keeps
// its value.
func (v *variables) capture(name, path string, body any) {
	for part := range strings.SplitSeq(path, ".") {
		switch inner := body.(type) {
		case map[string]any:
			body = inner[part]
		case []any:
			body = item(inner, part)
		default:
			return
		}
	}
	if body != nil {
		v.values[name] = body
	}
}

func item(list []any, index string) any {
	i, err := strconv.ParseUint(index, 10, 31)
	if err != nil || int(i) >= len(list) {
		return nil
	}
	return list[i]
}

// remember stores the jti of the tokens in an answer's body.
func (v *variables) remember(body map[string]any) {
	for _, name := range []string{"refresh", "access"} {
		if tok, ok := readToken(body[name]); ok {
			if jti, ok := tok.claims["jti"].(string); ok {
				v.jtis[jti] = true
			}
		}
	}
}

// pythonText returns str(x) of Python, except that lists and objects are JSON.
func pythonText(x any) string {
	switch x := x.(type) {
	case nil:
		return "None"
	case string:
		return x
	case bool:
		if x {
			return "True"
		}
		return "False"
	}
	return encode(x, true)
}
