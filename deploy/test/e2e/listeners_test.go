package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// listening is a gateway together with its clients.
type listening struct {
	*gatewaytest.Gateway
	client func() *gatewaytest.Client
}

// listenerKind is a kind of public listener.
type listenerKind struct {
	name  string
	start func(t *testing.T, redisURL string, settings gatewaytest.Settings) listening
}

// listenerKinds returns every kind of public listener.
func listenerKinds(t *testing.T) []listenerKind {
	t.Helper()
	a := newAuthority(t)
	return []listenerKind{
		{"TCP", func(t *testing.T, redisURL string, settings gatewaytest.Settings) listening {
			g := gatewaytest.Start(t, redisURL, settings)
			return listening{g, g.Client}
		}},
		{"Unix socket", startOnUnixSocket},
		{"TLS", func(t *testing.T, redisURL string, settings gatewaytest.Settings) listening {
			g, address := startWithTLS(t, a, redisURL, settings)
			return listening{g, func() *gatewaytest.Client { return newTLSClient(t, a, address, false) }}
		}},
		{"HTTP2", func(t *testing.T, redisURL string, settings gatewaytest.Settings) listening {
			g, address := startWithTLS(t, a, redisURL, settings)
			shared := newTLSClient(t, a, address, true) // requests of all clients are on one connection
			return listening{g, func() *gatewaytest.Client { return shared }}
		}},
	}
}

// startOnUnixSocket starts a gateway whose public API is on a Unix socket.
func startOnUnixSocket(t *testing.T, redisURL string, settings gatewaytest.Settings) listening {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateway.sock")
	all := gatewaytest.Settings{"LISTEN": "unix:" + path}
	maps.Copy(all, settings)
	g := gatewaytest.Start(t, redisURL, all)
	return listening{g, func() *gatewaytest.Client {
		c := gatewaytest.NewClient("http://localhost")
		c.HTTP.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}
		return c
	}}
}

// startWithTLS starts a gateway with a certificate of an authority. It also returns the
// address.
func startWithTLS(t *testing.T, a authority, redisURL string, settings gatewaytest.Settings) (g *gatewaytest.Gateway, address string) {
	t.Helper()
	cert, key := a.issue(t)
	all := gatewaytest.Settings{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key}
	maps.Copy(all, settings)
	g = gatewaytest.Start(t, redisURL, all)
	return g, strings.TrimPrefix(g.URL, "http://")
}

// tlsConfig returns the configuration of a client that trusts only the authority.
func (a authority) tlsConfig(protocols ...string) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, NextProtos: protocols}
}

// newTLSClient returns a client that trusts the authority. It uses HTTP/2 or never does.
func newTLSClient(t *testing.T, a authority, address string, http2 bool) *gatewaytest.Client {
	t.Helper()
	c := gatewaytest.NewClient("https://" + address)
	transport := c.HTTP.Transport.(*http.Transport)
	transport.TLSClientConfig, transport.Protocols = a.tlsConfig(), new(http.Protocols)
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	t.Cleanup(c.HTTP.CloseIdleConnections)
	return c
}

// The types of HTTP/2 frames that tests look for.
const (
	frameSettings = 4
	frameGoAway   = 7
)

// readUntil reads frames of HTTP/2 up to one of a type and returns its payload.
func readUntil(t *testing.T, r io.Reader, kind byte) (payload []byte) {
	t.Helper()
	for {
		var header [9]byte
		_, err := io.ReadFull(r, header[:])
		if err == nil {
			payload = make([]byte, binary.BigEndian.Uint32(header[:4])>>8)
			_, err = io.ReadFull(r, payload)
		}
		if err != nil {
			t.Fatalf("got no frame of type %d: %v", kind, err)
		}
		if header[3] == kind {
			return payload
		}
	}
}

