package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// userFileOf writes a user file whose users have these ids, given as JSON, and the names and
// the password of gatewaytest.
func userFileOf(t *testing.T, ids ...string) (path string) {
	t.Helper()
	var list []string
	for i, id := range ids {
		list = append(list, fmt.Sprintf(`{"id":%s,"username":%q,"password":%q,"is_active":true}`, id, gatewaytest.Username(i), gatewaytest.PasswordHash))
	}
	return writeFile(t, "users.json", []byte("["+strings.Join(list, ",")+"]"))
}

const (
	mailSecret    = "mail-secret-0123456789abcdef"
	newShopSecret = "new-shop-secret-0123456789abcdef"
)

// twoApps returns the settings of a second app, named mail, beside gatewaytest.App. Their keys
// and secrets are different, and the first app has two secrets.
func twoApps(users string) gatewaytest.Settings {
	return gatewaytest.Settings{
		"APPS": gatewaytest.App + ",mail", "APP_SECRET_KEY": newShopSecret + "," + gatewaytest.Secret, "APP_USERS": "file:" + users,
		mailPrefix + "SECRET_KEY": mailSecret, mailPrefix + "SIGNING_KEY": "mail-" + gatewaytest.SigningKey, mailPrefix + "USERS": "file:" + users,
	}
}

// verifyTest has a session in each of two apps.
type verifyTest struct {
	*testing.T
	c       *gatewaytest.Client
	session *clientSession
	mail    gatewaytest.Response
}

func newVerifyTest(t *testing.T) *verifyTest {
	t.Helper()
	users := userFileOf(t, "1", `"u-7"`, `9007199254740993`)
	c := startShop(t, redistest.Standalone(t).URL, twoApps(users)).Client()
	mail := requireStatus(t, http.StatusOK, c.Post(t.Context(), "/api/session/login/", "", map[string]string{
		"username": gatewaytest.Username(0), "password": gatewaytest.Password, "secret_key": mailSecret, "session": "LONG", "info": "x",
	}), "login to the second app")
	return &verifyTest{t, c, login(t, c, gatewaytest.Username(0), gatewaytest.Password, "LONG"), mail}
}

// accepts checks that a token is accepted, and what the answer says about it.
func (v *verifyTest) accepts(token, tokenType, secret, app, kind, userID, sessionID string) {
	v.Helper()
	resp := verifyToken(v.T, v.c, token, tokenType, secret)
	if resp.Status != http.StatusOK {
		v.Errorf("token_type %q, secret_key %q: got status %d, body %s; want 200", tokenType, secret, resp.Status, resp.Body)
		return
	}
	var got, want any
	must(v.T, json.Unmarshal(resp.Body, &got))
	must(v.T, json.Unmarshal(fmt.Appendf(nil, `{"app":%q,"token_type":%q,"user_id":%s,"session_id":%q}`, app, kind, userID, sessionID), &want))
	if !reflect.DeepEqual(got, want) || !hasUserID(resp, userID) {
		v.Errorf("token_type %q, secret_key %q: got the body %s, want %v with user_id %s", tokenType, secret, resp.Body, want, userID)
	}
}

// hasUserID reports whether a JSON body has the member user_id with exactly this value.
func hasUserID(resp gatewaytest.Response, id string) bool {
	member := `"user_id":` + id
	return strings.Contains(string(resp.Body), member+",") || strings.Contains(string(resp.Body), member+"}")
}

// rejects checks that a token is rejected.
func (v *verifyTest) rejects(token, tokenType, secret, what string) {
	v.Helper()
	if resp := verifyToken(v.T, v.c, token, tokenType, secret); resp.Status != http.StatusUnauthorized {
		v.Errorf("%s, token_type %q, secret_key %q: got status %d, body %s; want 401", what, tokenType, secret, resp.Status, resp.Body)
	}
}

