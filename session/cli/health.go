package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"tokengate/session/config"
)

// healthTimeout is shorter than the timeout of the image's health command, so that the
// command can say what is wrong.
const healthTimeout = 3 * time.Second

// runHealth checks that the gateway with the same environment is alive. It reads only the
// addresses and checks no other setting, because it runs every few seconds. It does not
// look at Redis or the user sources: a restart of the gateway would not bring them back.
func runHealth(ctx context.Context, in *invocation) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	defaults := config.DefaultProcess()
	name, address := config.Prefix+"ADMIN_LISTEN", setting("ADMIN_LISTEN", defaults.AdminListen)
	ask := askAdmin
	if address == "" {
		name, address = config.Prefix+"LISTEN", setting("LISTEN", defaults.Listen)
		ask = askPublic
	}
	if err := ask(ctx, address); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", healthTimeout)
		}
		return fmt.Errorf("no healthy gateway at %s=%s: %w", name, address, err)
	}
	_, err := fmt.Fprintln(in.Out, "ok")
	return err
}

// setting returns the value of a setting, which counts as set if it is empty.
func setting(name, byDefault string) string {
	if value, found := os.LookupEnv(config.Prefix + name); found {
		return value
	}
	return byDefault
}

// askAdmin fails unless the admin listener at an address answers /healthz with 200.
func askAdmin(ctx context.Context, address string) error {
	resp, err := send(ctx, address, http.MethodGet, &url.URL{Scheme: "http", Host: "localhost", Path: "/healthz"})
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("/healthz answers %s", resp.Status)
	}
	return err
}

// askPublic fails unless the public listener at an address answers. The request OPTIONS *
// asks about the server itself: Go's HTTP server answers it, and it is neither logged nor
// counted.
func askPublic(ctx context.Context, address string) error {
	scheme := "http"
	if os.Getenv(config.Prefix+"TLS_CERT_FILE") != "" {
		scheme = "https"
	}
	_, err := send(ctx, address, http.MethodOptions, &url.URL{Scheme: scheme, Host: "localhost", Opaque: "*"})
	return err
}

// send sends a request to a listener's address, whatever the host of u. It does not read
// the answer's body.
func send(ctx context.Context, address, method string, u *url.URL) (*http.Response, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address) // a host that stands for every interface is the loopback interface here
		},
		// The certificate is for the clients' name. This connection does not leave the machine, and
		// carries no secret.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	req := (&http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}}).WithContext(ctx)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}
