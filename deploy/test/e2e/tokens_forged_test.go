package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// longKey is long enough for HS512.
const longKey = "long-signing-key-0123456789abcdef0123456789abcdef0123456789abcdef0123456789"

var hmacHashes = map[string]func() hash.Hash{"HS256": sha256.New, "HS384": sha512.New384, "HS512": sha512.New}

// signHMAC makes a token of a header and claims, both JSON texts.
func signHMAC(algorithm, key, header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(hmacHashes[algorithm], []byte(key))
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// decodeToken returns a token's header and claims as JSON texts.
func decodeToken(t *testing.T, token string) (header, claims string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("got %q, want a token", token)
	}
	var text [2]string
	for i := range text {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		must(t, err)
		text[i] = string(raw)
	}
	return text[0], text[1]
}

// replaceMember replaces a member of a JSON object. It keeps the order of the members.
func replaceMember(t *testing.T, object, name, value string) string {
	t.Helper()
	member := regexp.MustCompile(`"` + name + `":("[^"]*"|[^,}]*)`)
	if !member.MatchString(object) {
		t.Fatalf("%s has no member %s", object, name)
	}
	return member.ReplaceAllLiteralString(object, `"`+name+`":`+value)
}

// forgeries returns claims that a program with the app's key can make: of a refresh token that
// it has seen, and of other sessions' ids. The keys say what was changed.
func forgeries(t *testing.T, seen, victim *clientSession) map[string]string {
	t.Helper()
	_, own := decodeToken(t, seen.refresh)
	_, real := decodeToken(t, victim.refresh)
	victims := replaceMember(t, own, "sid", strconv.Quote(victim.id))
	victims = replaceMember(t, victims, "user_id", fmt.Sprint(claimsOf(t, victim.access)["user_id"]))
	list := map[string]string{"nothing": real, "sid and user": victims}
	for _, generation := range []string{"0", "1", "2", "1000", "4294967294", "4294967295"} {
		list["generation "+generation] = replaceMember(t, real, "gen", generation)
		list["sid, user and generation "+generation] = replaceMember(t, victims, "gen", generation)
	}
	for name, id := range map[string]string{
		"of zeros": strings.Repeat("0", 32), "other": "0123456789abcdef0123456789abcdef", "empty": "", "of the access token": claimsOf(t, victim.access)["jti"].(string),
	} {
		list["token id "+name] = replaceMember(t, real, "jti", strconv.Quote(id))
		list["token id "+name+" and generation"] = replaceMember(t, replaceMember(t, real, "jti", strconv.Quote(id)), "gen", "1000")
	}
	list["expiry"] = replaceMember(t, real, "exp", "4102444800")
	return list
}

// TestT2AppKeyMakesNoRefreshToken signs refresh tokens with keys that an app has to have, and
// checks that every endpoint rejects them and that the session is not affected.
func TestT2AppKeyMakesNoRefreshToken(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	private, public := newRSAKey(t)
	const newKey = "new-" + longKey
	for name, c := range map[string]struct {
		settings gatewaytest.Settings
		header   string // the algorithm in the header of refresh tokens
		keys     []string
	}{
		"HS256":       {gatewaytest.Settings{"APP_ALGORITHM": "HS256", "APP_SIGNING_KEY": longKey}, "HS256", []string{longKey}},
		"HS384":       {gatewaytest.Settings{"APP_ALGORITHM": "HS384", "APP_SIGNING_KEY": longKey}, "HS384", []string{longKey}},
		"HS512":       {gatewaytest.Settings{"APP_ALGORITHM": "HS512", "APP_SIGNING_KEY": longKey}, "HS512", []string{longKey}},
		"RS256":       {gatewaytest.Settings{"APP_ALGORITHM": "RS256", "APP_SIGNING_KEY": private}, "HS256", []string{public, strings.TrimSpace(public)}},
		"retired key": {gatewaytest.Settings{"APP_SIGNING_KEY": newKey, "APP_VERIFYING_KEYS": longKey}, "HS256", []string{longKey, newKey}},
		"refresh key": {gatewaytest.Settings{"APP_SIGNING_KEY": longKey, "APP_REFRESH_KEY": "refresh-" + longKey}, "HS256", []string{longKey}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := gatewaytest.Settings{"REDIS_PREFIX": strings.ReplaceAll(name, " ", "-")}
			maps.Copy(settings, c.settings)
			client := startShop(t, server.URL, settings).Client()
			attacker := login(t, client, gatewaytest.Username(1), gatewaytest.Password, "LONG")
			victim := login(t, client, gatewaytest.Username(0), gatewaytest.Password, "LONG")
			other := login(t, client, gatewaytest.Username(0), gatewaytest.Password, "SHORT")
			requireStatus(t, http.StatusOK, victim.tryRefresh(), "refresh")
			for _, key := range c.keys {
				checkForgeries(t, attacker, victim, c.header, key)
			}
			victim.checkLive("after the forgeries")
			other.checkLive("after the forgeries")
			attacker.checkLive("after the forgeries")
		})
	}
}

