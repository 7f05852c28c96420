package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// socket is a [net.TCPListener] or a [net.UnixListener].
type socket interface {
	net.Listener
	SetDeadline(time.Time) error
}

// unixPrefix begins the address of a Unix socket. The path follows.
const unixPrefix = "unix:"

// open opens the listener of an address, HOST:PORT or unix:/PATH.
func open(address string) (*listener, error) {
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
		opened.(*net.UnixListener).SetUnlinkOnClose(false) // see removeFile
		if l.file, err = os.Lstat(address); err != nil {
			_ = opened.Close()
			return nil, err
		}
	}
	return l, nil
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

// address returns the address in the form that open takes.
func (l *listener) address() string {
	if l.file != nil {
		return unixPrefix + l.Addr().String()
	}
	return l.Addr().String()
}

// removeFile removes the file of a Unix socket. A file that another process has put in its
// place stays.
func (l *listener) removeFile() {
	if l.file == nil {
		return
	}
	path := l.Addr().String()
	if now, err := os.Lstat(path); err == nil && os.SameFile(l.file, now) {
		_ = os.Remove(path)
	}
}
