package api

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tokengate/session"
)

// declaredCodes reads every constant of type Code in a package's source, so
// that a new one cannot be forgotten here.
func declaredCodes(t *testing.T, dir, typeName string) (codes []session.Code) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no source in %s: %v", dir, err)
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

// successes are the codes that no refusal has.
var successes = []session.Code{session.OK, session.Retried, session.Healed}

// worded are the codes whose words depend on the request: they have a problem
// of their own and no row.
var worded = []session.Code{codeInvalid, codeParseError, codeMethodNotAllowed, codeUnsupportedMedia, codeNotReady, codeClientGone}

func TestEveryCodeHasAnAnswer(t *testing.T) {
	codes := append(declaredCodes(t, "../session", "Code"), declaredCodes(t, ".", "session.Code")...)
	if len(codes) < 35 {
		t.Fatalf("found no more than %v", codes)
	}
	for _, code := range codes {
		_, found := wire[code]
		if slices.Contains(successes, code) || slices.Contains(worded, code) {
			if found {
				t.Errorf("%s needs no row", code)
			}
			continue
		}
		if !found {
			t.Errorf("%s has no row in wire", code)
		}
	}
	for code := range wire {
		if !slices.Contains(codes, code) {
			t.Errorf("nobody says %s", code)
		}
	}
}

// TestAnswers pins every row, as status and body.
func TestAnswers(t *testing.T) {
	const (
		noAccount   = `{"detail":"No active account found with the given credentials","code":"`
		notValid    = `401 {"detail":"Token is invalid or expired","code":"token_not_valid"}`
		badLogin    = `400 {"non_field_errors":["Invalid Credentials or not active account found!"],"code":"`
		accessToken = `401 {"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"`
	)
	for _, c := range []struct {
		code     session.Code
		endpoint string
		want     string
	}{
		{session.InvalidCredentials, "login", badLogin + `invalid_credentials"}`},
		{session.UserUnknown, "login", badLogin + `invalid_credentials"}`},
		{session.UserInactive, "login", badLogin + `invalid_credentials"}`},
		{session.InvalidType, "login", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT']"],"code":"invalid_type"}`},
		{session.LimitReached, "login", `400 {"detail":"Reached max number of sessions.","code":"limit_reached"}`},
		{session.Busy, "login", `503 {"detail":"Too many logins wait for their turn. Try again.","code":"busy"}`},

		{session.InvalidClient, "refresh", badLogin + `invalid_client"}`},
		{session.InvalidType, "refresh", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT']"],"code":"invalid_type"}`},
		{session.Unknown, "refresh", `401 ` + noAccount + `unknown"}`},
		{session.Ended, "refresh", `401 ` + noAccount + `ended"}`},
		{session.Replayed, "refresh", `401 ` + noAccount + `replayed"}`},
		{session.Spent, "refresh", `401 ` + noAccount + `spent"}`},
		{session.UserUnknown, "refresh", `401 ` + noAccount + `user_not_found"}`},
		{session.UserInactive, "refresh", `401 ` + noAccount + `user_inactive"}`},
		{session.Expired, "refresh", notValid},
		{session.TypeMismatch, "refresh", notValid},
		{session.Unavailable, "refresh", `503 {"detail":"This can't be told right now. Try again.","code":"unavailable"}`},
		{session.Internal, "refresh", `500 {"detail":"Internal server error.","code":"internal"}`},
		{"never heard of", "refresh", `500 {"detail":"Internal server error.","code":"internal"}`},

		{session.InvalidClient, "logout", badLogin + `invalid_client"}`},
		{session.Ended, "logout", `401 ` + noAccount + `ended"}`},
		{session.Expired, "logout", notValid},

		{session.InvalidType, "list", `400 {"non_field_errors":["Invalid Session Type. Valid options: ['LONG', 'SHORT', 'ALL']"],"code":"invalid_type"}`},
		{session.UserUnknown, "list", `401 {"detail":"User not found","code":"user_not_found"}`},
		{session.UserInactive, "list", `401 {"detail":"User is inactive","code":"user_inactive"}`},
		{session.TokenInvalid, "list", accessToken + `Token is invalid or expired"}]}`},
		{session.TokenRevoked, "list", accessToken + `Token is invalid or expired"}]}`},
		{session.TokenWrongKind, "list", accessToken + `Token has wrong type"}]}`},
		{session.TokenNoExpiry, "list", accessToken + `Token has no 'exp' claim"}]}`},
		{session.TokenNoID, "list", accessToken + `Token has no id"}]}`},
		{session.TokenNoKind, "list", accessToken + `Token has no type"}]}`},
		{session.TokenNoUser, "list", `401 {"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`},
		{session.Expired, "destroy", `401 ` + noAccount + `expired"}`},
		{session.InvalidType, "destroy_others", `400 {"non_field_errors":["Invalid Session Type"],"code":"invalid_type"}`},
		{session.Unknown, "destroy_others", `401 ` + noAccount + `unknown"}`},
		{codeNotAuthenticated, "list", `401 {"detail":"Authentication credentials were not provided.","code":"not_authenticated"}`},
		{codeBadAuthorization, "list", `401 {"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`},

		{session.TokenInvalid, "verify", notValid},
		{session.TokenRevoked, "verify", notValid},
		{session.TokenWrongKind, "verify", notValid},
		{session.TokenNoExpiry, "verify", notValid},
		{session.TokenNoUser, "verify", notValid},
		{session.Unknown, "verify", notValid},
		{session.Expired, "verify", notValid},

		{session.Unknown, "admin_end", `404 {"detail":"No such session.","code":"unknown"}`},
		{session.Ended, "admin_end", `404 {"detail":"No such session.","code":"ended"}`},
		{session.Expired, "admin_end", `404 {"detail":"No such session.","code":"expired"}`},
		{session.AppUnknown, "admin_end", `404 {"detail":"No such app.","code":"app_not_found"}`},
		{session.UserExists, "", `409 {"detail":"Another user has this name.","code":"user_exists"}`},
		{codeAdminOff, "admin_end", `403 {"detail":"The admin API is off: no ADMIN_TOKEN is set.","code":"admin_off"}`},
		{codeAdminToken, "admin_end", `401 {"detail":"The admin token is missing or wrong.","code":"admin_token"}`},
		{codeNotFound, "", `404 {"detail":"Not found.","code":"not_found"}`},
		{codeTooLarge, "login", `413 {"detail":"The request's body is larger than 64 KiB.","code":"too_large"}`},
	} {
		p := problemOf(session.Fail(c.code, nil), c.endpoint)
		if got := strconv.Itoa(p.status) + " " + string(p.appendTo(nil, "")); got != c.want {
			t.Errorf("%s at %s:\n got %s\nwant %s", c.code, c.endpoint, got, c.want)
		}
	}
}

// TestCauseComesLast pins where the cause stands.
func TestCauseComesLast(t *testing.T) {
	got := string(problemOf(session.Fail(session.TokenRevoked, nil), "list").appendTo(nil, session.CauseLogout))
	if !strings.HasSuffix(got, `"message":"Token is invalid or expired"}],"cause":"logout"}`) {
		t.Error(got)
	}
}
