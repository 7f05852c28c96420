package contract

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const testKey = "a-signing-key-of-32-characters-00"

// testVariables returns the variables that the cases refer to. The clock stands still.
func testVariables() *variables {
	v := newVariables(Config{Secret: "s3cret", SigningKey: testKey})
	v.now = clock
	v.values["old"] = testToken(`{"token_type":"refresh","exp":1700000600,"iat":1700000000,"jti":"jti-of-the-old-token"}`)
	v.values["sid"] = "abc-1"
	v.jtis["jti-of-the-old-token"] = true
	return v
}

func mustDecode(text string) (v any) {
	if err := decode([]byte(text), &v); err != nil {
		panic(err)
	}
	return v
}

func testToken(claims string) string {
	return signToken(map[string]any{"alg": "HS256", "typ": "JWT"}, mustDecode(claims), testKey)
}

// withToken returns a body with an access token that has these claims.
func withToken(claims string) string { return fmt.Sprintf(`{"access":%q}`, testToken(claims)) }

// testAnswer returns an answer to a request that was sent at 1700000100.5 and answered
// at 1700000101.5.
func testAnswer(status int, head, body string) *answer {
	text := fmt.Sprintf("HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s", status, head, len(body), body)
	a, err := readAnswer(strings.NewReader(text), "POST")
	if err != nil {
		panic(err)
	}
	a.sent, a.received = 1700000100.5, 1700000101.5
	return a
}

func checkPaths(t *testing.T, got []Mismatch, want string) {
	t.Helper()
	var paths []string
	for _, m := range got {
		paths = append(paths, m.Path)
	}
	if !slices.Equal(paths, strings.Fields(want)) {
		t.Errorf("got mismatches %v, want at %q", got, want)
	}
}

