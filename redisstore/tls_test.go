package redisstore_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tokengate/deploy/test/freeport"
	"tokengate/redisstore"
	"tokengate/redisstore/redistest"
	"tokengate/session"
)

// startTLS starts a server that has the certificate of certificate. It returns the URL with
// which a store trusts it.
func startTLS(t *testing.T, args ...string) (srv *redistest.Server, url string) {
	t.Helper()
	cert, key := certificate(t)
	_, port, _ := net.SplitHostPort(freeport.Address(t))
	srv = redistest.Standalone(t, append([]string{"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no"}, args...)...)
	return srv, "rediss://127.0.0.1:" + port + "?ca_cert=" + cert
}

// clients returns the number of a server's clients besides the one that asks.
func clients(srv *redistest.Server) int {
	return strings.Count(srv.Do("CLIENT", "LIST"), "id=") - 1
}

// runTogether runs n logins at the same time, each on a connection of its own unless they
// are pipelined, and returns the errors.
func runTogether(s *redisstore.Store, srv *redistest.Server, n int) (errs []error) {
	srv.Do("CLIENT", "PAUSE", "300", "ALL")
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range n {
		wg.Go(func() {
			_, err := s.Create(ctx, createStep(session.Owner{App: "shop", User: string(session.NewID())}, policy))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errs
}

// TestServerClosesIdleConnections checks that no step fails on a connection that the server
// has closed because it was idle.
func TestServerClosesIdleConnections(t *testing.T) {
	for name, form := range map[string]string{
		"tcp": "<tcp>?auto_pipeline=false", "unix": "unix://<socket>?auto_pipeline=false", "tls": "<tls>&auto_pipeline=false",
		"tls, dialled in advance": "<tls>&auto_pipeline=false&min_idle_conns=8",
		"tls, pipelined":          "<tls>", "tls, pipelined, dialled in advance": "<tls>&min_idle_conns=8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			socketDir, err := os.MkdirTemp("", "rs") // t.TempDir() may be too long for a socket's path
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(socketDir) })
			socket := filepath.Join(socketDir, "redis.sock")
			srv, tlsURL := startTLS(t, "--timeout", "2", "--unixsocket", socket)
			s := open(t, strings.NewReplacer("<tcp>", srv.URL, "<socket>", socket, "<tls>", tlsURL).Replace(form))
			if !strings.Contains(form, "min_idle_conns") {
				if errs := runTogether(s, srv, 8); len(errs) > 0 {
					t.Fatal(errs)
				}
			}
			waitFor(t, "the connections are there", func() bool { return clients(srv) > 0 })
			waitFor(t, "the server has closed the idle connections", func() bool { return clients(srv) == 0 })
			if errs := runTogether(s, srv, 8); len(errs) > 0 {
				t.Errorf("%d of 8 logins failed: %v", len(errs), errs)
			}
		})
	}
}

// TestIdleTLSConnectionIsUsed checks that a connection is used again, although the server's
// session tickets were not read yet when it was dialled in advance.
func TestIdleTLSConnectionIsUsed(t *testing.T) {
	srv, url := startTLS(t)
	s := open(t, url+"&min_idle_conns=3")
	waitFor(t, "the connections are there", func() bool { return s.Connections().Total == 3 })
	srv.Do("PING") // the server ends the handshakes, by sending the tickets, before or while it answers this,
	srv.Do("PING") // and before it answers that
	for range 5 {
		login(t, s, alice, policy)
	}
	if c := s.Connections(); c.Hits == 0 || c.Misses != 0 {
		t.Errorf("idle connections were used %d times and new ones %d times, want none of these", c.Hits, c.Misses)
	}
}

// TestClientCertificate checks that the store presents the certificate that the server asks
// for, and that each new connection uses the present content of the files.
func TestClientCertificate(t *testing.T) {
	srv, url := startTLS(t, "--tls-auth-clients", "yes")
	if err := open(t, url).Ping(ctx); session.CodeOf(err) != session.Unavailable {
		t.Errorf("without a certificate: got %v, want %s", err, session.Unavailable)
	}
	_, trusted, _ := strings.Cut(url, "ca_cert=")
	trustedKey := filepath.Join(filepath.Dir(trusted), "key.pem")
	otherCert, otherKey := certificate(t)
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")
	copyFile(t, cert, trusted)
	copyFile(t, key, trustedKey)
	copyFile(t, ca, trusted)
	log := &logBuffer{}
	address, _, _ := strings.Cut(url, "?")
	s := open(t, address+"?ca_cert="+ca+"&client_cert="+cert+"&client_key="+key, log.use)
	reconnect := func() error {
		srv.Do("CLIENT", "KILL", "TYPE", "normal")
		return s.Ping(ctx)
	}
	check := func(what string, wantOK bool) {
		t.Helper()
		if err := reconnect(); (err == nil) != wantOK {
			t.Errorf("%s: got %v, want success: %t", what, err, wantOK)
		}
	}
	check("with the certificate", true)
	copyFile(t, cert, otherCert)
	check("while the key does not belong to the certificate", true)
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "private key") {
		t.Errorf("got the log %q, want an error about the private key", log)
	}
	copyFile(t, key, otherKey)
	check("with another certificate", false)
	if !strings.Contains(log.String(), "can be read again") {
		t.Errorf("got the log %q, want a line that the files can be read again", log)
	}
	copyFile(t, cert, trusted)
	copyFile(t, key, trustedKey)
	check("with the certificate again", true)
	if err := os.WriteFile(ca, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("while ca_cert is unusable", true)
	copyFile(t, ca, otherCert)
	check("with another authority", false)
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
