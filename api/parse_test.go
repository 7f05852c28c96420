package api

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumberTextIsPythons(t *testing.T) {
	// The right column is what Python 3 prints for str(json.loads(left)).
	for number, want := range map[string]string{
		"42": "42", "-7": "-7", "0": "0", "-0": "0",
		"123456789012345678901234567890": "123456789012345678901234567890",
		"1.5":                            "1.5", "1.0": "1.0", "-0.0": "-0.0", "1e0": "1.0", "10e-1": "1.0", "1E5": "100000.0",
		"1e22": "1e+22", "1e16": "1e+16", "9999999999999998.0": "9999999999999998.0", "123456789012345680.0": "1.2345678901234568e+17",
		"0.0001": "0.0001", "0.00001": "1e-05", "1.5e-7": "1.5e-07", "5e-324": "5e-324", "1e-400": "0.0",
		"1e400": "inf", "-1e400": "-inf", "0.1": "0.1", "1e100": "1e+100",
	} {
		if got := numberText(number); got != want {
			t.Errorf("%s: %q, Python says %q", number, got, want)
		}
	}
}

func TestStringsAreReadAndWritten(t *testing.T) {
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
			t.Errorf("%s: %q, want %q", c.raw, got, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{"", `""`},
		{"plain é 例 📱", `"plain é 例 📱"`},
		{"<b>&\"\\/", `"<b>&\"\\/"`},
		{"\n\r\t\b\f\x00\x1f\x7f", `"\n\r\t\b\f\u0000\u001f` + "\x7f\""},
		{"a\u2028b\u2029c", `"a\u2028b\u2029c"`},
		{"bad \xff\xfe byte", `"bad ` + "\uFFFD\uFFFD" + ` byte"`},
	} {
		if got := string(appendString(nil, c.text)); got != c.want {
			t.Errorf("%q: %s, want %s", c.text, got, c.want)
		}
	}
}

func TestFieldFaults(t *testing.T) {
	asked := field{name: "info", max: 8}
	for _, c := range []struct {
		v    value
		want string
	}{
		{value{}, "This field is required."},
		{value{kind: null}, "This field may not be null."},
		{value{kind: noText}, "Not a valid string."},
		{value{text, " \u00a0\u2003\u3000\x1c\x1f\u0085 "}, "This field may not be blank."},
		{value{text, "a\x00"}, "Null characters are not allowed."},
		{value{text, "\xed\xbf\xbf"}, "Surrogate characters are not allowed: U+DFFF."},
		{value{text, "\x00\xed\xa0\x80"}, "Null characters are not allowed.|Surrogate characters are not allowed: U+D800."},
		{value{text, "ééééé"}, "Ensure this field has no more than 8 bytes."},
		{value{text, " 12345678 "}, ""},
		{value{text, "\u200b"}, ""}, // no white space, as in Python
	} {
		_, messages := asked.check(c.v)
		if got := strings.Join(messages, "|"); got != c.want {
			t.Errorf("%+v: %q, want %q", c.v, got, c.want)
		}
	}
	if got, _ := (field{verbatim: true}).check(value{text, " pw "}); got != " pw " {
		t.Errorf("a verbatim field came as %q", got)
	}
}

