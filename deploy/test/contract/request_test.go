package contract

import (
	"strings"
	"testing"
)

const requestStart = "Host: localhost:1\nConnection: close\n"

var requestCases = []struct{ name, request, want string }{
	{
		"GET", `{"method":"GET","path":"/a/?b=c"}`,
		"GET /a/?b=c HTTP/1.1\n" + requestStart + "\n",
	},
	{
		"POST without a body", `{"method":"POST","path":"/"}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 0\n\n",
	},
	{
		"token", `{"method":"GET","path":"/","auth":"$sid"}`,
		"GET / HTTP/1.1\n" + requestStart + "Authorization: JWT abc-1\n\n",
	},
	{
		"headers", `{"method":"GET","path":"/","headers":{"X-B":"$sid","X-A":1,"X-C":null}}`,
		"GET / HTTP/1.1\n" + requestStart + "X-A: 1\nX-B: abc-1\n\n",
	},
	{
		"JSON", `{"method":"POST","path":"/","json":{"b":"$sid","a":"é"}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 22\nContent-Type: application/json\n\n" + `{"a":"é","b":"abc-1"}`,
	},
	{
		"JSON null", `{"method":"POST","path":"/","json":null}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 4\nContent-Type: application/json\n\nnull",
	},
	{
		"surrogate", `{"method":"POST","path":"/","json":"\ud800"}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 5\nContent-Type: application/json\n\n\"\xed\xa0\x80\"",
	},
	{
		"surrogate in ASCII", `{"method":"POST","path":"/","json":"\ud800","ascii":true}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 8\nContent-Type: application/json\n\n" + `"\ud800"`,
	},
	{
		"other content type", `{"method":"POST","path":"/","json":1,"headers":{"Content-Type":"text/plain"}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 1\nContent-Type: text/plain\n\n1",
	},
	{
		"no content type", `{"method":"POST","path":"/","json":1,"headers":{"Content-Type":null}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 1\n\n1",
	},
	{
		"form", `{"method":"POST","path":"/","form":{"b":"$sid","a":"x &="}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 18\nContent-Type: application/x-www-form-urlencoded\n\na=x+%26%3D&b=abc-1",
	},
	{
		"form with a name twice", `{"method":"POST","path":"/","form":[["b","2"],["a","1"],["b",3]]}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 11\nContent-Type: application/x-www-form-urlencoded\n\nb=2&a=1&b=3",
	},
	{
		"multipart", `{"method":"POST","path":"/","multipart":{"a":"$sid"}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 103\nContent-Type: multipart/form-data; boundary=contract-boundary-7d1\n\n" +
			"--contract-boundary-7d1\nContent-Disposition: form-data; name=\"a\"\n\nabc-1\n--contract-boundary-7d1--\n",
	},
	{
		"raw", `{"method":"POST","path":"/","raw":"{\"a\":\"$sid\""}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 12\nContent-Type: application/json\n\n" + `{"a":"abc-1"`,
	},
	{
		"repeated raw", `{"method":"POST","path":"/","raw":{"$repeat":["[",3]}}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 3\nContent-Type: application/json\n\n[[[",
	},
	{
		"raw bytes", `{"method":"POST","path":"/","raw_b64":"/w=="}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Length: 1\nContent-Type: application/json\n\n\xff",
	},
	{
		"body of a GET", `{"method":"GET","path":"/","raw":""}`,
		"GET / HTTP/1.1\n" + requestStart + "Content-Length: 0\nContent-Type: application/json\n\n",
	},
	{
		"chunked", `{"method":"POST","path":"/","raw":"12345678901234567890123456789012345","chunked":true}`,
		"POST / HTTP/1.1\n" + requestStart + "Content-Type: application/json\nTransfer-Encoding: chunked\n\n" +
			"11\n12345678901234567\n12\n890123456789012345\n0\n\n",
	},
}

func TestEncodeRequest(t *testing.T) {
	for _, c := range requestCases {
		t.Run(c.name, func(t *testing.T) {
			got, err := testVariables().encodeRequest(decodeRequest(t, c.request), "localhost:1")
			if want := strings.ReplaceAll(c.want, "\n", "\r\n"); err != nil || string(got) != want {
				t.Errorf("got %q and error %v, want %q", got, err, want)
			}
		})
	}
}

func TestEncodeRequestRejects(t *testing.T) {
	for _, request := range []string{
		`{"form":1}`, `{"form":[["a"]]}`, `{"form":["ab"]}`, `{"raw_b64":"!"}`, `{"chunked":true}`,
	} {
		if got, err := testVariables().encodeRequest(decodeRequest(t, request), "localhost:1"); err == nil {
			t.Errorf("%s: got %q, want an error", request, got)
		}
	}
}

func decodeRequest(t *testing.T, text string) *Request {
	t.Helper()
	req := new(Request)
	if err := decode([]byte(text), req); err != nil {
		t.Fatal(err)
	}
	return req
}
