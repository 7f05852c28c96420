package e2e

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
)

// load is a number of clients that send requests to a testbed until stop is called.
type load struct {
	t       *testing.T
	client  *gatewaytest.Client
	retries bool // clients repeat a login or a refresh that no gateway answered

	stopping chan struct{}
	wg       sync.WaitGroup
	requests atomic.Int64
	repeated atomic.Int64
}

// loadClients is the number of clients of each kind: refreshing and logging in.
const loadClients = 12

func (b *testbed) startLoad(t *testing.T, retries bool) *load {
	l := &load{t: t, client: b.client, retries: retries, stopping: make(chan struct{})}
	for i := range loadClients {
		l.wg.Go(func() { l.useSession(i) })
		l.wg.Go(func() { l.logIn(loadClients + i) })
	}
	return l
}

// stop stops the clients once they have sent enough requests for a load, and waits until the
// last response has been checked.
func (l *load) stop() {
	poll(l.t, "the clients have sent 500 requests", func() bool { return l.requests.Load() >= 500 || l.t.Failed() })
	close(l.stopping)
	l.wg.Wait()
	l.t.Logf("%d requests, %d of them repeated by the client", l.requests.Load(), l.repeated.Load())
}

func (l *load) stopped() bool {
	select {
	case <-l.stopping:
		return true
	default:
		return l.t.Failed()
	}
}

// checkOK counts a request, and reports whether its response has status 200. If not, the
// test fails.
func (l *load) checkOK(step string, resp gatewaytest.Response) bool {
	l.requests.Add(1)
	if resp.Status != http.StatusOK {
		l.t.Errorf("%s: got status %d, code %q, cause %q, error %v; want status 200", step, resp.Status, resp.Code, resp.Cause, resp.Err)
		return false
	}
	return true
}

// send sends a request. If l.retries is set, it sends the request again when no gateway
// answered: a 502, 503 or 504 of HAProxy has no code, unlike a gateway's error.
func (l *load) send(request func() gatewaytest.Response) gatewaytest.Response {
	resp := request()
	for range 3 {
		if !l.retries || resp.Status == http.StatusOK || resp.Code != "" {
			break
		}
		l.repeated.Add(1)
		resp = request()
	}
	return resp
}

// useSession creates one session, refreshes it with its newest token, lists and verifies.
// After every third refresh it also presents the spent token, like a client that got no
// response, and must get the same successor.
func (l *load) useSession(user int) {
	ctx := context.Background()
	login := l.send(func() gatewaytest.Response { return l.client.Login(ctx, user, "LONG", "laptop") })
	if !l.checkOK("login", login) {
		return
	}
	refresh := login.Refresh
	for n := 0; !l.stopped(); n++ {
		spent := refresh
		resp := l.send(func() gatewaytest.Response { return l.client.Refresh(ctx, "LONG", spent) })
		if !l.checkOK("refresh", resp) {
			return
		}
		refresh = resp.Refresh
		if n%3 == 0 {
			retry := l.send(func() gatewaytest.Response { return l.client.Refresh(ctx, "LONG", spent) })
			if l.checkOK("retried refresh", retry) && retry.Refresh != refresh {
				l.t.Errorf("retried refresh: got another successor than the first time")
			}
		}
		l.checkOK("authz", l.client.Authz(ctx, resp.Access))
		ids, listed := l.client.List(ctx, resp.Access)
		if l.checkOK("list", listed) && (len(ids["Long"]) != 1 || ids["Long"][0] != login.SessionID) {
			l.t.Errorf("list: got the sessions %v, want only %s", ids, login.SessionID)
		}
	}
}

// logIn creates sessions one after the other.
func (l *load) logIn(user int) {
	for !l.stopped() {
		l.checkOK("login", l.send(func() gatewaytest.Response { return l.client.Login(context.Background(), user, "SHORT", "kiosk") }))
		time.Sleep(5 * time.Millisecond) // even so, the user soon has the maximum number of sessions
	}
}
