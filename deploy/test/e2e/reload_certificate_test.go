package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestCertificateIsRenewedUnderLoad replaces the certificate of four gateways behind HAProxy
// while clients send requests. No request fails, and HAProxy verifies each connection.
func TestCertificateIsRenewedUnderLoad(t *testing.T) {
	a, dir := newAuthority(t), t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	renew := func() {
		newCert, newKey := a.issue(t)
		must(t, os.Rename(newCert, cert))
		must(t, os.Rename(newKey, key))
	}
	renew()
	server, address := redistest.Standalone(t), freeport.Address(t)
	r := &reloadTest{T: t}
	b := &reloadBed{reloadTest: r, client: gatewaytest.NewClient("http://" + address)}
	for range 4 {
		r.gateways = append(r.gateways, gatewaytest.Start(t, server.URL, gatewaytest.Settings{"TLS_CERT_FILE": cert, "TLS_KEY_FILE": key, "TRUSTED_PROXIES": "127.0.0.1/32"}))
	}
	t.Cleanup(func() { checkReloadLogs(t, r.gateways) })
	config := serverLine.ReplaceAll(fourGatewaysConfig(t), []byte(`server $1 "$2" port $3 ssl verify required ca-file "$${CA}"`))
	startHAProxy(t, writeFile(t, "haproxy.cfg", config), address, r.gateways, "CA="+a.path)
	l := b.startAppLoad(gatewaytest.App, gatewaytest.Secret)
	time.Sleep(recoveryTime)
	for range 2 {
		before := a.served(t, r.gateways[0])
		renew()
		b.live("a certificate is renewed", func(g *gatewaytest.Gateway) bool { return a.served(t, g) != before })
	}
	before, broken := a.served(t, r.gateways[0]), r.logged()
	must(t, os.WriteFile(key, []byte("no key"), 0o600))
	r.untilFault(broken, "TOKENGATE_TLS_CERT_FILE and KEY_FILE")
	if got := a.served(t, r.gateways[0]); got != before {
		t.Error("a broken key has replaced the certificate")
	}
	repaired := r.logged()
	renew()
	r.untilRepaired(repaired)
	l.stop()
	for _, g := range r.gateways {
		lines := linesOf(g.Log(), "level=ERROR")
		if others := slices.DeleteFunc(slices.Clone(lines), isTLSFault); len(lines) > 1+2 || len(others) > 0 { // the renewals may be noticed between the two files
			t.Errorf("a gateway has logged %d errors, want at most 3, all about its certificate: %q", len(lines), lines)
		}
	}
}

// isTLSFault reports whether a line of a log names the settings of the certificate.
func isTLSFault(line string) bool { return strings.Contains(line, "TOKENGATE_TLS_") }

// served returns the key of the certificate that a gateway presents.
func (a authority) served(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(g.URL, "http://"), a.tlsConfig())
	must(t, err)
	defer conn.Close()
	return fmt.Sprintf("%x", conn.ConnectionState().PeerCertificates[0].Signature)
}
