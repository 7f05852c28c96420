package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// The limits of HAProxy in these tests. Each is reached before the others.
const (
	clientConnections    = 8
	clientConnectionRate = 15
	clientRequestRate    = 40
	clientLoginRate      = 5
)

// limitsBed is HAProxy with these limits. It gets its clients' addresses by the PROXY
// protocol, as it does behind another proxy.
type limitsBed struct {
	*testbed
	address string
}

func startLimitsBed(t *testing.T) *limitsBed {
	t.Helper()
	b := &limitsBed{&testbed{}, freeport.Address(t)}
	server := redistest.Standalone(t)
	for i := range b.gateways {
		b.gateways[i] = gatewaytest.Start(t, server.URL, gatewaytest.Settings{"TRUSTED_PROXIES": "127.0.0.1/32"})
	}
	startHAProxy(t, haproxyConfig, b.address, b.gateways[:], "LISTEN="+b.address+" accept-proxy",
		fmt.Sprint("CLIENT_CONNECTIONS=", clientConnections), fmt.Sprint("CLIENT_CONNECTION_RATE=", clientConnectionRate),
		fmt.Sprint("CLIENT_REQUEST_RATE=", clientRequestRate), fmt.Sprint("CLIENT_LOGIN_RATE=", clientLoginRate),
		"UNLIMITED_CLIENTS=203.0.113.7 192.0.2.0/24")
	first := b.clientAt("203.0.113.7")
	gatewaytest.WaitUntil(t, 20*time.Second, "HAProxy has a gateway", func() bool {
		return first.Authz(t.Context(), "x").Status == http.StatusUnauthorized
	})
	return b
}

// dialFrom opens a connection of the client at an address.
func (b *limitsBed) dialFrom(ctx context.Context, source string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.address)
	if err != nil {
		return nil, err
	}
	family, to := "TCP4", "192.0.2.1"
	if strings.Contains(source, ":") {
		family, to = "TCP6", "2001:db8::1"
	}
	_, err = fmt.Fprintf(conn, "PROXY %s %s %s 40000 443\r\n", family, source, to)
	return conn, err
}

// clientAt returns the client at an address, with connections of its own.
func (b *limitsBed) clientAt(source string) *gatewaytest.Client {
	c := gatewaytest.NewClient("http://" + b.address)
	c.HTTP.Transport.(*http.Transport).DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return b.dialFrom(ctx, source) }
	return c
}

// sendUntilThrottled sends requests until HAProxy refuses one. None of the first allowed may
// be refused. A limit is one of a rate, so a slow machine needs more requests than that.
func sendUntilThrottled(t *testing.T, allowed int, retryAfter string, request func() gatewaytest.Response) {
	t.Helper()
	n := 0
	poll(t, "HAProxy refuses a request", func() bool {
		for range 10 {
			resp := request()
			if n++; resp.Status != http.StatusTooManyRequests {
				if resp.Status == 0 {
					t.Fatalf("request %d: got error %v, want an answer", n, resp.Err)
				}
				continue
			}
			checkThrottled(t, resp, retryAfter)
			if n <= allowed {
				t.Errorf("request %d was refused, want %d allowed", n, allowed)
			}
			return true
		}
		return false
	})
}

// checkThrottled checks that resp is the answer that gateways give, too.
func checkThrottled(t *testing.T, resp gatewaytest.Response, retryAfter string) {
	t.Helper()
	const body = `{"detail":"Too many requests. Try again later.","code":"throttled"}`
	if resp.Status != http.StatusTooManyRequests || string(resp.Body) != body ||
		resp.Header.Get("Retry-After") != retryAfter || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("got status %d, header %v, body %s; want 429, Retry-After %s and %s as JSON", resp.Status, resp.Header, resp.Body, retryAfter, body)
	}
}

func TestHAProxyLimitsEachClient(t *testing.T) {
	t.Parallel()
	b := startLimitsBed(t)
	ctx := t.Context()
	authz := func(c *gatewaytest.Client) func() gatewaytest.Response {
		return func() gatewaytest.Response { return c.Authz(ctx, "x") }
	}
	served := func(t *testing.T, source string) {
		t.Helper()
		requireStatus(t, http.StatusUnauthorized, b.clientAt(source).Authz(ctx, "x"), "request from "+source)
	}
	t.Run("requests", func(t *testing.T) {
		sendUntilThrottled(t, clientRequestRate, "10", authz(b.clientAt("198.51.100.1")))
		served(t, "198.51.100.2")
	})
	t.Run("requests of an IPv6 network", func(t *testing.T) {
		first, second := b.clientAt("2001:db8:0:1::1"), b.clientAt("2001:db8:0:1:ffff::2")
		n := 0
		sendUntilThrottled(t, clientRequestRate, "10", func() gatewaytest.Response {
			if n++; n%2 == 0 {
				return second.Authz(ctx, "x")
			}
			return first.Authz(ctx, "x")
		})
		served(t, "2001:db8:0:2::1")
	})
	t.Run("logins", func(t *testing.T) {
		c := b.clientAt("198.51.100.3")
		newest := requireStatus(t, http.StatusOK, c.Login(ctx, 0, "LONG", "laptop"), "login")
		sendUntilThrottled(t, clientLoginRate-1, "60", func() gatewaytest.Response { return c.Login(ctx, 1, "LONG", "laptop") })
		requireStatus(t, http.StatusOK, c.Refresh(ctx, "LONG", newest.Refresh), "refresh of a client with too many logins")
		requireStatus(t, http.StatusOK, b.clientAt("198.51.100.4").Login(ctx, 1, "LONG", "laptop"), "login of another client")
	})
	t.Run("new connections", func(t *testing.T) {
		c := b.clientAt("198.51.100.5")
		c.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
		sendUntilThrottled(t, clientConnectionRate, "10", authz(c))
		served(t, "198.51.100.6")
	})
	t.Run("unlimited", func(t *testing.T) {
		for _, source := range []string{"203.0.113.7", "192.0.2.99"} {
			c := b.clientAt(source)
			for range 2 * clientRequestRate {
				requireStatus(t, http.StatusUnauthorized, c.Authz(ctx, "x"), "request from "+source)
			}
		}
	})
}

// TestHAProxyLimitsOpenConnections opens connections that send nothing. Over the limit, the
// client gets an answer; at twice the limit, a new connection is closed.
func TestHAProxyLimitsOpenConnections(t *testing.T) {
	t.Parallel()
	b := startLimitsBed(t)
	var idle []net.Conn
	open := func(n int) {
		for range n {
			conn, err := b.dialFrom(t.Context(), "198.51.100.1")
			must(t, err)
			idle = append(idle, conn)
		}
	}
	closeAll := func() {
		for _, conn := range idle {
			conn.Close()
		}
		idle = nil
	}
	defer closeAll()
	// HAProxy closes such connections after 10 s: on a slow machine, that may be too early.
	poll(t, "HAProxy answers 429", func() bool {
		closeAll()
		open(clientConnections)
		resp := b.clientAt("198.51.100.1").Authz(t.Context(), "x")
		if resp.Status != http.StatusTooManyRequests {
			return false
		}
		checkThrottled(t, resp, "10")
		return true
	})
	poll(t, "HAProxy closes a new connection", func() bool {
		open(clientConnections + 4)
		return b.clientAt("198.51.100.1").Authz(t.Context(), "x").Err != nil
	})
	requireStatus(t, http.StatusUnauthorized, b.clientAt("198.51.100.2").Authz(t.Context(), "x"), "request of another client")
}
