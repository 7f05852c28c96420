package api

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tokengate/session"
)

func TestMergeHeaders(t *testing.T) {
	a, err := newTokenHeader("", nil)
	if err != nil || a.challenge != `JWT realm="api"` {
		t.Fatalf("got %+v, %v, want the defaults", a, err)
	}
	b, _ := newTokenHeader("HTTP_X_ACCESS_TOKEN", []string{"Token"})
	c, _ := newTokenHeader("authorization", []string{"Bearer", "Key"})
	got := mergeHeaders([]tokenHeader{a, b, c})
	if len(got) != 2 || got[0].name != "Authorization" || got[1].name != "X-Access-Token" ||
		!slices.Equal(got[0].types, []string{"JWT", "Bearer", "Key"}) {
		t.Errorf("got %+v, want Authorization with three types, then X-Access-Token", got)
	}
	if len(a.types) != 2 {
		t.Errorf("mergeHeaders changed the types of its argument: %v", a.types)
	}
}

func TestNewTokenHeaderRejectsInvalidSettings(t *testing.T) {
	for _, bad := range []struct {
		name  string
		types []string
	}{
		{"X Y", nil}, {"X:Y", nil}, {"Clé", nil}, {"X(Y)", nil}, {"X/Y", nil}, {"X\x00", nil}, {"\xff", nil}, {"HTTP_", nil}, {"X,Y", nil},
		{"", []string{"a b"}}, {"", []string{""}}, {"", []string{`"`}}, {"", []string{"a\vb"}},
	} {
		if _, err := newTokenHeader(bad.name, bad.types); err == nil || !strings.Contains(err.Error(), "AUTH_HEADER_") {
			t.Errorf("%+v: got error %v, want one that names the setting", bad, err)
		}
	}
}

// TestAcceptedHeadersReachHandlers sends a token in headers that HTTP may interpret
// itself. Every header that newTokenHeader accepts must reach the handler.
func TestAcceptedHeadersReachHandlers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(r.URL.Path[1:]) != "JWT x.y.z" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	rejected := 0
	for _, name := range []string{
		"Host", "HTTP_HOST", "host", "Connection", "Content-Length", "Content-Type", "Expect", "Keep-Alive", "Proxy-Connection", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "Authorization", "Proxy-Authorization", "Cookie", "X-Access-Token", "x_token", "a.b~c",
	} {
		h, err := newTokenHeader(name, nil)
		if err != nil {
			rejected++
			continue
		}
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /"+h.name+" HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n"+h.name+": JWT x.y.z\r\n\r\n")
		if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Errorf("a token in %s does not reach the handler: %.40q", name, answer)
		}
		_ = conn.Close()
	}
	if rejected != 13 {
		t.Errorf("%d headers were rejected, want 13", rejected)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "JWT", "JWT ", "JWT a", "JWT\ta ", "jwt a", "JWT a b", "\xff a", "Bearer x.y.z"} {
		f.Add(seed, "")
	}
	f.Add("JWT a", "JWT b")
	f.Add("JWT", "a")
	h := tokenHeader{name: "Authorization", types: []string{"JWT", "Bearer"}}
	f.Fuzz(func(t *testing.T, first, second string) {
		in := http.Header{"Authorization": {first}}
		if second != "" {
			in.Add("Authorization", second)
		}
		got, err := readCredentials(in, h)
		switch code := session.CodeOf(err); {
		case err == nil:
			if got.token == "" || strings.ContainsAny(got.token, " \t\n\v\f\r") || !slices.Contains(h.types, got.scheme) {
				t.Errorf("%q was accepted as %+v", first, got)
			}
			if second != "" && !strings.Contains(got.token, ",") && !strings.Contains(got.scheme, ",") {
				t.Errorf("%q and %q were accepted as %+v", first, second, got)
			}
		case code != codeNotAuthenticated && code != codeBadAuthorization:
			t.Errorf("%q: unexpected error %v", first, err)
		}
	})
}