// TestShutdownWarnsIdleHTTP2Client checks that a client that sends nothing gets a GOAWAY
// frame before its connection is closed, so that it can repeat a request safely that the
// gateway has not read. The grace ends before the connection does, and no request is lost.
func TestShutdownWarnsIdleHTTP2Client(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, grace := range []string{"10s", "100ms"} {
		g, address := startWithTLS(t, a, "", gatewaytest.Settings{"SHUTDOWN_GRACE": grace})
		conn, err := tls.Dial("tcp", address, a.tlsConfig("h2"))
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and empty SETTINGS
		must(t, err)
		readUntil(t, conn, frameSettings) // those of the server
		readUntil(t, conn, frameSettings) // the acknowledgement of ours
		g.Terminate()
		if payload := readUntil(t, conn, frameGoAway); len(payload) < 8 || binary.BigEndian.Uint32(payload[4:]) != 0 {
			t.Errorf("grace %s: got GOAWAY with the payload %x, want no error in it", grace, payload)
		}
		if code := g.ExitCode(); code != 0 {
			t.Errorf("grace %s: got exit code %d, want 0\n%s", grace, code, g.Log())
		}
	}
}

// TestIdleTimeout checks that an idle connection is closed after IDLE_TIMEOUT, on both
// listeners.
func TestIdleTimeout(t *testing.T) {
	t.Parallel()
	g := gatewaytest.Start(t, "", gatewaytest.Settings{"IDLE_TIMEOUT": "300ms"})
	for _, url := range []string{g.URL, g.AdminURL} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		must(t, err)
		defer conn.Close()
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second))) // much less than the default
		_, err = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n")
		must(t, err)
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 ") || strings.Contains(string(answer), "Connection: close") {
			t.Errorf("%s: got the answer %q, error %v; want one that keeps the connection, and its end", url, answer, err)
		}
	}
}

// TestListenersWithCurl runs the printed walk-through on a Unix socket and with TLS, and
// asks an admin listener on a Unix socket.
func TestListenersWithCurl(t *testing.T) {
	t.Parallel()
	a, dir := newAuthority(t), filepath.Join(t.TempDir(), "it's here")
	must(t, os.Mkdir(dir, 0o700))
	public, admin := filepath.Join(dir, "public.sock"), filepath.Join(dir, "admin.sock")
	cert, key := a.issue(t)
	secure := []string{"TOKENGATE_TLS_CERT_FILE=" + cert, "TOKENGATE_TLS_KEY_FILE=" + key}
	for name, settings := range map[string][]string{
		"Unix sockets": {"TOKENGATE_LISTEN=unix:" + public, "TOKENGATE_ADMIN_LISTEN=unix:" + admin}, "TLS": secure,
	} {
		printed := gatewaytest.PrintWalkthrough(t, gatewaytest.Binary(t), settings...)
		login, refresh, list := gatewaytest.WalkthroughCommands(t, printed)
		var tokens gatewaytest.Response
		answers := gatewaytest.RunShell(t, "sh", login, refresh, list)
		must(t, json.Unmarshal([]byte(answers[0]), &tokens))
		if tokens.SessionID == "" || !strings.Contains(answers[2], tokens.SessionID) {
			t.Errorf("%s: got the answers %q, want a session and a list with it", name, answers)
		}
		if name == "TLS" {
			_, rest, _ := strings.Cut(printed, "'https://")
			address, _, _ := strings.Cut(rest, "/")
			if got := curl(t, "--cacert", a.path, "-w", "%{http_version} %{http_code}", "-o", os.DevNull, "https://"+address+"/"); got != "2 404" {
				t.Errorf("%s: got the version and status %q, want those of HTTP/2", name, got)
			}
		}
	}
	if got := curl(t, "--unix-socket", admin, "http://localhost/readyz"); got != `{"status":"ready"}` {
		t.Errorf("/readyz on a Unix socket: got %s, want ready", got)
	}
}

// curl runs curl and returns what it prints.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.Command("curl", append([]string{"-sS"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %q: %v\n%s", args, err, output)
	}
	return string(output)
}
