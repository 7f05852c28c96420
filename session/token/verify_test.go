package token

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// accessJSON returns the claims of an access token from another program, with the member
// name set to value. An empty value removes the member; an empty name changes nothing.
func accessJSON(name, value string) string {
	members := [][2]string{
		{"token_type", `"access"`}, {"exp", "1794000060"}, {"iat", "1794000000"},
		{"jti", `"0123456789abcdef0123456789abcdef"`}, {"user_id", "1"},
	}
	return jsonObject(members, name, value)
}

// refreshJSON is like accessJSON, for a refresh token that the gateway signs with the
// refresh key derived from secret, for an app without a name.
func refreshJSON(name, value string) string {
	members := [][2]string{
		{"token_type", `"refresh"`}, {"exp", "1794000060"}, {"iat", "1794000000"},
		{"jti", `"9643ce054115271c554a4996faed1c32"`}, {"user_id", "1"},
		{"sid", `"nRyq3Pz0S2mB-xk_91oJvA"`}, {"type", `"LONG"`}, {"gen", "3"},
	}
	return jsonObject(members, name, value)
}

func jsonObject(members [][2]string, name, value string) string {
	replaced := false
	var list []string
	for _, m := range members {
		if m[0] == name {
			m[1], replaced = value, true
		}
		if m[1] != "" {
			list = append(list, strconv.Quote(m[0])+":"+m[1])
		}
	}
	if !replaced && name != "" {
		list = append(list, strconv.Quote(name)+":"+value)
	}
	return "{" + strings.Join(list, ",") + "}"
}

// claimTest is a test of Verify with the claim name set to value.
type claimTest struct {
	name, value string
	want        session.Code
}

var foreignAccessTests = []claimTest{
	{"", "", session.OK},
	{"exp", `1794000000`, session.TokenInvalid}, // expires at now
	{"exp", `1794000001`, session.OK},
	{"exp", `1793999999`, session.TokenInvalid},
	{"exp", `1794000060.7`, session.OK},
	{"exp", `1794000000.9`, session.TokenInvalid}, // truncated, as PyJWT does
	{"exp", `1.79400006e9`, session.OK},
	{"exp", `"1794000060"`, session.TokenInvalid},
	{"exp", `"tomorrow"`, session.TokenInvalid},
	{"exp", `null`, session.TokenInvalid},
	{"exp", `true`, session.TokenInvalid},
	{"exp", `[]`, session.TokenInvalid},
	{"exp", `{}`, session.TokenInvalid},
	{"exp", `-1`, session.TokenInvalid},
	{"exp", `253402300799`, session.OK},
	{"exp", `253402300800`, session.TokenInvalid},
	{"exp", `1000000000000000000`, session.TokenInvalid},
	{"exp", `1e18`, session.TokenInvalid},
	{"exp", `1e400`, session.TokenInvalid},
	{"exp", `-1e400`, session.TokenInvalid},
	{"exp", `99999999999999999999999999`, session.TokenInvalid},
	{"exp", ``, session.TokenNoExpiry},
	{"iat", ``, session.OK},
	{"iat", `1794000000`, session.OK},
	{"iat", `1794000001`, session.TokenInvalid},
	{"iat", `1794000030`, session.TokenInvalid},
	{"iat", `1793999999.5`, session.OK},
	{"iat", `0`, session.OK},
	{"iat", `"x"`, session.TokenInvalid},
	{"iat", `null`, session.TokenInvalid},
	{"iat", `-1e300`, session.TokenInvalid},
	{"nbf", `1794000000`, session.OK},
	{"nbf", `1793999970`, session.OK},
	{"nbf", `1794000001`, session.TokenInvalid},
	{"nbf", `1794000030`, session.TokenInvalid},
	{"nbf", `"x"`, session.TokenInvalid},
	{"nbf", `null`, session.TokenInvalid},
	{"jti", ``, session.TokenNoID},
	{"jti", `null`, session.OK},
	{"jti", `5`, session.OK},
	{"token_type", ``, session.TokenNoKind},
	{"token_type", `"refresh"`, session.TokenWrongKind},
	{"token_type", `"sliding"`, session.TokenWrongKind},
	{"token_type", `"ACCESS"`, session.TokenWrongKind},
	{"token_type", `"\u0061ccess"`, session.OK}, // the same string
	{"token_type", `null`, session.TokenWrongKind},
	{"token_type", `["access"]`, session.TokenWrongKind},
	{"user_id", ``, session.TokenNoUser},
	{"user_id", `null`, session.UserUnknown},
	{"user_id", `true`, session.UserUnknown},
	{"user_id", `[1]`, session.UserUnknown},
	{"user_id", `{"id":1}`, session.UserUnknown},
	{"user_id", `""`, session.UserUnknown},
	{"user_id", `1180591620717411303424`, session.UserUnknown}, // 2^70
	{"user_id", `1.5`, session.UserUnknown},
	{"user_id", `1.0`, session.OK},
	{"user_id", `"1"`, session.OK},
	{"user_id", `"abc"`, session.OK},
	{"sid", `"abc"`, session.OK},
	{"sid", `5`, session.OK},
	{"scope", `["x"]`, session.OK},
	{"aud", `"someone"`, session.OK}, // no audience is configured
	{"iss", `"someone"`, session.OK},
	{"aud", `5`, session.OK},
	{"EXP", `1`, session.OK}, // names are case-sensitive
}

