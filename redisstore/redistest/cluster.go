package redistest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
)

// ClusterServers are the servers of a Cluster.
type ClusterServers struct {
	URL   string    // redis+cluster://…
	Nodes []*Server // the masters, and after Replicate their replicas in the same order
}

const slotCount = 16384

// Cluster starts n masters without replicas. They share the slots evenly. args are further
// options of each, as for Standalone.
func Cluster(tb testing.TB, n int, args ...string) *ClusterServers {
	tb.Helper()
	c := &ClusterServers{}
	var addrs []string
	for i := range n {
		node := Standalone(tb, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", host}, args...)...)
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		node.Do(addSlots(i, n)...)
		c.Nodes = append(c.Nodes, node)
		addrs = append(addrs, node.Addr)
	}
	for _, node := range c.Nodes[1:] {
		h, port, _ := net.SplitHostPort(node.Addr)
		c.Nodes[0].Do("CLUSTER", "MEET", h, port)
	}
	for _, node := range c.Nodes {
		node.waitUntil("has met all nodes", func() bool {
			info := node.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(n)) &&
				strings.Count(node.Do("CLUSTER", "SLOTS"), "\n127.0.0.1") == n
		})
	}
	c.URL = "redis+cluster://" + strings.Join(addrs, ",")
	return c
}

// addSlots returns the command that assigns node i of n its slots.
func addSlots(i, n int) []string {
	command := []string{"CLUSTER", "ADDSLOTS"}
	for slot := i * slotCount / n; slot < (i+1)*slotCount/n; slot++ {
		command = append(command, strconv.Itoa(slot))
	}
	return command
}

// Replicate adds a replica of each node and waits until all are in sync. Call it once.
func (c *ClusterServers) Replicate(tb testing.TB) {
	tb.Helper()
	masters := c.Nodes
	for _, m := range masters {
		node := Standalone(tb, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
		h, port, _ := net.SplitHostPort(m.Addr)
		m.Do("CONFIG", "SET", "repl-diskless-sync-delay", "0")
		node.Do("CLUSTER", "MEET", h, port)
		id := m.Do("CLUSTER", "MYID")
		node.waitUntil("has become a replica", func() bool { return node.Do("CLUSTER", "REPLICATE", id) == "OK" })
		m.waitAcknowledged()
		c.Nodes = append(c.Nodes, node)
	}
	for _, node := range c.Nodes {
		node.waitUntil("has met all nodes", func() bool {
			return strings.Contains(node.Do("CLUSTER", "INFO"), "cluster_known_nodes:"+strconv.Itoa(len(c.Nodes))) &&
				strings.Count(node.Do("CLUSTER", "NODES"), "connected") >= len(c.Nodes)
		})
	}
}

// StartMove marks a slot as moving to another node, and moves some of its keys.
func (c *ClusterServers) StartMove(slot int, from, to *Server, keys ...string) error {
	name := strconv.Itoa(slot)
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	if got := to.Do("CLUSTER", "SETSLOT", name, "IMPORTING", fromID); got != "OK" {
		return fmt.Errorf("IMPORTING: %s", got)
	}
	if got := from.Do("CLUSTER", "SETSLOT", name, "MIGRATING", toID); got != "OK" {
		return fmt.Errorf("MIGRATING: %s", got)
	}
	return migrate(from, to, keys)
}

// migrate moves keys, which may be gone by now.
func migrate(from, to *Server, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	h, port, _ := net.SplitHostPort(to.Addr)
	command := append([]string{"MIGRATE", h, port, "", "0", "5000", "KEYS"}, keys...)
	if got := from.Do(command...); got != "OK" && got != "NOKEY" {
		return fmt.Errorf("MIGRATE: %s", got)
	}
	return nil
}

// MoveKeys marks a slot as moving to another node, and moves its keys.
func (c *ClusterServers) MoveKeys(slot int, from, to *Server) error {
	if err := c.StartMove(slot, from, to); err != nil {
		return err
	}
	for {
		keys := from.Do("CLUSTER", "GETKEYSINSLOT", strconv.Itoa(slot), "10")
		if keys == "" {
			return nil
		}
		if err := migrate(from, to, strings.Split(keys, "\n")); err != nil {
			return err
		}
	}
}

// Move moves one slot and its keys to another node, as redis-cli does.
func (c *ClusterServers) Move(slot int, from, to *Server) error {
	if err := c.MoveKeys(slot, from, to); err != nil {
		return err
	}
	for _, node := range []*Server{to, from} {
		if got := node.Do("CLUSTER", "SETSLOT", strconv.Itoa(slot), "NODE", to.Do("CLUSTER", "MYID")); got != "OK" {
			return fmt.Errorf("NODE: %s", got)
		}
	}
	return nil
}
