package artifacts

import (
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// TestWritesNeedReplica checks that no user can log in or out while all replicas are lost, and
// that everything goes on with the first that is back.
func TestWritesNeedReplica(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t, redistest.Options{File: filepath.Join(deploy, hostFile)})
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica := redistest.Start(t, redistest.Options{File: filepath.Join(deploy, hostFile), Args: []string{"--replicaof", host, port}})
	client := gatewaytest.Start(t, primary.URL, gatewaytest.Settings{"REDIS_WAIT_REPLICAS": "1"}).Client()
	kept := client.Login(t.Context(), 0, "LONG", "kept")
	if kept.Status != http.StatusOK {
		t.Fatalf("login: got %d %s, want 200", kept.Status, kept.Body)
	}
	replica.Suspend() // its connection stays open, as in a partition
	gatewaytest.WaitUntil(t, time.Minute, "the primary notices that its replica is lost", func() bool {
		return strings.HasPrefix(primary.Do("ZREM", "missing", "member"), "NOREPLICAS")
	})
	for step, got := range map[string]gatewaytest.Response{
		"login":   client.Login(t.Context(), 1, "LONG", "refused"),
		"refresh": client.Refresh(t.Context(), "LONG", kept.Refresh),
		"logout":  client.Logout(t.Context(), kept.Refresh),
	} {
		if got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
			t.Errorf("%s without a replica: got %d %s, want 503 with Retry-After", step, got.Status, got.Body)
		}
	}
	replica.Resume()
	gatewaytest.WaitUntil(t, time.Minute, "the session goes on", func() bool {
		return client.Refresh(t.Context(), "LONG", kept.Refresh).Status == http.StatusOK
	})
}
