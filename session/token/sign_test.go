package token

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func TestSignWritesSimpleJWTHeaderAndClaims(t *testing.T) {
	s := newSigner(t, Options{Issuer: "https://id.example/é<&>", Audience: []string{"shop"}})
	header, claims := parts(t, mustSign(t, s, refreshClaims()))
	if want := refreshHeader(derivedRefreshKey(secret, ""), "HS256"); header != want {
		t.Errorf("got refresh header %s, want %s", header, want)
	}
	if want := `{"token_type":"refresh","exp":1796592000,"iat":1794000000,"jti":"9643ce054115271c554a4996faed1c32","user_id":42,` +
		`"sid":"nRyq3Pz0S2mB-xk_91oJvA","type":"LONG","gen":3,"aud":"shop","iss":"https://id.example/é<&>"}`; claims != want {
		t.Errorf("got refresh claims\n%s, want\n%s", claims, want)
	}
	header, claims = parts(t, mustSign(t, s, accessClaims()))
	if want := `{"alg":"HS256","typ":"JWT","kid":"` + s.keyring.keys[0].kid + `"}`; header != want {
		t.Errorf("got access header %s, want %s", header, want)
	}
	jti := regexp.MustCompile(`"jti":"([0-9a-f]{32})"`).FindStringSubmatch(claims)
	if jti == nil {
		t.Fatalf("no jti of 32 lower-case hex digits in %s", claims)
	}
	if want := `{"token_type":"access","exp":1794000300,"iat":1794000000,"jti":"` + jti[1] + `","user_id":42,` +
		`"sid":"nRyq3Pz0S2mB-xk_91oJvA","aud":"shop","iss":"https://id.example/é<&>"}`; claims != want {
		t.Errorf("got access claims\n%s, want\n%s", claims, want)
	}
}

// TestSignWritesNoOptionalClaimsByDefault checks that an access token without session,
// ISSUER and AUDIENCE has exactly the claims of the Django app.
func TestSignWritesNoOptionalClaimsByDefault(t *testing.T) {
	c := accessClaims()
	c.Session = ""
	_, claims := parts(t, mustSign(t, newSigner(t, Options{}), c))
	if !regexp.MustCompile(`^\{"token_type":"access","exp":1794000300,"iat":1794000000,"jti":"[0-9a-f]{32}","user_id":42\}$`).MatchString(claims) {
		t.Errorf("got claims %s, want only token_type, exp, iat, jti and user_id", claims)
	}
}

func TestSignWithClaimNamesAndSeveralAudiences(t *testing.T) {
	s := newSigner(t, Options{
		UserIDClaim: "sub", TokenTypeClaim: "https://id.example/kind", JTIClaim: "tid", Audience: []string{"a", "b"},
	})
	token := mustSign(t, s, refreshClaims())
	_, claims := parts(t, token)
	if want := `{"https://id.example/kind":"refresh","exp":1796592000,"iat":1794000000,"tid":"9643ce054115271c554a4996faed1c32","sub":"42",` +
		`"sid":"nRyq3Pz0S2mB-xk_91oJvA","type":"LONG","gen":3,"aud":["a","b"]}`; claims != want {
		t.Errorf("got claims\n%s, want\n%s", claims, want)
	}
	if _, err := s.Verify(token, session.KindRefresh, at(now)); err != nil {
		t.Error(err)
	}
}

