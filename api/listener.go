package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// listener is one listener of a process, on TCP or on a Unix socket, with its HTTP server.
type listener struct {
	socket
	log      *slog.Logger
	server   http.Server
	active   atomic.Int64   // connections with a request in progress, or without any request yet
	failures rate.Sometimes // limits the log lines about connections that cannot be accepted
	file     fs.FileInfo    // of the Unix socket; nil on TCP
}

// socket is a [net.TCPListener] or a [net.UnixListener].
type socket interface {
	net.Listener
	SetDeadline(time.Time) error
}

// trackedConn is a connection with its last state.
type trackedConn struct {
	stream
	state atomic.Int32 // an http.ConnState
}

// stream is a [net.TCPConn] or a [net.UnixConn].
type stream interface {
	net.Conn
	CloseWrite() error
}

// logInterval is the least time between two lines in the log about the same trouble.
const logInterval = 10 * time.Second

// unixPrefix begins the address of a Unix socket. The path follows.
const unixPrefix = "unix:"

// listen opens the listener of an address, HOST:PORT or unix:/PATH.
func listen(address string) (*listener, error) {
	network, unix := "tcp", strings.HasPrefix(address, unixPrefix)
	if unix {
		network, address = "unix", strings.TrimPrefix(address, unixPrefix)
		if err := removeStaleSocket(address); err != nil {
			return nil, err
		}
	}
	opened, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	l := &listener{socket: opened.(socket), failures: rate.Sometimes{Interval: logInterval}}
	if unix {
		opened.(*net.UnixListener).SetUnlinkOnClose(false) // see stop
		l.file, err = os.Lstat(address)
	}
	return l, err
}

// removeStaleSocket removes the file of a Unix socket that no process listens at. It fails
// if the file is in use or is not a socket.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket: remove it, or give another path", path)
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		_ = conn.Close()
		return fmt.Errorf("another process accepts connections at %s: stop it, or give another path", path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("a process may be using the socket: %w", err)
}

// address returns the address in the form that listen takes.
func (l *listener) address() string {
	if l.file != nil {
		return unixPrefix + l.Addr().String()
	}
	return l.Addr().String()
}

// serve serves until the listener is closed.
func (l *listener) serve() error {
	if l.server.TLSConfig != nil {
		return l.server.ServeTLS(l, "", "")
	}
	return l.server.Serve(l)
}

// stop lets Accept return an error once it has no more connections. The file of a Unix
// socket is removed first, so that a client is refused and not accepted too late. A file
// that another process has put in its place stays.
func (l *listener) stop() {
	if l.file != nil {
		path := l.Addr().String()
		if now, err := os.Lstat(path); err == nil && os.SameFile(l.file, now) {
			_ = os.Remove(path)
		}
	}
	_ = l.SetDeadline(time.Now())
}

// acceptDrain is how long a listener that is stopping must get no new connection
// before it is closed.
const acceptDrain = 200 * time.Microsecond

// Accept implements [net.Listener]. stop sets a deadline to end it. After the deadline
// it still accepts the connections that are already queued, because closing the
// listener would reset them.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.socket.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = l.SetDeadline(time.Now().Add(acceptDrain))
		c, err = l.socket.Accept()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, net.ErrClosed
	case err != nil: // such as too many open files
		l.failures.Do(func() { l.log.Error("connections can't be accepted", "address", l.address(), "error", err) })
		return nil, err
	}
	l.active.Add(1)
	return &trackedConn{stream: c.(stream)}, nil
}

// trackState counts the active connections. It is the server's ConnState hook. With
// HTTP/2 a connection is active while a request on it is in progress.
func (l *listener) trackState(c net.Conn, now http.ConnState) {
	if encrypted, ok := c.(*tls.Conn); ok {
		c = encrypted.NetConn()
	}
	conn, ok := c.(*trackedConn)
	if !ok {
		return
	}
	active := func(state http.ConnState) bool { return state == http.StateNew || state == http.StateActive }
	switch before := http.ConnState(conn.state.Swap(int32(now))); {
	case active(before) && !active(now):
		l.active.Add(-1)
	case !active(before) && active(now):
		l.active.Add(1)
	}
}

// shutdown waits until every request that has arrived is answered, and closes the
// connections. Shutdown alone would drop requests that are only partly read. It returns an
// error if ctx ends before the last answer. HTTP/2 clients first get a GOAWAY frame, so
// that they know which of their requests were not read, and a second to read it.
func (l *listener) shutdown(ctx context.Context) error {
	for l.active.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	if err := l.server.Shutdown(ctx); l.active.Load() > 0 {
		return err
	}
	return nil // a connection that is still open has no request
}
