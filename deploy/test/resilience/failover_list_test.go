package resilience

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// TestListFollowsPromotedReplica promotes a replica that lacks the latest revocations. The gateways know them from the
// old primary and must take them back, because Redis, which decides about refreshes, does not know them. They must keep
// the revocations that the replica has: it checks that authz never accepts these.
func TestListFollowsPromotedReplica(t *testing.T) {
	t.Parallel()
	p := newLaggingPair(t)
	gateways := startGateways(t, 2, "redis://"+p.front.Addr, merge(withBound(revocationBound), gatewaytest.Settings{
		"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "true", "APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "1",
	}))
	clients, ctx := clientsOf(gateways), t.Context()
	must := func(a gatewaytest.Response) gatewaytest.Response {
		t.Helper()
		if a.Status != http.StatusOK {
			t.Fatalf("got %d %s %v, want 200", a.Status, a.Code, a.Err)
		}
		return a
	}
	waitAuthz := func(access string, status int, condition string) {
		t.Helper()
		for _, c := range clients {
			gatewaytest.WaitUntil(t, followLimit, condition, func() bool { return c.Authz(ctx, access).Status == status })
		}
	}

	kept := must(clients[0].Login(ctx, 0, "LONG", "kept"))
	must(clients[0].Logout(ctx, kept.Refresh))
	evicted := must(clients[0].Login(ctx, 1, "LONG", "evicted"))
	revoked := must(clients[0].Login(ctx, 2, "LONG", "revoked"))
	waitAuthz(kept.Access, http.StatusUnauthorized, "a revoked session is rejected")
	p.primary.WaitInSync(p.replica)
	p.link.Set(gatewaytest.Faults{Stall: true})
	must(clients[0].Login(ctx, 1, "LONG", "evicts"))
	must(clients[1].Logout(ctx, revoked.Refresh))
	for _, access := range []string{evicted.Access, revoked.Access} {
		waitAuthz(access, http.StatusUnauthorized, "a revoked session is rejected")
	}

	polling, stop := context.WithCancel(ctx)
	var polls sync.WaitGroup
	defer polls.Wait()
	defer stop()
	for _, c := range clients {
		polls.Go(func() { neverAccepted(polling, t, c, kept.Access) })
	}
	p.front.Set(gatewaytest.Faults{Delay: 100 * time.Millisecond}) // so that reading all revocations anew takes a while
	p.lose()
	for _, s := range []gatewaytest.Response{evicted, revoked} {
		after := must(sendUntilAnswered(func() gatewaytest.Response { return clients[0].Refresh(ctx, "LONG", s.Refresh) }))
		waitAuthz(s.Access, http.StatusOK, "authz accepts a session whose revocation was lost, as a refresh does")
		waitAuthz(after.Access, http.StatusOK, "authz accepts the refreshed session, whose revocation was lost")
	}
}

// followLimit is the longest time in which a gateway may follow the store. A revocation that is not taken back lasts for
// minutes.
const followLimit = 20 * time.Second

// neverAccepted sends authz requests for a revoked session until ctx ends.
func neverAccepted(ctx context.Context, t *testing.T, c *gatewaytest.Client, access string) {
	for ctx.Err() == nil {
		if a := c.Authz(ctx, access); a.Status == http.StatusOK {
			t.Error("authz: got 200 for a session whose revocation the replica has")
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
