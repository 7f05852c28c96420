package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Replicated is a primary and its replica, watched by one Sentinel.
type Replicated struct {
	URL                        string // redis+sentinel://…
	Primary, Replica, Sentinel *Server
}

const master = "tokengate"

// Sentinel starts a primary, a replica that is in step with it, and a Sentinel
// that alone decides on a failover, within about a second.
func Sentinel(tb testing.TB) *Replicated {
	tb.Helper()
	r := &Replicated{Primary: Standalone(tb, "--repl-diskless-sync-delay", "0")}
	h, port, _ := net.SplitHostPort(r.Primary.Addr)
	r.Replica = Standalone(tb, "--replicaof", h, port)
	r.Sentinel = prepare(tb)
	conf := filepath.Join(r.Sentinel.dir, "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s %[2]s %[3]s 1\n"+
		"sentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 2000\n", master, h, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	r.Sentinel.flags = append([]string{conf, "--sentinel"}, r.Sentinel.flags[:6]...) // it takes no persistence
	r.Sentinel.launch()
	r.Primary.acknowledged()
	r.Sentinel.until("knows the replica", func() bool {
		return strings.Contains(r.Sentinel.Do("INFO", "sentinel"), "status=ok,address="+r.Primary.Addr+",slaves=1")
	})
	r.URL = "redis+sentinel://" + r.Sentinel.Addr + "/" + master
	return r
}

// acknowledged waits until a replica has acknowledged all that s wrote; before
// its first acknowledgement, which may take a second, it gets nothing.
func (s *Server) acknowledged() {
	s.tb.Helper()
	s.Do("PUBLISH", "redistest", "") // something to acknowledge, which leaves nothing
	s.until("is replicated", func() bool {
		info := s.Do("INFO", "replication")
		return strings.Contains(info, "state=online,offset="+field(info, "master_repl_offset")+",")
	})
}

// FailOver kills the primary and waits until the replica has taken over. The
// fields change places; the old primary stays dead.
func (r *Replicated) FailOver() {
	r.Primary.tb.Helper()
	r.Primary.Kill()
	r.Replica.until("has taken over", func() bool {
		return strings.Contains(r.Replica.Do("INFO", "replication"), "role:master")
	})
	r.Primary, r.Replica = r.Replica, r.Primary
}