// bodyCases has for every rule a case that passes, with no paths, and one that fails.
var bodyCases = []struct{ name, want, got, paths string }{
	{"text", `"a"`, `"a"`, ""},
	{"other text", `"a"`, `"b"`, "body"},
	{"text for number", `"1"`, `1`, "body"},
	{"integer", `1`, `1`, ""},
	{"other integer", `1`, `2`, "body"},
	{"float for integer", `1`, `1.0`, "body"},
	{"integer for float", `1.0`, `1`, "body"},
	{"float in another notation", `10.0`, `1e1`, ""},
	{"large integer", `1180591620717411303424`, `1180591620717411303424`, ""},
	{"other large integer", `1180591620717411303424`, `1180591620717411303425`, "body"},
	{"true", `true`, `true`, ""},
	{"false for true", `true`, `false`, "body"},
	{"integer for true", `true`, `1`, "body"},
	{"null", `null`, `null`, ""},
	{"false for null", `null`, `false`, "body"},
	{"empty object for null", `null`, `{}`, "body"},
	{"order of members", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ""},
	{"missing member", `{"a":1,"b":2}`, `{"a":1}`, "body.b"},
	{"additional member", `{"a":1}`, `{"a":1,"code":2}`, "body.code"},
	{"nested member", `{"a":{"b":1}}`, `{"a":{"b":2}}`, "body.a.b"},
	{"list", `[1,"a"]`, `[1,"a"]`, ""},
	{"item of a list", `[1,"a",3]`, `[1,"b",4]`, "body[1] body[2]"},
	{"order of a list", `[1,2]`, `[2,1]`, "body[0] body[1]"},
	{"length of a list", `[1,2]`, `[1,2,3]`, "body"},
	{"object for list", `[]`, `{}`, "body"},
	{"lone surrogate", `"\ud800"`, `"\ud800"`, ""},
	{"other lone surrogate", `"\ud800"`, `"\ud801"`, "body"},

	{"variable", `"$sid"`, `"abc-1"`, ""},
	{"other value of a variable", `"$sid"`, `"abc-2"`, "body"},
	{"variable in a text", `"id $sid"`, `"id abc-1"`, ""},
	{"claim of a variable", `"$old.exp"`, `1700000600`, ""},
	{"claim as a text", `"$old.exp"`, `"1700000600"`, "body"},
	{"undefined variable", `"$none"`, `"abc-1"`, "body"},

	{"any", `{"$any":1}`, `null`, ""},
	{"any, but missing", `{"a":{"$any":1}}`, `{}`, "body.a"},
	{"one of", `{"$oneof":["a",1]}`, `1`, ""},
	{"none of", `{"$oneof":["a",1]}`, `2`, "body"},
	{"pattern", `{"$re":"^a.c$"}`, `"abc"`, ""},
	{"pattern inside", `{"$re":"b"}`, `"abc"`, ""},
	{"no match", `{"$re":"^b"}`, `"abc"`, "body"},
	{"pattern for number", `{"$re":"1"}`, `1`, "body"},
	{"invalid pattern", `{"$re":"("}`, `"("`, "body"},
	{"repeated text", `{"$repeat":["ab",3]}`, `"ababab"`, ""},
	{"too short a text", `{"$repeat":["ab",3]}`, `"abab"`, "body"},
	{"unknown rule is an object", `{"$what":1}`, `{"$what":1}`, ""},
	{"session id", `"<session_id>"`, `"nvxz3agnd0-1"`, ""},
	{"session id with a space", `"<session_id>"`, `"a b"`, "body"},
	{"empty session id", `"<session_id>"`, `""`, "body"},

	{"timestamp", `{"$ts":{"precision":"s","rel":"$old.iat","plus":2}}`, `"2023-11-14T22:13:22Z"`, ""},
	{"timestamp a second early", `{"$ts":{"precision":"s","rel":"$old.iat","plus":2}}`, `"2023-11-14T22:13:21Z"`, "body"},
	{"timestamp a second late", `{"$ts":{"precision":"s","rel":"$old.iat","plus":2}}`, `"2023-11-14T22:13:23Z"`, "body"},
	{"timestamp within the tolerance", `{"$ts":{"precision":"us","rel":"$old.iat","tol":1.5}}`, `"2023-11-14T22:13:21.500000Z"`, ""},
	{"timestamp beyond the tolerance", `{"$ts":{"precision":"us","rel":"$old.iat","tol":1.5}}`, `"2023-11-14T22:13:21.500001Z"`, "body"},
	{"microseconds for seconds", `{"$ts":{"precision":"s","rel":"$old.iat","tol":1}}`, `"2023-11-14T22:13:20.000001Z"`, "body"},
	{"seconds for microseconds", `{"$ts":{"precision":"us","rel":"$old.iat","tol":1}}`, `"2023-11-14T22:13:20Z"`, "body"},
	{"milliseconds", `{"$ts":{"precision":"us","rel":"$old.iat","tol":1}}`, `"2023-11-14T22:13:20.001Z"`, "body"},
	{"time zone", `{"$ts":{"precision":"s","rel":"$old.iat"}}`, `"2023-11-14T22:13:20+00:00"`, "body"},
	{"impossible date", `{"$ts":{"precision":"s","rel":"now","tol":1e12}}`, `"2023-02-30T22:13:20Z"`, "body"},
	{"timestamp without a reference", `{"$ts":{"precision":"s","rel":"$none.iat"}}`, `"2023-11-14T22:13:20Z"`, "body"},
	{"invalid rule", `{"$ts":{"rel":"now","minus":1}}`, `"2023-11-14T22:13:20Z"`, "body"},
	{"last_update in seconds", `{"last_update":{"$ts":{"precision":"us","rel":"$old.iat"}}}`, `{"last_update":"2023-11-14T22:13:20Z"}`, ""},
	{"last_update in microseconds", `{"last_update":{"$ts":{"precision":"s","rel":"$old.iat"}}}`, `{"last_update":"2023-11-14T22:13:20.999999Z"}`, ""},
	{
		"last_update a second off", `{"last_update":{"$ts":{"precision":"us","rel":"$old.iat"}}}`,
		`{"last_update":"2023-11-14T22:13:21.000001Z"}`, "body.last_update",
	},
}

func TestCompareBody(t *testing.T) {
	for _, c := range bodyCases {
		t.Run(c.name, func(t *testing.T) {
			a := testAnswer(200, "Content-Type: application/json\r\n", c.got)
			checkPaths(t, testVariables().compare(&Expectation{Body: Value{true, mustDecode(c.want)}}, a), c.paths)
		})
	}
}

const jsonType = "Content-Type: application/json\r\n"

