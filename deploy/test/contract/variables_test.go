package contract

import (
	"testing"
	"time"
)

// clock returns the fixed time of these tests.
func clock() time.Time { return time.UnixMicro(1700000000_250000) }

func TestSubstitute(t *testing.T) {
	v := testVariables()
	v.values["n"], v.values["list"] = mustDecode("1.0"), mustDecode(`[1,"a"]`)
	v.values["yes"] = true
	for _, c := range []struct{ in, want string }{
		{`"plain"`, `"plain"`},
		{`"$secret"`, `"s3cret"`},
		{`"$signing_key"`, `"` + testKey + `"`},
		{`" $sid "`, `" abc-1 "`},
		{`"$sid,$secret"`, `"abc-1,s3cret"`},
		{`"$n"`, `1.0`},
		{`"n=$n"`, `"n=1.0"`},
		{`"$yes"`, `true`},
		{`"$yes!"`, `"True!"`},
		{`"$list"`, `[1,"a"]`},
		{`"$old.exp"`, `1700000600`},
		{`"$old.none"`, `null`},
		{`"$old.none!"`, `"None!"`},
		{`"$sid.exp"`, `"UNDEFINED-sid.exp"`},
		{`"$other"`, `"UNDEFINED-other"`},
		{`"5$ and $5"`, `"5$ and $5"`},
		{`{"a":["$sid",{"b":"$n"}]}`, `{"a":["abc-1",{"b":1.0}]}`},
		{`{"$repeat":["ab",3]}`, `"ababab"`},
		{`{"$repeat":["ab",3],"b":1}`, `{"$repeat":["ab",3],"b":1}`},
		{`{"$repeat":[1,2]}`, `{"$repeat":[1,2]}`},
		{`{"$now":60}`, `1700000060`},
		{`{"$now":-9}`, `1699999991`},
		{`{"$nowf":60}`, `1700000060.250000`},
		{`{"$now":"60"}`, `{"$now":"60"}`},
		{`[null,true,1,1.5]`, `[null,true,1,1.5]`},
	} {
		if got := encode(v.substitute(mustDecode(c.in)), false); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestCapture(t *testing.T) {
	body := mustDecode(`{"a":"x","b":{"c":[1,{"d":2}]},"e":null}`)
	for _, c := range []struct{ path, want string }{
		{"a", `"x"`},
		{"b.c.0", `1`},
		{"b.c.1.d", `2`},
		{"b.c.2", `"before"`},
		{"b.c.x", `"before"`},
		{"a.b", `"before"`},
		{"e", `"before"`},
		{"f", `"before"`},
	} {
		v := testVariables()
		v.values["v"] = "before"
		v.capture("v", c.path, body)
		if got := encode(v.values["v"], false); got != c.want {
			t.Errorf("%s: got %s, want %s", c.path, got, c.want)
		}
	}
}

func TestRemember(t *testing.T) {
	v := testVariables()
	v.remember(map[string]any{
		"access":  testToken(`{"jti":"a"}`),
		"refresh": testToken(`{"jti":"b"}`),
		"other":   testToken(`{"jti":"c"}`),
	})
	for jti, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if got := v.jtis[jti]; got != want {
			t.Errorf("jti %s: got known %t, want %t", jti, got, want)
		}
	}
}
