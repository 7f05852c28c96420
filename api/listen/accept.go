package listen

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// listener is one listener of a process, on TCP or on a Unix socket, with its HTTP server.
type listener struct {
	socket
	log      *slog.Logger
	pool     *pool
	server   http.Server
	active   atomic.Int64   // connections with a request in progress, or without any request yet
	failures rate.Sometimes // limits the log lines about connections that cannot be accepted
	file     fs.FileInfo    // of the Unix socket; nil on TCP
}

// logInterval is the least time between two lines in the log about the same trouble.
const logInterval = 10 * time.Second

// serve serves until the listener is closed.
func (l *listener) serve() error {
	if l.server.TLSConfig != nil {
		return l.server.ServeTLS(l, "", "")
	}
	return l.server.Serve(l)
}

// stop lets Accept return an error once it has no more connections.
func (l *listener) stop() {
	l.removeFile() // first, so that a client is refused and not accepted too late
	_ = l.SetDeadline(time.Now())
}

// acceptDrain is how long a listener that is stopping must get no new connection
// before it is closed.
const acceptDrain = 200 * time.Microsecond

// Accept implements [net.Listener]. stop sets a deadline to end it. After the deadline
// it still accepts the connections that are already queued, because closing the
// listener would reset them. It closes connections for which the pool has no room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.accept()
		if err != nil {
			return nil, err
		}
		if conn := l.pool.accept(c); conn != nil {
			l.active.Add(1)
			return conn, nil
		}
	}
}

func (l *listener) accept() (stream, error) {
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
	return c.(stream), nil
}

// trackState counts the active connections. It is the server's ConnState hook. With
// HTTP/2 a connection is active while a request on it is in progress.
func (l *listener) trackState(c net.Conn, now http.ConnState) {
	conn := tracked(c)
	if conn == nil {
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
