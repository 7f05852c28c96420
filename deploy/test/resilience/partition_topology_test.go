package resilience

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/hosts"
	"tokengate/redisstore/redistest"
)

// machine is one of the three machines of the named topology. Its programs have an address each, so that the network
// can be cut for one of them alone.
type machine struct {
	redisHost, sentinelHost, gatewayHost *hosts.Host
	redis, sentinel                      *redistest.Server
	gateway                              *gatewaytest.Gateway
	client                               *gatewaytest.Client
}

// all returns the hosts of a machine's programs.
func (m *machine) all() []*hosts.Host {
	return []*hosts.Host{m.redisHost, m.sentinelHost, m.gatewayHost}
}

// namedTopology is what deploy/redis-ha.conf and deploy/sentinel.conf are for: three machines with a Redis, a Sentinel
// and a gateway each.
type namedTopology struct {
	t        *testing.T
	network  *hosts.Network
	machines []*machine
}

const redisPort, sentinelPort, publicPort, adminPort = 6379, 26379, 8080, 9090

// newNamedTopology starts the servers with the shipped files, and the gateways. The first machine has the primary.
func newNamedTopology(t *testing.T, settings gatewaytest.Settings) *namedTopology {
	t.Helper()
	n := &namedTopology{t: t, network: hosts.New(t, 9)}
	for h := range slices.Chunk(n.network.Hosts(), 3) {
		n.machines = append(n.machines, &machine{redisHost: h[0], sentinelHost: h[1], gatewayHost: h[2]})
	}
	primary := n.machines[0].redisHost.IP
	conf, sentinelConf := readShipped(t, "redis-ha.conf"), monitor(t, readShipped(t, "sentinel.conf"), n.machines[0].redisHost.Addr(redisPort))
	var sentinels []string
	for i, m := range n.machines {
		var args []string
		if i > 0 {
			args = []string{"--replicaof", primary, fmt.Sprint(redisPort)}
		}
		m.redis = redistest.Start(t, redistest.Options{Command: m.redisHost.Command, Addr: m.redisHost.Addr(redisPort), Text: conf, Args: args})
		sentinels = append(sentinels, m.sentinelHost.Addr(sentinelPort))
	}
	for _, m := range n.machines {
		m.sentinel = redistest.Start(t, redistest.Options{
			Command: m.sentinelHost.Command, Addr: m.sentinelHost.Addr(sentinelPort), Text: sentinelConf, Args: []string{"--sentinel"},
		})
	}
	n.waitHealed()
	url := "redis+sentinel://" + strings.Join(sentinels, ",") + "/" + sentinelMaster
	for _, m := range n.machines {
		m.gateway = gatewaytest.StartOn(t, m.gatewayHost.Command, m.gatewayHost.Addr(publicPort), m.gatewayHost.Addr(adminPort), url, settings)
		m.client = m.gateway.Client()
	}
	return n
}

// sentinelMaster is the primary's name in deploy/sentinel.conf.
const sentinelMaster = "mymaster"

// readShipped reads a file of the directory deploy.
func readShipped(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// monitored is the line of Sentinel's file that an operator changes. The quorum follows it.
var monitored = regexp.MustCompile(`(?m)^sentinel monitor ` + sentinelMaster + ` \S+ \d+ `)

// monitor returns the text of Sentinel's file with the address of the primary.
func monitor(t *testing.T, conf, primary string) string {
	t.Helper()
	if !monitored.MatchString(conf) {
		t.Fatalf("deploy/sentinel.conf does not monitor %s", sentinelMaster)
	}
	return monitored.ReplaceAllString(conf, fmt.Sprintf("sentinel monitor %s %s ", sentinelMaster, strings.Replace(primary, ":", " ", 1)))
}

// healedLimit is the longest time that Sentinel may take to make the old primary a replica. It waits ten seconds
// itself.
const healedLimit = 90 * time.Second

// waitHealed waits until one Redis is the primary, the others follow it, and all Sentinels agree.
func (n *namedTopology) waitHealed() {
	n.t.Helper()
	gatewaytest.WaitUntil(n.t, healedLimit, "one primary has two replicas, and the Sentinels agree", func() bool {
		time.Sleep(50 * time.Millisecond)
		p := n.primary()
		if p < 0 || strings.Count(n.machines[p].redis.Do("INFO", "replication"), "state=online") != 2 {
			return false
		}
		for i, m := range n.machines {
			if i != p && !strings.Contains(m.redis.Do("INFO", "replication"), "master_link_status:up") {
				return false
			}
			status := fmt.Sprintf("status=ok,address=%s,slaves=2,sentinels=3", n.machines[p].redis.Addr)
			if !strings.Contains(m.sentinel.Do("INFO", "sentinel"), status) || n.sees(m, "REPLICAS", "s_down") || n.sees(m, "SENTINELS", "s_down") {
				return false
			}
		}
		return true
	})
}

// sees reports whether the machine's Sentinel shows text in a list.
func (n *namedTopology) sees(m *machine, list, text string) bool {
	return strings.Contains(m.sentinel.Do("SENTINEL", list, sentinelMaster), text)
}

// primary returns the number of the machine whose Redis alone is a primary, or -1 if there is none or more than one.
func (n *namedTopology) primary() int {
	found := -1
	for i, m := range n.machines {
		if strings.Contains(m.redis.Do("INFO", "replication"), "role:master") {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// waitPromoted waits until the Sentinels of some machines have promoted another Redis than that of the machine old,
// and a replica follows it.
func (n *namedTopology) waitPromoted(old int) {
	n.t.Helper()
	gatewaytest.WaitUntil(n.t, healedLimit, "another Redis is the primary and has a replica", func() bool {
		time.Sleep(20 * time.Millisecond)
		for i, m := range n.machines {
			info := m.redis.Do("INFO", "replication")
			if i != old && strings.Contains(info, "role:master") && strings.Contains(info, "state=online") {
				return true
			}
		}
		return false
	})
}

// clients returns the clients of the gateways on some machines.
func (n *namedTopology) clients(machines ...int) []*gatewaytest.Client {
	var out []*gatewaytest.Client
	for _, i := range machines {
		out = append(out, n.machines[i].client)
	}
	return out
}
