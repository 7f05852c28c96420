package resilience

import (
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/hosts"
)

// partition is one way to cut the network of the named topology. p is the machine with the primary, q and r are the
// others.
type partition struct {
	name     string
	promotes bool // Sentinel makes another Redis the primary

	cut      func(n *namedTopology, p, q, r *machine)
	isolated []int // the gateways that must stop answering: 0 for that of p, 1 for that of q, 2 for that of r
	acting   []int // the gateways of which one or more must go on
}

// partitions are the ways in the order in which the test uses them. The first three are those of a quick run.
var partitions = []partition{
	{name: "machine of the primary", promotes: true, isolated: []int{0}, acting: []int{1, 2}, cut: cutPrimary},
	{name: "gateway from the primary", isolated: []int{1}, acting: []int{0, 2}, cut: func(n *namedTopology, p, q, _ *machine) {
		n.network.Cut([]*hosts.Host{q.gatewayHost}, []*hosts.Host{p.redisHost})
	}},
	{name: "primary from the replicas", isolated: []int{0, 1, 2}, cut: func(n *namedTopology, p, q, r *machine) {
		n.network.Cut([]*hosts.Host{p.redisHost}, []*hosts.Host{q.redisHost, r.redisHost})
	}},
	{name: "machine of the primary", promotes: true, isolated: []int{0}, acting: []int{1, 2}, cut: cutPrimary},
	// Each gateway reaches both sides and follows the Sentinel that it asks, so it may stop or go on.
	{name: "primary and its Sentinel from the others", promotes: true, acting: []int{0, 1, 2}, cut: func(n *namedTopology, p, q, r *machine) {
		n.network.Cut([]*hosts.Host{p.redisHost, p.sentinelHost}, []*hosts.Host{q.redisHost, q.sentinelHost, r.redisHost, r.sentinelHost})
	}},
	{name: "machine of a replica", isolated: []int{1}, acting: []int{0, 2}, cut: func(n *namedTopology, p, q, r *machine) {
		n.network.Cut(q.all(), append(p.all(), r.all()...))
	}},
}

func cutPrimary(n *namedTopology, p, q, r *machine) {
	n.network.Cut(p.all(), append(q.all(), r.all()...))
}

// TestPartitions cuts the network of the named topology again and again, and heals it. Clients keep using all
// gateways. On both sides sessions are revoked and refreshed. It checks that
//
//   - no revocation that was answered as replicated is lost,
//   - no gateway accepts a session longer than REVOCATION_BOUND after its revocation was acknowledged at another,
//   - a gateway that is cut off from the primary, and one whose primary is cut off from its replicas, answers 503, and
//     not 401, to a valid session,
//   - a session that was answered as replicated continues with its newest token,
//   - after the network is healed, all gateways agree with Redis which sessions are live.
func TestPartitions(t *testing.T) {
	t.Parallel()
	if !hosts.AsRoot(t, "TOKENGATE_BIN="+gatewaytest.Binary(t)) {
		return
	}
	bound := time.Duration(gatewaytest.RunSize("PARTITION_BOUND", 3, 10)) * time.Second
	// Some clients verify one access token all the time.
	settings := merge(withBound(bound), gatewaytest.Settings{"REDIS_WAIT_REPLICAS": "1", "APP_ACCESS_TOKEN_LIFETIME": "2h"})
	n := newNamedTopology(t, settings)
	run := &partitionRun{namedTopology: n, bound: bound, counts: &failoverCounts{n: map[string]int{}}, violations: map[string]int{}}
	run.traffic = startTraffic(t, &traffic{
		gateways: n.clients(0, 1, 2), bound: bound, refreshBound: bound, replicatedOnly: true, pause: 30 * time.Millisecond,
	})
	rounds := gatewaytest.RunSize("PARTITIONS", 3, 50)
	for i := range rounds {
		run.cutAndHeal(partitions[i%len(partitions)])
	}
	run.traffic.stopAndCheck()
	for _, m := range n.machines {
		run.counts.n[rotationsHealed] += countSteps(t, m.gateway, "healed")
	}
	t.Logf("%d partitions: %v", rounds, run.counts.n)
	for _, problem := range run.counts.problems(true) {
		t.Error(problem)
	}
	for violation, times := range run.violations {
		t.Errorf("%d times: %s", times, violation)
	}
}

// cutAndHeal runs one partition.
func (r *partitionRun) cutAndHeal(kind partition) {
	r.t.Helper()
	r.traffic.waitRecovered(time.Minute)
	r.traffic.runPhase("before", 500*time.Millisecond, usualResults(succeeded+"?"+unavailable)) // nine servers may be slow on a busy machine
	p := r.primary()
	order := []*machine{r.machines[p], r.machines[(p+1)%3], r.machines[(p+2)%3]}
	s := r.createSessions(r.machines[p].client)

	r.traffic.enter("cut")
	r.traffic.expect(usualResults(duringLoss))
	kind.cut(r.namedTopology, order[0], order[1], order[2])
	start := time.Now()
	var stops sync.WaitGroup
	for i, c := range clientsAt(order, kind.isolated) {
		stops.Go(func() { r.checkStops(c, s, s.valid[i], start) })
	}
	r.act(s.before, order[0].client)
	promoted := "the primary stays"
	if kind.promotes {
		r.waitPromoted(p)
		promoted = "another primary after " + time.Since(start).Round(100*time.Millisecond).String()
	}
	r.revokeAndPoll(s, clientsAt(order, kind.acting))
	stops.Wait()

	r.network.Heal()
	healed := time.Now()
	r.traffic.enter("recovering")
	r.traffic.expect(usualResults(duringLoss))
	r.waitHealed()
	r.traffic.waitRecovered(reconnectLimit)
	r.t.Logf("cut: %s; %s; healed after %s; %s", kind.name, promoted, time.Since(healed).Round(100*time.Millisecond), s.summary())
	r.checkAfter(s)
	r.traffic.runPhase("after", 500*time.Millisecond, usualResults(succeeded))
}

// reconnectLimit is the longest time after which the kernel sends again what was lost on a connection that was cut for
// up to half of that time. Only then do the replicas count again.
const reconnectLimit = 60 * time.Second

// clientsAt returns the clients of some of the machines.
func clientsAt(machines []*machine, indexes []int) (clients []*gatewaytest.Client) {
	for _, i := range indexes {
		clients = append(clients, machines[i].client)
	}
	return clients
}
