package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// upstream is an HTTP user source. It gives the same answer to every request.
type upstream struct {
	*httptest.Server
	t      *testing.T
	answer atomic.Pointer[upstreamAnswer]
}

type upstreamAnswer struct {
	status int
	header map[string]string
	body   string
}

// startUpstream starts an HTTP user source and a gateway that asks it.
func startUpstream(t *testing.T) (*upstream, *gatewaytest.Gateway) {
	t.Helper()
	u := &upstream{t: t}
	u.accept(`{"user_id":7}`)
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := u.answer.Load()
		for name, value := range answer.header {
			w.Header().Set(name, value)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer.status)
		_, _ = w.Write([]byte(answer.body))
	}))
	t.Cleanup(u.Close)
	return u, startShop(t, redistest.Standalone(t).URL, gatewaytest.Settings{"APP_USERS": u.URL + "/verify"})
}

// accept makes the source accept every password.
func (u *upstream) accept(body string) { u.answer.Store(&upstreamAnswer{http.StatusOK, nil, body}) }

// reject makes the source answer a status with a Retry-After header, unless it is empty.
func (u *upstream) reject(status int, retryAfter string) {
	answer := &upstreamAnswer{status, map[string]string{}, `{"detail":"no"}`}
	if retryAfter != "" {
		answer.header["Retry-After"] = retryAfter
	}
	u.answer.Store(answer)
}

