package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"tokengate/session/files"
)

// certificateFiles has the paths of PEM files, or empty strings.
type certificateFiles struct {
	ca, cert, key string
}

// load returns base with what the files hold. Errors do not repeat the paths, which may be
// a misplaced password.
func (f certificateFiles) load(base *tls.Config) (*tls.Config, error) {
	config := base.Clone()
	if f.ca != "" {
		ca, err := readParameterFile("ca_cert", f.ca)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("URL parameter ca_cert: the file holds no PEM certificate")
		}
	}
	if f.cert != "" {
		cert, err := readParameterFile("client_cert", f.cert)
		if err != nil {
			return nil, err
		}
		key, err := readParameterFile("client_key", f.key)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("URL parameters client_cert and client_key: give PEM files with a certificate and its private key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// readParameterFile reads the file of a URL parameter.
func readParameterFile(parameter, path string) ([]byte, error) {
	content, _, err := files.Read(path, files.NoLimit)
	if err != nil {
		return nil, fmt.Errorf("URL parameter %s: the file can't be read: %w", parameter, err)
	}
	return content, nil
}

// tlsConn is a TLS connection that implements [syscall.Conn].
//
// Before the client uses an idle connection, it looks for data or the end of the stream at
// the socket, and takes another connection if there is any, because the server has closed
// this one. It does not look at a [tls.Conn], which does not implement syscall.Conn.
// Without that, each step on a connection that the server had closed would fail.
type tlsConn struct {
	*tls.Conn
	transport syscall.RawConn
}

func newTLSConn(conn *tls.Conn) net.Conn {
	transport, ok := conn.NetConn().(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := transport.SyscallConn()
	if err != nil { // the connection is closed, and its first use fails
		return conn
	}
	return &tlsConn{conn, raw}
}

// A connection is idle, so the records at its socket are session tickets and the like, or
// the server's close notification. maxRecords and recordWait bound the time that reading
// them takes.
const (
	maxRecords = 20
	recordWait = time.Millisecond
)

var errUnexpectedData = errors.New("the server has sent data that was not asked for")

// SyscallConn returns the transport, for a look at its socket. First it reads the TLS
// records that hold no data for the client, so that they do not count as the end of the
// connection. It fails if the server has closed the connection or has sent data.
func (c *tlsConn) SyscallConn() (syscall.RawConn, error) {
	for range maxRecords {
		waiting, err := dataWaiting(c.transport)
		if err != nil {
			return nil, err
		}
		if !waiting {
			return c.transport, nil
		}
		if err := c.readRecords(); err != nil {
			return nil, err
		}
	}
	return nil, errUnexpectedData
}

// readRecords reads the records that have arrived. A timeout is the usual result: it means
// that they held no data.
func (c *tlsConn) readRecords() error {
	if err := c.SetReadDeadline(time.Now().Add(recordWait)); err != nil {
		return err
	}
	var data [1]byte
	n, err := c.Read(data[:])
	if n > 0 {
		return errUnexpectedData
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return c.SetReadDeadline(time.Time{})
}
