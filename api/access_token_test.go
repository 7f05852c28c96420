package api_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"tokengate/api"
	"tokengate/api/wiretest"
	"tokengate/session"
)

// TestUnusualAccessTokens checks the answers to tokens that lack a claim, and to tokens
// without a session.
func TestUnusualAccessTokens(t *testing.T) {
	g := newGateway(t, options{})
	const invalid = `{"detail":"Given token not valid for any token type","code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"`
	sign := func(user int64) string {
		token, _ := g.engine.App(wiretest.App).Signer.Sign(session.Claims{
			Kind: session.KindAccess, User: session.NumberID(user), Issued: time.Now(), Expires: time.Now().Add(time.Minute),
		})
		return token
	}
	for token, want := range map[string]string{
		"no-exp": invalid + `Token has no 'exp' claim"}]}`, "no-jti": invalid + `Token has no id"}]}`, "no-type": invalid + `Token has no type"}]}`,
		"no-user": `{"detail":"Token contained no recognizable user identification","code":"token_not_valid"}`,
		sign(999): `{"detail":"User not found","code":"user_not_found"}`,
		sign(3):   `{"detail":"User is inactive","code":"user_inactive"}`,
	} {
		expect(t, g.do("POST", "/api/session/list/", `{"session":"ALL"}`, "Authorization: JWT "+token), 401, want)
	}
	// A token without a session is valid: another program with the same key may issue it.
	w := g.do("POST", "/api/session/list/", `{"session":"SHORT"}`, "Authorization: JWT "+sign(1))
	expect(t, w, 200, `{"Short":{"Available Sessions":"2","Sessions":[]}}`)
	w = g.do("GET", "/apps/wire/authz", "", "Authorization: JWT "+sign(1))
	if w.Code != 200 || w.Header().Get("X-Auth-User") != "1" || len(w.Header().Values("X-Auth-Session")) != 1 || w.Header().Get("X-Auth-Session") != "" {
		t.Errorf("got %d %v, want 200, X-Auth-User: 1 and one empty X-Auth-Session", w.Code, w.Header())
	}
}

// TestHeadersPerApp checks two apps on one gateway that are configured for different
// headers and schemes.
func TestHeadersPerApp(t *testing.T) {
	g := newGateway(t, options{apps: []string{"shop"}, change: func(o *api.Options) {
		o.Apps = map[string]api.App{"shop": {HeaderName: "HTTP_X_SHOP_TOKEN", HeaderTypes: []string{"Shop", "JWT"}}}
	}})
	_, wire, _ := g.login(t)
	w := g.do("POST", "/api/session/login/", `{"username":"alice","password":"alice-pw-1","secret_key":"shop","session":"LONG","info":"x"}`)
	var shop struct{ Access string }
	decode(t, w, &shop)
	const missing = `{"detail":"Authentication credentials were not provided.","code":"not_authenticated"}`
	for _, c := range []struct {
		header    string
		status    int
		body      string
		challenge string
	}{
		{"Authorization: JWT " + wire, 200, "*", ""},
		{"X-Shop-Token: Shop " + shop.Access, 200, "*", ""},
		{"X-Shop-Token: JWT " + shop.Access, 200, "*", ""},
		{"Authorization: Shop " + shop.Access, 401, missing, `JWT realm="api"`},
		{"Authorization: JWT " + shop.Access, 401, missing, `Shop realm="api"`},
		{"X-Shop-Token: JWT " + wire, 401, missing, `JWT realm="api"`},
		{"X-Shop-Token: Bearer " + shop.Access, 401, missing, `JWT realm="api"`},
	} {
		w := g.do("POST", "/api/session/list/", `{"session":"ALL"}`, c.header)
		expect(t, w, c.status, c.body)
		if got := w.Header().Get("WWW-Authenticate"); got != c.challenge {
			t.Errorf("%.30s: got challenge %q, want %q", c.header, got, c.challenge)
		}
	}
	// A foreign token in another app's header, such as the token of a proxy, has no
	// effect if the app's own header has a valid token.
	list := func(headers ...string) *httptest.ResponseRecorder {
		return g.do("POST", "/api/session/list/", `{"session":"ALL"}`, headers...)
	}
	for _, foreign := range []string{"Bearer the-proxys", "Bearer", "Basic eDp5", "JWT " + shop.Access} {
		expect(t, list("Authorization: "+foreign, "X-Shop-Token: Shop "+shop.Access), 200, "*")
	}
	expect(t, list("Authorization: Basic eDp5", "X-Shop-Token: Shop x"), 401, `{"detail":"Given token not valid for any token type",`+
		`"code":"token_not_valid","messages":[{"token_class":"AccessToken","token_type":"access","message":"Token is invalid or expired"}]}`)
	expect(t, list("Authorization: Bearer", "X-Shop-Token: Shop"), 401, `{"detail":"Authorization header must contain two space-delimited values","code":"bad_authorization_header"}`)
	expect(t, g.do("GET", "/apps/shop/authz", "", "X-Shop-Token: Shop "+shop.Access), 200, "")
	expect(t, g.do("GET", "/apps/shop/authz", "", "Authorization: JWT "+shop.Access), 401, missing)
	expect(t, g.do("GET", "/apps/shop/authz", "", "X-Shop-Token: Shop "+wire), 401, "*")
	expect(t, g.do("GET", "/apps/wire/authz", "", "Authorization: JWT "+shop.Access), 401, "*")
}
