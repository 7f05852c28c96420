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

// fake answers as a gateway would, or as it never should: change may alter what
// a refresh is answered.
func fake(t *testing.T, change func(out map[string]string)) *target {
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
	return &target{address: strings.TrimPrefix(server.URL, "http://"), username: "u%d", kind: "LONG", rotate: true}
}

func token(format string, n int) string {
	return "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, n)) + ".s"
}

func TestEveryAnswerIsChecked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(out map[string]string)
		fault  string
	}{
		"good":               {func(map[string]string) {}, ""},
		"no access token":    {func(out map[string]string) { delete(out, "access") }, "no new access token"},
		"an old one":         {func(out map[string]string) { out["access"] = token(`{"sid":"s1","n":%d}`, 1) }, "no new access token"},
		"another session's":  {func(out map[string]string) { out["access"] = token(`{"sid":"s2","n":%d}`, 9) }, "no new access token"},
		"not rotated":        {func(out map[string]string) { delete(out, "refresh") }, "not the session's next"},
		"same refresh token": {func(out map[string]string) { out["refresh"] = token(`{"sid":"s1","gen":%d}`, 1) }, "not the session's next"},
		"a step skipped":     {func(out map[string]string) { out["refresh"] = token(`{"sid":"s1","gen":%d}`, 7) }, "not the session's next"},
		"refused":            {func(out map[string]string) { out["status"] = "401" }, "status 401"},
	} {
		r, err := load{op: "refresh", visitors: []*visitor{fake(t, c.change).visitor(0)}, time: time.Second, requests: 1}.run(t.Context())
		switch {
		case c.fault == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.fault != "" && (!errors.Is(err, errFailed) || r.Errors != 1 || !strings.Contains(err.Error(), c.fault)):
			t.Errorf("%s: %d errors, %v; want %s", name, r.Errors, err, c.fault)
		}
	}
}

func TestListMustHoldTheCallersSession(t *testing.T) {
	v := fake(t, func(map[string]string) {}).visitor(0)
	if _, err := (load{op: "list", visitors: []*visitor{v}, time: time.Second, requests: 1}).run(t.Context()); !errors.Is(err, errFailed) {
		t.Errorf("an empty list passed: %v", err)
	}
}

func TestLoadIsBounded(t *testing.T) {
	good := fake(t, func(map[string]string) {})
	r, err := load{op: "refresh", visitors: []*visitor{good.visitor(0)}, time: time.Minute, requests: 5}.run(t.Context())
	if err != nil || r.Requests != 5 {
		t.Errorf("%d requests, %v; want 5", r.Requests, err)
	}
	start := time.Now()
	if _, err = (load{op: "refresh", visitors: []*visitor{good.visitor(0)}, time: 100 * time.Millisecond}).run(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("a load of 100 ms took %s", took)
	}
}

func TestOnlyThisMachineIsPutUnderLoad(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://127.0.0.1:8000": true, "http://[::1]:8000/": true, "http://localhost:8000": true,
		"http://192.0.2.1:8000": false, "https://127.0.0.1": false, "127.0.0.1:8000": false,
	} {
		if _, err := addressOf(url, false); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
	if at, err := addressOf("http://192.0.2.1", true); err != nil || at != "192.0.2.1:80" {
		t.Errorf("with -far: %s, %v", at, err)
	}
}

func TestReportGoesBetweenTheMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	r := report{Machine: "a machine"}
	r.find("P1", "fast", "very", true)
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
		t.Errorf("got\n%s", text)
	}
	if err := os.WriteFile(path, []byte(markBegin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.insert(path); err == nil {
		t.Error("a file without the closing mark was overwritten")
	}
}

// TestProductionConfiguration starts Redis with the file that is shipped.
func TestProductionConfiguration(t *testing.T) {
	t.Chdir("../..")
	l := &lab{dir: t.TempDir()}
	t.Cleanup(l.reset)
	server, err := l.redis(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec", "hash-max-listpack-value": "256", "hz": "100",
	} {
		if got := server.rdb.ConfigGet(t.Context(), name).Val()[name]; got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
}
