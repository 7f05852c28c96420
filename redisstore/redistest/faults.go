package redistest

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// DoAs is Do after AUTH with a password.
func (s *Server) DoAs(password string, args ...string) string {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(startTime)) // a dead connection shows when it is used
	fmt.Fprintf(conn, "AUTH %s\r\n%s\r\n", password, strings.Join(args, " "))
	r := bufio.NewReader(conn)
	if _, err := readReply(r); err != nil {
		return ""
	}
	text, _ := readReply(r)
	return text
}

// InStep waits until a replica of s has everything that s has.
func (s *Server) InStep(replica *Server) {
	s.tb.Helper()
	replica.until("is in step with "+s.Addr, func() bool {
		info := replica.Do("INFO", "replication")
		return strings.Contains(info, "master_link_status:up") && field(info, "slave_repl_offset") == field(s.Do("INFO", "replication"), "master_repl_offset")
	})
}

func field(info, name string) string {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// Rejoin starts the old primary again, as a replica of the new one, and waits
// until it is in step and the Sentinel knows it.
func (r *Replicated) Rejoin() {
	old, now := r.Replica, r.Primary
	old.tb.Helper()
	old.Restart()
	h, port, _ := net.SplitHostPort(now.Addr)
	old.Do("REPLICAOF", h, port)
	now.InStep(old)
	r.Sentinel.until("knows the replica", func() bool {
		return strings.Contains(r.Sentinel.Do("INFO", "sentinel"), "status=ok,address="+now.Addr+",slaves=1") &&
			!strings.Contains(r.Sentinel.Do("SENTINEL", "REPLICAS", master), "s_down")
	})
}

// Replicate gives each node of c, whose first n are its masters, a replica, and
// waits until all are in step.
func (c *Clustered) Replicate(tb testing.TB) {
	tb.Helper()
	masters := c.Nodes
	for _, m := range masters {
		node := prepare(tb)
		node.flags = append(node.flags, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
		node.launch()
		h, port, _ := net.SplitHostPort(m.Addr)
		m.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
		node.Do("CLUSTER", "MEET", h, port)
		id := m.Do("CLUSTER", "MYID")
		node.until("follows its master", func() bool { return node.Do("CLUSTER", "REPLICATE", id) == "OK" })
		m.acknowledged()
		c.Nodes = append(c.Nodes, node)
	}
	for _, node := range c.Nodes {
		node.until("sees the whole cluster", func() bool {
			return strings.Contains(node.Do("CLUSTER", "INFO"), "cluster_known_nodes:"+strconv.Itoa(len(c.Nodes))) &&
				strings.Count(node.Do("CLUSTER", "NODES"), "connected") >= len(c.Nodes)
		})
	}
}

// Move gives one slot, keys and all, to another node, as redis-cli does.
func (c *Clustered) Move(slot int, from, to *Server) error {
	name := strconv.Itoa(slot)
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	if got := to.Do("CLUSTER", "SETSLOT", name, "IMPORTING", fromID); got != "OK" {
		return fmt.Errorf("IMPORTING: %s", got)
	}
	if got := from.Do("CLUSTER", "SETSLOT", name, "MIGRATING", toID); got != "OK" {
		return fmt.Errorf("MIGRATING: %s", got)
	}
	h, port, _ := net.SplitHostPort(to.Addr)
	for {
		keys := from.Do("CLUSTER", "GETKEYSINSLOT", name, "10")
		if keys == "" {
			break
		}
		move := append([]string{"MIGRATE", h, port, "", "0", "5000", "KEYS"}, strings.Split(keys, "\n")...)
		if got := from.Do(move...); got != "OK" && got != "NOKEY" {
			return fmt.Errorf("MIGRATE: %s", got)
		}
	}
	for _, node := range []*Server{to, from} {
		if got := node.Do("CLUSTER", "SETSLOT", name, "NODE", toID); got != "OK" {
			return fmt.Errorf("NODE: %s", got)
		}
	}
	return nil
}