// TestA10RateLimitIsPassedOn checks that a 429 of the user source is a 429 of the login, with
// its Retry-After, and that other failures are not.
func TestA10RateLimitIsPassedOn(t *testing.T) {
	t.Parallel()
	u, g := startUpstream(t)
	c := g.Client()
	for _, retryAfter := range []string{"900", "1", "120", "86400"} {
		u.reject(http.StatusTooManyRequests, retryAfter)
		for range 3 {
			resp := requireStatus(t, http.StatusTooManyRequests, tryLogin(t, c, "ann", oldPassword, "LONG"), "login that the user source limits")
			if got := resp.Header.Get("Retry-After"); got != retryAfter || resp.Code != "throttled" {
				t.Errorf("got Retry-After %q, body %s; want %s and the code throttled", got, resp.Body, retryAfter)
			}
			var body map[string]any
			must(t, json.Unmarshal(resp.Body, &body))
			if text, isText := body["detail"].(string); !isText || text == "" {
				t.Errorf("got the body %s, want a detail", resp.Body)
			}
		}
		u.accept(`{"user_id":7}`)
		login(t, c, "ann", oldPassword, "LONG").checkLive("login after the limit")
	}
	u.reject(http.StatusTooManyRequests, "")
	resp := requireStatus(t, http.StatusTooManyRequests, tryLogin(t, c, "ann", oldPassword, "LONG"), "login that is limited without Retry-After")
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || seconds < 1 || resp.Code != "throttled" {
		t.Errorf("got the headers %v, body %s; want a Retry-After in seconds and the code throttled", resp.Header, resp.Body)
	}
	u.reject(http.StatusTooManyRequests, time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
	resp = requireStatus(t, http.StatusTooManyRequests, tryLogin(t, c, "ann", oldPassword, "LONG"), "login that is limited until a date")
	until, err := http.ParseTime(resp.Header.Get("Retry-After"))
	if seconds, failed := strconv.Atoi(resp.Header.Get("Retry-After")); failed == nil {
		until, err = time.Now().Add(time.Duration(seconds)*time.Second), nil
	}
	if left := time.Until(until); err != nil || left < 9*time.Minute || left > 11*time.Minute {
		t.Errorf("got Retry-After %q, want about ten minutes", resp.Header.Get("Retry-After"))
	}
	for upstreamStatus, want := range map[int]int{401: 400, 403: 400, 404: 400, 400: 503, 500: 503, 502: 503, 302: 503} {
		u.reject(upstreamStatus, "900")
		if resp := requireStatus(t, want, tryLogin(t, c, "ann", oldPassword, "LONG"), "login that the source answers "+strconv.Itoa(upstreamStatus)); resp.Code == "throttled" {
			t.Errorf("login that the source answers %d: got the body %s", upstreamStatus, resp.Body)
		}
		u.accept(`{"user_id":7}`)
		loginWhenPossible(t, c, "ann", oldPassword, "LONG")
	}
}

// TestA10MemberNamesAreExact checks that a member whose name differs in case is another member,
// which is ignored.
func TestA10MemberNamesAreExact(t *testing.T) {
	t.Parallel()
	u, g := startUpstream(t)
	for body, want := range map[string]string{ // the user's id and claims, or none if the login is 503
		`{"user_id":7,"USER_ID":8}`:                                        `{"id":7}`,
		`{"USER_ID":8,"user_id":7}`:                                        `{"id":7}`,
		`{"user_id":"a","User_Id":"b","uſer_id":"c"}`:                      `{"id":"a"}`,
		`{"user_id":7,"claims":{"role":"user"},"CLAIMS":{"role":"admin"}}`: `{"id":7,"role":"user"}`,
		`{"user_id":7,"Claims":{"role":"admin"}}`:                          `{"id":7}`,
		`{"user_id":7,"CLAIMS":"no object"}`:                               `{"id":7}`,
		`{"user_id":7,"claims":{"Role":"a","role":"b"}}`:                   `{"id":7,"Role":"a","role":"b"}`,
		`{"USER_ID":8}`:        "",
		`{"User_id":8}`:        "",
		`{"userid":8,"id":8}`:  "",
		`{"claims":{"a":"b"}}`: "",
	} {
		u.accept(body)
		resp := tryLogin(t, g.Client(), "ann", oldPassword, "LONG")
		if want == "" {
			if resp.Status != http.StatusServiceUnavailable {
				t.Errorf("%s: got status %d, body %s; want 503", body, resp.Status, resp.Body)
			}
			u.accept(`{"user_id":7}`)
			loginWhenPossible(t, g.Client(), "ann", oldPassword, "LONG")
			continue
		}
		requireStatus(t, http.StatusOK, resp, "login")
		got, expected := ownClaims(t, resp.Access), map[string]any{}
		got["id"] = claimsOf(t, resp.Access)["user_id"]
		must(t, json.Unmarshal([]byte(want), &expected))
		if !reflect.DeepEqual(got, expected) {
			t.Errorf("%s: got the id and claims %v, want %v", body, got, expected)
		}
	}
}

// TestA10MemberNamesOfUserFiles checks the same for user files and for the body of a login.
func TestA10MemberNamesOfUserFiles(t *testing.T) {
	t.Parallel()
	hash, other := quickHash(t, oldPassword, "salt"), quickHash(t, newPassword, "salt")
	source := &fileSource{t, writeFile(t, "users.json", []byte(`[{"id":7,"ID":8,"username":"ann","USERNAME":"ben","password":"`+hash+`","Password":"`+other+
		`","is_active":true,"IS_ACTIVE":false,"claims":{"role":"user"},"Claims":{"role":"admin"}}]`))}
	c := startWithSource(t, source, nil).Client()
	resp := requireStatus(t, http.StatusOK, tryLogin(t, c, "ann", oldPassword, "LONG"), "login")
	if claims := claimsOf(t, resp.Access); claims["user_id"] != 7.0 || claims["role"] != "user" {
		t.Errorf("got the claims %v, want user_id 7 and role user", claims)
	}
	requireStatus(t, http.StatusBadRequest, tryLogin(t, c, "ben", oldPassword, "LONG"), "login by another member")
	body := map[string]string{"username": "ann", "Username": "ben", "password": oldPassword, "PASSWORD": "x", "secret_key": gatewaytest.Secret, "session": "LONG", "info": "x"}
	requireStatus(t, http.StatusOK, c.Post(t.Context(), "/api/session/login/", "", body), "login with more members")
	delete(body, "username")
	requireStatus(t, http.StatusBadRequest, c.Post(t.Context(), "/api/session/login/", "", body), "login without username")
}

// TestA1UpstreamCredential checks that a login with another credential of the HTTP user source
// ends the user's older sessions, and that the same or no credential ends none.
func TestA1UpstreamCredential(t *testing.T) {
	t.Parallel()
	u, g := startUpstream(t)
	c := g.Client()
	with := func(id, credential, sessionType string) *clientSession {
		t.Helper()
		body := `{"user_id":` + id
		if credential != "" {
			body += `,"credential":` + strconv.Quote(credential)
		}
		u.accept(body + "}")
		return login(t, c, "ann", oldPassword, sessionType)
	}
	long, short := with("7", "version 1", "LONG"), with("7", "version 1", "SHORT")
	other := with("8", "version 1", "LONG")
	same := with("7", "version 1", "LONG")
	none := with("7", "", "LONG")
	for name, s := range map[string]*clientSession{"first": long, "SHORT": short, "same credential": same, "no credential": none} {
		s.checkLive("session before the change: " + name)
	}
	changed := with("7", "version 2", "SHORT")
	for name, s := range map[string]*clientSession{"first": long, "SHORT": short, "same credential": same} {
		s.checkEnded("account", "refresh after the change: "+name)
		s.authzUntilRejected("after the change: " + name)
	}
	changed.checkLive("session of the new credential")
	other.checkLive("session of another user")
	again := with("7", "version 2", "LONG")
	changed.checkLive("after another login with the new credential")
	without := with("7", "", "LONG")
	for _, s := range []*clientSession{again, without, changed} {
		s.checkLive("after a login without credential")
	}
	back := with("7", "version 1", "LONG")
	again.checkEnded("account", "refresh after a change back")
	changed.checkEnded("account", "refresh after a change back")
	back.checkLive("session of the credential of before")
	other.checkLive("session of another user")
}
