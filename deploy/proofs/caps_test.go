package proofs

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

const (
	capLogins = 200
	capLong   = 5 // evicts
	capShort  = 2 // refuses
)

// caps is rounds of logins that come all at once, each for a user of its own.
type caps struct {
	*testing.T
	server   *redistest.Server
	gateways []*rig.Gateway
	clients  []*rig.Client
	polls    int
}

// TestCapsAreExact lets 200 logins of one user come at once through four
// processes while a reader looks: the maximum is never passed, in the type that
// evicts nor in the one that refuses, and who was evicted is whom the model says.
func TestCapsAreExact(t *testing.T) {
	rounds := scale("ROUNDS", 12, 1000)
	c := &caps{T: t, server: redistest.Standalone(t)}
	c.gateways = gateways(t, 4, c.server.URL, rig.Settings{
		"LOG_LEVEL": "error", "APP_USERS": userFile(t, rounds),
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     strconv.Itoa(capLong),
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    strconv.Itoa(capShort),
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "false",
	})
	c.clients = clients(c.gateways)
	start := time.Now()
	for user := range rounds {
		c.evicting(user)
		c.refusing(user)
		if t.Failed() {
			return
		}
	}
	t.Logf("2 × %d rounds of %d logins in %s, %d looks by the reader", rounds, capLogins, time.Since(start).Round(time.Millisecond), c.polls)
}

// evicting: every login is let in, and each beyond the maximum ends the least
// recent one. The outbox tells them in their order, so the logins' own order
// is known but for the first few.
func (c *caps) evicting(user int) {
	c.Helper()
	begun, refused := c.storm(user, "LONG", capLong)
	entries := outbox(c.server, user)
	if len(begun) != capLogins || refused != 0 || len(entries) != capLogins-capLong {
		c.Errorf("%d logins, %d refused, %d evictions", len(begun), refused, len(entries))
		return
	}
	first := begun
	for _, e := range entries {
		first = slices.DeleteFunc(first, func(id string) bool { return id == e.by })
	}
	for i, e := range entries {
		switch {
		case e.cause != "evicted" || len(e.ids) != 1:
			c.Errorf("entry %d is %v", i, e)
		case i < capLong && !slices.Contains(first, e.ids[0]):
			c.Errorf("eviction %d took a session that was not one of the first %d", i, capLong)
		case i >= capLong && e.ids[0] != entries[i-capLong].by:
			c.Errorf("eviction %d took another session than the least recent", i)
		}
	}
	var want []string
	for _, e := range entries[len(entries)-capLong:] {
		want = append(want, e.by)
	}
	c.wantLive(user, "Long", want)
}

// refusing: as many logins as the maximum are let in, the others change nothing.
func (c *caps) refusing(user int) {
	c.Helper()
	before := len(outbox(c.server, user))
	begun, refused := c.storm(user, "SHORT", capShort)
	if len(begun) != capShort || refused != capLogins-capShort || len(outbox(c.server, user)) != before {
		c.Errorf("%d logins, %d refused, %d endings", len(begun), refused, len(outbox(c.server, user))-before)
		return
	}
	c.wantLive(user, "Short", begun)
}

// storm logs a user in many times at once, and looks meanwhile.
func (c *caps) storm(user int, sessionType string, limit int) (begun []string, refused int) {
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	stop := c.watch(user, sessionType, limit)
	ready.Add(capLogins)
	for i := range capLogins {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			a := c.clients[i%len(c.clients)].Login(context.Background(), user, sessionType, "storm")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Status == http.StatusOK:
				begun = append(begun, a.SessionID)
			case a.Code == "limit_reached":
				refused++
			default:
				c.Errorf("a login was answered %d %s %v", a.Status, a.Code, a.Err)
			}
		})
	}
	done.Wait()
	stop()
	return begun, refused
}

// watch looks at the user's sorted set until it is stopped.
func (c *caps) watch(user int, sessionType string, limit int) (stop func()) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	key := keyOf(user, sessionType)
	done.Go(func() {
		for {
			if n, _ := strconv.Atoi(c.server.Do("ZCARD", key)); n > limit {
				c.Errorf("%d sessions at once, the maximum is %d", n, limit)
			}
			c.polls++
			select {
			case <-quit:
				return
			default:
			}
		}
	})
	return func() { close(quit); done.Wait() }
}

func (c *caps) wantLive(user int, title string, want []string) {
	c.Helper()
	a := c.clients[0].Login(context.Background(), user, "LONG", "reader")
	if title == "Long" { // the reader's own login takes the place of the oldest
		want = append(slices.Clone(want[1:]), a.SessionID)
	}
	ids, _ := c.clients[1].List(context.Background(), a.Access)
	got := ids[title]
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Errorf("%s: live are %v, want %v", title, got, want)
	}
}
