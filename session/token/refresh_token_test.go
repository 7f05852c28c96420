package token

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// TestVerifyRefreshTokens checks tokens that are signed with the refresh key. Verify
// accepts those that have the gateway's claims in the gateway's order. Signed with the
// app's key, no such token is accepted.
func TestVerifyRefreshTokens(t *testing.T) {
	s := newSigner(t, Options{})
	for _, c := range []claimTest{
		{"", "", session.OK},
		{"type", `"SHORT"`, session.OK},
		{"iat", `1794000060`, session.OK}, // the store's clock may have been set back
		{"iat", `"x"`, session.Unknown},
		{"nbf", `1794000030`, session.OK}, // not a claim of the gateway's refresh tokens
		{"exp", `1794000000`, session.Expired},
		{"exp", `1`, session.Expired},
		{"exp", `null`, session.Unknown},
		{"exp", ``, session.Unknown},
		{"jti", ``, session.Unknown},
		{"jti", `null`, session.Unknown},
		{"jti", `5`, session.Unknown},
		{"jti", `"0123456789abcdef0123456789abcdef"`, session.Unknown}, // belongs to no generation of the session
		{"jti", `""`, session.Unknown},
		{"jti", `"9643ce054115271c554a4996faed1c3"`, session.Unknown},
		{"jti", `"9643ce054115271c554a4996faed1c3200"`, session.Unknown},
		{"jti", `"9643ce054115271c554a4996faed1c3g"`, session.Unknown},
		{"jti", `"9643ce054115271c554a4996faed1c3é"`, session.Unknown},
		{"gen", `2`, session.Unknown},
		{"token_type", ``, session.Unknown},
		{"token_type", `"access"`, session.Unknown},
		{"user_id", ``, session.Unknown},
		{"user_id", `null`, session.Unknown},
		{"user_id", `1.5`, session.Unknown},
		{"user_id", `"abc"`, session.OK},
		{"sid", ``, session.Unknown},
		{"sid", `null`, session.Unknown},
		{"sid", `"abc"`, session.Unknown},
		{"sid", `"nRyq3Pz0S2mB-xk_91oJv*"`, session.Unknown},
		{"sid", `"mRyq3Pz0S2mB-xk_91oJvA"`, session.Unknown}, // another session's
		{"type", ``, session.Unknown},
		{"type", `"long"`, session.Unknown},
		{"type", `" LONG"`, session.Unknown},
		{"type", `1`, session.Unknown},
		{"gen", ``, session.Unknown},
		{"gen", `0`, session.Unknown},
		{"gen", `-1`, session.Unknown},
		{"gen", `1.0`, session.Unknown},
		{"gen", `"1"`, session.Unknown},
		{"gen", `"3"`, session.Unknown},
		{"gen", `4294967295`, session.Unknown}, // it has no successor
		{"gen", `4294967296`, session.Unknown},
		{"gen", `4294967299`, session.Unknown}, // 3 in the low 32 bits
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			claims := refreshJSON(c.name, c.value)
			_, err := s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), claims), session.KindRefresh, at(now))
			wantCode(t, err, c.want)
			checkNoRefresh(t, "with the app's key", s, forge(secret, refreshHeader(derivedRefreshKey(secret, ""), "HS256"), claims), session.TokenInvalid)
			_, err = s.Verify(forge(secret, plainHeader, claims), session.KindRefresh, at(now))
			if code := session.CodeOf(err); code == session.OK || code == session.Expired {
				t.Errorf("with the app's key and its header: got code %s, want an error", code)
			}
		})
	}
}

// TestVerifyRejectsInvalidClaimsOfRefreshTokens checks that claims that are no JSON object
// yield Unknown, even with the refresh key.
func TestVerifyRejectsInvalidClaimsOfRefreshTokens(t *testing.T) {
	s := newSigner(t, Options{})
	valid := refreshJSON("", "")
	for _, claims := range []string{``, `null`, `[]`, `{}`, `{`, valid[:len(valid)-1], valid + `{}`, valid + `x`, `[` + valid + `]`, strings.TrimSuffix(valid, "}") + `,"a":tru}`} {
		checkNoRefresh(t, claims, s, forgeRefresh(derivedRefreshKey(secret, ""), claims), session.Unknown)
	}
}