// TestT5VerifySaysWhoseAndWhat checks what the verify endpoint accepts and what it answers.
func TestT5VerifySaysWhoseAndWhat(t *testing.T) {
	t.Parallel()
	v := newVerifyTest(t)
	s, id := v.session, v.session.id
	for _, secret := range []string{"", gatewaytest.Secret, newShopSecret} {
		v.accepts(s.access, "", secret, gatewaytest.App, "access", "1", id)
		v.accepts(s.access, "access", secret, gatewaytest.App, "access", "1", id)
		v.accepts(s.refresh, "refresh", secret, gatewaytest.App, "refresh", "1", id)
		v.rejects(s.refresh, "", secret, "a refresh token")
		v.rejects(s.refresh, "access", secret, "a refresh token")
		v.rejects(s.access, "refresh", secret, "an access token")
	}
	for _, secret := range []string{"", mailSecret} {
		v.accepts(v.mail.Access, "", secret, "mail", "access", "1", v.mail.SessionID)
		v.accepts(v.mail.Refresh, "refresh", secret, "mail", "refresh", "1", v.mail.SessionID)
	}
	v.rejects(s.access, "", mailSecret, "another app's token")
	v.rejects(s.refresh, "refresh", mailSecret, "another app's token")
	for _, secret := range []string{gatewaytest.Secret, newShopSecret} {
		v.rejects(v.mail.Access, "", secret, "another app's token")
		v.rejects(v.mail.Refresh, "refresh", secret, "another app's token")
	}
	for what, resp := range map[string]gatewaytest.Response{
		"a secret of no app":    verifyToken(t, v.c, s.access, "", "secret-of-no-app-0123456789"),
		"an unknown token type": verifyToken(t, v.c, s.access, "sliding", ""),
		"a tampered token":      verifyToken(t, v.c, tamper(s.access), "", ""),
		"a tampered refresh":    verifyToken(t, v.c, tamper(s.refresh), "refresh", ""),
	} {
		if resp.Status != http.StatusUnauthorized && resp.Status != http.StatusBadRequest {
			t.Errorf("%s: got status %d, body %s; want 401 or 400", what, resp.Status, resp.Body)
		}
	}
	for i, want := range []string{1: `"u-7"`, 2: "9007199254740993"} {
		if i > 0 {
			other := login(t, v.c, gatewaytest.Username(i), gatewaytest.Password, "SHORT")
			v.accepts(other.access, "", "", gatewaytest.App, "access", want, other.id)
			v.accepts(other.refresh, "refresh", "", gatewaytest.App, "refresh", want, other.id)
		}
	}
}

// TestT5VerifyChangesNothing checks that spent refresh tokens and tokens of ended sessions are
// rejected, and that a verification affects no session.
func TestT5VerifyChangesNothing(t *testing.T) {
	t.Parallel()
	v := newVerifyTest(t)
	s := v.session
	var spent []string
	for range 3 {
		for range 3 {
			v.accepts(s.refresh, "refresh", "", gatewaytest.App, "refresh", "1", s.id)
			for _, token := range spent { // the last of them is within the retry window
				v.rejects(token, "refresh", "", "a spent refresh token")
				v.rejects(token, "refresh", gatewaytest.Secret, "a spent refresh token")
				v.rejects(token, "", "", "a spent refresh token")
			}
		}
		spent = append(spent, s.refresh)
		s.checkLive("after verifications")
	}
	retried := requireStatus(t, http.StatusOK, v.c.Refresh(t.Context(), "LONG", spent[len(spent)-1]), "retry with the token that was spent last")
	if retried.Refresh != s.refresh {
		t.Error("the retry did not get the current token")
	}
	requireStatus(t, http.StatusOK, v.c.Logout(t.Context(), s.refresh), "logout")
	v.rejects(s.refresh, "refresh", "", "a refresh token after logout")
	poll(t, "the access token is rejected", func() bool { return verifyToken(t, v.c, s.access, "", "").Status == http.StatusUnauthorized })
	s.checkEnded("logout", "refresh after logout")
}

// TestT6SubjectIsAString checks that the claim sub is a string and is read as the same user,
// and that other claims keep the type of the id.
func TestT6SubjectIsAString(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	ids := []string{"1", "9007199254740993", `"u-7"`, `"007"`, "0", `"7"`}
	users := userFileOf(t, ids...)
	for name, c := range map[string]struct {
		settings gatewaytest.Settings
		claim    string
		isString bool
	}{
		"sub":     {gatewaytest.Settings{"APP_USER_ID_CLAIM": "sub"}, "sub", true},
		"rfc9068": {gatewaytest.Settings{"APP_TOKEN_PROFILE": "rfc9068", "APP_ISSUER": "https://shop.example.com", "APP_AUDIENCE": "shop"}, "sub", true},
		"user_id": {nil, "user_id", false},
		"uid":     {gatewaytest.Settings{"APP_USER_ID_CLAIM": "uid"}, "uid", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := gatewaytest.Settings{"REDIS_PREFIX": name, "APP_USERS": "file:" + users}
			maps.Copy(settings, c.settings)
			client := startShop(t, server.URL, settings).Client()
			for i, id := range ids {
				s := login(t, client, gatewaytest.Username(i), gatewaytest.Password, "LONG")
				want := id
				if c.isString {
					want = `"` + strings.Trim(id, `"`) + `"`
				}
				s.checkUserID(c.claim, want, id, name+", after login")
				s.checkLive("first refresh")
				s.checkUserID(c.claim, want, id, name+", after refresh")
				requireStatus(t, http.StatusOK, client.DestroyOthers(t.Context(), s.access, s.refresh, "ALL"), "destroy all others")
				requireStatus(t, http.StatusOK, client.Destroy(t.Context(), s.access, s.id), "destroy")
				s.checkEnded("user", "refresh after destroy")
			}
		})
	}
}

