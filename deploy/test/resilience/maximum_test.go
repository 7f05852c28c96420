package resilience

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

const (
	loginsPerRound = 200
	maxLong        = 5 // a further LONG login evicts the least recently updated session
	maxShort       = 2 // a further SHORT login is rejected
)

// capsTest runs rounds of concurrent logins. Each round has its own user.
type capsTest struct {
	*testing.T
	server  *redistest.Server
	clients []*gatewaytest.Client
	polls   int
}

// TestMaximumIsExact sends 200 concurrent logins of one user through four processes and polls the number of
// sessions meanwhile. It checks that the maximum is never exceeded, both where a login evicts and where it is
// rejected, and that the evicted sessions are the least recently updated ones.
func TestMaximumIsExact(t *testing.T) {
	rounds := gatewaytest.RunSize("ROUNDS", 12, 1000)
	c := &capsTest{T: t, server: redistest.Standalone(t)}
	c.clients = clientsOf(startGateways(t, 4, c.server.URL, gatewaytest.Settings{
		"LOG_LEVEL": "error", "APP_USERS": userFile(t, rounds),
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     strconv.Itoa(maxLong),
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    strconv.Itoa(maxShort),
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "false",
	}))
	start := time.Now()
	for user := range rounds {
		c.checkEviction(user)
		c.checkRejection(user)
		if t.Failed() {
			return
		}
	}
	t.Logf("2 × %d rounds of %d logins in %s, %d polls", rounds, loginsPerRound, time.Since(start).Round(time.Millisecond), c.polls)
}

// checkEviction checks that every login succeeds and that each one beyond the maximum evicts the least
// recently updated session. The outbox lists the evictions in their order, each with the session that caused
// it. So the order of the logins is known, except for the first ones, which evict nothing.
func (c *capsTest) checkEviction(user int) {
	c.Helper()
	created, rejected := c.loginConcurrently(user, "LONG", maxLong)
	entries := userRevocations(c.server, user)
	if len(created) != loginsPerRound || rejected != 0 || len(entries) != loginsPerRound-maxLong {
		c.Errorf("got %d sessions, %d rejected logins and %d evictions, want %d, 0 and %d",
			len(created), rejected, len(entries), loginsPerRound, loginsPerRound-maxLong)
		return
	}
	first := created
	for _, e := range entries {
		first = slices.DeleteFunc(first, func(id string) bool { return id == e.by })
	}
	for i, e := range entries {
		switch {
		case e.cause != "evicted" || len(e.ids) != 1:
			c.Errorf("outbox entry %d: got %v, want the eviction of one session", i, e)
		case i < maxLong && !slices.Contains(first, e.ids[0]):
			c.Errorf("eviction %d: the session is not one of the first %d", i, maxLong)
		case i >= maxLong && e.ids[0] != entries[i-maxLong].by:
			c.Errorf("eviction %d: the session is not the least recently updated one", i)
		}
	}
	var want []string
	for _, e := range entries[len(entries)-maxLong:] {
		want = append(want, e.by)
	}
	c.checkLive(user, "Long", want)
}

// checkRejection checks that exactly as many logins as the maximum succeed and that the others change
// nothing.
func (c *capsTest) checkRejection(user int) {
	c.Helper()
	before := len(userRevocations(c.server, user))
	created, rejected := c.loginConcurrently(user, "SHORT", maxShort)
	revocations := len(userRevocations(c.server, user)) - before
	if len(created) != maxShort || rejected != loginsPerRound-maxShort || revocations != 0 {
		c.Errorf("got %d sessions, %d rejected logins and %d revocations, want %d, %d and 0",
			len(created), rejected, revocations, maxShort, loginsPerRound-maxShort)
		return
	}
	c.checkLive(user, "Short", created)
}

// loginConcurrently logs in a user many times at once and polls the number of sessions meanwhile. It
// returns the IDs of the new sessions and the number of rejected logins.
func (c *capsTest) loginConcurrently(user int, sessionType string, limit int) (created []string, rejected int) {
	var mu sync.Mutex
	var ready, done sync.WaitGroup
	stop := c.poll(user, sessionType, limit)
	ready.Add(loginsPerRound)
	for i := range loginsPerRound {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			a := c.clients[i%len(c.clients)].Login(context.Background(), user, sessionType, "concurrent")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case a.Status == http.StatusOK:
				created = append(created, a.SessionID)
			case a.Code == "limit_reached":
				rejected++
			default:
				c.Errorf("login: got %d %s %v, want 200 or limit_reached", a.Status, a.Code, a.Err)
			}
		})
	}
	done.Wait()
	stop()
	return created, rejected
}

// poll checks the size of the user's sorted set continuously until stop is called.
func (c *capsTest) poll(user int, sessionType string, limit int) (stop func()) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	key := userKey(user, sessionType)
	done.Go(func() {
		for {
			if n, _ := strconv.Atoi(c.server.Do("ZCARD", key)); n > limit {
				c.Errorf("got %d sessions at once, want at most %d", n, limit)
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

// checkLive checks which sessions of a type the user has. typeName is the type as the list endpoint names it.
// The login that the list needs is a LONG session and evicts the oldest one.
func (c *capsTest) checkLive(user int, typeName string, want []string) {
	c.Helper()
	a := c.clients[0].Login(context.Background(), user, "LONG", "list")
	if typeName == "Long" {
		want = append(slices.Clone(want[1:]), a.SessionID)
	}
	ids, _ := c.clients[1].List(context.Background(), a.Access)
	got := ids[typeName]
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Errorf("live %s sessions: got %v, want %v", typeName, got, want)
	}
}
