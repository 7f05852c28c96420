package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
)

// TestBaselineRunsGatewayScripts checks that the baseline passes the arguments that
// the scripts expect. Otherwise the benchmark would measure rejected requests.
func TestBaselineRunsGatewayScripts(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		b, err := newBaseline(redistest.Standalone(t).URL, "baseline-key", pipelined)
		if err != nil {
			t.Fatal(err)
		}
		first := call(t, b.login, `{"username":"user7","info":"a phone"}`)
		c, ok := b.parse(first["refresh"], "refresh")
		if !ok || c.User != 8 || c.Session != first["session_id"] || c.Generation != 1 {
			t.Fatalf("login: got claims %+v, want user 8, session %s, generation 1", c, first["session_id"])
		}
		second := call(t, b.refresh, `{"refresh":"`+first["refresh"]+`"}`)
		next, ok := b.parse(second["refresh"], "refresh")
		if !ok || next.Session != c.Session || next.Generation != 2 || next.Expires != c.Expires {
			t.Fatalf("refresh: got claims %+v, want those of %+v with generation 2", next, c)
		}
		if again := call(t, b.refresh, `{"refresh":"`+first["refresh"]+`"}`); again["refresh"] != second["refresh"] {
			t.Error("a retry with the token just spent got another refresh token")
		}
		for token, want := range map[string]int{
			second["access"]: http.StatusOK, second["access"] + "x": http.StatusUnauthorized,
			"": http.StatusUnauthorized, "abc": http.StatusUnauthorized, "a.b": http.StatusUnauthorized, ".": http.StatusUnauthorized,
		} {
			r := httptest.NewRequest(http.MethodGet, "/apps/web/authz", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if b.authz(w, r); w.Code != want {
				t.Errorf("authz with %q: got status %d, want %d", token, w.Code, want)
			}
		}
	}
}

func call(t *testing.T, handle http.HandlerFunc, body string) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	handle(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
	var out map[string]string
	if w.Code != http.StatusOK || json.Unmarshal(w.Body.Bytes(), &out) != nil {
		t.Fatalf("got status %d: %s, want 200 and a JSON object", w.Code, w.Body)
	}
	return out
}
