package contract

import (
	"slices"
	"testing"
)

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		in, raw, ascii string
	}{
		{`{"b":1, "a":[null,true,1.0]}`, `{"a":[null,true,1.0],"b":1}`, `{"a":[null,true,1.0],"b":1}`},
		{`1180591620717411303424`, `1180591620717411303424`, `1180591620717411303424`},
		{`"é"`, `"é"`, `"\u00e9"`},
		{`"😀"`, `"😀"`, `"\ud83d\ude00"`},
		{`"\ud83d\ude00"`, `"😀"`, `"\ud83d\ude00"`},
		{`"\uD800"`, "\"\xed\xa0\x80\"", `"\ud800"`},
		{`"\ude00\ud83d"`, "\"\xed\xb8\x80\xed\xa0\xbd\"", `"\ude00\ud83d"`},
		{`"\ud800\ud83d\ude00"`, "\"\xed\xa0\x80😀\"", `"\ud800\ud83d\ude00"`},
		{`"\\ud800"`, `"\\ud800"`, `"\\ud800"`},
		{`"\"\\\/\n\u0000\u007f"`, `"\"\\/\u000a\u0000` + "\x7f\"", `"\"\\/\u000a\u0000\u007f"`},
	} {
		v := mustDecode(c.in)
		if got := encode(v, false); got != c.raw {
			t.Errorf("%s: got %q, want %q", c.in, got, c.raw)
		}
		if got := encode(v, true); got != c.ascii {
			t.Errorf("%s in ASCII: got %q, want %q", c.in, got, c.ascii)
		}
	}
}

func TestDecodeRejects(t *testing.T) {
	for _, text := range []string{``, `{`, `{} {}`, `NaN`, `{"a":1,}`} {
		var v any
		if err := decode([]byte(text), &v); err == nil {
			t.Errorf("%q: got %v, want an error", text, v)
		}
	}
}

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1`, true},
		{`1`, `1.0`, true},
		{`100`, `1e2`, true},
		{`1`, `true`, true},
		{`0`, `false`, true},
		{`2`, `true`, false},
		{`1`, `2`, false},
		{`9007199254740992`, `9007199254740993`, false},
		{`1`, `"1"`, false},
		{`null`, `false`, false},
		{`null`, `null`, true},
		{`[1,[2]]`, `[1.0,[2]]`, true},
		{`[1]`, `[1,2]`, false},
		{`[]`, `{}`, false},
		{`"a"`, `["a"]`, false},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{`{"a":1}`, `{"b":1}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
	} {
		a, b := mustDecode(c.a), mustDecode(c.b)
		if got := equal(a, b); got != c.want {
			t.Errorf("%s and %s: got equal %t, want %t", c.a, c.b, got, c.want)
		}
		if got := equal(b, a); got != c.want {
			t.Errorf("%s and %s: got equal %t, want %t", c.b, c.a, got, c.want)
		}
	}
}

func TestKind(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "null", `true`: "bool", `"a"`: "string", `1`: "int", `-1`: "int", `1.0`: "float", `1e2`: "float",
		`1E2`: "float", `[]`: "list", `{}`: "object",
	} {
		if got := kind(mustDecode(text)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestMemberNames(t *testing.T) {
	names, err := memberNames([]byte(`{"b": {"x": 1}, "a": [2], "c": "d"}`))
	if err != nil || !slices.Equal(names, []string{"b", "a", "c"}) {
		t.Errorf("got %q and error %v, want b, a, c", names, err)
	}
}
