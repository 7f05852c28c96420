package resilience

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// replicatedSettings make the gateways wait for a replica before they acknowledge a step.
var replicatedSettings = merge(withBound(revocationBound), gatewaytest.Settings{
	"REDIS_WAIT_REPLICAS": "1", "REDIS_WAIT_TIMEOUT": "200ms",
})

// startTrafficAndLose starts traffic, calls lose, which loses a primary, and waits until the gateways work
// again for recoveryUser, a user whose sessions are on that primary. Only steps that were answered as
// replicated must survive.
func startTrafficAndLose(t *testing.T, url string, recoveryUser int, lose func(), limit time.Duration) *traffic {
	tr := startTraffic(t, &traffic{
		gateways: clientsOf(startGateways(t, 2, url, replicatedSettings)), bound: revocationBound,
		replicatedOnly: true, recoveryUser: recoveryUser,
	})
	tr.runPhase("before", 700*time.Millisecond, usualResults(succeeded))
	tr.enter("broken")
	tr.expect(usualResults(duringLoss))
	start := time.Now()
	lose()
	tr.waitRecovered(limit)
	t.Logf("the gateways worked again %s after the loss", time.Since(start).Round(time.Millisecond))
	tr.enter("recovering")
	return tr
}

// duringLoss is the result of a request while a part of Redis is lost or moved.
const duringLoss = "?" + succeeded + " " + unavailable

// finish runs the traffic for another moment and checks it.
func (tr *traffic) finish() {
	tr.t.Helper()
	time.Sleep(time.Second)
	tr.runPhase("after", 500*time.Millisecond, usualResults(succeeded))
	tr.stopAndCheck()
}

// TestSentinelFailsOver checks that no valid session is rejected while Sentinel replaces the primary.
func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	r := redistest.Sentinel(t)
	tr := startTrafficAndLose(t, r.URL, gatewaytest.Users-1, r.FailOver, 15*time.Second)
	r.Rejoin()
	tr.finish()
}

// TestClusterLosesMaster checks that no valid session is rejected while a Cluster replaces a master. The old
// master comes back as a replica: without one, the new master can't prove that it is the primary.
func TestClusterLosesMaster(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3)
	c.Replicate(t)
	tr := startTrafficAndLose(t, c.URL, userOnFirstMaster(c), c.Nodes[0].Kill, 20*time.Second)
	c.Nodes[0].Restart()
	c.Nodes[3].WaitInSync(c.Nodes[0])
	tr.finish()
}

// firstMasterSlots is the number of slots of the first of three masters. It has the lowest ones.
const firstMasterSlots = 16384 / 3

// userOnFirstMaster returns the last user whose keys are on the first master.
func userOnFirstMaster(c *redistest.ClusterServers) int {
	user := gatewaytest.Users - 1
	for ; user > 0; user-- {
		if slot, _ := strconv.Atoi(c.Nodes[0].Do("CLUSTER", "KEYSLOT", bucketPrefix(user))); slot < firstMasterSlots {
			break
		}
	}
	return user
}

// appSlots returns the hash slots of the app's buckets in ascending order.
func appSlots(s *redistest.Server) []int {
	var slots []int
	for bucket := range 64 {
		slot, _ := strconv.Atoi(s.Do("CLUSTER", "KEYSLOT", fmt.Sprintf("{%s:%02x}", gatewaytest.App, bucket)))
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	return slots
}

// TestClusterResharded moves the app's slots of the first master to the second, one after the other, while
// clients use them.
func TestClusterResharded(t *testing.T) {
	for name, settings := range map[string]gatewaytest.Settings{
		"plain":      withBound(revocationBound),
		"replicated": replicatedSettings,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.Cluster(t, 3)
			masters := c.Nodes
			if name == "replicated" {
				c.Replicate(t)
			}
			tr := startTraffic(t, &traffic{
				gateways: clientsOf(startGateways(t, 2, c.URL, settings)), bound: revocationBound,
				replicatedOnly: name == "replicated", clients: 24, recoveryUser: userOnFirstMaster(c),
			})
			tr.runPhase("before", 700*time.Millisecond, usualResults(succeeded))
			tr.enter("broken")
			tr.expect(usualResults(duringLoss))
			moved := 0
			for _, slot := range appSlots(masters[0]) {
				if slot >= firstMasterSlots {
					break
				}
				if err := c.Move(slot, masters[0], masters[1]); err != nil {
					t.Fatal(err)
				}
				moved++
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("moved %d slots", moved)
			tr.enter("recovering")
			tr.waitRecovered(15 * time.Second)
			tr.finish()
		})
	}
}
