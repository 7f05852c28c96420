package resilience

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// recorder is a transport that keeps the last request, as a client's or a balancer's machine has it.
type recorder struct {
	http.RoundTripper
	last *http.Request
	body []byte
}

// RoundTrip implements [http.RoundTripper].
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.last, r.body = req, body
	req.Body = io.NopCloser(bytes.NewReader(body))
	return r.RoundTripper.RoundTrip(req)
}

// repeat returns a function that delivers the last request again, to another gateway on a connection of its own.
func (r *recorder) repeat(t *testing.T, to *gatewaytest.Client) func() gatewaytest.Response {
	path, header, body := r.last.URL.Path, r.last.Header.Clone(), r.body
	return func() gatewaytest.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.URL+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = header.Clone()
		return to.Do(req)
	}
}

// TestDuplicatedRequests delivers requests a second time, through another gateway. Within the retry window, a
// second refresh is harmless until its successor is used. After that, or after the window, it is a replay. A
// second logout revokes nothing more. A second login is a login of its own, which evicts at the maximum.
func TestDuplicatedRequests(t *testing.T) {
	t.Parallel()
	const window = time.Second // of SHORT; that of LONG is longer than the test takes
	gateways := startGateways(t, 2, redistest.Standalone(t).URL, merge(oneSessionSettings, gatewaytest.Settings{
		"APP_SHORT_SESSION_RETRY_WINDOW": window.String(),
	}))
	ctx, c, other := t.Context(), gateways[0].Client(), gateways[1].Client()
	r := &recorder{RoundTripper: c.HTTP.Transport}
	c.HTTP.Transport = r
	want := func(what string, a gatewaytest.Response, status int, cause string) {
		t.Helper()
		if a.Status != status || a.Cause != cause {
			t.Errorf("%s: got %d %s %s, want %d %s", what, a.Status, a.Code, a.Cause, status, cause)
		}
	}

	first := c.Login(ctx, 0, "LONG", "client")
	second := c.Refresh(ctx, "LONG", first.Refresh)
	repeat := r.repeat(t, other)
	for range 3 {
		again := repeat()
		want("a refresh delivered again", again, http.StatusOK, "")
		if again.Refresh != second.Refresh {
			t.Error("a refresh delivered again got another token")
		}
	}
	want("the newest token after duplicates", c.Refresh(ctx, "LONG", second.Refresh), http.StatusOK, "")
	want("a refresh delivered again after its successor was used", repeat(), http.StatusUnauthorized, "replay")

	in := c.Login(ctx, 1, "SHORT", "client")
	newest := c.Refresh(ctx, "SHORT", in.Refresh)
	repeat = r.repeat(t, other)
	time.Sleep(window + time.Second/10)
	want("a refresh delivered again after the retry window", repeat(), http.StatusUnauthorized, "replay")
	want("the newest token after the replay", c.Refresh(ctx, "SHORT", newest.Refresh), http.StatusUnauthorized, "replay")

	in = c.Login(ctx, 2, "LONG", "client")
	want("logout", c.Logout(ctx, in.Refresh), http.StatusOK, "")
	want("a logout delivered again", r.repeat(t, other)(), http.StatusUnauthorized, "logout")

	in = c.Login(ctx, 3, "LONG", "client")
	repeat = r.repeat(t, other)
	want("a login delivered again", repeat(), http.StatusOK, "")
	want("the session of the first login", c.Refresh(ctx, "LONG", in.Refresh), http.StatusUnauthorized, "evicted")
}
