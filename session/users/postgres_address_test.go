package users

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tokengate/session"
)

// refusedConnection checks that the reason for which the server refuses a connection is not
// taken for an answer about a user: it opens the circuit breaker.
func (s *server) refusedConnection(t *testing.T) {
	source := openAt(t, s.address()+"&no_such_parameter=1", Options{})
	setClock(t, source)
	err := recheck(t.Context(), session.NumberID(1), source)
	if wantCode(t, err, session.Unavailable); err == nil || !strings.Contains(err.Error(), "no_such_parameter") {
		t.Errorf("got error %v, want one that names the parameter", err)
	}
	checkBreakerOpen(t, source)
}

// rotating is a role of the server whose credentials change while a source is in use.
type rotating struct {
	*server
	t      *testing.T
	source *Source
	log    strings.Builder
}

// openRotating opens a source that connects as rotating, after the statements.
func (s *server) openRotating(t *testing.T, parameters string, statements ...string) *rotating {
	t.Helper()
	s.exec(statements...)
	r := &rotating{server: s, t: t}
	r.source = openAt(t, "postgres://rotating@"+s.listen+"/postgres?"+parameters, Options{Log: slog.New(slog.NewTextHandler(&r.log, nil))})
	r.connects("with the first content of the files")
	return r
}

// connects checks that the source can be used after its connections were closed. Before
// that it may find a connection that the server has closed.
func (r *rotating) connects(step string) {
	r.t.Helper()
	r.exec(`select pg_terminate_backend(pid, 10000) from pg_stat_activity where usename = 'rotating'`)
	var err error
	for range 20 {
		if _, err = r.source.Check(r.t.Context(), presented("alice", "correct horse"), anyone); err == nil {
			return
		}
	}
	r.t.Errorf("%s: got error %v, want none", step, err)
}

func replaceFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// passwordFile checks that a new connection uses the present password of the password file,
// and the last one if the file has none.
func (s *server) passwordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	replaceFile(t, path, "*:*:*:rotating:first-Tr0ub4dor")
	r := s.openRotating(t, "sslmode=disable&passfile="+path, `alter role rotating password 'first-Tr0ub4dor'`)
	s.exec(`alter role rotating password 'second-Tr0ub4dor'`)
	replaceFile(t, path, "*:*:*:rotating:second-Tr0ub4dor")
	r.connects("with another password")
	replaceFile(t, path, "*:*:*:another:third-Tr0ub4dor")
	r.connects("with a file without the password")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	r.connects("without the file")
	if log := r.log.String(); !strings.Contains(log, "password file") || strings.Contains(log, "Tr0ub4dor") {
		t.Errorf("got the log\n%s\nwant a line about the password file without a password", log)
	}
	s.exec(`alter role rotating password 'fourth-Tr0ub4dor'`)
	replaceFile(t, path, "*:*:*:rotating:fourth-Tr0ub4dor")
	r.connects("with a valid file again")
}

// certificates writes a certificate authority, a certificate of the server and one of the
// role rotating into dir.
func certificates(t *testing.T, dir string) {
	t.Helper()
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true}
	rootKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	for name, template := range map[string]*x509.Certificate{
		"root":   root,
		"server": {SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		"client": {SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "rotating"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
	} {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if name == "root" {
			key = rootKey
		}
		der, err := x509.CreateCertificate(rand.Reader, template, root, &key.PublicKey, rootKey)
		if err != nil {
			t.Fatal(err)
		}
		keyDER, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		replaceFile(t, filepath.Join(dir, name+".pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		replaceFile(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
	}
}

// useCertificates makes the server use the certificates in dir, and require one from rotating.
func (s *server) useCertificates(t *testing.T, dir string) {
	t.Helper()
	hba := filepath.Join(s.dir, "data", "pg_hba.conf")
	rules, err := os.ReadFile(hba)
	if err != nil {
		t.Fatal(err)
	}
	if rule := "hostssl all rotating all cert\n"; !strings.HasPrefix(string(rules), rule) {
		replaceFile(t, hba, rule+string(rules))
	}
	for _, name := range []string{"root.pem", "server.pem", "server.key"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(s.dir, "data", name)
		replaceFile(t, path, string(content))
		if s.owner != nil {
			if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.exec(`alter system set ssl = on`, `alter system set ssl_ca_file = 'root.pem'`, `alter system set ssl_cert_file = 'server.pem'`,
		`alter system set ssl_key_file = 'server.key'`, `select pg_reload_conf()`)
}

// certificateFiles checks that a new connection uses the present certificates and key, and
// the last ones if a file is invalid.
func (s *server) certificateFiles(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir)
	s.useCertificates(t, dir)
	waitFor(t, "the server has a certificate", func() bool { return s.serverKnows(t, dir) })
	r := s.openRotating(t, "sslmode=verify-full&sslrootcert="+dir+"/root.pem&sslcert="+dir+"/client.pem&sslkey="+dir+"/client.key")
	certificates(t, dir)
	s.useCertificates(t, dir)
	waitFor(t, "the server has its new certificate", func() bool { return s.serverKnows(t, dir) })
	r.connects("with other certificates")
	for _, name := range []string{"client.pem", "client.key", "root.pem"} {
		replaceFile(t, filepath.Join(dir, name), "-----BEGIN")
		r.connects("with an invalid " + name)
	}
	if !strings.Contains(r.log.String(), "last valid content stays in use") {
		t.Errorf("got the log\n%s\nwant a line about the files", &r.log)
	}
}

// serverKnows reports whether the server accepts the certificates in dir.
func (s *server) serverKnows(t *testing.T, dir string) bool {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), "postgres://rotating@"+s.listen+"/postgres?sslmode=verify-full&sslrootcert="+dir+"/root.pem&sslcert="+dir+"/client.pem&sslkey="+dir+"/client.key")
	if err == nil {
		_ = conn.Close(context.Background())
	}
	return err == nil
}

// TestInvalidFilesAreLoggedRarely checks that files of an address that stay invalid are
// logged once a minute, however many connections are made.
func TestInvalidFilesAreLoggedRarely(t *testing.T) {
	dir := t.TempDir()
	certificates(t, dir)
	var log strings.Builder
	now := time.Now()
	a := &postgresAddress{
		spec: "postgres://u@h/d?sslmode=verify-full&sslrootcert=" + dir + "/root.pem",
		log:  slog.New(slog.NewTextHandler(&log, nil)), now: func() time.Time { return now },
	}
	config, err := a.open()
	if err != nil {
		t.Fatal(err)
	}
	valid, err := os.ReadFile(filepath.Join(dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		content string
		later   time.Duration
		want    int
	}{
		{string(valid), 0, 0}, {"", 0, 1}, {"", logInterval - 1, 1}, {"", 1, 2}, {string(valid), 0, 2}, {"", logInterval, 3},
	} {
		replaceFile(t, filepath.Join(dir, "root.pem"), c.content)
		now = now.Add(c.later)
		for range 3 {
			if err := a.beforeConnect(t.Context(), config.ConnConfig); err != nil || config.ConnConfig.TLSConfig.RootCAs == nil {
				t.Errorf("got error %v, want the last valid certificate", err)
			}
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != c.want {
			t.Errorf("got %d lines, want %d:\n%s", n, c.want, &log)
		}
	}
}
