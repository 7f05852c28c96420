package api

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/session"
)

// declaredCodes returns every constant of the given type in a package's source, so
// that the test below cannot miss a new one.
func declaredCodes(t *testing.T, dir, typeName string) (codes []session.Code) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no source files in %s: %v", dir, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if ok && spec.Type != nil && fmt.Sprint(typeText(spec.Type)) == typeName && len(spec.Values) == 1 {
				text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				codes = append(codes, session.Code(text))
			}
			return true
		})
	}
	return codes
}

func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	}
	return ""
}

// successCodes are the codes that are not errors.
var successCodes = []session.Code{session.OK, session.Retried, session.Healed}

// requestSpecific are the codes without an entry in answerTable: those of wireErrors
// that depend on the request, and codeClientGone, which is never sent.
var requestSpecific = []session.Code{codeInvalid, codeParseError, codeMethodNotAllowed, codeUnsupportedMedia, codeNotReady, codeClientGone}

// TestEveryCodeHasAnAnswer checks that answerTable has an entry for every code of an
// error, and no others.
func TestEveryCodeHasAnAnswer(t *testing.T) {
	codes := append(declaredCodes(t, "../session", "Code"), declaredCodes(t, ".", "session.Code")...)
	if len(codes) < 35 {
		t.Fatalf("found only %d codes: %v", len(codes), codes)
	}
	for _, code := range codes {
		_, found := answerTable[code]
		if slices.Contains(successCodes, code) || slices.Contains(requestSpecific, code) {
			if found {
				t.Errorf("answerTable has an entry for %s, which is never looked up", code)
			}
			continue
		}
		if !found {
			t.Errorf("answerTable has no entry for %s", code)
		}
	}
	for code := range answerTable {
		if !slices.Contains(codes, code) {
			t.Errorf("answerTable has an entry for %s, which is not declared", code)
		}
	}
}

// neverSent are the codes that no client of the public API gets: the engine turns them into
// others, or only the admin API has them.
var neverSent = []session.Code{
	session.CredentialChanged, session.AppUnknown, session.UserExists, session.UserChanged, session.UsersElsewhere,
	codeAdminOff, codeAdminToken, codeNotReady, codeClientGone,
}

// TestCodesAreDocumented checks that clients.md has every code that a client of the public
// API gets, with its status, and no others.
func TestCodesAreDocumented(t *testing.T) {
	sent := map[string]bool{}
	add := func(code session.Code, a answer) {
		sent[strconv.Itoa(a.status)+" "+string(cmp.Or(session.Code(a.wireCode), code))] = true
	}
	for code, entry := range answerTable {
		if slices.Contains(neverSent, code) {
			continue
		}
		add(code, entry.answer)
		for endpoint, a := range entry.byEndpoint {
			if !strings.HasPrefix(endpoint, "admin_") {
				add(code, a)
			}
		}
	}
	for _, e := range []*wireError{malformed(""), notAnObject(""), unsupportedMediaType(""), methodNotAllowed("")} {
		add(e.code, e.answer)
	}
	document, err := os.ReadFile("../deploy/docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9]+) \| ([^|]+) \|`).FindAllStringSubmatch(string(document), -1) {
		for _, code := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[2], -1) {
			documented[row[1]+" "+code[1]] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(sent)); !slices.Equal(got, want) {
		t.Errorf("clients.md has\n%q, want\n%q", got, want)
	}
}

// answerTest is a code, the endpoint that answers it, and the status and body wanted.
type answerTest struct {
	code     session.Code
	endpoint string
	want     string
}

// Beginnings of answers that several codes share.
const (
	wantNoAccount      = `{"detail":"No active account found with the given credentials","code":"`
	wantInvalidToken   = `401 {"detail":"Token is invalid or expired","code":"token_not_valid"}`
	wantBadCredentials = `400 {"non_field_errors":["Invalid Credentials or not active account found!"],"code":"`
	wantAccessToken    = `401 {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"`
)

func checkAnswers(t *testing.T, tests []answerTest) {
	t.Helper()
	for _, c := range tests {
		e := wireErrorFor(session.Fail(c.code, nil), c.endpoint)
		if got := strconv.Itoa(e.status) + " " + string(e.appendTo(nil, "")); got != c.want {
			t.Errorf("%s at %s:\ngot  %s\nwant %s", c.code, c.endpoint, got, c.want)
		}
	}
}

