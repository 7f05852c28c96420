package contract

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// boundary separates the parts of a multipart body.
const boundary = "contract-boundary-7d1"

// encodeRequest returns the bytes of an HTTP/1.1 request, head and body.
func (v *variables) encodeRequest(req *Request, host string) ([]byte, error) {
	headers := v.substituteMembers(req.Headers)
	if req.Auth.Given {
		headers["Authorization"] = "JWT " + pythonText(v.substitute(req.Auth.V))
	}
	body, contentType, err := v.encodeBody(req)
	if err != nil {
		return nil, err
	}
	if _, set := headers["Content-Type"]; !set && contentType != "" {
		headers["Content-Type"] = contentType
	}
	switch {
	case req.Chunked:
		headers["Transfer-Encoding"] = "chunked"
		body = chunks(body)
	case contentType != "" || slices.Contains([]string{"POST", "PUT", "PATCH"}, req.Method):
		headers["Content-Length"] = fmt.Sprint(len(body))
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", req.Method, req.Path, host)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		if value := headers[name]; value != nil {
			fmt.Fprintf(&b, "%s: %s\r\n", name, pythonText(value))
		}
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes(), nil
}

// encodeBody returns a request's body and its default content type, which is
// empty for a request without a body.
func (v *variables) encodeBody(req *Request) (body []byte, contentType string, err error) {
	const jsonType = "application/json"
	switch {
	case req.JSON.Given:
		return []byte(encode(v.substitute(req.JSON.V), req.ASCII)), jsonType, nil
	case req.Form.Given:
		body, err = encodeForm(v.substitute(req.Form.V))
		return body, "application/x-www-form-urlencoded", err
	case req.Multipart != nil:
		return v.encodeMultipart(req.Multipart), "multipart/form-data; boundary=" + boundary, nil
	case req.Raw.Given:
		return []byte(pythonText(v.substitute(req.Raw.V))), jsonType, nil
	case req.RawB64 != nil:
		body, err = base64.StdEncoding.DecodeString(*req.RawB64)
		return body, jsonType, err
	case req.Chunked:
		return nil, "", errors.New("a chunked request needs a body")
	}
	return nil, "", nil
}

// encodeForm encodes an object, or a list of pairs, which keeps the order and may
// have a name twice.
func encodeForm(form any) ([]byte, error) {
	var pairs []string
	add := func(name, value any) {
		pairs = append(pairs, url.QueryEscape(pythonText(name))+"="+url.QueryEscape(pythonText(value)))
	}
	switch form := form.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(form)) {
			add(name, form[name])
		}
	case []any:
		for _, item := range form {
			pair, _ := item.([]any)
			if len(pair) != 2 {
				return nil, errors.New("a form must be an object or a list of pairs")
			}
			add(pair[0], pair[1])
		}
	default:
		return nil, errors.New("a form must be an object or a list of pairs")
	}
	return []byte(strings.Join(pairs, "&")), nil
}

func (v *variables) encodeMultipart(fields map[string]any) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n",
			boundary, name, pythonText(v.substitute(fields[name])))
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return b.Bytes()
}

// chunks returns body in two chunks of the chunked transfer coding (RFC 9112,
// section 7.1).
func chunks(body []byte) []byte {
	half := len(body) / 2
	return fmt.Appendf(nil, "%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], len(body)-half, body[half:])
}
