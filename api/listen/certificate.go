package listen

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync/atomic"

	"tokengate/session/files"
)

// Certificate is a server's certificate with its private key, from two PEM files. It is
// safe for concurrent use.
type Certificate struct {
	certFile, keyFile string
	pair              atomic.Pointer[tls.Certificate]
}

// LoadCertificate reads a certificate, with any intermediate ones behind it, and its
// private key. Its errors begin with CERT_FILE or KEY_FILE and contain no path.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again, for the connections that are made from then on. If a file
// cannot be read, or the key is not that of the certificate, it returns an error like that
// of LoadCertificate and keeps the last pair.
func (c *Certificate) Reload() error {
	cert, _, err := files.Read(c.certFile, files.NoLimit)
	if err != nil {
		return fmt.Errorf("CERT_FILE can't be read: %w", err)
	}
	key, _, err := files.Read(c.keyFile, files.NoLimit)
	if err != nil {
		return fmt.Errorf("KEY_FILE can't be read: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("CERT_FILE and KEY_FILE: %w", err)
	}
	c.pair.Store(&pair)
	return nil
}

// Leaf returns the certificate in use.
func (c *Certificate) Leaf() *x509.Certificate { return c.pair.Load().Leaf }

// GetCertificate is for [tls.Config].
func (c *Certificate) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.pair.Load(), nil
}