// TestVerifyForeignAccessTokens checks access tokens that another program signed with the
// same key. Which of them are valid follows the wire contract of the Django app.
func TestVerifyForeignAccessTokens(t *testing.T) {
	s := newSigner(t, Options{})
	for _, c := range foreignAccessTests {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			_, err := s.Verify(forge(secret, plainHeader, accessJSON(c.name, c.value)), session.KindAccess, at(now))
			wantCode(t, err, c.want)
		})
	}
}

// TestVerifyOrderOfChecks checks that of several faults Verify reports the one that
// simplejwt would find first.
func TestVerifyOrderOfChecks(t *testing.T) {
	s := newSigner(t, Options{Audience: []string{"shop"}})
	for _, c := range []struct {
		claims string
		want   session.Code
	}{
		{`{"exp":1793999999}`, session.TokenInvalid},               // expired, reported before the missing jti
		{`{"exp":1794000060,"aud":"other"}`, session.TokenInvalid}, // wrong audience, reported before the missing jti
		{`{"aud":"shop"}`, session.TokenNoExpiry},
		{`{"aud":"shop","iat":1794000099}`, session.TokenInvalid},
		{`{"aud":"shop","exp":1794000060}`, session.TokenNoID},
		{`{"aud":"shop","exp":1794000060,"token_type":"refresh"}`, session.TokenNoID},
		{`{"aud":"shop","exp":1794000060,"jti":1}`, session.TokenNoKind},
		{`{"aud":"shop","exp":1794000060,"jti":1,"token_type":"x"}`, session.TokenWrongKind},
		{`{"aud":"shop","exp":1794000060,"jti":1,"token_type":"access"}`, session.TokenNoUser},
	} {
		_, err := s.Verify(forge(secret, plainHeader, c.claims), session.KindAccess, at(now))
		wantCode(t, err, c.want)
		_, err = s.Verify(forge(oldSecret, plainHeader, c.claims), session.KindAccess, at(now))
		wantCode(t, err, session.TokenInvalid)
	}
}

func TestVerifiedAccessClaims(t *testing.T) {
	s := newSigner(t, Options{})
	c, err := s.Verify(forge(secret, plainHeader, accessJSON("sid", `"from elsewhere"`)), session.KindAccess, at(now))
	if err != nil || c.Kind != session.KindAccess || c.User != session.NumberID(1) || c.Session != "from elsewhere" ||
		c.Issued.Unix() != 1794000000 || c.Expires.Unix() != 1794000060 || c.Type != "" || c.Generation != 0 {
		t.Errorf("got %+v, %v, want the token's claims", c, err)
	}
	if c, err = s.Verify(forge(secret, plainHeader, accessJSON("iat", "")), session.KindAccess, at(now)); err != nil || !c.Issued.IsZero() {
		t.Errorf("without iat: got %+v, %v, want a zero Issued", c, err)
	}
}

