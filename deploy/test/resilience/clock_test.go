package resilience

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/preload"
	"tokengate/redisstore/redistest"
)

// clockSettings make access tokens outlive the changes of the clock.
func clockSettings() gatewaytest.Settings {
	return merge(withBound(revocationBound), gatewaytest.Settings{"APP_ACCESS_TOKEN_LIFETIME": "1h"})
}

// clockChange is one way in which Redis's clock changes.
type clockChange struct {
	name  string
	every time.Duration        // at most
	next  func() time.Duration // how far the clock is ahead next
}

var clockChanges = []clockChange{
	{"strobe", 300 * time.Millisecond, func() time.Duration { return time.Duration(rand.IntN(3)-1) * 2 * time.Second }},
	{"jumps", time.Second, func() time.Duration { return rand.N(10*time.Minute) - 5*time.Minute }},
}

// during changes the clock again and again while do runs.
func (c clockChange) during(faults *preload.Faults, do func()) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(c.every/5 + rand.N(c.every*4/5)):
				faults.SetClock(c.next())
			}
		}
	})
	do()
	close(stop)
	done.Wait()
}

// clockSettled is the time after a change of the clock in which requests may be answered 503.
const clockSettled = time.Second

// TestClockChanges changes Redis's clock while clients use the gateways. No valid session may be rejected, no
// revoked one accepted, and no request answered 500. Some may be answered 503 until the clock has been
// steady for a second.
func TestClockChanges(t *testing.T) {
	for _, change := range clockChanges {
		t.Run(change.name, func(t *testing.T) {
			t.Parallel()
			faults := preload.New(t)
			server := redistest.Start(t, redistest.Options{Env: faults.Env()})
			tr := startTraffic(t, &traffic{gateways: clientsOf(startGateways(t, 2, server.URL, clockSettings())), bound: revocationBound})
			tr.runPhase("before", 500*time.Millisecond, usualResults(succeeded))
			tr.enter("changing")
			change.during(faults, func() { time.Sleep(time.Duration(gatewaytest.RunSize("CLOCK_SECONDS", 4, 120)) * time.Second) })
			tr.expect(allResults(succeeded + "?" + unavailable))
			tr.enter("settling")
			tr.expect(allResults("?" + succeeded + " " + unavailable))
			time.Sleep(clockSettled)
			tr.runPhase("after", 500*time.Millisecond, allResults(succeeded))
			tr.stopAndCheck()
		})
	}
}

// maxClockSessions is the maximum number of sessions in the tests of the maximum.
const maxClockSessions = 2

// loginSequence is a user who logs in again and again.
type loginSequence struct {
	user int
	ids  []string
}

// next logs in once more, through a gateway, and returns what is wrong: more sessions than the maximum, or one of
// the newest logins, of which there are as many as newest, that was evicted.
func (l *loginSequence) next(g *gatewaytest.Client, maximum, newest int) string {
	ctx := context.Background()
	in := sendUntilAnswered(func() gatewaytest.Response { return g.Login(ctx, l.user, "LONG", "sequence") })
	if in.Status != http.StatusOK {
		return fmt.Sprintf("login %d: got %d %s", len(l.ids)+1, in.Status, in.Code)
	}
	l.ids = append(l.ids, in.SessionID)
	var listed map[string][]string
	list := sendUntilAnswered(func() (a gatewaytest.Response) { listed, a = g.List(ctx, in.Access); return a })
	live := listed["Long"]
	if list.Status != http.StatusOK || len(live) > maximum {
		return fmt.Sprintf("login %d: the list has status %d, code %s and %d sessions", len(l.ids), list.Status, list.Code, len(live))
	}
	for _, id := range l.ids[max(0, len(l.ids)-newest):] {
		if !slices.Contains(live, id) {
			return fmt.Sprintf("login %d: one of the newest %d logins was evicted", len(l.ids), newest)
		}
	}
	return ""
}

// TestNewestLoginSurvivesClockChanges checks, while Redis's clock changes, that a user never has more sessions
// than the maximum, and that a login evicts the oldest session and never one of the newest.
func TestNewestLoginSurvivesClockChanges(t *testing.T) {
	for _, change := range clockChanges {
		t.Run(change.name, func(t *testing.T) {
			t.Parallel()
			faults := preload.New(t)
			server := redistest.Start(t, redistest.Options{Env: faults.Env()})
			gateways := clientsOf(startGateways(t, 2, server.URL, merge(clockSettings(), maxClockSettings)))
			const users = 4
			change.during(faults, func() {
				forEach(users, users, func(user int) {
					l := &loginSequence{user: user}
					for range gatewaytest.RunSize("CLOCK_LOGINS", 15, 500) {
						if problem := l.next(gateways[rand.IntN(len(gateways))], maxClockSessions, maxClockSessions); problem != "" {
							t.Errorf("user %d: %s", user, problem)
							return
						}
						time.Sleep(rand.N(change.every / 2))
					}
				})
			})
		})
	}
}

var maxClockSettings = gatewaytest.Settings{
	"APP_LONG_SESSION_LIMIT_NUMBER_OF_AVAIL_SESSIONS": "true",
	"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     strconv.Itoa(maxClockSessions),
}

// TestPromotionWithAnotherClock promotes a replica whose clock differs by a minute, while clients use the
// gateways. No valid session may be rejected, and a login at the maximum evicts the oldest session.
func TestPromotionWithAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{time.Minute, -time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			ofPrimary, ofReplica := preload.New(t), preload.New(t)
			ofReplica.SetClock(ahead)
			p := newLaggingPair(t, ofPrimary.Env(), ofReplica.Env())
			url := "redis://" + p.front.Addr
			limited := gatewaytest.Start(t, url, merge(replicatedSettings, maxClockSettings)).Client()
			logins := make([]*loginSequence, 8)
			loginOnce := func(l *loginSequence) {
				if problem := l.next(limited, maxClockSessions, maxClockSessions); problem != "" {
					t.Errorf("user %d: %s", l.user, problem)
				}
			}
			for i := range logins {
				logins[i] = &loginSequence{user: 20 + i}
				loginOnce(logins[i])
				loginOnce(logins[i])
			}
			tr := startTrafficAndLose(t, url, gatewaytest.Users-1, func() {
				p.primary.WaitInSync(p.replica)
				p.lose()
			}, 15*time.Second)
			time.Sleep(clockSettled)
			for range maxClockSessions + 1 {
				for _, l := range logins {
					loginOnce(l)
				}
			}
			p.rejoin()
			tr.finish()
		})
	}
}
