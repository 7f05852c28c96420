package contract

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// answerTimeout limits the time of one request.
const answerTimeout = time.Minute

// comparedHeaders are the headers that recordings contain. The value is true for
// a set, which is compared as a sorted list.
var comparedHeaders = map[string]bool{
	"content-type": false, "allow": true, "vary": true, "www-authenticate": false, "location": false,
}

// answer is the response of a gateway.
type answer struct {
	status  int
	headers map[string]any // of comparedHeaders, in lower case; missing headers have no entry
	text    string         // body
	json    any            // decoded body; nil unless the content type is JSON

	sent, received float64 // times in Unix seconds
}

// members returns the body's members, or nil if the body is not an object.
func (a *answer) members() map[string]any {
	members, _ := a.json.(map[string]any)
	return members
}

// send sends a request on a new connection. It writes head and body together: if
// the server answered the head and closed the connection, a second write would
// fail.
func (v *variables) send(address string, req *Request) (*answer, error) {
	raw, err := v.encodeRequest(req, address)
	if err != nil {
		return nil, err
	}
	sent := v.seconds()
	conn, err := net.DialTimeout("tcp", address, answerTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(raw); err != nil {
		return nil, err
	}
	a, err := readAnswer(conn, req.Method)
	if err != nil {
		return nil, err
	}
	a.sent, a.received = sent, v.seconds()
	return a, nil
}

func readAnswer(r io.Reader, method string) (*answer, error) {
	resp, err := http.ReadResponse(bufio.NewReader(r), &http.Request{Method: method})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &answer{status: resp.StatusCode, headers: readHeaders(resp.Header)}
	a.text = string(bytes.ToValidUTF8(body, []byte("\uFFFD")))
	contentType, _ := a.headers["content-type"].(string)
	if contentType, _, _ = strings.Cut(contentType, ";"); contentType == "application/json" {
		if err := decode([]byte(a.text), &a.json); err != nil {
			a.json = nil // the comparison then reports that the body is missing
		}
	}
	return a, nil
}

func readHeaders(header http.Header) map[string]any {
	headers := map[string]any{}
	for name, isSet := range comparedHeaders {
		values := header.Values(name)
		if len(values) == 0 {
			continue
		}
		joined := strings.Join(values, ", ")
		headers[name] = joined
		if isSet {
			headers[name] = sortedList(joined)
		}
	}
	return headers
}

func sortedList(joined string) []any {
	parts := strings.Split(joined, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts)
	list := make([]any, len(parts))
	for i, part := range parts {
		list[i] = part
	}
	return list
}

// seconds returns the current time in Unix seconds.
func (v *variables) seconds() float64 { return float64(v.now().UnixNano()) / 1e9 }
