package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Listeners is a set of HTTP servers that start and stop together, each with a listener.
type Listeners struct {
	Logger *slog.Logger  // required
	Delay  time.Duration // how long connections are accepted after the stop has begun, for balancers to notice it
	Grace  time.Duration // how long requests in flight may take after Delay

	draining atomic.Bool // the stop has begun
	closed   atomic.Bool // no more connections are accepted
	servers  []*tcpServer
	serving  sync.WaitGroup
	failed   chan error // the first error of a server
}

// tcpServer is an HTTP server and its TCP listener.
type tcpServer struct {
	*net.TCPListener
	server http.Server
	active atomic.Int64 // connections with a request in progress, or without any request yet
}

// trackedConn is a connection with its last state.
type trackedConn struct {
	*net.TCPConn
	state atomic.Int32 // an http.ConnState
}

// ErrDraining is the reason why an instance that is stopping is not ready.
var ErrDraining = errors.New("shutting down")

// Draining returns ErrDraining once the stop has begun, and nil before.
func (l *Listeners) Draining() error {
	if l.draining.Load() {
		return ErrDraining
	}
	return nil
}

// The limits of one connection. answerTimeout disconnects clients that do not read
// the answer. The longest answer is a CPU profile, which takes 30 seconds by default.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = 45 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 32 << 10 // bytes
)

// Listen starts to serve handler at a TCP address. It returns the actual address,
// which differs from the given one if the port is 0.
func (l *Listeners) Listen(address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	if l.failed == nil {
		l.failed = make(chan error, 1)
	}
	one := &tcpServer{TCPListener: listener.(*net.TCPListener), server: http.Server{
		Handler: l.closeConnections(handler), ErrorLog: slog.NewLogLogger(l.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}}
	one.server.ConnState = one.trackState
	l.servers = append(l.servers, one)
	l.serving.Go(func() {
		if err := one.server.Serve(one); !errors.Is(err, net.ErrClosed) {
			select {
			case l.failed <- err:
			default: // the first failure stops all servers and is returned by Wait
			}
		}
	})
	l.Logger.Info("listening", "address", one.Addr().String())
	return one.Addr().String(), nil
}

// acceptDrain is how long a listener that is stopping must get no new connection
// before it is closed.
const acceptDrain = 200 * time.Microsecond

// Accept implements [net.Listener]. Wait sets a deadline to stop it. After the
// deadline it still accepts the connections that are already queued, because
// closing the listener would reset them.
func (s *tcpServer) Accept() (net.Conn, error) {
	c, err := s.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = s.SetDeadline(time.Now().Add(acceptDrain))
		c, err = s.AcceptTCP()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, net.ErrClosed
	case err != nil:
		return nil, err
	}
	s.active.Add(1)
	return &trackedConn{TCPConn: c}, nil
}

// trackState counts the active connections. It is the server's ConnState hook.
func (s *tcpServer) trackState(c net.Conn, now http.ConnState) {
	conn, ok := c.(*trackedConn)
	if !ok {
		return
	}
	active := func(state http.ConnState) bool { return state == http.StateNew || state == http.StateActive }
	switch before := http.ConnState(conn.state.Swap(int32(now))); {
	case active(before) && !active(now):
		s.active.Add(-1)
	case !active(before) && active(now):
		s.active.Add(1)
	}
}

// closeConnections wraps a handler. Once no more connections are accepted, it asks
// for each connection to be closed after its next answer, so that none is closed
// while a request is on its way. It does not do so earlier, because clients would
// only reconnect, some of them at the moment when the listener closes.
func (l *Listeners) closeConnections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.closed.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// keepAliveDrain is how long idle connections stay open after the listeners are
// closed, so that a client's next request gets an answer with Connection: close.
// The wait is never longer than Delay or Grace.
const keepAliveDrain = 250 * time.Millisecond

// Wait serves until ctx is done or a server fails. If a server fails, it returns
// the error at once. Otherwise it stops all servers: Draining returns an error from
// then on, new connections are accepted for Delay more, and then the requests in
// flight have Grace to finish.
func (l *Listeners) Wait(ctx context.Context) error {
	select {
	case err := <-l.failed:
		return err
	case <-ctx.Done():
	}
	l.Logger.Info("shutting down", "delay", l.Delay, "grace", l.Grace)
	l.draining.Store(true)
	time.Sleep(l.Delay)
	for _, one := range l.servers {
		_ = one.SetDeadline(time.Now()) // see Accept
	}
	l.serving.Wait()
	l.closed.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), l.Grace)
	defer cancel()
	time.Sleep(min(l.Delay, l.Grace, keepAliveDrain))
	var errs []error
	for _, one := range l.servers {
		one.waitIdle(ctx)
		errs = append(errs, one.server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// waitIdle waits until every request that has arrived is answered, or ctx is done.
// Shutdown alone would drop requests that are only partly read.
func (s *tcpServer) waitIdle(ctx context.Context) {
	for s.active.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}