// TestVerifyExpiredRefreshTokens checks that Verify reports a refresh token as expired only
// if the gateway issued it.
func TestVerifyExpiredRefreshTokens(t *testing.T) {
	s := newSigner(t, Options{})
	late := at(now.Add(time.Hour))
	_, err := s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("", "")), session.KindRefresh, late)
	wantCode(t, err, session.Expired)
	_, err = s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("sid", "")), session.KindRefresh, late)
	wantCode(t, err, session.Unknown)
	_, err = s.Verify(forge(secret, plainHeader, accessJSON("", "")), session.KindRefresh, late)
	wantCode(t, err, session.TokenInvalid) // as any expired access token
	token, want := mustSign(t, s, refreshClaims()), refreshClaims()
	c, err := s.Verify(token, session.KindRefresh, at(want.Expires))
	wantCode(t, err, session.Expired)
	if c.Session != want.Session || c.User != want.User {
		t.Errorf("got claims %+v of an expired token, want its session and user for the log", c)
	}
	_, err = s.Verify(token, session.KindRefresh, at(want.Expires.Add(-1)))
	wantCode(t, err, session.OK)
	checkRefresh(t, "not expired", s, token, want)
}

// TestRefreshTokenAsAccessToken checks that Verify rejects a refresh token in place of an
// access token, and returns no claims.
func TestRefreshTokenAsAccessToken(t *testing.T) {
	for _, leeway := range []time.Duration{0, 10 * time.Second} {
		s := newSigner(t, Options{Leeway: leeway})
		token := mustSign(t, s, refreshClaims())
		for _, c := range []struct {
			at   time.Time
			want session.Code
		}{
			{now, session.TokenWrongKind}, {refreshClaims().Expires.Add(-1), session.TokenWrongKind}, {refreshClaims().Expires, session.TokenInvalid},
		} {
			got, err := s.Verify(token, session.KindAccess, at(c.at))
			wantCode(t, err, c.want)
			if got.Kind != "" || got.Session != "" || got.Secret != (session.Secret{}) {
				t.Errorf("got claims %+v, want none", got)
			}
		}
	}
}

// TestRefreshTokenDependsOnClaimsOnly checks that all instances sign the same refresh token,
// also if the app's algorithm is not deterministic.
func TestRefreshTokenDependsOnClaimsOnly(t *testing.T) {
	for _, v := range readVectors(t).Vectors {
		o := Options{Algorithm: v.Algorithm, SigningKey: v.Key}
		a, b := mustSign(t, newSigner(t, o), refreshClaims()), mustSign(t, newSigner(t, o), refreshClaims())
		if a != b {
			t.Errorf("%s: two instances sign different tokens for the same claims", v.Algorithm)
		}
	}
}

// jtiOf returns the jti of a token.
func jtiOf(t testing.TB, token string) string {
	t.Helper()
	_, claims := parts(t, token)
	var m struct{ JTI string }
	if err := json.Unmarshal([]byte(claims), &m); err != nil {
		t.Fatal(err)
	}
	return m.JTI
}

// TestRefreshJTIDependsOnSessionAndGeneration checks that jti changes with the session, its
// secret and the generation, and with nothing else.
func TestRefreshJTIDependsOnSessionAndGeneration(t *testing.T) {
	s := newSigner(t, Options{})
	id := func(change func(*session.Claims)) string {
		c := refreshClaims()
		change(&c)
		return jtiOf(t, mustSign(t, s, c))
	}
	first := id(func(*session.Claims) {})
	for name, change := range map[string]func(*session.Claims){
		"time": func(c *session.Claims) { c.Issued, c.Expires = c.Issued.Add(1e9), c.Expires.Add(1e9) },
		"user": func(c *session.Claims) { c.User = session.TextID("x") },
		"type": func(c *session.Claims) { c.Type = session.Short },
	} {
		if id(change) != first {
			t.Errorf("jti depends on the %s", name)
		}
	}
	for name, change := range map[string]func(*session.Claims){
		"generation": func(c *session.Claims) { c.Generation++ },
		"session":    func(c *session.Claims) { c.Session = session.NewID() },
	} {
		if other := id(change); other[:16] == first[:16] || other[16:] == first[16:] {
			t.Errorf("a half of jti does not depend on the %s: got %s and %s", name, other, first)
		}
	}
	if other := id(func(c *session.Claims) { c.Secret[7] = 1 }); other[:16] == first[:16] || other[16:] != first[16:] {
		t.Errorf("got jti %s with another secret than that of %s, want another first half only", other, first)
	}
}