func TestFormText(t *testing.T) {
	for in, want := range map[string]string{
		"a+b%20c": "a b c", "%C3%A9": "é", "100%": "100%", "%zz%41": "%zzA", "%": "%", "%4": "%4", "%ff": "\uFFFD", "%2b": "+",
	} {
		if got := formText(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestPlainObjects: what most clients send is told from what json.Valid has to
// judge, which FuzzBody holds it against.
func TestPlainObjects(t *testing.T) {
	for _, plain := range []string{
		`{"a":"b"}`, `{"a": "b"}`, `{"a":"","b":"c"}`, `{"a": "b", "c": "d", "a": "~ !"}`,
	} {
		if !plainObject([]byte(plain)) || !json.Valid([]byte(plain)) {
			t.Errorf("%s is not plain", plain)
		}
	}
	for _, other := range []string{
		``, `{`, `{}`, `"a"`, `{"a"}`, `{"a":}`, `{"a":1}`, `{"a":null}`, `{"a":"b",}`, `{"a":"b"}}`, `{"a":"b"} `, ` {"a":"b"}`,
		`{ "a":"b"}`, `{"a" :"b"}`, `{"a":"b" }`, `{"a":  "b"}`, `{"a":"\\u0062"}`, `{"a":"\\"}`, "{\"a\":\"\x00\"}", "{\"a\":\"\xff\"}", `{"a":"é"}`,
		`{"a","b"}`, `{"a":"b":"c"}`, `{"a":"b""c":"d"}`, `{"a":"b`, `{"a":"b","c"`, `{"a":["b"]}`, `{"a":{"b":"c"}}`, `["a","b"]`,
	} {
		if plainObject([]byte(other)) {
			t.Errorf("%s passes for plain", other)
		}
	}
}

func TestBoundaries(t *testing.T) {
	for boundary, ok := range map[string]bool{
		"b": true, `"b c"`: true, strings.Repeat("b", 201): true,
		strings.Repeat("b", 202): false, `"b "`: false, `""`: false, "": false, `"b` + "\x7f" + `"`: false,
	} {
		err := newForm(refreshFields).parse(mediaMultipart+"; boundary="+boundary, []byte("x"))
		if (err == nil) != ok {
			t.Errorf("%q: %v", boundary, err)
		}
	}
}

// FuzzBody holds the reader against encoding/json and the promise that
// whatever comes is either texts without fault or a refusal.
func FuzzBody(f *testing.F) {
	for _, seed := range []struct{ contentType, body string }{
		{mediaJSON, `{"session":"LONG","refresh":"a.b.c","secret_key":"s"}`},
		{mediaJSON, `{"refresh":"\ud800","session":1e22,"x":[{"y":"}"}],"refresh":null}`},
		{mediaJSON, " [1,2] "}, {mediaJSON, "-1.5e3"}, {mediaJSON, "\xef\xbb\xbf{}"}, {mediaJSON, strings.Repeat("[", 20000)},
		{mediaForm, "refresh=a%zz&session=+x+&=&&refresh"},
		{mediaMultipart + "; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"refresh\"\r\n\r\nx\r\n--b--\r\n"},
		{mediaMultipart, "--\r\n"}, {"text/plain", "x"}, {"", ""},
	} {
		f.Add(seed.contentType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		if plainObject(body) && !json.Valid(body) {
			t.Errorf("%q passes for an object", body)
		}
		got := newForm(refreshFields)
		if err := got.parse(contentType, body); err != nil {
			checkAnswer(t, problemOf(err, "refresh").appendTo(nil, ""))
			return
		}
		texts, err := got.values()
		if err != nil {
			checkAnswer(t, problemOf(err, "refresh").appendTo(nil, ""))
			return
		}
		for i, s := range texts {
			if s == "" || !utf8.ValidString(s) || s != trim(s) || strings.Contains(s, "\x00") {
				t.Errorf("%s came as %q", refreshFields[i].name, s)
			}
		}
		compareWithStandard(t, contentType, body, texts)
	})
}

// checkAnswer holds a body against what every refusal promises.
func checkAnswer(t *testing.T, body []byte) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || got["code"] == "" || !utf8.Valid(body) {
		t.Errorf("no answer: %s (%v)", body, err)
	}
}

// compareWithStandard checks that fields accepted from JSON are those that
// encoding/json finds.
func compareWithStandard(t *testing.T, contentType string, body []byte, texts []string) {
	if contentType != mediaJSON {
		return
	}
	var standard map[string]any
	if err := json.Unmarshal(body, &standard); err != nil {
		t.Fatalf("accepted what is no object: %q", body)
	}
	for i, asked := range refreshFields {
		if want, ok := standard[asked.name].(string); ok && trim(want) != texts[i] {
			t.Errorf("%s: %q, encoding/json says %q", asked.name, texts[i], want)
		}
	}
}
