package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeGateway starts a server that responds like a gateway. change may alter the
// responses to refreshes: "status" sets status 401, all other members are sent.
func fakeGateway(t *testing.T, change func(out map[string]string)) *target {
	t.Helper()
	generation, access := 0, 0
	issue := func(w http.ResponseWriter, login bool) {
		generation++
		access++
		out := map[string]string{"refresh": token(`{"sid":"s1","gen":%d}`, generation), "access": token(`{"sid":"s1","n":%d}`, access)}
		if login {
			out["session_id"] = "s1"
		} else {
			change(out)
		}
		text := []string{}
		for name, value := range out {
			if name == "status" {
				w.WriteHeader(http.StatusUnauthorized)
				continue
			}
			text = append(text, fmt.Sprintf("%q:%q", name, value))
		}
		io.WriteString(w, "{"+strings.Join(text, ",")+"}")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/session/login/", func(w http.ResponseWriter, r *http.Request) { issue(w, true) })
	mux.HandleFunc("/api/session/refresh/", func(w http.ResponseWriter, r *http.Request) { issue(w, false) })
	mux.HandleFunc("/api/session/list/", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"Long":{"Sessions":[]}}`) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &target{address: strings.TrimPrefix(server.URL, "http://"), username: "u%d", sessionType: "LONG", rotate: true}
}

func token(format string, n int) string {
	return "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, n)) + ".s"
}

func TestRefreshResponseIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(out map[string]string)
		fault  string
	}{
		"correct":                         {func(map[string]string) {}, ""},
		"no access token":                 {func(out map[string]string) { delete(out, "access") }, "no new access token"},
		"old access token":                {func(out map[string]string) { out["access"] = token(`{"sid":"s1","n":%d}`, 1) }, "no new access token"},
		"access token of another session": {func(out map[string]string) { out["access"] = token(`{"sid":"s2","n":%d}`, 9) }, "no new access token"},
		"no refresh token":                {func(out map[string]string) { delete(out, "refresh") }, "not the session's next"},
		"same refresh token":              {func(out map[string]string) { out["refresh"] = token(`{"sid":"s1","gen":%d}`, 1) }, "not the session's next"},
		"generation skipped":              {func(out map[string]string) { out["refresh"] = token(`{"sid":"s1","gen":%d}`, 7) }, "not the session's next"},
		"status 401":                      {func(out map[string]string) { out["status"] = "401" }, "status 401"},
	} {
		r, err := load{op: "refresh", users: []*virtualUser{fakeGateway(t, c.change).virtualUser(0)}, duration: time.Second, requests: 1}.run(t.Context())
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.fault != "" && (!errors.Is(err, errRequestsFailed) || r.Errors != 1 || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: got %d errors, %v; want 1, %s", name, r.Errors, err, c.fault)
		}
	}
}

func TestListWithoutCallersSessionFails(t *testing.T) {
	u := fakeGateway(t, func(map[string]string) {}).virtualUser(0)
	_, err := load{op: "list", users: []*virtualUser{u}, duration: time.Second, requests: 1}.run(t.Context())
	if !errors.Is(err, errRequestsFailed) {
		t.Errorf("empty list: got error %v, want %v", err, errRequestsFailed)
	}
}

func TestLoadStopsAtItsLimits(t *testing.T) {
	gateway := fakeGateway(t, func(map[string]string) {})
	r, err := load{op: "refresh", users: []*virtualUser{gateway.virtualUser(0)}, duration: time.Minute, requests: 5}.run(t.Context())
	if err != nil || r.Requests != 5 {
		t.Errorf("got %d requests, %v; want 5", r.Requests, err)
	}
	start := time.Now()
	if _, err = (load{op: "refresh", users: []*virtualUser{gateway.virtualUser(0)}, duration: 100 * time.Millisecond}).run(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a load of 100 ms took %s", took)
	}
}

func TestAddressOfAllowsOnlyThisMachine(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://127.0.0.1:8000": true, "http://[::1]:8000/": true, "http://localhost:8000": true,
		"http://192.0.2.1:8000": false, "https://127.0.0.1": false, "127.0.0.1:8000": false,
	} {
		if _, err := addressOf(url, false); (err == nil) != ok {
			t.Errorf("addressOf(%q, false): got error %v, want success %t", url, err, ok)
		}
	}
	if got, err := addressOf("http://192.0.2.1", true); err != nil || got != "192.0.2.1:80" {
		t.Errorf("with -far: got %s, %v; want 192.0.2.1:80", got, err)
	}
}

func TestInsertReplacesTextBetweenMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	r := report{Machine: "a machine"}
	r.addFinding("P1", "fast", "very", true)
	for range 2 {
		if err := os.WriteFile(path, []byte("above\n"+markBegin+"\nold\n"+markEnd+"\nbelow\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.insert(path); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := os.ReadFile(path)
	if want := "above\n" + r.markdown() + "below\n"; string(text) != want || !strings.Contains(want, "| P1 | fast | very | yes |") {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if err := os.WriteFile(path, []byte(markBegin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.insert(path); err == nil {
		t.Error("a file without the closing mark was overwritten")
	}
}
