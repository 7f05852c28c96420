package contract

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// fakeGateway starts a server. It answers each request with the status in the path and
// with the request's own body, as JSON. Status 0 closes the connection.
func fakeGateway(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var status int
		_, _ = fmt.Sscanf(r.URL.Path, "/%d", &status)
		if status == 0 {
			panic(http.ErrAbortHandler) // closes the connection
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Allow", "GET")
		w.Header().Set("Vary", "Cookie")
		w.WriteHeader(status)
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// playSteps plays steps against a fakeGateway.
func playSteps(t *testing.T, steps string) (Result, error) {
	t.Helper()
	s, err := parse([]byte(`{"name":"test","config":{"secret":"s","policy":{"A":1}},"steps":[` + steps + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	address := fakeGateway(t)
	return Play(s, func(Config, bool) (string, error) { return address, nil })
}

// stepCases are steps that get an answer with status 400 and the body {"a":1}.
var stepCases = []struct{ name, step, paths string }{
	{"contract", `"class":"contract","expect":{"status":400,"body":{"a":1}}`, ""},
	{"contract, other answer", `"class":"contract","expect":{"status":401,"body":{"a":2}}`, "status body.a"},
	{"contract, ideal answer", `"class":"contract","expect":{"status":401},"ideal_expect":{"status":400}`, "status"},
	{"contract, Vary and Allow", `"class":"contract","expect":{"status":400,"headers":{"vary":["Accept"],"allow":["POST"]}}`, ""},
	{"contract, Allow of a 405", `"class":"contract","expect":{"status":405,"headers":{"allow":["POST"]}}`, "status headers.allow"},
	{"contract, quirk path", `"class":"contract","quirk_paths":{"body.a":"b"},"expect":{"status":400,"body":{"a":2}}`, ""},
	{"contract, other path", `"class":"contract","quirk_paths":{"body.b":"b"},"expect":{"status":400,"body":{"a":2}}`, "body.a"},
	{"quirk without an ideal", `"class":"quirk","expect":{"status":500}`, ""},
	{"quirk, ideal answer", `"class":"quirk","expect":{"status":500},"ideal_expect":{"status":400,"body":{"a":1}}`, ""},
	{"quirk, recorded answer", `"class":"quirk","expect":{"status":400},"ideal_expect":{"status":401}`, "ideal_expect"},
	{"quirk, other answer", `"class":"quirk","expect":{"status":500},"ideal_expect":{"status":401}`, "status"},
	{"quirk, second ideal", `"class":"quirk","expect":{"status":500},"ideal_expect":[{"status":401},{"status":400}]`, ""},
	{"quirk, none of two", `"class":"quirk","expect":{"status":500},"ideal_expect":[{"status":401},{"status":402}]`, "status"},
	{"quirk, path of the ideal", `"class":"quirk","quirk_paths":{"body":"b"},"expect":{"status":500},"ideal_expect":{"status":400,"body":{}}`, ""},
}

func TestPlayChecksSteps(t *testing.T) {
	for _, c := range stepCases {
		t.Run(c.name, func(t *testing.T) {
			result, err := playSteps(t, `{"title":"a title","request":{"method":"POST","path":"/400","json":{"a":1}},`+c.step+`}`)
			if err != nil || result.Requests != 1 {
				t.Fatalf("got %d requests and error %v, want 1", result.Requests, err)
			}
			if failed := len(result.Failures) > 0; failed != (c.paths != "") {
				t.Fatalf("got failures %v, want at %q", result.Failures, c.paths)
			}
			for _, f := range result.Failures {
				checkPaths(t, f.Mismatches, c.paths)
				if f.Scenario != "test" || f.Number != 1 || f.Title != "a title" || f.Status != 400 {
					t.Errorf("got %+v, want request 1 of the scenario test with the title \"a title\" and status 400", f)
				}
			}
		})
	}
}

func TestPlayUsesEarlierAnswers(t *testing.T) {
	first := testToken(`{"jti":"0123456789abcdef","exp":1700000000}`)
	step := func(body, capture, expect string) string {
		return fmt.Sprintf(`{"class":"contract","request":{"method":"POST","path":"/200","json":%s},"capture":%s,"expect":%s},`, body, capture, expect)
	}
	tokens := `{"tokens":{"access":{"header":{"alg":"HS256","typ":"JWT"},"claims":{"jti":{"new":"."},"exp":{"rel":"$a.exp"}}}}}`
	result, err := playSteps(t, strings.TrimSuffix(
		step(fmt.Sprintf(`{"access":%q}`, first), `{"a":"access"}`, `{"body":{"access":"$a"}}`)+ // fails: $a is captured after the comparison
			step(`{"access":"$a"}`, `{}`, `{"body":{"access":"$a"}}`)+
			step(`{"access":"$a"}`, `{}`, tokens)+ // fails: an earlier token had the jti
			`{"let":{"b":{"edit":"$a","set":{"jti":"fedcba9876543210"}}}},`+
			step(`{"access":"$b"}`, `{}`, tokens), ","))
	if err != nil || result.Requests != 4 {
		t.Fatalf("got %d requests and error %v, want 4", result.Requests, err)
	}
	if len(result.Failures) != 2 || result.Failures[0].Number != 1 || result.Failures[1].Number != 3 {
		t.Fatalf("got failures %v, want of requests 1 and 3", result.Failures)
	}
	checkPaths(t, result.Failures[1].Mismatches, "tokens.access.jti")
}

func TestPlayContinuesWithoutAnswer(t *testing.T) {
	step := `{"class":"quirk","request":{"method":"GET","path":"/%d"},"expect":{"status":200}}`
	result, err := playSteps(t, fmt.Sprintf(step, 0)+","+fmt.Sprintf(step, 200))
	if err != nil || result.Requests != 2 || len(result.Failures) != 1 {
		t.Fatalf("got %+v and error %v, want the failure of one of two requests", result, err)
	}
	if f := result.Failures[0]; f.Status != 0 || f.Mismatches[0].Path != "answer" {
		t.Errorf("got %+v, want no answer", f)
	}
}

func TestPlayStopsAtImpossibleStep(t *testing.T) {
	for _, step := range []string{`{"let":{"a":{"edit":"$none"}}}`, `{"sleep_until":"$none.exp"}`} {
		result, err := playSteps(t, step+`,{"class":"quirk","request":{"method":"GET","path":"/200"},"expect":{}}`)
		if err == nil || result.Requests != 0 {
			t.Errorf("%s: got %d requests and error %v, want an error", step, result.Requests, err)
		}
	}
}

func TestPlayRestarts(t *testing.T) {
	s, err := parse([]byte(`{"name":"test","config":{"policy":{"A":1,"L":{"B":2}},"users":[{"username":"a"}]},"steps":[
		{"restart":{"policy":{"L":{"B":3}}}}, {"restart":{"users":[],"fresh":true}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	var starts []string
	_, err = Play(s, func(c Config, fresh bool) (string, error) {
		starts = append(starts, fmt.Sprintf("%s %d %t", encode(c.Policy, false), len(c.Users), fresh))
		if len(starts) == 3 {
			return "", errors.New("no more")
		}
		return "", nil
	})
	if err == nil || !strings.Contains(err.Error(), "no more") {
		t.Errorf("got error %v, want that of the third start", err)
	}
	const want = `{"A":1,"L":{"B":2}} 1 true; {"A":1,"L":{"B":3}} 1 false; {"A":1,"L":{"B":3}} 0 true`
	if got := strings.Join(starts, "; "); got != want {
		t.Errorf("got the starts %s, want %s", got, want)
	}
}

func TestPlaySleeps(t *testing.T) {
	for _, c := range []struct {
		steps       string
		least, most time.Duration
	}{
		{`{"sleep":0.05}`, 50 * time.Millisecond, 10 * time.Second},
		{`{"let":{"t":{"value":{"$nowf":0.05}}}},{"sleep_until":"$t"}`, 40 * time.Millisecond, 10 * time.Second},
		{`{"let":{"t":{"value":{"$nowf":0}}}},{"sleep_until":"$t","plus":0.05}`, 40 * time.Millisecond, 10 * time.Second},
		{`{"let":{"t":{"value":{"$nowf":-3600}}}},{"sleep_until":"$t"}`, 0, 10 * time.Second},
	} {
		start := time.Now()
		if _, err := playSteps(t, c.steps); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < c.least || took > c.most {
			t.Errorf("%s: took %s, want %s to %s", c.steps, took, c.least, c.most)
		}
	}
}

func TestUntilFraction(t *testing.T) {
	for _, c := range []struct{ fraction, now, want float64 }{
		{0.25, 1700000000, 0.25},
		{0.25, 1700000000.25, 0},
		{0.25, 1700000000.5, 0.75},
		{0, 1700000000.75, 0.25},
	} {
		if got := untilFraction(c.fraction, c.now); got != c.want {
			t.Errorf("fraction %v at %v: got %v, want %v", c.fraction, c.now, got, c.want)
		}
	}
}