// checkUserID checks the claim with the user's id, given as JSON, and how the gateway reads it.
func (s *clientSession) checkUserID(claim, want, id, step string) {
	s.t.Helper()
	tokens := map[string]string{"access token": s.access, "refresh token": s.refresh}
	if strings.Contains(step, "rfc9068") {
		delete(tokens, "refresh token") // the profile is about access tokens
	}
	for name, token := range tokens {
		if _, claims := decodeToken(s.t, token); !strings.Contains(claims, fmt.Sprintf(`"%s":%s`, claim, want)) {
			s.t.Errorf("%s: the %s has the claims %s, want %s %s", step, name, claims, claim, want)
		}
	}
	authz := requireStatus(s.t, http.StatusOK, s.c.Authz(s.t.Context(), s.access), step+": authz")
	if got := authz.Header.Get("X-Auth-User"); got != strings.Trim(id, `"`) {
		s.t.Errorf("%s: authz: got X-Auth-User %q, want %s", step, got, id)
	}
	if id == `"7"` && claim == "sub" {
		return // as sub, this text and the number 7 are the same
	}
	resp := requireStatus(s.t, http.StatusOK, verifyToken(s.t, s.c, s.access, "", ""), step+": verify")
	if !hasUserID(resp, id) {
		s.t.Errorf("%s: verify: got the body %s, want user_id %s", step, resp.Body, id)
	}
}

// TestT9SchemesIgnoreCase checks the scheme of the Authorization header: its case matters only
// at the endpoints of the Django app.
func TestT9SchemesIgnoreCase(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	for name, c := range map[string]struct {
		settings         gatewaytest.Settings
		header           string
		exact, other, no []string // schemes: as configured, in other case, unknown ones
	}{
		"default":   {nil, "Authorization", []string{"JWT", "Bearer"}, []string{"bearer", "BEARER", "bEaReR", "jwt", "Jwt"}, []string{"Basic", "bearerx", "Token", "jw"}},
		"one":       {gatewaytest.Settings{"APP_AUTH_HEADER_TYPES": "Token"}, "Authorization", []string{"Token"}, []string{"token", "TOKEN"}, []string{"bearer", "Bearer"}},
		"lowercase": {gatewaytest.Settings{"APP_AUTH_HEADER_TYPES": "bearer"}, "Authorization", []string{"bearer"}, []string{"Bearer", "BEARER"}, []string{"JWT"}},
		"header":    {gatewaytest.Settings{"APP_AUTH_HEADER_NAME": "X-Access-Token"}, "X-Access-Token", []string{"JWT", "Bearer"}, []string{"bearer"}, []string{"Basic"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := gatewaytest.Settings{"REDIS_PREFIX": name}
			maps.Copy(settings, c.settings)
			g := startShop(t, server.URL, settings)
			s := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
			check := func(want int, method, path, scheme string) {
				t.Helper()
				resp := sendWithHeader(t, s.c, method, path, c.header, scheme+" "+s.access)
				requireStatus(t, want, resp, path+" with the scheme "+scheme)
			}
			const authz, list = "/apps/" + gatewaytest.App + "/authz", "/api/session/list/"
			for _, scheme := range c.exact {
				check(http.StatusOK, http.MethodGet, authz, scheme)
				check(http.StatusBadRequest, http.MethodPost, list, scheme) // the body has no fields
			}
			for _, scheme := range c.other {
				check(http.StatusOK, http.MethodGet, authz, scheme)
				check(http.StatusOK, http.MethodDelete, authz, scheme)
				check(http.StatusUnauthorized, http.MethodPost, list, scheme)
				check(http.StatusUnauthorized, http.MethodPost, "/api/session/destroy/", scheme)
				check(http.StatusUnauthorized, http.MethodPost, "/api/session/destroyAllOther/", scheme)
			}
			for _, scheme := range c.no {
				check(http.StatusUnauthorized, http.MethodGet, authz, scheme)
				check(http.StatusUnauthorized, http.MethodPost, list, scheme)
			}
			for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
				path := "/admin/apps/" + gatewaytest.App + "/users/1/sessions"
				resp := sendWithHeader(t, gatewaytest.NewClient(g.AdminURL), http.MethodGet, path, "Authorization", scheme+" "+adminToken)
				requireStatus(t, http.StatusOK, resp, "the admin API with the scheme "+scheme)
			}
		})
	}
}