var answerCases = []struct {
	name, want string
	status     int
	head, body string
	paths      string
}{
	{"nothing expected", `{}`, 500, "", "", ""},
	{"status", `{"status":200}`, 200, "", "", ""},
	{"other status", `{"status":200}`, 201, "", "", "status"},
	{"header", `{"headers":{"location":"/a/"}}`, 200, "Location: /a/\r\n", "", ""},
	{"other header", `{"headers":{"location":"/a/"}}`, 200, "Location: /b/\r\n", "", "headers.location"},
	{"missing header", `{"headers":{"location":"/a/"}}`, 200, "", "", "headers.location"},
	{"absent header", `{"headers":{"location":null}}`, 200, "", "", ""},
	{"unwanted header", `{"headers":{"location":null}}`, 200, "Location: /b/\r\n", "", "headers.location"},
	{"content type's parameter", `{"headers":{"content-type":"application/json"}}`, 200, "Content-Type: application/json; charset=utf-8\r\n", "", "headers.content-type"},
	{"order of a set", `{"headers":{"allow":["OPTIONS","POST"]}}`, 200, "Allow: POST, OPTIONS\r\n", "", ""},
	{"sorted set", `{"headers":{"allow":["OPTIONS","POST"]}}`, 200, "Allow: OPTIONS, POST\r\n", "", ""},
	{"set in two headers", `{"headers":{"allow":["OPTIONS","POST"]}}`, 200, "Allow: POST\r\nAllow:OPTIONS\r\n", "", ""},
	{"item of a set missing", `{"headers":{"allow":["OPTIONS","POST"]}}`, 200, "Allow: POST\r\n", "", "headers.allow"},
	{"header that is not compared", `{"headers":{}}`, 200, "X-Other: 1\r\n", "", ""},
	{"challenge", `{"headers":{"www-authenticate":"JWT"}}`, 401, "WWW-Authenticate: JWT\r\n", "", ""},
	{"other challenge", `{"headers":{"www-authenticate":"JWT"}}`, 401, "WWW-Authenticate: Basic\r\n", "", "headers.www-authenticate"},
	{"additional challenge on 401", `{"headers":{}}`, 401, "WWW-Authenticate: JWT\r\n", "", ""},
	{"additional challenge on 400", `{"headers":{}}`, 400, "WWW-Authenticate: JWT\r\n", "", "headers.www-authenticate"},

	{"additional members of an error", `{"body":{"detail":"a"}}`, 400, jsonType, `{"detail":"a","code":1,"cause":2,"messages":3,"ticket":4}`, ""},
	{"other additional member", `{"body":{"detail":"a"}}`, 400, jsonType, `{"detail":"a","hint":1}`, "body.hint"},
	{"additional member of a success", `{"body":{}}`, 200, jsonType, `{"code":1}`, "body.code"},
	{"additional member inside", `{"body":{"a":{}}}`, 400, jsonType, `{"a":{"code":1}}`, "body.a.code"},
	{"recorded code", `{"body":{"code":"a"}}`, 400, jsonType, `{"code":"b"}`, "body.code"},
	{"JSON with a parameter", `{"body":[]}`, 200, "Content-Type: application/json; charset=utf-8\r\n", `[]`, ""},
	{"JSON of another type", `{"body":[]}`, 200, "Content-Type: text/plain\r\n", `[]`, "body"},
	{"broken JSON", `{"body":[]}`, 200, jsonType, `[`, "body"},
	{"JSON and more", `{"body":[]}`, 200, jsonType, `[] []`, "body"},
	{"no body", `{"body":[]}`, 200, jsonType, ``, "body"},
	{"text", `{"body_text":"a"}`, 200, "", "a", ""},
	{"other text", `{"body_text":"a"}`, 200, "", "b", "body"},
	{"pattern", `{"body_text":{"$re":"(?i)<html"}}`, 500, "", "<HTML>", ""},
	{"no match", `{"body_text":{"$re":"(?i)<html"}}`, 500, "", "html", "body"},
}

func TestCompareAnswer(t *testing.T) {
	for _, c := range answerCases {
		t.Run(c.name, func(t *testing.T) {
			want := new(Expectation)
			if err := decode([]byte(c.want), want); err != nil {
				t.Fatal(err)
			}
			checkPaths(t, testVariables().compare(want, testAnswer(c.status, c.head, c.body)), c.paths)
		})
	}
}

func TestStepIgnoresPaths(t *testing.T) {
	s := &Step{QuirkPaths: map[string]string{"body.a": "reason", "tokens.access": "reason"}}
	for _, c := range []struct {
		path   string
		status int
		want   bool
	}{
		{"headers.vary", 200, true},
		{"headers.allow", 200, true},
		{"headers.allow", 0, true},
		{"headers.allow", 405, false},
		{"headers.location", 200, false},
		{"status", 200, false},
		{"body.a", 200, true},
		{"body.a.b", 200, true},
		{"body.a[0].b", 200, true},
		{"body.ab", 200, false},
		{"body", 200, false},
		{"tokens.access.iat", 200, true},
		{"tokens.refresh.iat", 200, false},
	} {
		if got := s.ignores(&Expectation{Status: c.status}, c.path); got != c.want {
			t.Errorf("path %s, status %d: got ignored %t, want %t", c.path, c.status, got, c.want)
		}
	}
}
