package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// startWithFiles starts a gateway that may have a number of files open. If unix is true, its
// public listener is a Unix socket, whose path is returned.
func startWithFiles(t *testing.T, files int, unix bool, redisURL string, settings gatewaytest.Settings) (g *gatewaytest.Gateway, address string) {
	t.Helper()
	command := func(name string, args ...string) *exec.Cmd {
		return exec.Command("sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, files), name}, args...)...)
	}
	address = freeport.Address(t)
	all, listen := gatewaytest.Settings{}, address
	if unix {
		address = filepath.Join(t.TempDir(), "gateway.sock")
		all["LISTEN"] = "unix:" + address
	}
	maps.Copy(all, settings)
	return gatewaytest.StartOn(t, command, listen, freeport.Address(t), redisURL, all), address
}

// loopback returns one of the addresses of this machine.
func loopback(a, b, c byte) net.IP { return net.IPv4(127, a, b, c) }

// dialFrom returns a function that connects to an address, from an address of this machine. An
// address that is a path is a Unix socket.
func dialFrom(source net.IP, address string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if strings.HasPrefix(address, "/") {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}
		return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: source}}).DialContext(ctx, "tcp", address)
	}
}

// clientFrom returns a client at an address of this machine. With an authority it uses TLS. A
// client that does not keep connections opens one for each request.
func clientFrom(source net.IP, address string, a *authority, keep bool) *gatewaytest.Client {
	c := gatewaytest.NewClient("http://localhost")
	transport := c.HTTP.Transport.(*http.Transport)
	transport.DialContext, transport.DisableKeepAlives = dialFrom(source, address), !keep
	if a != nil {
		c.URL = "https://" + address
		transport.TLSClientConfig, transport.ForceAttemptHTTP2 = a.tlsConfig(), true
	}
	return c
}

// pressure opens connections and keeps them from work.
type pressure struct {
	name      string
	start     string // what each connection sends at first
	drip      string // what it sends each second
	one       bool   // all come from one address
	tls, unix bool
	protocol  string // of TLS
}

// attackConnections is more than the files of the process.
const attackConnections = 1100

// run opens the connections, and opens those again that are closed, a hundred in a second. It returns
// when all have been opened once. They are closed when the test ends.
func (a pressure) run(t *testing.T, address string, ca *authority) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var started, running sync.WaitGroup
	// Not faster, so that on a slow machine no connection of another client waits while all others are opened again.
	again := time.NewTicker(10 * time.Millisecond)
	t.Cleanup(func() { cancel(); running.Wait(); again.Stop() })
	started.Add(attackConnections)
	for i := range attackConnections {
		source := loopback(1, 1, 1)
		if !a.one {
			source = loopback(2, byte(i>>8), byte(i))
		}
		running.Go(func() {
			first := sync.OnceFunc(started.Done)
			defer first()
			for ctx.Err() == nil {
				a.press(ctx, dialFrom(source, address), ca, first)
				first()
				select {
				case <-ctx.Done():
				case <-again.C:
				}
			}
		})
	}
	started.Wait()
}

// press opens one connection and returns when it is closed.
func (a pressure) press(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), ca *authority, opened func()) {
	conn, err := dial(ctx, "", "")
	if err != nil {
		return
	}
	defer conn.Close()
	if a.tls {
		config := ca.tlsConfig(a.protocol)
		config.ServerName = "127.0.0.1"
		conn = tls.Client(conn, config)
	}
	if _, err := io.WriteString(conn, a.start); err != nil {
		return
	}
	closed := make(chan struct{})
	go func() { defer close(closed); _, _ = io.Copy(io.Discard, conn) }()
	opened()
	for {
		select {
		case <-ctx.Done():
			return
		case <-closed:
			return
		case <-time.After(time.Second):
		}
		if _, err := io.WriteString(conn, a.drip); err != nil {
			return
		}
	}
}

// What connections send that keep others from work.
const (
	idleRequest = "GET /none HTTP/1.1\r\nHost: gateway\r\n\r\n"
	halfHeader  = "POST /api/session/refresh/ HTTP/1.1\r\nHost: gateway\r\nX-Slow: "
	halfBody    = "POST /api/session/refresh/ HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
)

// http2HalfBody is a request of HTTP/2 without the end of its body: the preface, SETTINGS, and
// HEADERS with the method, scheme and path.
const http2HalfBody = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x19\x01\x04\x00\x00\x00\x01" + "\x83\x87\x04\x15/api/session/refresh/"

// http2Data is one byte of that body.
const http2Data = "\x00\x00\x01\x00\x00\x00\x00\x00\x01{"
