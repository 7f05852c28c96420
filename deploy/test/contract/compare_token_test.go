package contract

import (
	"fmt"
	"testing"
)

// claimCases are claims in the answer of testAnswer.
var claimCases = []struct{ name, want, got, paths string }{
	{"value", `{"user_id":1}`, `{"user_id":1}`, ""},
	{"other value", `{"user_id":1}`, `{"user_id":2}`, "user_id"},
	{"float for integer", `{"user_id":1}`, `{"user_id":1.0}`, "user_id"},
	{"text for integer", `{"user_id":1}`, `{"user_id":"1"}`, "user_id"},
	{"missing claim", `{"user_id":1}`, `{}`, "user_id"},
	{"claims that a gateway adds", `{}`, `{"sid":1,"gen":1,"sub":1,"iss":1,"aud":1,"client_id":1,"auth_time":1,"type":1}`, ""},
	{"other additional claim", `{}`, `{"session":1}`, "session"},
	{"recorded claim of the gateway", `{"iss":"a"}`, `{"iss":"b"}`, "iss"},

	{"second of the request", `{"iat":{"rel":"now"}}`, `{"iat":1700000100}`, ""},
	{"before the request", `{"iat":{"rel":"now"}}`, `{"iat":1700000099}`, "iat"},
	{"before, within the tolerance", `{"iat":{"rel":"now","tol":1}}`, `{"iat":1700000099}`, ""},
	{"end of the request", `{"iat":{"rel":"now"}}`, `{"iat":1700000101}`, ""},
	{"after the request", `{"iat":{"rel":"now"}}`, `{"iat":1700000102}`, "iat"},
	{"after, within the tolerance", `{"iat":{"rel":"now","tol":1}}`, `{"iat":1700000102}`, ""},
	{"lifetime", `{"exp":{"rel":"now","plus":60}}`, `{"exp":1700000160}`, ""},
	{"other lifetime", `{"exp":{"rel":"now","plus":60}}`, `{"exp":1700000150}`, "exp"},
	{"variable", `{"iat":{"rel":"$old.iat","plus":0}}`, `{"iat":1700000000}`, ""},
	{"other than the variable", `{"iat":{"rel":"$old.iat","plus":0}}`, `{"iat":1700000001}`, "iat"},
	{"undefined variable", `{"iat":{"rel":"$none.iat"}}`, `{"iat":1700000000}`, "iat"},
	{"claim that is not a number", `{"iat":{"rel":"$old.jti"}}`, `{"iat":1700000000}`, "iat"},
	{"same token", `{"iat":1,"exp":{"rel":"self.iat","plus":5}}`, `{"iat":1,"exp":6}`, ""},
	{"other than the same token", `{"iat":1,"exp":{"rel":"self.iat","plus":5}}`, `{"iat":1,"exp":7}`, "exp"},
	{"no such claim in the same token", `{"exp":{"rel":"self.iat"}}`, `{"exp":7}`, "exp"},
	{"same answer", `{"exp":{"rel":"body.access.exp"}}`, `{"exp":7}`, ""},
	{"other than the same answer", `{"exp":{"rel":"body.access.exp","plus":1}}`, `{"exp":7}`, "exp"},
	{"no such token in the same answer", `{"exp":{"rel":"body.refresh.exp"}}`, `{"exp":7}`, "exp"},
	{"float time", `{"iat":{"rel":"now"}}`, `{"iat":1700000101.0}`, "iat"},
	{"allowed float time", `{"iat":{"rel":"now","int":false}}`, `{"iat":1700000101.0}`, ""},
	{"text time", `{"iat":{"rel":"now"}}`, `{"iat":"1700000101"}`, "iat"},
	{"boolean time", `{"iat":{"rel":"now","tol":1e10}}`, `{"iat":true}`, "iat"},
	{"invalid rule", `{"iat":{"rel":"now","tolerance":1}}`, `{"iat":1700000101}`, "iat"},

	{"new jti", `{"jti":{"new":"^[0-9a-f]{32}$"}}`, `{"jti":"0123456789-GHIJK"}`, ""},
	{"short jti", `{"jti":{"new":"."}}`, `{"jti":"0123456789abcde"}`, "jti"},
	{"long jti", `{"jti":{"new":"."}}`, `{"jti":"0123456789012345678901234567890123456789012345678901234567890123x"}`, "jti"},
	{"number as jti", `{"jti":{"new":"."}}`, `{"jti":1234567890123456}`, "jti"},
	{"used jti", `{"jti":{"new":"."}}`, `{"jti":"jti-of-the-old-token"}`, "jti"},
	{"kept jti", `{"jti":{"same":"$old.jti"}}`, `{"jti":"jti-of-the-old-token"}`, ""},
	{"new instead of kept jti", `{"jti":{"same":"$old.jti"}}`, `{"jti":"another jti"}`, ""},
	{"used instead of kept jti", `{"jti":{"same":"$sid"}}`, `{"jti":"jti-of-the-old-token"}`, "jti"},
	{"number instead of kept jti", `{"jti":{"same":"$old.jti"}}`, `{"jti":1}`, "jti"},
}

