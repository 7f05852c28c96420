package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestHAProxyHoldsSlowRequests sends parts of requests. No gateway may see them, and other
// clients are served meanwhile. A request that is completed in time is answered.
func TestHAProxyHoldsSlowRequests(t *testing.T) {
	t.Parallel()
	b := startTestbed(t, redistest.Standalone(t).URL, nil)
	gatewaytest.WaitUntil(t, 20*time.Second, "HAProxy has a gateway", func() bool {
		return b.client.Authz(t.Context(), "x").Status == http.StatusUnauthorized
	})
	login := fmt.Sprintf(`{"username":%q,"password":%q,"secret_key":%q,"session":"LONG","info":"slow"}`,
		gatewaytest.Username(1), gatewaytest.Password, gatewaytest.Secret)
	length := fmt.Sprintf("Content-Length: %d\r\n\r\n", len(login))
	var slow []net.Conn
	for _, part := range []string{
		"POST /api/session/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length,
		"POST /api/session/login/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + length + login[:1],
		"POST /api/session/refresh/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ref\r\n",
		"POST /apps/" + gatewaytest.App + "/authz HTTP/1.1\r\nHost: x\r\n" + length,
		"POST /api/session/login/ HTTP/1.1\r\nHost: x\r\n",
	} {
		for range 10 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(b.client.URL, "http://"))
			must(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte(part))
			must(t, err)
			slow = append(slow, conn)
		}
	}
	for range 20 {
		requireStatus(t, http.StatusOK, b.client.Login(t.Context(), 0, "LONG", "laptop"), "login during slow requests")
	}
	for _, g := range b.gateways {
		if n := metric(t, g, "tokengate_requests_in_flight"); n != 1 {
			t.Errorf("a gateway has %.0f requests in progress, want only the one for its metrics", n)
		}
	}

	_, err := slow[10].Write([]byte(login[1:]))
	must(t, err)
	if status, body := readAnswer(t, slow[10]); status != http.StatusOK {
		t.Errorf("login that was completed: got status %d, body %s; want 200", status, body)
	}
	for i, conn := range slow {
		if i != 10 {
			if status, body := readAnswer(t, conn); status != http.StatusRequestTimeout {
				t.Errorf("slow request %d: got status %d, body %s; want 408", i, status, body)
			}
		}
	}
}

// readAnswer reads one response.
func readAnswer(t *testing.T, conn net.Conn) (status int, body []byte) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, body
}

// TestHAProxyPassesOnLargeBodies checks that the largest body that a gateway reads fits into
// HAProxy's buffer, and that the gateway refuses a larger one.
func TestHAProxyPassesOnLargeBodies(t *testing.T) {
	t.Parallel()
	b := startTestbed(t, redistest.Standalone(t).URL, nil)
	gatewaytest.WaitUntil(t, 20*time.Second, "HAProxy has a gateway", func() bool {
		return b.client.Authz(t.Context(), "x").Status == http.StatusUnauthorized
	})
	const largest = 64 << 10
	for size, code := range map[int]string{largest: "token_not_valid", largest + 1: "too_large", 2 * largest: "too_large"} {
		body := `{"token":"x"` + strings.Repeat(" ", size-len(`{"token":"x"}`)) + `}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.client.URL+"/api/session/verify/", strings.NewReader(body))
		must(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Expect", "100-continue") // HAProxy asks for the body itself
		if resp := b.client.Do(req); resp.Code != code {
			t.Errorf("body of %d bytes: got status %d, body %s, error %v; want code %s", size, resp.Status, resp.Body, resp.Err, code)
		}
	}
}
