package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Listener is a set of HTTP servers that start and stop together.
type Listener struct {
	Logger *slog.Logger
	Delay  time.Duration // from the stop until no more connections are accepted, so that balancers notice
	Grace  time.Duration // for the requests in flight after that

	draining atomic.Bool
	servers  []*http.Server
	failed   chan error
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

// The limits of one connection. No answer takes longer than the store's and the
// hashing lane's time-outs, so none is set for writing: profiles need theirs.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 15 * time.Second
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
	server := &http.Server{
		Handler: l.closeWhenDraining(handler), ErrorLog: slog.NewLogLogger(l.Logger.Handler(), slog.LevelDebug),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
	}
	l.servers = append(l.servers, server)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case l.failed <- err:
			default: // one failure stops them all; the first is told
			}
		}
	}()
	l.Logger.Info("listening", "address", listener.Addr().String())
	return listener.Addr().String(), nil
}

// closeWhenDraining has every connection closed after its next answer, so that
// none is closed with a request on its way.
func (l *Listener) closeWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if l.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

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
	ctx, cancel := context.WithTimeout(context.Background(), l.Grace)
	defer cancel()
	var faults []error
	for _, server := range l.servers {
		faults = append(faults, server.Shutdown(ctx))
	}
	return errors.Join(faults...)
}