func TestLeeway(t *testing.T) {
	s := newSigner(t, Options{Leeway: 10 * time.Second})
	for _, c := range []struct {
		name  string
		value int64
		want  session.Code
	}{
		{"exp", 1793999991, session.OK}, {"exp", 1793999990, session.TokenInvalid},
		{"nbf", 1794000010, session.OK}, {"nbf", 1794000011, session.TokenInvalid},
		{"iat", 1794000010, session.OK}, {"iat", 1794000011, session.TokenInvalid},
	} {
		_, err := s.Verify(forge(secret, plainHeader, accessJSON(c.name, strconv.FormatInt(c.value, 10))), session.KindAccess, at(now))
		if session.CodeOf(err) != c.want {
			t.Errorf("%s=%d: got %v, want %s", c.name, c.value, err, c.want)
		}
	}
	// A refresh token expires with its session, to which the leeway does not apply.
	_, err := s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("exp", "1794000001")), session.KindRefresh, at(now))
	wantCode(t, err, session.OK)
	_, err = s.Verify(forgeRefresh(derivedRefreshKey(secret, ""), refreshJSON("exp", "1794000000")), session.KindRefresh, at(now))
	wantCode(t, err, session.Expired)
}

// TestC36VerifyToleratesClockStepBack checks that a token just issued is valid after the
// clock was set back, by less than a second or by an hour.
func TestC36VerifyToleratesClockStepBack(t *testing.T) {
	s := newSigner(t, Options{})
	for _, back := range []time.Duration{1, 500 * time.Millisecond, time.Second, time.Hour} {
		_, err := s.Verify(mustSign(t, s, accessClaims()), session.KindAccess, at(now.Add(-back)))
		wantCode(t, err, session.OK)
	}
}

func TestC26AudienceAndIssuer(t *testing.T) {
	one := Options{Audience: []string{"shop"}}
	for _, c := range []struct {
		options     Options
		name, value string
		want        session.Code
	}{
		{one, "aud", `"shop"`, session.OK},
		{one, "aud", `["shop"]`, session.OK},
		{one, "aud", `["a","shop","b"]`, session.OK},
		{one, "aud", `"sh\u006fp"`, session.OK},
		{one, "aud", `"Shop"`, session.TokenInvalid},
		{one, "aud", `["a"]`, session.TokenInvalid},
		{one, "aud", `["shop",null]`, session.TokenInvalid},
		{one, "aud", `["shop",1]`, session.TokenInvalid},
		{one, "aud", `[["shop"]]`, session.TokenInvalid},
		{one, "aud", `{"shop":1}`, session.TokenInvalid},
		{one, "aud", `null`, session.TokenInvalid},
		{one, "aud", `[]`, session.TokenInvalid},
		{one, "aud", `""`, session.TokenInvalid},
		{one, "", "", session.TokenInvalid},
		{Options{Audience: []string{"shop", "admin"}}, "aud", `"admin"`, session.OK},
		{Options{Audience: []string{"shop", "admin"}}, "aud", `["x","shop"]`, session.OK},
		{Options{Audience: []string{"shop", "admin"}}, "aud", `"x"`, session.TokenInvalid},
		{Options{Issuer: "https://id.example"}, "iss", `"https://id.example"`, session.OK},
		{Options{Issuer: "https://id.example"}, "iss", `"https:\/\/id.example"`, session.OK},
		{Options{Issuer: "https://id.example"}, "iss", `"https://id.example/"`, session.TokenInvalid},
		{Options{Issuer: "https://id.example"}, "iss", `["https://id.example"]`, session.TokenInvalid},
		{Options{Issuer: "https://id.example"}, "iss", `null`, session.TokenInvalid},
		{Options{Issuer: "https://id.example"}, "", "", session.TokenInvalid},
		{Options{Issuer: `a\u0062`}, "iss", `"a\u0062"`, session.TokenInvalid},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			_, err := newSigner(t, c.options).Verify(forge(secret, plainHeader, accessJSON(c.name, c.value)), session.KindAccess, at(now))
			wantCode(t, err, c.want)
		})
	}
}

