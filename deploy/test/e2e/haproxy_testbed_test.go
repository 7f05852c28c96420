package e2e

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// testbed has the parts that deploy/compose.yaml runs: HAProxy in front of three gateways
// over one Redis server.
type testbed struct {
	client   *gatewaytest.Client // of HAProxy
	gateways [3]*gatewaytest.Gateway
}

// recoveryTime is enough for HAProxy to notice that a gateway is ready again. Its
// configuration requires two health checks, 200 ms apart.
const recoveryTime = 700 * time.Millisecond

func startTestbed(t *testing.T, redisURL string, settings gatewaytest.Settings) *testbed {
	t.Helper()
	address := freeport.Address(t)
	b := &testbed{client: gatewaytest.NewClient("http://" + address)}
	for i := range b.gateways {
		// The delay is the default. HAProxy makes five health checks in this time.
		all := gatewaytest.Settings{"SHUTDOWN_DELAY": "1s", "TRUSTED_PROXIES": "127.0.0.1/32"}
		maps.Copy(all, settings)
		b.gateways[i] = gatewaytest.Start(t, redisURL, all)
	}
	startHAProxy(t, haproxyConfig, address, b.gateways[:])
	return b
}

// haproxyConfig is the configuration that the documents recommend.
const haproxyConfig = "../../haproxy/haproxy.cfg"

// fourGatewaysConfig returns that configuration with one more gateway.
func fourGatewaysConfig(t *testing.T) []byte {
	t.Helper()
	config, err := os.ReadFile(haproxyConfig)
	must(t, err)
	return append(config, "\n\tserver gateway4 \"${GATEWAY_4}\" port \"${ADMIN_4}\"\n"...)
}

// startHAProxy runs HAProxy with a configuration until the test ends. It listens at address,
// in front of gateways. env has variables of the configuration besides their addresses.
func startHAProxy(t *testing.T, config, address string, gateways []*gatewaytest.Gateway, env ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "haproxy.log"))
	must(t, err)
	cmd := exec.Command("haproxy", "-db", "-f", config)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "LISTEN="+address), log, log
	for i, g := range gateways {
		_, port, _ := strings.Cut(strings.TrimPrefix(g.AdminURL, "http://"), ":")
		cmd.Env = append(cmd.Env, fmt.Sprintf("GATEWAY_%d=%s", i+1, strings.TrimPrefix(g.URL, "http://")), fmt.Sprintf("ADMIN_%d=%s", i+1, port))
	}
	cmd.Env = append(cmd.Env, env...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs haproxy: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("haproxy:\n%s", text)
		}
	})
	gatewaytest.WaitUntil(t, 10*time.Second, "haproxy listens", func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
