package api

import (
	"encoding/json"
	"testing"
)

func TestNumberTextMatchesPython(t *testing.T) {
	// The values are the results of str(json.loads(key)) in Python 3.
	for number, want := range map[string]string{
		"42": "42", "-7": "-7", "0": "0", "-0": "0",
		"123456789012345678901234567890": "123456789012345678901234567890",
		"1.5":                            "1.5", "1.0": "1.0", "-0.0": "-0.0", "1e0": "1.0", "10e-1": "1.0", "1E5": "100000.0",
		"1e22": "1e+22", "1e16": "1e+16", "9999999999999998.0": "9999999999999998.0", "123456789012345680.0": "1.2345678901234568e+17",
		"0.0001": "0.0001", "0.00001": "1e-05", "1.5e-7": "1.5e-07", "5e-324": "5e-324", "1e-400": "0.0",
		"1e400": "inf", "-1e400": "-inf", "0.1": "0.1", "1e100": "1e+100",
	} {
		if got := numberText(number); got != want {
			t.Errorf("numberText(%s) = %q, want %q", number, got, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`"plain é 例"`, "plain é 例"},
		{`"a\"\\\/\b\f\n\r\tz"`, "a\"\\/\b\f\n\r\tz"},
		{`"\u0041\u00e9\u4f8b"`, "Aé例"},
		{`"\ud83d\udcf1!"`, "📱!"},
		{`"x\ud800"`, "x\xed\xa0\x80"},
		{`"\udcf1\ud83d"`, "\xed\xb3\xb1\xed\xa0\xbd"},
		{`"\ud83d\ud83d\udcf1"`, "\xed\xa0\xbd📱"},
		{`"\ud83d\u0041"`, "\xed\xa0\xbdA"},
	} {
		if got := unquote([]byte(c.raw)); got != c.want {
			t.Errorf("unquote(%s) = %q, want %q", c.raw, got, c.want)
		}
	}
}

// TestIsPlainObject tests the common cases. FuzzBody compares isPlainObject with
// json.Valid.
func TestIsPlainObject(t *testing.T) {
	for _, plain := range []string{
		`{"a":"b"}`, `{"a": "b"}`, `{"a":"","b":"c"}`, `{"a": "b", "c": "d", "a": "~ !"}`,
	} {
		if !isPlainObject([]byte(plain)) || !json.Valid([]byte(plain)) {
			t.Errorf("isPlainObject(%s) = false, want true", plain)
		}
	}
	for _, other := range []string{
		``, `{`, `{}`, `"a"`, `{"a"}`, `{"a":}`, `{"a":1}`, `{"a":null}`, `{"a":"b",}`, `{"a":"b"}}`, `{"a":"b"} `, ` {"a":"b"}`,
		`{ "a":"b"}`, `{"a" :"b"}`, `{"a":"b" }`, `{"a":  "b"}`, `{"a":"\\u0062"}`, `{"a":"\\"}`, "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", `{"a":"é"}`,
		`{"a","b"}`, `{"a":"b":"c"}`, `{"a":"b""c":"d"}`, `{"a":"b`, `{"a":"b","c"`, `{"a":["b"]}`, `{"a":{"b":"c"}}`, `["a","b"]`,
	} {
		if isPlainObject([]byte(other)) {
			t.Errorf("isPlainObject(%s) = true, want false", other)
		}
	}
}