// TestSessionSecretRoundTrip checks that a refresh token carries its session's secret,
// masked differently in each generation.
func TestSessionSecretRoundTrip(t *testing.T) {
	s := newSigner(t, Options{App: "shop"})
	for _, want := range []session.Secret{{}, {1, 2, 3, 4, 5, 6, 7, 8}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, session.NewSecret()} {
		masked := map[string]bool{}
		for _, generation := range []uint32{1, 2, 3, 1<<32 - 2} {
			c := refreshClaims()
			c.Secret, c.Generation = want, generation
			token := mustSign(t, s, c)
			checkRefresh(t, "round trip", s, token, c)
			jti := jtiOf(t, token)
			if jti != refreshJTI(derivedRefreshKey(secret, "shop"), "shop", c) {
				t.Errorf("generation %d: got jti %s, want %s", generation, jti, refreshJTI(derivedRefreshKey(secret, "shop"), "shop", c))
			}
			if masked[jti[:16]] || strings.Contains(jti, hex.EncodeToString(want[:])) {
				t.Errorf("generation %d: jti %s shows the secret, or masks it as in another generation", generation, jti)
			}
			masked[jti[:16]] = true
		}
	}
}

// TestRefreshTokenWithChangedJTI checks that a change of the first half of jti, even by a
// holder of the refresh key, yields another secret than the session's, and a change of the
// second half an unknown token.
func TestRefreshTokenWithChangedJTI(t *testing.T) {
	s, c := newSigner(t, Options{}), refreshClaims()
	c.Secret, c.User = session.NewSecret(), session.NumberID(1)
	jti := refreshJTI(derivedRefreshKey(secret, ""), "", c)
	for i := range 2 * len(jti) {
		digit, bit := i/2, byte(1)<<(i%2) // a changed bit yields another hex digit, or none
		changed := jti[:digit] + string(jti[digit]^bit) + jti[digit+1:]
		raw, err := hex.DecodeString(changed)
		got, verifyErr := s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("jti", `"`+changed+`"`)), session.KindRefresh, at(now))
		if err != nil || digit >= len(jti)/2 {
			if session.CodeOf(verifyErr) != session.Unknown || got.Kind != "" {
				t.Errorf("jti %s instead of %s: got %+v, %v, want unknown", changed, jti, got, verifyErr)
			}
			continue
		}
		original, _ := hex.DecodeString(jti)
		want := c.Secret
		want[digit/2] ^= raw[digit/2] ^ original[digit/2]
		if verifyErr != nil || got.Secret != want || got.Secret == c.Secret {
			t.Errorf("jti %s instead of %s: got secret %x, %v, want %x", changed, jti, got.Secret[:], verifyErr, want[:])
		}
	}
}

// TestLaterRefreshTokens checks that Verify reads a refresh token to which a later version
// has appended claims, whatever their names.
func TestLaterRefreshTokens(t *testing.T) {
	s := newSigner(t, Options{})
	want := refreshClaims()
	want.User, want.Expires = session.NumberID(1), now.Add(time.Minute)
	for _, more := range []string{
		`,"aud":"shop","iss":"x"`, `,"new":[1,{"exp":1}],"é":null`, `,"exp":1,"jti":"x","gen":9,"sid":"x","user_id":2,"token_type":"access"`, `,"a":"\u0061" , "b" : 1.5`,
	} {
		claims := strings.TrimSuffix(refreshJSON("", ""), "}") + more + "}"
		checkRefresh(t, more, s, forgeRefresh(derivedRefreshKey(secret, ""), claims), want)
	}
}

