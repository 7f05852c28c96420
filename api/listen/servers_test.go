package listen_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/api/listen"
)

// servers are Servers with their log.
type servers struct {
	*listen.Servers
	log  bytes.Buffer
	stop func() error // stops them and returns the error of Wait
}

func newServers(t *testing.T) *servers {
	t.Helper()
	s := &servers{}
	ctx, cancel := context.WithCancel(context.Background())
	s.Servers = &listen.Servers{Logger: slog.New(slog.NewTextHandler(&s.log, nil)), IdleTimeout: time.Minute, Grace: 10 * time.Second}
	s.stop = func() error { cancel(); return s.Wait(ctx) }
	t.Cleanup(cancel)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer answers every request with text.
func answer(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

// get requests / on a Unix socket and returns the body.
func get(t *testing.T, path string) string {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get("http://gateway/")
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(body)
}

// TestUnixSocket checks that a file that a killed process has left behind is replaced, that
// one in use and one that is no socket are errors, and that the file is removed at the stop.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(t, err)
	stale.SetUnlinkOnClose(false)
	must(t, stale.Close())

	first, second := newServers(t), newServers(t)
	address, err := first.Listen("unix:"+path, answer("first"), nil)
	must(t, err)
	if address != "unix:"+path || !strings.Contains(first.log.String(), "address=unix:"+path) {
		t.Errorf("got the address %s and the log %s, want unix:%s in both", address, &first.log, path)
	}
	if _, err := second.Listen("unix:"+path, answer("second"), nil); err == nil || !strings.Contains(err.Error(), "another process accepts connections at "+path) {
		t.Errorf("a socket in use: got %v, want an error", err)
	}
	if got := get(t, path); got != "first" {
		t.Errorf("got the answer %q, want that of the first server", got)
	}
	must(t, first.stop())
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after the stop: got %v, want no file", err)
	}

	must(t, os.WriteFile(path, []byte("precious"), 0o600))
	if _, err := second.Listen("unix:"+path, answer("second"), nil); err == nil || !strings.Contains(err.Error(), path+" is not a socket") {
		t.Errorf("another file: got %v, want an error", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "precious" {
		t.Errorf("got the content %q, want the file untouched", content)
	}
	if _, err := second.Listen("unix:"+filepath.Join(path, "x"), answer("second"), nil); err == nil {
		t.Error("a path below a file: got no error, want one")
	}
}

// TestUnixSocketOfSuccessorStays checks that a stop leaves the file alone if another process
// listens there by now.
func TestUnixSocketOfSuccessorStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.sock")
	old, successor := newServers(t), newServers(t)
	_, err := old.Listen("unix:"+path, answer("old"), nil)
	must(t, err)
	must(t, os.Remove(path))
	_, err = successor.Listen("unix:"+path, answer("successor"), nil)
	must(t, err)
	must(t, old.stop())
	if got := get(t, path); got != "successor" {
		t.Errorf("got the answer %q, want that of the successor", got)
	}
	must(t, successor.stop())
}

// keyPair returns a self-signed certificate for a name and its key, as PEM.
func keyPair(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// TestCertificate replaces the files of a running server. A pair that is broken, or whose key
// is that of another certificate, is an error, and the last good pair stays in use.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write := func(cert, key []byte) {
		must(t, os.WriteFile(certFile, cert, 0o600))
		must(t, os.WriteFile(keyFile, key, 0o600))
	}
	oldCert, oldKey := keyPair(t, "old.example")
	newCert, newKey := keyPair(t, "new.example")
	write(oldCert, oldKey)
	certificate, err := listen.LoadCertificate(certFile, keyFile)
	must(t, err)
	s := newServers(t)
	address, err := s.Listen("127.0.0.1:0", answer("ok"), certificate)
	must(t, err)
	defer func() { must(t, s.stop()) }()
	served := func() string {
		t.Helper()
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		must(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	for name, pair := range map[string][2][]byte{
		"a certificate without its key": {newCert, oldKey}, "a key without its certificate": {oldCert, newKey},
		"half a file": {newCert, newKey[:len(newKey)/2]}, "an empty file": {nil, newKey}, "swapped files": {newKey, newCert},
	} {
		write(pair[0], pair[1])
		err := certificate.Reload()
		if err == nil || !strings.Contains(err.Error(), "CERT_FILE and KEY_FILE: ") {
			t.Errorf("%s: got %v, want an error", name, err)
		}
		if got := served(); got != "old.example" {
			t.Errorf("%s: got the certificate of %s, want the last good one", name, got)
		}
	}
	must(t, os.Remove(keyFile))
	if err := certificate.Reload(); err == nil || err.Error() != "KEY_FILE can't be read: no such file or directory" {
		t.Errorf("no file: got %v, want an error without the path", err)
	}
	write(newCert, newKey)
	must(t, certificate.Reload())
	if got := served(); got != "new.example" {
		t.Errorf("got the certificate of %s, want the new one", got)
	}
	if _, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1: got a connection, want none")
	}
}
