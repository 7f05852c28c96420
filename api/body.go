package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"tokengate/session"
)

// maxBody bounds a request's body, in bytes.
const maxBody = 64 << 10

// The media types that are read, in the order in which OPTIONS tells them.
const (
	mediaJSON      = "application/json"
	mediaForm      = "application/x-www-form-urlencoded"
	mediaMultipart = "multipart/form-data"
)

// fields reads the body and gives the texts of the fields asked for, in that
// order. Fails with codeTooLarge or a *problem.
func (x *exchange) fields(asked []field) ([]string, error) {
	f := newForm(asked)
	contentType := x.Request.Header.Get("Content-Type")
	body, err := x.readBody()
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		if err := f.parse(contentType, body); err != nil {
			return nil, err
		}
	}
	return f.values()
}

// readBody reads all of the body, however it is framed, into the exchange's
// buffer.
func (x *exchange) readBody() ([]byte, error) {
	limited := http.MaxBytesReader(x.ResponseWriter, x.Request.Body, maxBody)
	buf := bytes.NewBuffer(x.buffer())
	_, err := buf.ReadFrom(limited)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, session.Fail(codeTooLarge, nil)
	}
	if err != nil {
		return nil, malformed("The request's body can't be read.")
	}
	return buf.Bytes(), nil
}

// parse reads a body that is not empty.
func (f *form) parse(contentType string, body []byte) error {
	essence, _, _ := strings.Cut(contentType, ";")
	switch strings.ToLower(strings.TrimSpace(essence)) {
	case mediaJSON:
		return f.parseJSON(body)
	case mediaForm:
		f.parseForm(string(body))
		return nil
	case mediaMultipart:
		return f.parseMultipart(contentType, body)
	}
	return unsupportedMediaType(contentType)
}

// parseJSON reads an object. json.Valid bounds the nesting, so a bomb of
// brackets costs no more than its bytes.
func (f *form) parseJSON(body []byte) error {
	plain := plainObject(body)
	if !plain && !utf8.Valid(body) { // json.Valid would let it pass
		return malformed("JSON parse error - the text is not UTF-8")
	}
	if !plain && !json.Valid(body) {
		at := syntaxOffset(body)
		line := 1 + bytes.Count(body[:at], []byte("\n"))
		column := at - bytes.LastIndexByte(body[:at], '\n')
		return malformed(fmt.Sprintf("JSON parse error - Expecting value: line %d column %d (char %d)", line, column, at))
	}
	w := walker{data: body}
	w.space()
	switch body[w.at] {
	case 'n':
		return notAnObject("No data provided")
	case '{':
		w.members(f.member)
		return nil
	}
	return notAnObject("Invalid data. Expected a dictionary, but got " + typeName(w.skip()) + ".")
}

// member takes one member of the JSON object.
func (f *form) member(key, raw []byte) {
	if slot := f.slot(unquote(key)); slot != nil {
		*slot = valueOf(raw)
	}
}

// parseForm reads a URL-encoded form as leniently as Python does: an escape
// that is none stands for itself, and bytes that are not UTF-8 become U+FFFD.
func (f *form) parseForm(body string) {
	for pair := range strings.SplitSeq(body, "&") {
		name, content, _ := strings.Cut(pair, "=")
		f.set(formText(name), value{text, formText(content)})
	}
}

// formText decodes a name or a value of a form.
func formText(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if plain, err := url.PathUnescape(s); err == nil {
		return strings.ToValidUTF8(plain, "\uFFFD")
	}
	var out strings.Builder
	for i := 0; i < len(s); {
		size := 1
		if s[i] == '%' {
			size = min(3, len(s)-i)
		}
		plain, err := url.PathUnescape(s[i : i+size])
		if err != nil {
			plain, size = "%", 1
		}
		out.WriteString(plain)
		i += size
	}
	return strings.ToValidUTF8(out.String(), "\uFFFD")
}

// validBoundary is what the seed takes for one.
var validBoundary = regexp.MustCompile(`^[ -~]{0,200}[!-~]$`)

// parseMultipart reads the parts up to where the body makes no more sense, as
// the seed does. A part with a file name is an upload, which is no text.
func (f *form) parseMultipart(contentType string, body []byte) error {
	_, parameters, err := mime.ParseMediaType(contentType)
	const invalid = "Multipart form parse error - Invalid boundary in multipart: "
	boundary, given := parameters["boundary"]
	switch {
	case err != nil || !given:
		return malformed(invalid + "None")
	case !validBoundary.MatchString(boundary):
		return malformed(invalid + boundary)
	}
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return nil // the end, or nonsense from here on
		}
		v := value{kind: noText}
		if part.FileName() == "" {
			content, _ := io.ReadAll(part)
			v = value{text, strings.ToValidUTF8(string(content), "\uFFFD")}
		}
		f.set(part.FormName(), v)
	}
}
