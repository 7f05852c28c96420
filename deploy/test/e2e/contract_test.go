package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"tokengate/deploy/test/contract"
	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	recordings     = "../../../api/testdata/contract"
	recordingCount = 40 // so that the test fails if a file is missing

	// concurrentScenarios is the number of scenarios that are played at the same time.
	// They sleep most of the time. With more of them, answers would be late on a small
	// machine, and some steps expect an answer within a second.
	concurrentScenarios = 4
)

// TestContract plays the exchanges that were recorded on the Django app and compares the
// gateway's answers with the recorded ones. Each scenario has its own gateway and Redis
// server. differences.txt lists the answers that differ on purpose.
func TestContract(t *testing.T) {
	scenarios, err := contract.Load(recordings)
	must(t, err)
	if len(scenarios) != recordingCount {
		t.Fatalf("got %d scenarios, want %d", len(scenarios), recordingCount)
	}
	differences, err := contract.LoadDifferences(filepath.Join(recordings, "differences.txt"), scenarios)
	must(t, err)
	gatewaytest.Binary(t) // build before the first scenario, which measures time
	var group errgroup.Group
	group.SetLimit(concurrentScenarios) // t.Parallel would run as many as there are processors
	for _, s := range scenarios {
		group.Go(func() error {
			t.Run(s.Name, func(t *testing.T) { playScenario(t, s, differences) })
			return nil
		})
	}
	_ = group.Wait() // the subtests report failures
}

func playScenario(t *testing.T, s *contract.Scenario, differences *contract.Differences) {
	g := &scenarioGateway{t: t, redis: redistest.Standalone(t)}
	result, err := contract.Play(s, g.start)
	must(t, err)
	if result.Requests == 0 {
		t.Error("the scenario has no request")
	}
	if err := differences.Check(result); err != nil {
		t.Error(err)
	}
}

// scenarioGateway is the gateway of one scenario. Its Redis server runs until the test
// ends, so that sessions survive a restart of the gateway.
type scenarioGateway struct {
	t       *testing.T
	redis   *redistest.Server
	gateway *gatewaytest.Gateway
}

// start implements [contract.Start]. Each call starts a gateway on new ports.
func (g *scenarioGateway) start(c contract.Config, fresh bool) (address string, err error) {
	if g.gateway != nil {
		g.gateway.Stop()
	}
	if fresh {
		if reply := g.redis.Do("FLUSHALL"); reply != "OK" {
			return "", fmt.Errorf("FLUSHALL: got %q, want OK", reply)
		}
	}
	users, err := c.UserFile()
	if err != nil {
		return "", err
	}
	settings := gatewaytest.Settings{"APP_USERS": "file:" + writeFile(g.t, "users.json", users)}
	for name, value := range c.Settings() {
		settings["APP_"+name] = value
	}
	g.gateway = gatewaytest.Start(g.t, g.redis.URL, settings)
	return strings.TrimPrefix(g.gateway.URL, "http://"), nil
}
