package users

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// TestHTTPMemberNamesAreExact checks that a member in other letters is not read, and that a
// member that occurs twice is an error.
func TestHTTPMemberNamesAreExact(t *testing.T) {
	user, err := openResponding(t, 200, `{"user_id":7,"USER_ID":8,"Claims":{"x":1},"CLAIMS":2,"Credential":true,"x":1,"x":2}`).Check(t.Context(), presented("alice", "secret"), anyone)
	if err != nil || user.ID != session.NumberID(7) || user.Claims != nil || !user.Credential.IsZero() {
		t.Errorf("got user %+v, %v, want 7 without claims and credential", user, err)
	}
	for body, want := range map[string]string{
		`{"USER_ID":7}`:                                    "user_id: a user id is",
		`{"user_id":7,"user_id":7}`:                        "user_id is there twice",
		`{"user_id":7,"user\u005fid":8}`:                   "user_id is there twice",
		`{"user_id":7,"claims":null,"claims":{}}`:          "claims is there twice",
		`{"user_id":7,"credential":"a","credential":"a"}`:  "credential is there twice",
		`{"user_id":7,"credential":null,"credential":"a"}`: "credential is there twice",
		`null`:               "not a JSON object",
		`{"user_id":7,}`:     "not valid JSON",
		`{"user_id":7} {}`:   "not valid JSON",
		`[{"user_id":7}]`:    "not a JSON object",
		`"secret-open"`:      "not a JSON object",
		`{"user_id":7 "x"1}`: "not valid JSON",
	} {
		_, err := openResponding(t, 200, body).Check(t.Context(), presented("alice", "secret"), anyone)
		if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got error %v, want one with %q", body, err, want)
		}
	}
}

// TestHTTPCredential checks the fingerprint of the response's credential, and that the source
// is marked as one that can't be asked later.
func TestHTTPCredential(t *testing.T) {
	credential := func(member string) session.User {
		t.Helper()
		source := openResponding(t, 200, `{"user_id": 7, `+member+`"x": 1}`)
		source.Checker.(*httpSource).app = "shop"
		user, err := source.Check(t.Context(), presented("alice", "secret"), anyone)
		if err != nil || !user.LoginOnly {
			t.Errorf("%s: got user %+v, %v, want LoginOnly", member, user, err)
		}
		return user
	}
	for member, want := range map[string]session.Fingerprint{
		`"credential": "v1", `:                    fingerprintOf("7", "v1"),
		`"credential": "\u0076\u0031", `:          fingerprintOf("7", "v1"),
		`"credential": 1, `:                       fingerprintOf("7", "1"),
		`"credential": -1.5e3, `:                  fingerprintOf("7", "-1.5e3"),
		`"credential": 12345678901234567890123, `: fingerprintOf("7", "12345678901234567890123"),
		`"credential": null, `:                    {},
		`"credential": "", `:                      {},
		``:                                        {},
	} {
		if got := credential(member).Credential; got != want {
			t.Errorf("%s: got %x, want %x", member, got, want)
		}
	}
	for _, value := range []string{"true", `{"v":1}`, "[1]", "\"\xff\""} {
		_, err := openResponding(t, 200, `{"user_id": 7, "credential": `+value+`}`).Check(t.Context(), presented("alice", "secret"), anyone)
		if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), "credential is neither") {
			t.Errorf("%s: got error %v, want that credential is invalid", value, err)
		}
	}
	if got := status(t, openResponding(t, 200, `{"user_id": 7}`), 7, true); got.HasClaims || !got.Credential.IsZero() {
		t.Errorf("got %+v, want nothing about a user that the source can't be asked about", got)
	}
}

// TestHTTPRetryAfter checks that a limit of the other program is passed on with its
// Retry-After.
func TestHTTPRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"900":                            15 * time.Minute,
		" 900 ":                          15 * time.Minute,
		"0":                              0,
		"86401":                          24 * time.Hour,
		"99999999999999999999":           24 * time.Hour,
		"":                               0,
		"-1":                             0,
		"+1":                             0,
		"1.5":                            0,
		"soon":                           0,
		"Fri, 02 Jan 2026 03:05:05 GMT":  time.Minute,
		"Fri, 02 Jan 2026 03:04:04 GMT":  0,
		"Fri, 02 Jan 2099 03:04:04 GMT":  24 * time.Hour,
		"Friday, 02-Jan-26 03:05:05 GMT": time.Minute,
	} {
		requests := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			requests++
			w.Header().Set("Date", now.Format(http.TimeFormat))
			if value != "" {
				w.Header().Set("Retry-After", value)
			}
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		_, err := openSource(t, server.URL, Options{}).Check(t.Context(), presented("alice", " secret "), anyone)
		server.Close()
		wantCode(t, err, session.Throttled)
		if e, ok := err.(*session.Error); !ok || e.RetryAfter != want || requests != 1 {
			t.Errorf("%q: got %#v after %d requests, want %s after one", value, err, requests, want)
		}
	}
	if got := retryAfter(http.Header{"Retry-After": {"Fri, 02 Jan 2026 03:05:05 GMT"}}, now); got != time.Minute {
		t.Errorf("without a date of the response: got %s, want 1m", got)
	}
}