func TestC32SignWritesRFC9068Claims(t *testing.T) {
	s := newSigner(t, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"})
	header, claims := parts(t, mustSign(t, s, accessClaims()))
	if want := `{"alg":"HS256","typ":"at+jwt","kid":"` + s.keyring.keys[0].kid + `"}`; header != want {
		t.Errorf("got header %s, want %s", header, want)
	}
	jti := regexp.MustCompile(`"jti":"([0-9a-f]{32})"`).FindString(claims)
	if want := `{"iss":"https://id.example","sub":"42","aud":"shop","client_id":"shop","iat":1794000000,"exp":1794000300,` + jti +
		`,"sid":"nRyq3Pz0S2mB-xk_91oJvA","auth_time":1793996400}`; jti == "" || claims != want {
		t.Errorf("got access claims\n%s, want\n%s", claims, want)
	}
	c := accessClaims()
	c.AuthTime, c.Session = time.Time{}, ""
	if _, claims = parts(t, mustSign(t, s, c)); strings.Contains(claims, "auth_time") || strings.Contains(claims, "sid") {
		t.Errorf("a token without session and login time: got claims %s, want neither sid nor auth_time", claims)
	}
	header, claims = parts(t, mustSign(t, s, refreshClaims()))
	if !strings.Contains(header, `"typ":"JWT"`) || !strings.HasPrefix(claims, `{"token_type":"refresh"`) {
		t.Errorf("got refresh token %s.%s, want the same as in the profile simplejwt", header, claims)
	}
}

func TestUserIDKeepsItsType(t *testing.T) {
	s := newSigner(t, Options{})
	for want, id := range map[string]session.UserID{
		`"user_id":7,`: session.NumberID(7), `"user_id":"7",`: session.TextID("7"),
		`"user_id":-7,`: session.NumberID(-7), `"user_id":"a\"\\é",`: session.TextID(`a"\é`),
	} {
		for _, c := range []session.Claims{accessClaims(), refreshClaims()} {
			c.User = id
			token := mustSign(t, s, c)
			if _, claims := parts(t, token); !strings.Contains(claims, want) {
				t.Errorf("got claims %s, want %s in them", claims, want)
			}
			if back, err := s.Verify(token, c.Kind, at(now)); err != nil || back.User != id {
				t.Errorf("got user %v (%v), want %v", back.User, err, id)
			}
		}
	}
}

func TestSignTruncatesTimesToSeconds(t *testing.T) {
	c := accessClaims()
	c.Issued, c.Expires = now.Add(999*time.Millisecond), now.Add(60*time.Second+999*time.Millisecond)
	s := newSigner(t, Options{})
	token := mustSign(t, s, c)
	if _, claims := parts(t, token); !strings.Contains(claims, `"exp":1794000060,"iat":1794000000,`) {
		t.Errorf("got claims %s, want whole seconds", claims)
	}
	back, err := s.Verify(token, session.KindAccess, at(now))
	if err != nil || !back.Issued.Equal(now) || !back.Expires.Equal(now.Add(time.Minute)) {
		t.Errorf("got times %v and %v (%v), want whole seconds", back.Issued, back.Expires, err)
	}
}

func TestAccessTokensDiffer(t *testing.T) {
	s := newSigner(t, Options{})
	tokens := map[string]bool{}
	for range 1000 {
		token := mustSign(t, s, accessClaims())
		if tokens[token] {
			t.Fatal("two access tokens are the same")
		}
		tokens[token] = true
	}
}

func TestSignMergesExtraClaims(t *testing.T) {
	for extra, want := range map[string]string{
		``:   `}`,
		`{}`: `}`,
		` { "a" : [1, {"b": "}"}] , "é":null } `: `,"a":[1, {"b": "}"}],"é":null}`,
		`{"role":"x","role":"y"}`:                `,"role":"y"}`,
		`{"r\u006fle":"x","role":"y"}`:           `,"role":"y"}`,
		`{"q\"uo\\te":1}`:                        `,"q\"uo\\te":1}`,
		`{"exp":9999999999,"iat":1,"nbf":1,"iss":"x","aud":"x","sub":"x","jti":"x"}`:      `}`,
		`{"user_id":1,"token_type":"refresh","sid":"x","type":"x","gen":1,"client_id":1}`: `}`,
		`{"auth_time":1,"\u0065xp":9999999999,"EXP":1,"User_Id":1,"\u017fid":"x","a":1}`:  `,"a":1}`,
	} {
		c := accessClaims()
		c.Extra = json.RawMessage(extra)
		s := newSigner(t, Options{})
		token := mustSign(t, s, c)
		_, claims := parts(t, token)
		if _, tail, _ := strings.Cut(claims, `"sid":"nRyq3Pz0S2mB-xk_91oJvA"`); tail != want {
			t.Errorf("%s: got %s at the end of the claims, want %s", extra, tail, want)
		}
		if _, err := s.Verify(token, session.KindAccess, at(now)); err != nil {
			t.Errorf("%s: %v", extra, err)
		}
	}
	for _, extra := range []string{`[]`, `null`, `1`, `{`, `{"a":1}x`, `{"a":1,}`, "{\"a\":\"\xff\"}", `{"a":tru}`} {
		c := accessClaims()
		c.Extra = json.RawMessage(extra)
		if _, err := newSigner(t, Options{}).Sign(c); err == nil {
			t.Errorf("%q: Sign does not fail", extra)
		}
	}
}

func TestSignMergesExtraClaimsOfRFC9068(t *testing.T) {
	c := accessClaims()
	c.Extra = json.RawMessage(`{"sub":"7","client_id":"x","token_type":"refresh","roles":["a"],"acr":"urn:x"}`)
	_, claims := parts(t, mustSign(t, newSigner(t, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"}), c))
	if !strings.HasSuffix(claims, `,"auth_time":1793996400,"roles":["a"],"acr":"urn:x"}`) {
		t.Errorf("got claims %s, want roles and acr at their end", claims)
	}
}

func TestRefreshTokenHasNoExtraClaims(t *testing.T) {
	c := refreshClaims()
	c.Extra = json.RawMessage(`{"role":"x"}`)
	s := newSigner(t, Options{})
	if mustSign(t, s, c) != mustSign(t, s, refreshClaims()) {
		t.Error("the user's own claims change the refresh token")
	}
}

func TestSignRejectsInvalidClaims(t *testing.T) {
	for name, change := range map[string]func(*session.Claims){
		"no user":                            func(c *session.Claims) { c.User = session.UserID{} },
		"no session":                         func(c *session.Claims) { c.Session = "" },
		"invalid session":                    func(c *session.Claims) { c.Session = `x","gen":9,"a":"` },
		"no type":                            func(c *session.Claims) { c.Type = "" },
		"unknown type":                       func(c *session.Claims) { c.Type = "long" },
		"no generation":                      func(c *session.Claims) { c.Generation = 0 },
		"unknown kind":                       func(c *session.Claims) { c.Kind = "sliding" },
		"invalid session of an access token": func(c *session.Claims) { c.Kind, c.Session = session.KindAccess, "abc" },
		"too many claims": func(c *session.Claims) {
			c.Kind, c.Extra = session.KindAccess, json.RawMessage(`{"a":"`+strings.Repeat("x", MaxLength-500)+`"}`)
		},
		"far too many claims": func(c *session.Claims) {
			c.Kind, c.Extra = session.KindAccess, json.RawMessage(`{"a":"`+strings.Repeat("x", MaxLength)+`"}`)
		},
	} {
		c := refreshClaims()
		change(&c)
		if token, err := newSigner(t, Options{}).Sign(c); err == nil || token != "" {
			t.Errorf("%s: got token %q and error %v, want an error only", name, token, err)
		}
	}
}
