package e2e

import (
	"testing"
	"time"

	"tokengate/redisstore/redistest"
)

func TestRollingRestartLosesNoRequest(t *testing.T) {
	b := startTestbed(t, redistest.Standalone(t).URL, nil)
	l := b.startLoad(t, false)
	time.Sleep(recoveryTime)
	for _, g := range b.gateways {
		g.Stop()
		if code := g.ExitCode(); code != 0 {
			t.Errorf("a stopped gateway: got exit code %d, want 0", code)
		}
		g.Restart()
		time.Sleep(recoveryTime)
	}
	l.stop()
}

func TestKilledGatewayLosesNoSession(t *testing.T) {
	b := startTestbed(t, redistest.Standalone(t).URL, nil)
	l := b.startLoad(t, true)
	time.Sleep(recoveryTime)
	for range 2 {
		for _, g := range b.gateways {
			g.Kill()
			time.Sleep(recoveryTime)
			g.Restart()
			time.Sleep(recoveryTime)
		}
	}
	l.stop()
}
