package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// serverLine matches the name and the addresses of a gateway in HAProxy's configuration.
var serverLine = regexp.MustCompile(`server (gateway\d) "(\$\{GATEWAY_\d\})" port ("\$\{ADMIN_\d\}")`)

// TestRollingRestartOnOtherListeners restarts gateways behind HAProxy under load, with the
// recommended configuration but for the address of each gateway. With TLS it restarts one
// gateway, because TestRollingRestartLosesNoRequest restarts each.
func TestRollingRestartOnOtherListeners(t *testing.T) {
	for name, line := range map[string]string{
		"Unix socket": `server $1 "unix@$2" addr 127.0.0.1 port $3`,
		"TLS":         `server $1 "$2" port $3 ssl verify required ca-file "$${CA}"`,
		"HTTP2":       `server $1 "$2" port $3 ssl verify required ca-file "$${CA}" alpn h2`,
	} {
		t.Run(name, func(t *testing.T) {
			config, err := os.ReadFile(haproxyConfig)
			must(t, err)
			if n := len(serverLine.FindAll(config, -1)); n != 3 {
				t.Fatalf("%s has %d lines of gateways, want 3", haproxyConfig, n)
			}
			b := startListenerTestbed(t, name == "Unix socket", writeFile(t, "haproxy.cfg", serverLine.ReplaceAll(config, []byte(line))))
			l := b.startLoad(t, false)
			time.Sleep(recoveryTime)
			restarted := b.gateways[:1]
			if name == "Unix socket" {
				restarted = b.gateways[:]
			}
			for _, g := range restarted {
				g.Stop()
				if code := g.ExitCode(); code != 0 {
					t.Errorf("a stopped gateway: got exit code %d, want 0", code)
				}
				g.Restart()
				time.Sleep(recoveryTime)
			}
			l.stop()
			log := b.gateways[0].Log()
			if !strings.Contains(log, "endpoint=refresh") || !strings.Contains(log, "client=127.0.0.1 ") || strings.Contains(log, `client="" `) {
				t.Errorf("want the address of HAProxy's client in each line\n%s", log[:min(len(log), 2000)])
			}
		})
	}
}

// startListenerTestbed starts HAProxy with a configuration in front of three gateways, on
// Unix sockets or with TLS.
func startListenerTestbed(t *testing.T, unix bool, config string) *testbed {
	t.Helper()
	a, server, address := newAuthority(t), redistest.Standalone(t), freeport.Address(t)
	b := &testbed{client: gatewaytest.NewClient("http://" + address)}
	env := []string{"CA=" + a.path}
	for i := range b.gateways {
		settings := gatewaytest.Settings{"SHUTDOWN_DELAY": "1s"}
		if unix {
			socket := filepath.Join(t.TempDir(), "gateway.sock")
			settings["LISTEN"] = "unix:" + socket
			b.gateways[i] = gatewaytest.Start(t, server.URL, settings)
			env = append(env, fmt.Sprintf("GATEWAY_%d=%s", i+1, socket))
		} else {
			settings["TRUSTED_PROXIES"] = "127.0.0.1"
			b.gateways[i], _ = startWithTLS(t, a, server.URL, settings)
		}
	}
	startHAProxy(t, config, address, b.gateways[:], env...)
	return b
}
