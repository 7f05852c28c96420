package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"tokengate/session"
)

func TestFormText(t *testing.T) {
	for in, want := range map[string]string{
		"a+b%20c": "a b c", "%C3%A9": "é", "100%": "100%", "%zz%41": "%zzA", "%": "%", "%4": "%4", "%ff": "\uFFFD", "%2b": "+",
	} {
		if got := formText(in); got != want {
			t.Errorf("formText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMultipartBoundary(t *testing.T) {
	for boundary, ok := range map[string]bool{
		"b": true, `"b c"`: true, strings.Repeat("b", 201): true,
		strings.Repeat("b", 202): false, `"b "`: false, `""`: false, "": false, `"b` + "\x7f" + `"`: false,
	} {
		err := newForm(refreshFields).parse(mediaMultipart+"; boundary="+boundary, []byte("x"))
		if (err == nil) != ok {
			t.Errorf("boundary %q: got error %v, want success: %t", boundary, err, ok)
		}
	}
}

// FuzzBody checks that every body results in valid texts or an error, and compares
// the texts with those of encoding/json.
func FuzzBody(f *testing.F) {
	for _, seed := range []struct{ contentType, body string }{
		{mediaJSON, `{"session":"LONG","refresh":"a.b.c","secret_key":"s"}`},
		{mediaJSON, `{"refresh":"\ud800","session":1e22,"x":[{"y":"}"}],"refresh":null}`},
		{mediaJSON, " [1,2] "}, {mediaJSON, "-1.5e3"}, {mediaJSON, "\xef\xbb\xbf{}"}, {mediaJSON, strings.Repeat("[", 20000)},
		{mediaForm, "refresh=a%zz&session=+x+&=&&refresh"},
		{mediaMultipart + "; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"refresh\"\r\n\r\nx\r\n--b--\r\n"},
		{mediaMultipart, "--\r\n"}, {"text/plain", "x"}, {"", ""},
	} {
		f.Add(seed.contentType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		if isPlainObject(body) && !json.Valid(body) {
			t.Errorf("isPlainObject accepts %q, which is not JSON", body)
		}
		got := newForm(refreshFields)
		if err := got.parse(contentType, body); err != nil {
			checkAnswer(t, wireErrorFor(err, "refresh").appendTo(nil, ""))
			return
		}
		texts, err := got.values()
		if err != nil {
			checkAnswer(t, wireErrorFor(err, "refresh").appendTo(nil, ""))
			return
		}
		for i, s := range texts {
			if s == "" || !utf8.ValidString(s) || s != session.TrimSpace(s) || strings.Contains(s, "\x00") {
				t.Errorf("got %q as %s, which is not a trimmed, valid text", s, refreshFields[i].name)
			}
		}
		compareWithStandard(t, contentType, body, texts)
	})
}

// checkAnswer checks that the body of an error is JSON and has a code.
func checkAnswer(t *testing.T, body []byte) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(body, &got); err != nil || got["code"] == "" || !utf8.Valid(body) {
		t.Errorf("got body %s (%v), want JSON with a code", body, err)
	}
}

// compareWithStandard checks that fields accepted from JSON are those that
// encoding/json finds.
func compareWithStandard(t *testing.T, contentType string, body []byte, texts []string) {
	if contentType != mediaJSON {
		return
	}
	var standard map[string]any
	if err := json.Unmarshal(body, &standard); err != nil {
		t.Fatalf("accepted %q, which is not an object", body)
	}
	for i, f := range refreshFields {
		if want, ok := standard[f.name].(string); ok && session.TrimSpace(want) != texts[i] {
			t.Errorf("%s: got %q, want %q as in encoding/json", f.name, texts[i], want)
		}
	}
}

// TestLargeBodiesAreBounded checks that a body that may be large is refused while too many
// are being read, and that others are not.
func TestLargeBodiesAreBounded(t *testing.T) {
	s := &Server{process: NewProcess()}
	read := func(body string, length int64) error {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.ContentLength = length
		r.Header.Set("Content-Type", mediaJSON)
		_, err := (&exchange{ResponseWriter: httptest.NewRecorder(), Request: r, server: s}).readForm(listFields)
		return err
	}
	small, large := `{"session":"ALL"}`, `{"session":"ALL","x":"`+strings.Repeat("x", bufferSize)+`"}`
	s.process.largeBodies.Store(maxLargeBodies - 1)
	for range 2 {
		if err := read(large, int64(len(large))); err != nil {
			t.Errorf("with room for one: got %v", err)
		}
	}
	s.process.largeBodies.Store(maxLargeBodies)
	if err := read(small, int64(len(small))); err != nil {
		t.Errorf("a small body: got %v", err)
	}
	if err := read(small, -1); err != nil {
		t.Errorf("a small body without a length: got %v", err)
	}
	for _, length := range []int64{int64(len(large)), -1} {
		if e := wireErrorFor(read(large, length), "list"); e.code != session.Busy || e.status != 503 {
			t.Errorf("without room: got %d %s, want 503 busy", e.status, e.code)
		}
	}
	if n := s.process.largeBodies.Load(); n != maxLargeBodies {
		t.Errorf("%d bodies are counted, want %d", n, maxLargeBodies)
	}
}
