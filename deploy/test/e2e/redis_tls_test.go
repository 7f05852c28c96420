package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/redisstore/redistest"
)

// authority is a certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	path string // of the PEM file with the certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return authority{cert, key, writePEM(t, "CERTIFICATE", der)}
}

// issue issues a server certificate for 127.0.0.1. It returns the paths of the certificate
// and of its key.
func (a authority) issue(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	must(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return writePEM(t, "CERTIFICATE", der), writePEM(t, "PRIVATE KEY", keyDER)
}

// writePEM writes a PEM file and returns its path.
func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	return writeFile(t, "pem", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// startTLSServer starts a Redis server with a certificate that a issued. It returns a URL
// with which only a is trusted.
func startTLSServer(t *testing.T, a authority) string {
	t.Helper()
	cert, key := a.issue(t)
	_, port, _ := net.SplitHostPort(freeport.Address(t))
	redistest.Standalone(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", a.path, "--tls-auth-clients", "no")
	return "rediss://127.0.0.1:" + port + "?ca_cert=" + url.QueryEscape(a.path)
}

// TestCertificateIsVerified checks that a gateway rejects a Redis server whose certificate
// was issued by an authority that it does not trust.
func TestCertificateIsVerified(t *testing.T) {
	t.Parallel()
	trusted := startTLSServer(t, newAuthority(t))
	address, _, _ := strings.Cut(trusted, "?")
	for name, redisURL := range map[string]string{
		"the system's authorities": address,
		"another authority":        address + "?ca_cert=" + url.QueryEscape(newAuthority(t).path),
	} {
		t.Run(name, func(t *testing.T) {
			code, output := newCommandEnv(redisURL).run(t, "", "check")
			if code == 0 || !strings.Contains(output, "certificate") {
				t.Errorf("got exit code %d, output %q; want a certificate error", code, output)
			}
		})
	}
	if code, output := newCommandEnv(trusted).run(t, "", "check"); code != 0 {
		t.Errorf("trusted authority: got exit code %d, output %q; want 0", code, output)
	}
}
