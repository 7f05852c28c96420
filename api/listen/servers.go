package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Servers is a set of HTTP servers that start and stop together, each with a listener.
type Servers struct {
	Logger      *slog.Logger  // required
	IdleTimeout time.Duration // how long a connection is kept without a request; required
	Delay       time.Duration // how long connections are accepted after the stop has begun, for balancers to notice it
	Grace       time.Duration // how long requests in flight may take after Delay
	Metrics     *Metrics      // nil if connections are not counted

	// TrustedProxies are the networks of proxies. Many clients share the connections of such
	// a proxy, as they do those on a Unix socket, so it may have all of a listener's.
	TrustedProxies []netip.Prefix

	draining  atomic.Bool // the stop has begun
	closed    atomic.Bool // no more connections are accepted
	listeners []*listener
	serving   sync.WaitGroup
	failed    chan error // the first error of a server
}

// ErrDraining is the reason why an instance that is stopping is not ready.
var ErrDraining = errors.New("shutting down")

// Draining returns ErrDraining once the stop has begun, and nil before.
func (s *Servers) Draining() error {
	if s.draining.Load() {
		return ErrDraining
	}
	return nil
}

// AnswerTimeout is how long an answer may take, so that clients that do not read it are
// disconnected. The longest answer is a CPU profile, which takes 30 seconds by default.
const AnswerTimeout = 45 * time.Second

// The limits of one connection. A client on the slowest line sends a header in headerTimeout
// and the largest body in requestTimeout. At a bound the pool closes such a connection
// earlier.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 15 * time.Second
	maxHeader      = 32 << 10 // bytes
	maxStreams     = 32       // requests at a time on one connection of HTTP/2
)

// Listen starts to serve handler at an address, HOST:PORT or unix:/PATH. It replaces a
// socket file that a process has left behind, and fails if another process accepts
// connections there. With a certificate it serves only HTTPS, with HTTP/1.1 and HTTP/2.
// Listen returns the actual address, which differs from the given one if the port is 0.
func (s *Servers) Listen(address string, handler http.Handler, certificate *Certificate) (string, error) {
	most, _ := connectionLimits(openFiles())
	return s.listen(address, handler, certificate, "public", most)
}

// ListenAdmin is like Listen, for operators and their machines: their connections have a
// share of the process's files that others do not use up.
func (s *Servers) ListenAdmin(address string, handler http.Handler) (string, error) {
	_, most := connectionLimits(openFiles())
	return s.listen(address, handler, nil, "admin", most)
}

// listen starts to serve up to a number of connections. name is that of the listener in
// metrics and log.
func (s *Servers) listen(address string, handler http.Handler, certificate *Certificate, name string, most int) (string, error) {
	one, err := open(address)
	if err != nil {
		s.removeFiles() // the program ends
		return "", err
	}
	if s.failed == nil {
		s.failed = make(chan error, 1)
	}
	if s.Metrics == nil {
		s.Metrics = newMetrics()
	}
	one.log, one.pool = s.Logger, newPool(most, s.TrustedProxies, s.Metrics.of(name), s.Logger)
	one.server = http.Server{
		Handler: s.trackRequests(handler), ErrorLog: slog.NewLogLogger(s.Logger.Handler(), slog.LevelDebug), ConnState: one.trackState,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: AnswerTimeout, IdleTimeout: s.IdleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, tracked(c))
		},
	}
	if certificate != nil {
		one.server.TLSConfig = &tls.Config{GetCertificate: certificate.GetCertificate, MinVersion: tls.VersionTLS12}
	}
	s.listeners = append(s.listeners, one)
	s.serving.Go(func() {
		if err := one.serve(); !errors.Is(err, net.ErrClosed) {
			select {
			case s.failed <- err:
			default: // the first failure stops all servers and is returned by Wait
			}
		}
	})
	s.Logger.Info("listening", "address", one.address(), "tls", certificate != nil)
	return one.address(), nil
}

// removeFiles removes the files of Unix sockets.
func (s *Servers) removeFiles() {
	for _, one := range s.listeners {
		one.removeFile()
	}
}

// trackRequests wraps a handler. It counts each connection's requests. Once no more
// connections are accepted, it asks for each connection to be closed after its next answer,
// so that none is closed while a request is on its way. It does not do so earlier, because
// clients would only reconnect, some of them at the moment when the listener closes.
func (s *Servers) trackRequests(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.closed.Load() {
			w.Header().Set("Connection", "close")
		}
		c := connectionOf(r)
		if !c.begin() {
			panic(http.ErrAbortHandler)
		}
		defer c.end()
		if r.ProtoMajor == 2 {
			defer c.endStream()
			if !c.beginStream() {
				refuse(w)
				return
			}
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
func (s *Servers) Wait(ctx context.Context) error {
	select {
	case err := <-s.failed:
		s.removeFiles()
		return err
	case <-ctx.Done():
	}
	s.Logger.Info("shutting down", "delay", s.Delay, "grace", s.Grace)
	s.draining.Store(true)
	time.Sleep(s.Delay)
	for _, one := range s.listeners {
		one.stop()
	}
	s.serving.Wait()
	s.closed.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), s.Grace)
	defer cancel()
	time.Sleep(min(s.Delay, s.Grace, keepAliveDrain))
	var errs []error
	for _, one := range s.listeners {
		errs = append(errs, one.shutdown(ctx))
	}
	return errors.Join(errs...)
}

// refuse answers a request that is one too many.
func refuse(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(`{"detail":"Too many requests are in progress. Try again.","code":"busy"}`))
}