func TestC30VerifyChecksTyp(t *testing.T) {
	s := newSigner(t, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"})
	claims := `{"iss":"https://id.example","sub":"42","aud":"shop","exp":1794000060,"jti":"x"%s}`
	for _, c := range []struct {
		typ, more string
		want      session.Code
	}{
		{`"at+jwt"`, ``, session.OK},
		{`"AT+JWT"`, ``, session.OK},
		{`"application/at+jwt"`, ``, session.OK},
		{`"at+jwt"`, `,"token_type":"access"`, session.OK},
		{`"at+jwt"`, `,"token_type":"refresh"`, session.TokenWrongKind},
		{`"JWT"`, ``, session.TokenWrongKind},
		{`"JWT"`, `,"token_type":"access","user_id":42`, session.TokenWrongKind},
		{`"logout+jwt"`, ``, session.TokenInvalid},
		{`"x/at+jwt"`, ``, session.TokenInvalid},
		{`1`, ``, session.TokenInvalid},
	} {
		token := forge(secret, `{"alg":"HS256","typ":`+c.typ+`}`, fmt.Sprintf(claims, c.more))
		if _, err := s.Verify(token, session.KindAccess, at(now)); session.CodeOf(err) != c.want {
			t.Errorf("typ %s, more claims %q: got %v, want %s", c.typ, c.more, err, c.want)
		}
	}
	_, err := s.Verify(forge(secret, `{"alg":"HS256"}`, fmt.Sprintf(claims, "")), session.KindAccess, at(now))
	wantCode(t, err, session.TokenWrongKind)
}

// TestC31VerifyRejectsOtherKind checks that in both profiles Verify rejects a token of the
// other kind, and an access token of the other profile.
func TestC31VerifyRejectsOtherKind(t *testing.T) {
	rfc9068 := newSigner(t, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example"})
	simple := newSigner(t, Options{App: "shop", Issuer: "https://id.example", Audience: []string{"shop"}})
	for _, s := range []*Signer{rfc9068, simple} {
		_, err := s.Verify(mustSign(t, s, accessClaims()), session.KindRefresh, at(now))
		wantCode(t, err, session.TokenWrongKind)
		_, err = s.Verify(mustSign(t, s, refreshClaims()), session.KindAccess, at(now))
		wantCode(t, err, session.TokenWrongKind)
	}
	_, err := simple.Verify(mustSign(t, rfc9068, accessClaims()), session.KindAccess, at(now))
	wantCode(t, err, session.TokenInvalid)
	_, err = rfc9068.Verify(mustSign(t, simple, accessClaims()), session.KindAccess, at(now))
	wantCode(t, err, session.TokenWrongKind)
	_, err = rfc9068.Verify(mustSign(t, simple, refreshClaims()), session.KindRefresh, at(now)) // a change of profile logs no user out
	wantCode(t, err, session.OK)
}

func TestVerifiedClaimsOfRFC9068(t *testing.T) {
	s := newSigner(t, Options{App: "shop", Profile: RFC9068, Issuer: "https://id.example", UserIDClaim: "uid", JTIClaim: "tid"})
	c, err := s.Verify(mustSign(t, s, accessClaims()), session.KindAccess, at(now))
	want := accessClaims()
	if err != nil || c.User != want.User || fmt.Sprint(c) != fmt.Sprint(want) {
		t.Errorf("got %+v, %v, want %+v", c, err, want)
	}
	if c, err = s.Verify(mustSign(t, s, refreshClaims()), session.KindRefresh, at(now)); err != nil || c.User != session.NumberID(42) {
		t.Errorf("refresh token: got %+v, %v, want user 42", c, err)
	}
}
