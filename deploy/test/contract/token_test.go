package contract

import (
	"strings"
	"testing"
)

func forged(t *testing.T, v *variables, recipe string) string {
	t.Helper()
	var r Recipe
	if err := decode([]byte(recipe), &r); err != nil {
		t.Fatal(err)
	}
	value, err := v.forge(r)
	if err != nil {
		t.Fatal(err)
	}
	return pythonText(value)
}

func TestForgeToken(t *testing.T) {
	v := testVariables()
	v.values["a"] = testToken(`{"user_id":1,"exp":5}`)
	for _, c := range []struct {
		name, recipe, header, claims string
		verifies                     bool
	}{
		{"default header", `{"jwt":{"claims":{"exp":{"$now":60}}}}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":1700000060}`, true},
		{"number as it is written", `{"jwt":{"claims":{"user_id":1.0}}}`, `{"alg":"HS256","typ":"JWT"}`, `{"user_id":1.0}`, true},
		{"HS384", `{"jwt":{"header":{"alg":"HS384"},"claims":{}}}`, `{"alg":"HS384"}`, `{}`, true},
		{"HS512", `{"jwt":{"header":{"alg":"HS512"},"claims":{}}}`, `{"alg":"HS512"}`, `{}`, true},
		{"another key", `{"jwt":{"claims":{},"key":"other"}}`, `{"alg":"HS256","typ":"JWT"}`, `{}`, false},
		{"edit", `{"edit":"$a","set":{"user_id":2},"drop":["exp"]}`, `{"alg":"HS256","typ":"JWT"}`, `{"user_id":2}`, true},
		{"edit the header", `{"edit":"$a","header":{"kid":"k"}}`, `{"alg":"HS256","kid":"k","typ":"JWT"}`, `{"exp":5,"user_id":1}`, true},
		{"edit with another key", `{"edit":"$a","key":"other"}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":5,"user_id":1}`, false},
		{"edit without signing", `{"edit":"$a","set":{"user_id":2},"resign":false}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":5,"user_id":2}`, false},
		{"flip", `{"flip_sig":"$a"}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":5,"user_id":1}`, false},
		{"strip", `{"strip_sig":"$a"}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":5,"user_id":1}`, false},
		{"value", `{"value":"$a"}`, `{"alg":"HS256","typ":"JWT"}`, `{"exp":5,"user_id":1}`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := forged(t, v, c.recipe)
			tok, ok := readToken(text)
			if !ok {
				t.Fatalf("got %q, want a token", text)
			}
			if got := encode(tok.header, false); got != c.header {
				t.Errorf("header: got %s, want %s", got, c.header)
			}
			if got := encode(tok.claims, false); got != c.claims {
				t.Errorf("claims: got %s, want %s", got, c.claims)
			}
			if got := verifies(text, testKey); got != c.verifies {
				t.Errorf("got verifies %t, want %t", got, c.verifies)
			}
		})
	}
}

func TestForgeSignature(t *testing.T) {
	v := testVariables()
	v.values["a"] = "h.c.abCde"
	v.values["b"] = "h.c.abAde"
	for recipe, want := range map[string]string{
		`{"flip_sig":"$a"}`:                   "h.c.abAde",
		`{"flip_sig":"$b"}`:                   "h.c.abBde",
		`{"strip_sig":"$a"}`:                  "h.c.",
		`{"value":"x $a"}`:                    "x h.c.abCde",
		`{"value":null}`:                      "None",
		`{"edit":"$old","resign":false}`:      v.values["old"].(string),
		`{"edit":"$old","header":{"alg":""}}`: noSignature(v.values["old"].(string)),
	} {
		got := forged(t, v, recipe)
		if strings.Contains(recipe, `"alg"`) {
			got = got[strings.IndexByte(got, '.'):]
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", recipe, got, want)
		}
	}
}

// noSignature returns the claims' part of a token, between its dots.
func noSignature(text string) string {
	return text[strings.IndexByte(text, '.') : strings.LastIndexByte(text, '.')+1]
}

func TestForgeRejects(t *testing.T) {
	for _, recipe := range []string{`{}`, `{"edit":"$sid"}`, `{"flip_sig":"text"}`, `{"flip_sig":"h.c."}`} {
		var r Recipe
		if err := decode([]byte(recipe), &r); err != nil {
			t.Fatal(err)
		}
		if value, err := testVariables().forge(r); err == nil {
			t.Errorf("%s: got %v, want an error", recipe, value)
		}
	}
}

func TestReadToken(t *testing.T) {
	good := testToken(`{"a":1}`)
	for _, c := range []struct {
		text any
		want bool
	}{
		{good, true},
		{strings.TrimRight(good, "0123456789"), true},
		{good + ".", false},
		{good + "=", false},
		{"a.b.c", false},
		{"W10.W10.c", false}, // lists
		{"e30.e30.", true},
		{"bnVsbA.e30.", false}, // null
		{1, false},
		{nil, false},
	} {
		if _, got := readToken(c.text); got != c.want {
			t.Errorf("%v: got token %t, want %t", c.text, got, c.want)
		}
	}
}
