package wiretest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// request is a request whose headers are not complete yet.
type request struct {
	*http.Request
	chunked bool
	body    string
}

// answer is a response with its body.
type answer struct {
	status int
	header http.Header
	body   string
}

// newRequest returns a request without the headers that may follow its line in the script.
func (r *run) newRequest(method, path, body string) *request {
	base := r.target.Public
	if rest, ok := strings.CutPrefix(path, "admin:"); ok {
		base, path = r.target.Admin, rest
	}
	if name, ok := strings.CutPrefix(body, "@"); ok {
		content, found := r.files[name]
		if !found {
			r.fatalf("the archive has no file %s", name)
		}
		body = content
	}
	req, err := http.NewRequest(method, base+r.expand(path), nil)
	r.must(err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return &request{Request: req, body: r.expand(body)}
}

// addHeader adds a line "Name: value" to the pending request.
func (r *run) addHeader(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = r.expand(strings.TrimSpace(value))
	switch {
	case r.pending == nil:
		r.fatalf("header without a request")
	case value == "-":
		r.pending.Header.Del(name)
	case name == "Transfer-Encoding":
		r.pending.chunked = true
	default:
		r.pending.Header.Add(name, value)
		if name == "Content-Type" {
			r.pending.Header.Set(name, value)
		}
	}
}

// send sends the pending request, if there is one.
func (r *run) send() {
	if r.pending == nil {
		return
	}
	req := r.pending
	r.pending, r.answer = nil, nil
	if req.body != "" {
		req.Body = io.NopCloser(strings.NewReader(req.body))
		req.ContentLength = int64(len(req.body))
	}
	if req.chunked {
		req.ContentLength = -1
	}
	resp, err := r.client.Do(req.Request)
	r.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.must(err)
	r.answer = &answer{resp.StatusCode, resp.Header, string(body)}
}

var headerLine = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*):\s*(.*)$`)

// expect checks the last answer against one expectation.
func (r *run) expect(line string) {
	if r.answer == nil {
		r.fatalf("expectation without a request")
	}
	if status, err := strconv.Atoi(line); err == nil {
		if r.answer.status != status {
			r.fatalf("got status %d, want %d", r.answer.status, status)
		}
		return
	}
	if text, ok := strings.CutPrefix(line, "="); ok {
		if r.answer.body != r.expand(text) {
			r.fatalf("want exactly the body %s", r.expand(text))
		}
		return
	}
	if m := headerLine.FindStringSubmatch(line); m != nil {
		r.expectHeader(m[1], m[2])
		return
	}
	var want, got any
	r.must(json.Unmarshal([]byte(line), &want))
	if err := json.Unmarshal([]byte(r.answer.body), &got); err != nil {
		r.fatalf("the body is not JSON: %v", err)
	}
	if why := r.mismatch("body", want, got); why != "" {
		r.fatalf("%s", why)
	}
}

// expectHeader checks a header. Several values are joined with commas; "-" means
// that the header must be absent or empty.
func (r *run) expectHeader(name, want string) {
	got := strings.Join(r.answer.header.Values(name), ", ")
	if want == "-" {
		want = ""
	}
	if why := r.textMismatch("header "+name, want, got); why != "" {
		r.fatalf("%s", why)
	}
}

// mismatch describes the first difference between want and got. It returns an empty
// string if they match.
func (r *run) mismatch(path string, want, got any) string {
	switch want := want.(type) {
	case string:
		if want == "*" {
			return ""
		}
		if got, ok := got.(string); ok {
			return r.textMismatch(path, want, got)
		}
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			return r.objectMismatch(path, want, got)
		}
	case []any:
		if got, ok := got.([]any); ok && len(got) == len(want) {
			return r.listMismatch(path, want, got)
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: got %v, want %v", path, got, want)
	}
	return ""
}

// textMismatch is mismatch for texts. If want is a variable without a value, it sets
// the variable to got.
func (r *run) textMismatch(path, want, got string) string {
	if name, ok := strings.CutPrefix(want, "$"); ok && variable.FindString(want) == want && r.vars[name] == "" {
		r.vars[name] = got
		return ""
	}
	matches := false
	if re, ok := strings.CutPrefix(want, "~"); ok {
		matches = regexp.MustCompile(re).MatchString(got)
	} else if other, ok := strings.CutPrefix(want, "!"); ok {
		matches = got != r.expand(other)
	} else {
		matches = got == r.expand(want)
	}
	if !matches {
		return fmt.Sprintf("%s: got %q, want %q", path, got, want)
	}
	return ""
}

func (r *run) objectMismatch(path string, want, got map[string]any) string {
	_, others := want["..."]
	for name := range got {
		if _, known := want[name]; !known && !others {
			return fmt.Sprintf("%s.%s is unexpected", path, name)
		}
	}
	for name, w := range want {
		g, ok := got[name]
		if name == "..." {
			continue
		}
		if !ok {
			return fmt.Sprintf("%s.%s is missing", path, name)
		}
		if why := r.mismatch(path+"."+name, w, g); why != "" {
			return why
		}
	}
	return ""
}

func (r *run) listMismatch(path string, want, got []any) string {
	for i := range want {
		if why := r.mismatch(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); why != "" {
			return why
		}
	}
	return ""
}
