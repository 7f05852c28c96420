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

// Listener is a set of HTTP servers that start and stop together.
type Listener struct {
	Logger *slog.Logger
	Delay  time.Duration // from the stop until no more connections are accepted, so that balancers notice
	Grace  time.Duration // for the requests in flight after that

	draining atomic.Bool // not ready any more
	closed   atomic.Bool // accepts no more connections
	ports    []*port
	serving  sync.WaitGroup
	failed   chan error
}

// port is an address that is listened on, with its server.
type port struct {
	*net.TCPListener
	server http.Server
	busy   atomic.Int64 // connections that wait for an answer, or have yet to ask
}

// conn is a connection that knows what it is doing: an http.ConnState.
type conn struct {
	*net.TCPConn
	state atomic.Int32
}

// ErrDraining is why a stopping instance is not ready.
var ErrDraining = errors.New("shutting down")

// Draining is ErrDraining once the stop has begun, nil before.
func (l *Listener) Draining() error {
	if l.draining.Load() {
		return ErrDraining
	}
	return nil
}

// The limits of one connection. Who doesn't read the answer is cut off in the
// end; the longest answer is a profile, of 30 seconds if nothing else is asked.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 15 * time.Second
	answerTimeout  = 45 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 32 << 10
)

// Listen begins to serve handler at a TCP address and gives the address that it
// got, which differs where the port was 0.
func (l *Listener) Listen(address string, handler http.Handler) (string, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	if l.failed == nil {
		l.failed = make(chan error, 1)
	}
	p := &port{TCPListener: listener.(*net.TCPListener), server: http.Server{
		Handler: l.closeWhenClosed(handler), ErrorLog: slog.NewLogLogger(l.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}}
	p.server.ConnState = p.note
	l.ports = append(l.ports, p)
	l.serving.Go(func() {
		if err := p.server.Serve(p); !errors.Is(err, net.ErrClosed) {
			select {
			case l.failed <- err:
			default: // one failure stops them all; the first is told
			}
		}
	})
	l.Logger.Info("listening", "address", p.Addr().String())
	return p.Addr().String(), nil
}

// lastCall is how long nobody may have come for a port to be closed.
const lastCall = 200 * time.Microsecond

// Accept is net.Listener's. Past the deadline, which begins the end, it takes
// in who waits already: to close the port would cut them off.
func (p *port) Accept() (net.Conn, error) {
	c, err := p.AcceptTCP()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		_ = p.SetDeadline(time.Now().Add(lastCall))
		c, err = p.AcceptTCP()
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, net.ErrClosed
	case err != nil:
		return nil, err
	}
	p.busy.Add(1)
	return &conn{TCPConn: c}, nil
}

// note keeps count of the busy connections.
func (p *port) note(c net.Conn, now http.ConnState) {
	own, ok := c.(*conn)
	if !ok {
		return
	}
	busy := func(s http.ConnState) bool { return s == http.StateNew || s == http.StateActive }
	switch before := http.ConnState(own.state.Swap(int32(now))); {
	case busy(before) && !busy(now):
		p.busy.Add(-1)
	case !busy(before) && busy(now):
		p.busy.Add(1)
	}
}

// closeWhenClosed has every connection closed after its next answer, so that
// none is closed with a request on its way. While new ones are still accepted it
// would only make clients come back, some of them at the very moment of the end.
func (l *Listener) closeWhenClosed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.closed.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// farewell is how long clients that keep their connections then have to ask
// once more, and be told. It is no longer than Delay.
const farewell = 250 * time.Millisecond

// Wait serves until ctx is done or a server fails, then stops: readiness goes,
// requests are answered for Delay, and those in flight then have Grace to end.
func (l *Listener) Wait(ctx context.Context) error {
	select {
	case err := <-l.failed:
		return err
	case <-ctx.Done():
	}
	l.Logger.Info("shutting down", "delay", l.Delay, "grace", l.Grace)
	l.draining.Store(true)
	time.Sleep(l.Delay)
	for _, p := range l.ports {
		_ = p.SetDeadline(time.Now())
	}
	l.serving.Wait()
	l.closed.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), l.Grace)
	defer cancel()
	time.Sleep(min(l.Delay, l.Grace, farewell))
	var faults []error
	for _, p := range l.ports {
		p.finish(ctx)
		faults = append(faults, p.server.Shutdown(ctx))
	}
	return errors.Join(faults...)
}

// finish waits until every request that came in is answered. Shutdown alone
// would drop those that it finds half read.
func (p *port) finish(ctx context.Context) {
	for p.busy.Load() > 0 && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}
