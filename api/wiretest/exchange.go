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

// request is one that waits for its last header before it is sent.
type request struct {
	*http.Request
	chunked bool
	body    string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// newRequest makes a request of its line; headers may still follow.
func (r *run) newRequest(method, path, body string) *request {
	base := r.target.Public
	if rest, ok := strings.CutPrefix(path, "admin:"); ok {
		base, path = r.target.Admin, rest
	}
	if name, ok := strings.CutPrefix(body, "@"); ok {
		content, found := r.files[name]
		if !found {
			r.fatal("the archive has no file %s", name)
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

// header takes a line "Name: value" for the request that is next.
func (r *run) header(line string) {
	name, value, _ := strings.Cut(line, ":")
	value = r.expand(strings.TrimSpace(value))
	switch {
	case r.pending == nil:
		r.fatal("a header without a request")
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

// send sends the request that is pending, if any.
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

// expect holds the last answer against one expectation.
func (r *run) expect(line string) {
	if r.answer == nil {
		r.fatal("an expectation without a request")
	}
	if status, err := strconv.Atoi(line); err == nil {
		if r.answer.status != status {
			r.fatal("status %d wanted", status)
		}
		return
	}
	if text, ok := strings.CutPrefix(line, "="); ok {
		if r.answer.body != r.expand(text) {
			r.fatal("this very body wanted: %s", r.expand(text))
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
		r.fatal("no JSON: %v", err)
	}
	if why := r.match("body", want, got); why != "" {
		r.fatal("%s", why)
	}
}

// expectHeader compares a header, its values joined; "-" stands for none.
func (r *run) expectHeader(name, want string) {
	got := strings.Join(r.answer.header.Values(name), ", ")
	if want == "-" {
		want = ""
	}
	if why := r.matchText("header "+name, want, got); why != "" {
		r.fatal("%s", why)
	}
}

// match says where got is not as wanted, or nothing.
func (r *run) match(path string, want, got any) string {
	switch want := want.(type) {
	case string:
		if want == "*" {
			return ""
		}
		if got, ok := got.(string); ok {
			return r.matchText(path, want, got)
		}
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			return r.matchObject(path, want, got)
		}
	case []any:
		if got, ok := got.([]any); ok && len(got) == len(want) {
			return r.matchList(path, want, got)
		}
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s: %v wanted", path, want)
	}
	return ""
}

// matchText compares texts, and takes a value for a variable without one.
func (r *run) matchText(path, want, got string) string {
	if name, ok := strings.CutPrefix(want, "$"); ok && variable.FindString(want) == want && r.vars[name] == "" {
		r.vars[name] = got
		return ""
	}
	ok := false
	if re, is := strings.CutPrefix(want, "~"); is {
		ok = regexp.MustCompile(re).MatchString(got)
	} else if other, is := strings.CutPrefix(want, "!"); is {
		ok = got != r.expand(other)
	} else {
		ok = got == r.expand(want)
	}
	if !ok {
		return fmt.Sprintf("%s: %q wanted, not %q", path, want, got)
	}
	return ""
}

func (r *run) matchObject(path string, want, got map[string]any) string {
	_, open := want["..."]
	for name := range got {
		if _, known := want[name]; !known && !open {
			return fmt.Sprintf("%s.%s is not expected", path, name)
		}
	}
	for name, w := range want {
		g, there := got[name]
		if name == "..." {
			continue
		}
		if !there {
			return fmt.Sprintf("%s.%s is missing", path, name)
		}
		if why := r.match(path+"."+name, w, g); why != "" {
			return why
		}
	}
	return ""
}

func (r *run) matchList(path string, want, got []any) string {
	for i := range want {
		if why := r.match(fmt.Sprintf("%s[%d]", path, i), want[i], got[i]); why != "" {
			return why
		}
	}
	return ""
}