// TestSettingsKeepRefreshTokensValid checks that changes of ISSUER, AUDIENCE, the claims'
// names and TOKEN_PROFILE, in any direction, invalidate no refresh token.
func TestSettingsKeepRefreshTokensValid(t *testing.T) {
	settings := map[string]Options{
		"defaults":         {},
		"an issuer":        {Issuer: "https://id.example"},
		"another issuer":   {Issuer: "https://other.example/é"},
		"an audience":      {Audience: []string{"a"}},
		"audiences":        {Audience: []string{"b", "c"}},
		"sub":              {UserIDClaim: "sub"},
		"other names":      {UserIDClaim: "uid", TokenTypeClaim: "kind", JTIClaim: "tid"},
		"exchanged names":  {UserIDClaim: "jti", TokenTypeClaim: "user_id", JTIClaim: "token_type"},
		"rfc9068":          {Profile: RFC9068, Issuer: "https://id.example"},
		"rfc9068 with sub": {Profile: RFC9068, Issuer: "https://id.example", UserIDClaim: "sub", TokenTypeClaim: "kind", Audience: []string{"a"}},
		"leeway":           {Leeway: time.Minute},
	}
	for from, before := range settings {
		before.App = "shop"
		for _, user := range []session.UserID{session.NumberID(42), session.NumberID(-1), session.TextID("007"), session.TextID(`a"é`)} {
			c := refreshClaims()
			c.User = user
			c.Secret = session.Secret{1, 2, 3}
			token := mustSign(t, newSigner(t, before), c)
			for to, after := range settings {
				after.App = "shop"
				checkRefresh(t, "from "+from+" to "+to, newSigner(t, after), token, c)
			}
		}
	}
}

// TestSubjectIsAString checks that Sign writes the user's ID to sub as a string, and that
// Verify reads a canonical whole number in it as a number.
func TestSubjectIsAString(t *testing.T) {
	for _, o := range []Options{
		{UserIDClaim: "sub"}, withRFC9068(Options{}), withRFC9068(Options{UserIDClaim: "sub"}),
	} {
		s := newSigner(t, o)
		for text, want := range map[string]session.UserID{
			"42": session.NumberID(42), "-7": session.NumberID(-7), "0": session.NumberID(0), "9223372036854775807": session.NumberID(1<<63 - 1),
			"007": session.TextID("007"), "-0": session.TextID("-0"), "+5": session.TextID("+5"), " 5": session.TextID(" 5"), "5 ": session.TextID("5 "),
			"1.0": session.TextID("1.0"), "1e3": session.TextID("1e3"), "9223372036854775808": session.TextID("9223372036854775808"),
			"null": session.TextID("null"), "abc": session.TextID("abc"), "é": session.TextID("é"),
		} {
			for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
				c.User = want
				token := mustSign(t, s, c)
				_, claims := parts(t, token)
				if inSub := c.Kind == session.KindAccess || o.UserIDClaim == "sub"; inSub && !strings.Contains(claims, `"sub":"`+text+`",`) {
					t.Errorf("%+v: got %s claims %s, want sub to be the string %q", o, c.Kind, claims, text)
				}
				if got, err := s.Verify(token, c.Kind, at(now)); err != nil || got.User != want {
					t.Errorf("%+v: %q in sub of the %s token: got user %#v (%v), want %#v", o, text, c.Kind, got.User, err, want)
				}
			}
		}
	}
	s := newSigner(t, Options{UserIDClaim: "sub"})
	foreign := strings.Replace(accessJSON("", ""), `"user_id":1`, `"sub":1`, 1)
	if c, err := s.Verify(forge(secret, plainHeader, foreign), session.KindAccess, at(now)); err != nil || c.User != session.NumberID(1) {
		t.Errorf("a number in sub: got user %#v (%v), want the number", c.User, err)
	}
}
