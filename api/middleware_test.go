package api

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"tokengate/session"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, s := range texts {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestClientAddr(t *testing.T) {
	trusted := prefixes("10.0.0.0/8", "fd00::/8")
	for _, c := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"nothing forwarded", "10.0.0.1", nil, "10.0.0.1"},
		{"an untrusted peer says what it likes", "192.0.2.9", []string{"198.51.100.1"}, "192.0.2.9"},
		{"one proxy", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a client's own entry stands left of the truth", "10.0.0.1", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.0.0.1", []string{"1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"in several headers", "10.0.0.1", []string{"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"trusted all the way", "10.0.0.1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"garbage ends the walk", "10.0.0.1", []string{"198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty entry ends it", "10.0.0.1", []string{"198.51.100.1, "}, "10.0.0.1"},
		{"with a port", "10.0.0.1", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "fd00::1", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 without a port", "fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "fd00::1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv4 in IPv6", "10.0.0.1", []string{"::ffff:10.0.0.7, ::ffff:10.0.0.2"}, "10.0.0.7"},
	} {
		if got := clientAddr(netip.MustParseAddr(c.peer), c.forwarded, trusted); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1", "1.1.1.1, 198.51.100.1", "10.0.0.2")
	f.Add("192.0.2.1", "198.51.100.1", "")
	f.Add("10.0.0.1", ",,[::1]:x, [fe80::1%eth0]:1", "]]")
	trusted := prefixes("10.0.0.0/8")
	f.Fuzz(func(t *testing.T, peerText, first, second string) {
		peer, err := netip.ParseAddr(peerText)
		if err != nil {
			return
		}
		got := clientAddr(peer, []string{first, second}, trusted)
		if !trusted[0].Contains(peer) && got != peer {
			t.Errorf("an untrusted peer %s became %s", peer, got)
		}
		if got == peer {
			return
		}
		entries := strings.Split(first+","+second, ",")
		if !slices.ContainsFunc(entries, func(e string) bool { a, ok := parseHop(strings.TrimSpace(e)); return ok && a == got }) {
			t.Errorf("%s stands nowhere in %q", got, entries)
		}
	})
}

func TestRequestID(t *testing.T) {
	for _, sane := range []string{"a", "0-9._A", strings.Repeat("x", 64)} {
		if got := requestID(sane); got != sane {
			t.Errorf("%q became %q", sane, got)
		}
	}
	for _, odd := range []string{"", strings.Repeat("x", 65), "a b", "a\nb", "é", "a,b", `"`} {
		if got := requestID(odd); got == odd || len(got) != 32 {
			t.Errorf("%q became %q", odd, got)
		}
	}
}

func TestUnionOfHeaders(t *testing.T) {
	a, err := newHeader("", nil)
	if err != nil || a.challenge != `JWT realm="api"` {
		t.Fatalf("%+v %v", a, err)
	}
	b, _ := newHeader("HTTP_X_ACCESS_TOKEN", []string{"Token"})
	c, _ := newHeader("authorization", []string{"Bearer", "Key"})
	got := union([]header{a, b, c})
	if len(got) != 2 || got[0].name != "Authorization" || got[1].name != "X-Access-Token" ||
		!slices.Equal(got[0].types, []string{"JWT", "Bearer", "Key"}) {
		t.Errorf("%+v", got)
	}
	if len(a.types) != 2 {
		t.Errorf("the union changed an app's own types: %v", a.types)
	}
	for _, bad := range []struct {
		name  string
		types []string
	}{
		{"X Y", nil}, {"X:Y", nil}, {"Clé", nil}, {"X(Y)", nil}, {"X/Y", nil}, {"X\x00", nil}, {"\xff", nil}, {"HTTP_", nil}, {"X,Y", nil},
		{"", []string{"a b"}}, {"", []string{""}}, {"", []string{`"`}}, {"", []string{"a\vb"}},
	} {
		if _, err := newHeader(bad.name, bad.types); err == nil || !strings.Contains(err.Error(), "AUTH_HEADER_") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestHeadersThatPassArrive sends a token in each header that HTTP may have a use
// of its own for. What newHeader takes must come through.
func TestHeadersThatPassArrive(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(r.URL.Path[1:]) != "JWT x.y.z" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	refused := 0
	for _, name := range []string{
		"Host", "HTTP_HOST", "host", "Connection", "Content-Length", "Content-Type", "Expect", "Keep-Alive", "Proxy-Connection", "TE",
		"Trailer", "Transfer-Encoding", "Upgrade", "Authorization", "Proxy-Authorization", "Cookie", "X-Access-Token", "x_token", "a.b~c",
	} {
		h, err := newHeader(name, nil)
		if err != nil {
			refused++
			continue
		}
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /"+h.name+" HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n"+h.name+": JWT x.y.z\r\n\r\n")
		if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
			t.Errorf("a token in %s does not come through: %.40q", name, answer)
		}
		_ = conn.Close()
	}
	if refused != 13 {
		t.Errorf("%d headers are refused", refused)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "JWT", "JWT ", "JWT a", "JWT\ta ", "jwt a", "JWT a b", "\xff a", "Bearer x.y.z"} {
		f.Add(seed, "")
	}
	f.Add("JWT a", "JWT b")
	f.Add("JWT", "a")
	h := header{name: "Authorization", types: []string{"JWT", "Bearer"}}
	f.Fuzz(func(t *testing.T, first, second string) {
		in := http.Header{"Authorization": {first}}
		if second != "" {
			in.Add("Authorization", second)
		}
		got, err := readCredentials(in, h)
		switch code := session.CodeOf(err); {
		case err == nil:
			if got.token == "" || strings.ContainsAny(got.token, " \t\n\v\f\r") || !slices.Contains(h.types, got.scheme) {
				t.Errorf("%q passed as %+v", first, got)
			}
			if second != "" && !strings.Contains(got.token, ",") && !strings.Contains(got.scheme, ",") {
				t.Errorf("%q and %q passed as %+v", first, second, got)
			}
		case code != codeNotAuthenticated && code != codeBadAuthorization:
			t.Errorf("%q: %v", first, err)
		}
	})
}
