package redistest

import (
	"net"
	"strconv"
	"strings"
	"testing"
)

// Clustered is a Cluster of masters without replicas.
type Clustered struct {
	URL   string // redis+cluster://…
	Nodes []*Server
}

const slots = 16384

// Cluster starts n masters that share the slots evenly.
func Cluster(tb testing.TB, n int) *Clustered {
	tb.Helper()
	c := &Clustered{}
	var addrs []string
	for i := range n {
		node := prepare(tb)
		node.flags = append(node.flags, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
			"--cluster-announce-ip", host)
		node.launch()
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		node.Do(share(i, n)...)
		c.Nodes = append(c.Nodes, node)
		addrs = append(addrs, node.Addr)
	}
	for _, node := range c.Nodes[1:] {
		h, port, _ := net.SplitHostPort(node.Addr)
		c.Nodes[0].Do("CLUSTER", "MEET", h, port)
	}
	for _, node := range c.Nodes {
		node.until("sees the whole cluster", func() bool {
			info := node.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(n)) &&
				strings.Count(node.Do("CLUSTER", "SLOTS"), "\n127.0.0.1") == n
		})
	}
	c.URL = "redis+cluster://" + strings.Join(addrs, ",")
	return c
}

// share is the command that gives node i of n its slots.
func share(i, n int) []string {
	command := []string{"CLUSTER", "ADDSLOTS"}
	for slot := i * slots / n; slot < (i+1)*slots/n; slot++ {
		command = append(command, strconv.Itoa(slot))
	}
	return command
}
