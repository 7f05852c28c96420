package proofs

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// replicated asks that a replica has what is acknowledged.
var replicated = with(unlimited, rig.Settings{
	"REDIS_WAIT_REPLICAS": "1", "REDIS_WAIT_TIMEOUT": "200ms", "REVOCATION_BOUND": mapBound.String(),
})

// failover is traffic over a primary that goes away and is replaced. Only what
// was answered as replicated counts as promised.
func failover(t *testing.T, url string, lose func(), limit time.Duration) *traffic {
	tr := startTraffic(t, &traffic{gateways: clients(gateways(t, 2, url, replicated)), bound: mapBound, durable: true})
	time.Sleep(700 * time.Millisecond)
	tr.enter("broken")
	start := time.Now()
	lose()
	tr.recovered(limit)
	t.Logf("answered again %s after the loss", time.Since(start).Round(time.Millisecond))
	tr.enter("ends")
	return tr
}

// finish lets the traffic go on for a moment and checks it. Until all is well
// again a request is answered or not, and nothing else.
func (tr *traffic) finish() {
	tr.t.Helper()
	time.Sleep(time.Second)
	tr.during("after", 500*time.Millisecond)
	tr.stop()
	for _, endpoint := range []string{"login", "refresh", "list", "authz"} {
		tr.expect("before", endpoint, good)
		tr.expect("broken", endpoint, "?200 503")
		tr.expect("after", endpoint, good)
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	r := redistest.Sentinel(t)
	tr := failover(t, r.URL, r.FailOver, 15*time.Second)
	r.Rejoin()
	tr.finish()
}

func TestClusterLosesMaster(t *testing.T) {
	t.Parallel()
	c := redistest.Cluster(t, 3)
	c.Replicate(t)
	failover(t, c.URL, c.Nodes[0].Kill, 20*time.Second).finish()
}

// slotsOfLab gives the slots that hold the rig's app.
func slotsOfLab(s *redistest.Server) []int {
	var slots []int
	for bucket := range 64 {
		slot, _ := strconv.Atoi(s.Do("CLUSTER", "KEYSLOT", fmt.Sprintf("{%s:%02x}", rig.App, bucket)))
		slots = append(slots, slot)
	}
	slices.Sort(slots)
	return slots
}

// TestClusterResharded moves every slot that the first master has of the app to
// the second, one after the other, while devices use them.
func TestClusterResharded(t *testing.T) {
	for name, settings := range map[string]rig.Settings{
		"plain":      with(unlimited, rig.Settings{"REVOCATION_BOUND": mapBound.String()}),
		"replicated": replicated,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := redistest.Cluster(t, 3)
			masters := c.Nodes
			if name == "replicated" {
				c.Replicate(t)
			}
			tr := startTraffic(t, &traffic{
				gateways: clients(gateways(t, 2, c.URL, settings)), bound: mapBound, durable: name == "replicated", devices: 24,
			})
			time.Sleep(700 * time.Millisecond)
			tr.enter("broken")
			moved := 0
			for _, slot := range slotsOfLab(masters[0]) {
				if slot >= 16384/3 {
					break
				}
				if err := c.Move(slot, masters[0], masters[1]); err != nil {
					t.Fatal(err)
				}
				moved++
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("moved %d slots", moved)
			tr.enter("ends")
			tr.recovered(15 * time.Second)
			tr.finish()
		})
	}
}