func TestCompareClaims(t *testing.T) {
	for _, c := range claimCases {
		t.Run(c.name, func(t *testing.T) {
			want := new(Expectation)
			text := fmt.Sprintf(`{"tokens":{"access":{"header":{"alg":"HS256","typ":"JWT"},"claims":%s}}}`, c.want)
			if err := decode([]byte(text), want); err != nil {
				t.Fatal(err)
			}
			paths := c.paths
			if paths != "" {
				paths = "tokens.access." + paths
			}
			checkPaths(t, testVariables().compare(want, testAnswer(200, jsonType, withToken(c.got))), paths)
		})
	}
}

func TestCompareTokenHeader(t *testing.T) {
	for _, c := range []struct{ name, header, paths string }{
		{"equal", `{"alg":"HS256","typ":"JWT"}`, ""},
		{"key id", `{"alg":"HS256","typ":"JWT","kid":"1"}`, ""},
		{"other algorithm", `{"alg":"HS512","typ":"JWT"}`, "tokens.access.header"},
		{"no type", `{"alg":"HS256"}`, "tokens.access.header"},
		{"additional member", `{"alg":"HS256","typ":"JWT","cty":"a"}`, "tokens.access.header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := &Expectation{Tokens: map[string]TokenExpectation{
				"access": {Header: map[string]any{"alg": "HS256", "typ": "JWT"}},
			}}
			tok := signToken(mustDecode(c.header).(map[string]any), map[string]any{}, testKey)
			checkPaths(t, testVariables().compare(want, testAnswer(200, jsonType, fmt.Sprintf(`{"access":%q}`, tok))), c.paths)
		})
	}
}

func TestCompareTokenMissing(t *testing.T) {
	want := &Expectation{Tokens: map[string]TokenExpectation{"access": {}}}
	for _, body := range []string{`{}`, `{"access":"a.b"}`, `[]`, ``} {
		checkPaths(t, testVariables().compare(want, testAnswer(200, jsonType, body)), "tokens.access")
	}
}

func TestCompareTokenType(t *testing.T) {
	access, refresh := testToken(`{"token_type":"access"}`), testToken(`{"token_type":"refresh"}`)
	foreign := signToken(map[string]any{"alg": "HS256"}, map[string]any{"token_type": "access"}, "another key")
	unsigned := signToken(map[string]any{"alg": "none"}, map[string]any{"token_type": "access"}, testKey)
	foreignRefresh := signToken(map[string]any{"alg": "HS256"}, map[string]any{"token_type": "refresh"}, "another key")
	for _, c := range []struct{ name, want, got, paths string }{
		{"access", "<jwt:access>", access, ""},
		{"refresh for access", "<jwt:access>", refresh, "body"},
		{"access of another key", "<jwt:access>", foreign, "body"},
		{"access without signature", "<jwt:access>", unsigned, "body"},
		{"no token", "<jwt:access>", "a.b.c", "body"},
		{"refresh", "<jwt:refresh>", refresh, ""},
		{"access for refresh", "<jwt:refresh>", access, "body"},
		{"refresh of another key", "<jwt:refresh>", foreignRefresh, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := &Expectation{Body: Value{true, c.want}}
			checkPaths(t, testVariables().compare(want, testAnswer(200, jsonType, fmt.Sprintf("%q", c.got))), c.paths)
		})
	}
}
