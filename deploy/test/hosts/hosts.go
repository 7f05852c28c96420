// Package hosts makes hosts of network namespaces, for tests that cut the network between programs. Each host
// has an address. A router connects the hosts with each other and with the test, and Network.Cut makes it drop
// all packets between some of them. It drops them silently, as a broken network does: nothing is refused, open
// connections stay open, and after Network.Heal the kernel sends again what was lost.
//
// The test itself reaches each host at any time. The package needs root, see AsRoot, and the program ip.
package hosts

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Network is a number of hosts and their router.
type Network struct {
	tb     testing.TB
	name   string // the first part of the namespaces' names
	subnet string // the first three bytes of the addresses
	device string // of the test, in its own namespace
	hosts  []*Host
	cuts   []string // the router's rules that drop packets
}

// Host is a network namespace. The programs in it share the files and processes of the test.
type Host struct {
	IP        string
	namespace string
}

// namePrefix starts the name of each namespace. The id of the test's process follows.
const namePrefix = "tokengate-test-"

// The last byte of the addresses. That of the hosts is firstHost or more.
const (
	routerByte = 1
	testByte   = 2
	firstHost  = 10
)

// New makes a network of n hosts. It is removed when the test ends. New also removes what test processes have
// left that were killed.
func New(tb testing.TB, n int) *Network {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Fatal("network namespaces need root: call hosts.AsRoot first")
	}
	removeAbandoned(tb)
	network := &Network{tb: tb}
	tb.Cleanup(network.remove)
	network.addTest()
	for i := range n {
		network.addHost(firstHost + i)
	}
	return network
}

// Hosts returns the hosts.
func (n *Network) Hosts() []*Host { return n.hosts }

// Addr returns the address of a port of the host.
func (h *Host) Addr(port int) string { return net.JoinHostPort(h.IP, strconv.Itoa(port)) }

// Command returns a command that runs on the host. The process is the named program itself, so that it can be
// stopped and killed as usual.
func (h *Host) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", h.namespace, name}, args...)...)
}

// Cut drops all packets between each host of a and each host of b from now on, in both directions.
func (n *Network) Cut(a, b []*Host) {
	n.tb.Helper()
	var rules []string
	for _, x := range a {
		for _, y := range b {
			rules = append(rules, fmt.Sprintf("from %s to %s blackhole", x.IP, y.IP), fmt.Sprintf("from %s to %s blackhole", y.IP, x.IP))
		}
	}
	n.changeRules("add", rules)
	n.cuts = append(n.cuts, rules...)
}

// Heal forwards all packets again.
func (n *Network) Heal() {
	n.tb.Helper()
	n.changeRules("del", n.cuts)
	n.cuts = nil
}

func (n *Network) changeRules(action string, rules []string) {
	n.tb.Helper()
	var commands []string
	for _, rule := range rules {
		commands = append(commands, "rule "+action+" "+rule)
	}
	n.inNamespace(n.router(), commands...)
}

func (n *Network) router() string { return n.name + "router" }

func (n *Network) address(lastByte int) string { return n.subnet + "." + strconv.Itoa(lastByte) }

// addTest adds the router and connects the test with it. The addresses are those that RFC 2544 reserves for
// tests of networks. The name of the test's device claims a subnet, also from other test processes.
func (n *Network) addTest() {
	n.tb.Helper()
	var out []byte
	for _, i := range rand.Perm(2 * 256) {
		device, peer := fmt.Sprintf("tgtest%d", i), fmt.Sprintf("tgpeer%d", i)
		var err error
		if out, err = exec.Command("ip", "link", "add", device, "type", "veth", "peer", "name", peer).CombinedOutput(); err == nil {
			n.device, n.subnet = device, fmt.Sprintf("198.%d.%d", 18+i/256, i%256)
			n.name = fmt.Sprintf("%s%d-%d-", namePrefix, os.Getpid(), i)
			n.ip("netns", "add", n.router())
			n.ip("link", "set", "dev", peer, "netns", n.router(), "name", "test")
			break
		}
	}
	if n.device == "" {
		n.tb.Fatalf("this test needs iproute2 and network namespaces: ip link add: %s", out)
	}
	router, test := n.address(routerByte), n.address(testByte)
	n.ip("netns", "exec", n.router(), "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	n.inNamespace(n.router(), fmt.Sprintf("addr add %s/32 peer %s dev test", router, test), "link set dev test up")
	n.ip("addr", "add", test+"/32", "peer", router, "dev", n.device)
	n.ip("link", "set", "dev", n.device, "up")
	n.ip("route", "add", n.address(0)+"/24", "via", router, "dev", n.device)
}

func (n *Network) addHost(lastByte int) {
	n.tb.Helper()
	h := &Host{IP: n.address(lastByte), namespace: n.name + strconv.Itoa(lastByte)}
	router, device := n.address(routerByte), fmt.Sprintf("host%d", lastByte)
	n.ip("netns", "add", h.namespace)
	n.ip("-n", h.namespace, "link", "add", "eth0", "type", "veth", "peer", "name", device, "netns", n.router())
	n.inNamespace(n.router(), fmt.Sprintf("addr add %s/32 peer %s dev %s", router, h.IP, device), "link set dev "+device+" up")
	n.inNamespace(h.namespace, "link set dev lo up", fmt.Sprintf("addr add %s/32 peer %s dev eth0", h.IP, router),
		"link set dev eth0 up", "route add default via "+router)
	n.hosts = append(n.hosts, h)
}

// ip runs the program ip.
func (n *Network) ip(args ...string) {
	n.tb.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		n.tb.Fatalf("this test needs iproute2 and network namespaces: ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// inNamespace runs commands of the program ip in a namespace.
func (n *Network) inNamespace(namespace string, commands ...string) {
	n.tb.Helper()
	cmd := exec.Command("ip", "-n", namespace, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.tb.Fatalf("this test needs iproute2 and network namespaces: ip -n %s, %q: %v: %s", namespace, commands, err, out)
	}
}

// remove removes the namespaces, with their devices. The test has ended the processes in them before that.
func (n *Network) remove() {
	if n.device == "" {
		return
	}
	_ = exec.Command("ip", "link", "del", n.device).Run()
	removeNamespaces(n.tb, func(name string) bool { return strings.HasPrefix(name, n.name) })
}

// removeAbandoned removes the namespaces of test processes that were killed.
func removeAbandoned(tb testing.TB) {
	removeNamespaces(tb, func(name string) bool {
		pid, _, _ := strings.Cut(strings.TrimPrefix(name, namePrefix), "-")
		id, err := strconv.Atoi(pid)
		return strings.HasPrefix(name, namePrefix) && err == nil && syscall.Kill(id, 0) == syscall.ESRCH
	})
}

// removeNamespaces removes the namespaces that match, and ends the processes that run in them.
func removeNamespaces(tb testing.TB, match func(name string) bool) {
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		tb.Fatalf("this test needs the program ip of iproute2: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		name := strings.Fields(line + " ?")[0]
		if !match(name) {
			continue
		}
		pids, _ := exec.Command("ip", "netns", "pids", name).Output()
		for _, pid := range strings.Fields(string(pids)) {
			if id, err := strconv.Atoi(pid); err == nil && id > 1 {
				_ = syscall.Kill(id, syscall.SIGKILL)
			}
		}
		_ = exec.Command("ip", "netns", "del", name).Run() // another test process may have removed it
	}
}
