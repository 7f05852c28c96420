package redistest

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

// SentinelServers are a primary, its replica, and the Sentinel that monitors them.
type SentinelServers struct {
	URL                        string // redis+sentinel://…
	Primary, Replica, Sentinel *Server
}

// master is the name of the primary in the Sentinel's configuration.
const master = "tokengate"

// Sentinel starts a primary, a replica that is in sync with it, and a Sentinel. The
// Sentinel decides on a failover alone, within about a second.
func Sentinel(tb testing.TB) *SentinelServers {
	tb.Helper()
	r := &SentinelServers{Primary: Standalone(tb, "--repl-diskless-sync-delay", "0")}
	h, port, _ := net.SplitHostPort(r.Primary.Addr)
	r.Replica = Standalone(tb, "--replicaof", h, port)
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\n"+
		"sentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 2000\n", master, h, port)
	r.Sentinel = Start(tb, Options{Text: text, Args: []string{"--sentinel"}})
	r.Primary.waitAcknowledged()
	r.Sentinel.waitUntil("has found the replica", func() bool {
		return strings.Contains(r.Sentinel.Do("INFO", "sentinel"), "status=ok,address="+r.Primary.Addr+",slaves=1")
	})
	r.URL = "redis+sentinel://" + r.Sentinel.Addr + "/" + master
	return r
}

// FailOver kills the primary and waits until the replica has taken over. It exchanges
// the fields Primary and Replica, so that Replica is the old primary, which stays down.
func (r *SentinelServers) FailOver() {
	r.Primary.tb.Helper()
	r.Primary.Kill()
	r.Replica.waitUntil("has taken over", func() bool {
		return strings.Contains(r.Replica.Do("INFO", "replication"), "role:master")
	})
	r.Primary, r.Replica = r.Replica, r.Primary
}

// Rejoin starts the old primary again, as a replica of the new one. It waits until the
// replica is in sync and the Sentinel has found it.
func (r *SentinelServers) Rejoin() {
	r.Replica.tb.Helper()
	r.Replica.Restart()
	h, port, _ := net.SplitHostPort(r.Primary.Addr)
	r.Replica.Do("REPLICAOF", h, port)
	r.Primary.WaitInSync(r.Replica)
	r.Sentinel.waitUntil("has found the replica", func() bool {
		return strings.Contains(r.Sentinel.Do("INFO", "sentinel"), "status=ok,address="+r.Primary.Addr+",slaves=1") &&
			!strings.Contains(r.Sentinel.Do("SENTINEL", "REPLICAS", master), "s_down")
	})
}
