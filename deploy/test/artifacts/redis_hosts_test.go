package artifacts

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// redisHosts are three hosts, each with Redis and Sentinel on the files that are shipped. The
// first has the primary.
type redisHosts struct {
	redis []*redistest.Server
	url   string // for the gateways
}

func startRedisHosts(t *testing.T) redisHosts {
	t.Helper()
	hosts := redisHosts{redis: []*redistest.Server{redistest.FromFile(t, filepath.Join(deploy, hostFile))}}
	host, port, _ := net.SplitHostPort(hosts.redis[0].Addr)
	for range 2 {
		hosts.redis = append(hosts.redis, redistest.FromFile(t, filepath.Join(deploy, hostFile), "--replicaof", host, port))
	}
	gatewaytest.WaitUntil(t, time.Minute, "both replicas follow", func() bool {
		return strings.Contains(hosts.redis[0].Do("INFO", "replication"), "min_slaves_good_slaves:2")
	})
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	writeFile(t, file, strings.NewReplacer("192.0.2.1 6379", host+" "+port, "\nport 26379\n", "\n").Replace(read(t, sentinelFile)))
	var sentinels []*redistest.Server
	var addresses []string
	for range 3 {
		s := redistest.FromFile(t, file, "--sentinel")
		sentinels, addresses = append(sentinels, s), append(addresses, s.Addr)
	}
	for _, s := range sentinels {
		gatewaytest.WaitUntil(t, time.Minute, "the Sentinels know each other", func() bool {
			return strings.Contains(s.Do("INFO", "sentinel"), "slaves=2,sentinels=3")
		})
	}
	hosts.url = "redis+sentinel://" + strings.Join(addresses, ",") + "/mymaster"
	return hosts
}

// TestWritesNeedReplica checks that no user can log in or out while all replicas are lost, and
// that everything goes on with the first that is back.
func TestWritesNeedReplica(t *testing.T) {
	t.Parallel()
	primary := redistest.FromFile(t, filepath.Join(deploy, hostFile))
	host, port, _ := net.SplitHostPort(primary.Addr)
	replica := redistest.FromFile(t, filepath.Join(deploy, hostFile), "--replicaof", host, port)
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

// TestOlderFileIsNotBroughtBack checks that a logout survives if the primary's machine
// crashes, and its Redis starts again after the pause of the drop-in, with a file that lacks
// the logout.
func TestOlderFileIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	hosts := startRedisHosts(t)
	former := hosts.redis[0]
	client := gatewaytest.Start(t, hosts.url, gatewaytest.Settings{"REDIS_WAIT_REPLICAS": "1"}).Client()
	kept, ended := client.Login(t.Context(), 0, "LONG", "kept"), client.Login(t.Context(), 0, "LONG", "ended")

	_, dir, _ := strings.Cut(former.Do("CONFIG", "GET", "dir"), "\n")
	files, older := filepath.Join(dir, "appendonlydir"), filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(files)))
	logout := client.Logout(t.Context(), ended.Refresh)
	if durability := logout.Header.Get("Durability"); logout.Status/100 != 2 || durability != "replicated" {
		t.Fatalf("logout: got %d %s, Durability %q; want replicated", logout.Status, logout.Body, durability)
	}
	former.Kill()
	crashed := time.Now()
	must(t, os.RemoveAll(files))
	must(t, os.CopyFS(files, os.DirFS(older)))
	time.Sleep(time.Until(crashed.Add(startPause(t))))
	former.Restart()
	gatewaytest.WaitUntil(t, 2*time.Minute, "the former primary follows another", func() bool {
		return strings.Contains(former.Do("INFO", "replication"), "master_link_status:up")
	})
	gatewaytest.WaitUntil(t, time.Minute, "the kept session goes on", func() bool {
		return client.Refresh(t.Context(), "LONG", kept.Refresh).Status == http.StatusOK
	})
	if got := client.Refresh(t.Context(), "LONG", ended.Refresh); got.Status != http.StatusUnauthorized {
		t.Errorf("refresh of the session that was logged out: got %d %s, want 401", got.Status, got.Body)
	}
}
