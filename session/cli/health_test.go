package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
)

// TestHealthFindsGateway checks that health asks the right listener in each form of its
// address, and that no other setting is needed or checked.
func TestHealthFindsGateway(t *testing.T) {
	admin := http.NewServeMux()
	admin.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	public := http.NotFoundHandler() // no route of the public listener is asked

	tcp := httptest.NewServer(admin)
	t.Cleanup(tcp.Close)
	_, port, _ := net.SplitHostPort(tcp.Listener.Addr().String())
	socket := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	unix := httptest.NewUnstartedServer(admin)
	unix.Listener.Close()
	unix.Listener = listener
	unix.Start()
	t.Cleanup(unix.Close)
	plain, withTLS := httptest.NewServer(public), httptest.NewTLSServer(public)
	t.Cleanup(plain.Close)
	t.Cleanup(withTLS.Close)

	c := newCLITest(t)
	for _, address := range []string{"127.0.0.1:" + port, "localhost:" + port, ":" + port, "0.0.0.0:" + port, "[::]:" + port, "unix:" + socket} {
		c.env = []string{"TOKENGATE_ADMIN_LISTEN=" + address, "TOKENGATE_LISTEN=nowhere", "TOKENGATE_LOG_LEVEL=loud", "TOKENGATE_NO_SUCH=1", "HTTP_PROXY=http://127.0.0.1:1"}
		if out := c.must("", "health"); out != "ok\n" {
			t.Errorf("%s: got %q, want ok", address, out)
		}
	}
	c.env = []string{"TOKENGATE_ADMIN_LISTEN=", "TOKENGATE_LISTEN=" + plain.Listener.Addr().String()}
	c.must("", "health")
	c.env = []string{"TOKENGATE_ADMIN_LISTEN=", "TOKENGATE_LISTEN=" + withTLS.Listener.Addr().String(), "TOKENGATE_TLS_CERT_FILE=/unread"}
	c.must("", "health")
}

// TestHealthFails checks the errors of health.
func TestHealthFails(t *testing.T) {
	failing := httptest.NewServer(http.NotFoundHandler())
	closed := httptest.NewServer(nil)
	closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts connections, and no process answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(failing.Close)
	t.Cleanup(func() { _ = silent.Close() })
	c := newCLITest(t)
	for address, want := range map[string]string{
		failing.Listener.Addr().String(): "/healthz answers 404", closed.Listener.Addr().String(): "connection refused",
		"nowhere": "missing port", "unix:/nowhere/admin.sock": "no such file",
	} {
		c.env = []string{"TOKENGATE_ADMIN_LISTEN=" + address}
		c.mustFail("", "health", "no healthy gateway at TOKENGATE_ADMIN_LISTEN="+address, want)
	}
	c.env = []string{"TOKENGATE_ADMIN_LISTEN=", "TOKENGATE_LISTEN=" + silent.Addr().String()}
	c.mustFail("", "health", "no healthy gateway at TOKENGATE_LISTEN=", "no answer within 3s")
}