func TestLoginAnswers(t *testing.T) {
	checkAnswers(t, []answerTest{
		{session.InvalidCredentials, "login", wantBadCredentials + `invalid_credentials"}`},
		{session.UserUnknown, "login", wantBadCredentials + `invalid_credentials"}`},
		{session.UserInactive, "login", wantBadCredentials + `invalid_credentials"}`},
		{session.InvalidType, "login", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT']"],"code":"invalid_type"}`},
		{session.LimitReached, "login", `400 {"detail":"Reached max number of sessions.","code":"limit_reached"}`},
		{session.Busy, "login", `503 {"detail":"Too many logins are waiting. Try again.","code":"busy"}`},
		{codeTooLarge, "login", `413 {"detail":"The request's body is larger than 64 KiB.","code":"too_large"}`},
	})
}

func TestRefreshTokenAnswers(t *testing.T) {
	checkAnswers(t, []answerTest{
		{session.InvalidClient, "refresh", wantBadCredentials + `invalid_client"}`},
		{session.InvalidType, "refresh", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT']"],"code":"invalid_type"}`},
		{session.Unknown, "refresh", `401 ` + wantNoAccount + `unknown"}`},
		{session.Revoked, "refresh", `401 ` + wantNoAccount + `ended"}`},
		{session.Replayed, "refresh", `401 ` + wantNoAccount + `replayed"}`},
		{session.Spent, "refresh", `401 ` + wantNoAccount + `spent"}`},
		{session.UserUnknown, "refresh", `401 ` + wantNoAccount + `user_not_found"}`},
		{session.UserInactive, "refresh", `401 ` + wantNoAccount + `user_inactive"}`},
		{session.Expired, "refresh", wantInvalidToken},
		{session.TypeMismatch, "refresh", wantInvalidToken},
		{session.Throttled, "refresh", `429 {"detail":"This refresh token was repeated too often. Use the newest one.","code":"throttled"}`},
		{session.Unavailable, "refresh", `503 {"detail":"The service is temporarily unavailable. Try again.","code":"unavailable"}`},
		{session.Internal, "refresh", `500 {"detail":"Internal server error.","code":"internal"}`},
		{"not in the table", "refresh", `500 {"detail":"Internal server error.","code":"internal"}`},
		{session.InvalidClient, "logout", wantBadCredentials + `invalid_client"}`},
		{session.Revoked, "logout", `401 ` + wantNoAccount + `ended"}`},
		{session.Expired, "logout", wantInvalidToken},
	})
}

func TestAccessTokenAnswers(t *testing.T) {
	checkAnswers(t, []answerTest{
		{session.InvalidType, "list", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT', 'ALL']"],"code":"invalid_type"}`},
		{session.UserUnknown, "list", `401 {"detail":"User not found","code":"user_not_found"}`},
		{session.UserInactive, "list", `401 {"detail":"User is inactive","code":"user_inactive"}`},
		{session.TokenInvalid, "list", wantAccessToken + `Token is invalid or expired"}]}`},
		{session.TokenRevoked, "list", wantAccessToken + `Token is invalid or expired"}]}`},
		{session.TokenWrongKind, "list", wantAccessToken + `Token has wrong type"}]}`},
		{session.TokenNoExpiry, "list", wantAccessToken + `Token has no 'exp' claim"}]}`},
		{session.TokenNoID, "list", wantAccessToken + `Token has no id"}]}`},
		{session.TokenNoKind, "list", wantAccessToken + `Token has no type"}]}`},
		{session.TokenNoUser, "list", `401 {"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`},
		{session.Expired, "destroy", `401 ` + wantNoAccount + `expired"}`},
		{session.InvalidType, "destroy_others", `400 {"non_field_errors":["Invalid Session Type"],"code":"invalid_type"}`},
		{session.Unknown, "destroy_others", `401 ` + wantNoAccount + `unknown"}`},
		{codeNotAuthenticated, "list", `401 {"detail":"Authentication credentials were not provided.","code":"not_authenticated"}`},
		{codeBadAuthorization, "list", `401 {"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`},
	})
}

func TestVerifyAnswers(t *testing.T) {
	checkAnswers(t, []answerTest{
		{session.TokenInvalid, "verify", wantInvalidToken},
		{session.TokenRevoked, "verify", wantInvalidToken},
		{session.TokenWrongKind, "verify", wantInvalidToken},
		{session.TokenNoExpiry, "verify", wantInvalidToken},
		{session.TokenNoUser, "verify", wantInvalidToken},
		{session.Unknown, "verify", wantInvalidToken},
		{session.Expired, "verify", wantInvalidToken},
	})
}

func TestAdminAnswers(t *testing.T) {
	checkAnswers(t, []answerTest{
		{session.Unknown, "admin_end", `404 {"detail":"No such session.","code":"unknown"}`},
		{session.Revoked, "admin_end", `404 {"detail":"No such session.","code":"ended"}`},
		{session.Expired, "admin_end", `404 {"detail":"No such session.","code":"expired"}`},
		{session.AppUnknown, "admin_end", `404 {"detail":"No such app.","code":"app_not_found"}`},
		{session.UserExists, "", `409 {"detail":"Another user has this name or this id.","code":"user_exists"}`},
		{session.UserChanged, "", `409 {"detail":"The user was changed by others at the same time. Try again.","code":"user_changed"}`},
		{session.UsersElsewhere, "", `409 {"detail":"USERS of this app is not redis: change its users where they are kept.","code":"users_elsewhere"}`},
		{session.UserUnknown, "admin_user", `404 {"detail":"No such user.","code":"user_not_found"}`},
		{session.UserUnknown, "admin_change_user", `404 {"detail":"No such user.","code":"user_not_found"}`},
		{session.UserUnknown, "admin_remove_user", `404 {"detail":"No such user.","code":"user_not_found"}`},
		{codeAdminOff, "admin_end", `403 {"detail":"The admin API is off: no ADMIN_TOKEN is set.","code":"admin_off"}`},
		{codeAdminToken, "admin_end", `401 {"detail":"The admin token is missing or wrong.","code":"admin_token"}`},
		{codeNotFound, "", `404 {"detail":"Not found.","code":"not_found"}`},
	})
}

// TestCauseIsLastMember checks that the cause comes after all other members.
func TestCauseIsLastMember(t *testing.T) {
	got := string(wireErrorFor(session.Fail(session.TokenRevoked, nil), "list").appendTo(nil, session.CauseLogout))
	const want = `"message":"Token is invalid or expired"}],"cause":"logout"}`
	if !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want it to end with %s", got, want)
	}
}
