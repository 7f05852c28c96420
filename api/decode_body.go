package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"tokengate/api/listen"
	"tokengate/session"
)

// maxBody is the maximum size of a request's body, in bytes.
const maxBody = 64 << 10

// The supported media types, in the order in which the answer to OPTIONS lists them.
const (
	mediaJSON      = "application/json"
	mediaForm      = "application/x-www-form-urlencoded"
	mediaMultipart = "multipart/form-data"
)

// readFields reads the body and returns the texts of the given fields, in that
// order. It fails with codeTooLarge or a *wireError.
func (x *exchange) readFields(fields []field) ([]string, error) {
	f, err := x.readForm(fields)
	if err != nil {
		return nil, err
	}
	return f.values()
}

// maxLargeBodies is how many bodies that do not fit into an exchange's buffer are read and
// parsed at a time. Each takes some 300 KiB, with its copies, until the next garbage
// collection. The price: clients that send as many slowly keep out others whose bodies are
// large. Usual clients send none.
const maxLargeBodies = 64

// beginLargeBody counts a body that does not fit into the buffer. endBody ends it.
func (x *exchange) beginLargeBody() error {
	if x.server.process.largeBodies.Add(1) > maxLargeBodies {
		x.server.process.largeBodies.Add(-1)
		return &wireError{answer: detail(http.StatusServiceUnavailable, "Too many large requests are being read. Try again."), code: session.Busy}
	}
	x.largeBody = true
	return nil
}

// endBody is called when the body has been parsed.
func (x *exchange) endBody() {
	if x.largeBody {
		x.largeBody = false
		x.server.process.largeBodies.Add(-1)
	}
}

// readForm reads the body and returns the values of the given fields, unchecked. It fails
// as readFields does, or with Busy.
func (x *exchange) readForm(fields []field) (*form, error) {
	defer x.endBody()
	f := newForm(fields)
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
	return f, nil
}

// readBody reads the whole body, with or without a Content-Length, into the
// exchange's buffer. The caller calls endBody when it has parsed it.
func (x *exchange) readBody() ([]byte, error) {
	limited := http.MaxBytesReader(x.ResponseWriter, x.Request.Body, maxBody)
	buf := bytes.NewBuffer(x.buffer())
	var err error
	open := listen.Rest(x.Request, x.start, func() { err = x.fill(buf, limited) })
	x.arrival.Read = time.Now()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, session.Fail(codeTooLarge, nil)
	}
	if busy, ok := errors.AsType[*wireError](err); ok {
		return nil, busy
	}
	if err != nil {
		return nil, malformed("The request's body can't be read.")
	}
	if !open {
		return nil, session.Fail(session.Unavailable, errors.New("the connection was closed to make room for another one"))
	}
	return buf.Bytes(), nil
}

// fill reads a body into the exchange's buffer, and what does not fit into a larger one.
func (x *exchange) fill(buf *bytes.Buffer, body io.Reader) error {
	x.small = io.LimitedReader{R: body, N: bufferSize - bytes.MinRead} // a buffer grows when it has less room than that
	if _, err := buf.ReadFrom(&x.small); err != nil || x.small.N > 0 {
		return err
	}
	if err := x.beginLargeBody(); err != nil {
		return err
	}
	_, err := buf.ReadFrom(body)
	return err
}

// parse reads a body, which must not be empty.
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

// parseForm reads a URL-encoded form as leniently as Python does: an invalid
// escape is taken literally, and bytes that are not UTF-8 become U+FFFD.
func (f *form) parseForm(body string) {
	for pair := range strings.SplitSeq(body, "&") {
		name, content, _ := strings.Cut(pair, "=")
		f.set(formText(name), value{text, strings.Clone(formText(content))}) // without the rest of the body, which a login would keep while it waits
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

// validBoundary matches the boundaries that the Django app accepts.
var validBoundary = regexp.MustCompile(`^[ -~]{0,200}[!-~]$`)

// parseMultipart reads the parts up to the first one that is malformed, as the
// Django app does. A part with a file name is an upload, which is not text.
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
			return nil // the end of the body, or a malformed part
		}
		v := value{kind: notText}
		if part.FileName() == "" {
			content, _ := io.ReadAll(part)
			v = value{text, strings.ToValidUTF8(string(content), "\uFFFD")}
		}
		f.set(part.FormName(), v)
	}
}