// checkForgeries signs forgeries with key. Each endpoint that takes a refresh token must reject
// them.
func checkForgeries(t *testing.T, attacker, victim *clientSession, algorithm, key string) {
	t.Helper()
	ctx, c := t.Context(), victim.c
	realHeader, _ := decodeToken(t, victim.refresh)
	for _, header := range []string{realHeader, `{"alg":"` + algorithm + `","typ":"JWT"}`, `{"typ":"JWT","alg":"` + algorithm + `"}`} {
		for changed, claims := range forgeries(t, attacker, victim) {
			forged := signHMAC(algorithm, key, header, claims)
			for step, resp := range map[string]gatewaytest.Response{
				"refresh":            c.Refresh(ctx, victim.sessionType, forged),
				"refresh as SHORT":   c.Refresh(ctx, "SHORT", forged),
				"logout":             c.Logout(ctx, forged),
				"verify":             c.Verify(ctx, forged),
				"verify of refresh":  verifyToken(t, c, forged, "refresh", ""),
				"destroy all others": c.DestroyOthers(ctx, victim.access, forged, "ALL"),
			} {
				if resp.Status != http.StatusUnauthorized {
					t.Fatalf("%s with a changed claim (%s), header %s: got status %d, body %s; want 401", step, changed, header, resp.Status, resp.Body)
				}
			}
		}
	}
}

// TestT2RetiredKey checks that a key which is retired after the login makes no refresh token
// either, and that the refresh tokens of before are still valid.
func TestT2RetiredKey(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	g := startShop(t, server.URL, gatewaytest.Settings{"APP_SIGNING_KEY": longKey})
	attacker := login(t, g.Client(), gatewaytest.Username(1), gatewaytest.Password, "LONG")
	victim := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
	g.Kill()
	const newKey = "new-" + longKey
	g = startShop(t, server.URL, gatewaytest.Settings{"APP_SIGNING_KEY": newKey, "APP_VERIFYING_KEYS": longKey})
	attacker.c, victim.c = g.Client(), g.Client()
	checkForgeries(t, attacker, victim, "HS256", longKey)
	checkForgeries(t, attacker, victim, "HS256", newKey)
	victim.checkLive("after the forgeries")
	checkForgeries(t, attacker, victim, "HS256", longKey)
	victim.checkLive("after more forgeries")
}

// TestT3StockRefreshViewRefusesRefreshTokens sends the gateway's refresh tokens to simplejwt's
// own views in an app that has the signing key.
func TestT3StockRefreshViewRefusesRefreshTokens(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	private, public := newRSAKey(t)
	for algorithm, keys := range map[string][]string{
		"HS256": {"SIGNING_KEY=" + longKey}, "HS384": {"SIGNING_KEY=" + longKey}, "HS512": {"SIGNING_KEY=" + longKey},
		"RS256": {"SIGNING_KEY=" + private, "VERIFYING_KEY=" + public},
	} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			app := gatewaytest.NewClient(strings.TrimSuffix(startDjango(t, append(keys, "ALGORITHM="+algorithm)...), "/whoami/"))
			key := strings.TrimPrefix(keys[0], "SIGNING_KEY=")
			g := startShop(t, server.URL, gatewaytest.Settings{"REDIS_PREFIX": algorithm, "APP_ALGORITHM": algorithm, "APP_SIGNING_KEY": key})
			s := login(t, g.Client(), gatewaytest.Username(0), gatewaytest.Password, "LONG")
			first, access := s.refresh, s.access
			checkStockViews(t, app, "refresh token of a login", first, http.StatusUnauthorized)
			requireStatus(t, http.StatusOK, s.tryRefresh(), "refresh")
			checkStockViews(t, app, "spent refresh token", first, http.StatusUnauthorized)
			checkStockViews(t, app, "refresh token of a refresh", s.refresh, http.StatusUnauthorized)
			requireStatus(t, http.StatusOK, g.Client().Logout(t.Context(), s.refresh), "logout")
			checkStockViews(t, app, "refresh token after logout", s.refresh, http.StatusUnauthorized)

			resp := app.Post(t.Context(), "/token/verify/", "", map[string]string{"token": access})
			requireStatus(t, http.StatusOK, resp, "simplejwt's verification of an access token")
			if hmacHashes[algorithm] != nil { // the views accept what the app signs
				header, claims := decodeToken(t, first)
				checkStockViews(t, app, "refresh token of the app", signHMAC(algorithm, key, header, claims), http.StatusOK)
			}
		})
	}
}

// checkStockViews sends a refresh token to simplejwt's views.
func checkStockViews(t *testing.T, app *gatewaytest.Client, step, refresh string, want int) {
	t.Helper()
	for path, field := range map[string]string{"/token/refresh/": "refresh", "/token/verify/": "token"} {
		if resp := app.Post(t.Context(), path, "", map[string]string{field: refresh}); resp.Status != want {
			t.Errorf("%s at %s: got status %d, body %s, error %v; want status %d", step, path, resp.Status, resp.Body, resp.Err, want)
		}
	}
}

// verifyToken sends a token to the verify endpoint. Empty members are left out.
func verifyToken(t *testing.T, c *gatewaytest.Client, token, tokenType, secret string) gatewaytest.Response {
	t.Helper()
	body := map[string]string{"token": token}
	if tokenType != "" {
		body["token_type"] = tokenType
	}
	if secret != "" {
		body["secret_key"] = secret
	}
	return c.Post(t.Context(), "/api/session/verify/", "", body)
}
