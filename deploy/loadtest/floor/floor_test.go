package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tokengate/redisstore/redistest"
)

// TestFloorRunsTheGatewaysScripts fails when the scripts' arguments have moved on
// and the floor hasn't: then it would measure refusals.
func TestFloorRunsTheGatewaysScripts(t *testing.T) {
	for _, pipelined := range []bool{false, true} {
		f, err := newFloor(redistest.Standalone(t).URL, "floor-key", pipelined)
		if err != nil {
			t.Fatal(err)
		}
		first := call(t, f.login, `{"username":"user7","info":"a phone"}`)
		c, ok := f.open(first["refresh"], "refresh")
		if !ok || c.User != 8 || c.Session != first["session_id"] || c.Generation != 1 {
			t.Fatalf("login gave %+v", c)
		}
		second := call(t, f.refresh, `{"refresh":"`+first["refresh"]+`"}`)
		next, ok := f.open(second["refresh"], "refresh")
		if !ok || next.Session != c.Session || next.Generation != 2 || next.Expires != c.Expires {
			t.Fatalf("refresh gave %+v", next)
		}
		if again := call(t, f.refresh, `{"refresh":"`+first["refresh"]+`"}`); again["refresh"] != second["refresh"] {
			t.Error("the token just spent was given another successor")
		}
		for token, want := range map[string]int{second["access"]: http.StatusOK, second["access"] + "x": http.StatusUnauthorized} {
			r := httptest.NewRequest(http.MethodGet, "/apps/lab/authz", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			if f.authz(w, r); w.Code != want {
				t.Errorf("authz: status %d, want %d", w.Code, want)
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
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return out
}
