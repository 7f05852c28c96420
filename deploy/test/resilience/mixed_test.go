package resilience

import (
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
)

// laterVersion rewrites each record of a data hash as a later version would write it: with a higher format version
// and more bytes, and with a further field. The names of records have ten bytes.
const laterVersion = `
local changed = 0
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local name, record = entries[i], entries[i + 1]
  if #name == 10 and record:byte(1) == 1 then
    local padding = string.rep('\0', 61 - #record) -- up to where the fields that this version knows end
    redis.call('HSET', KEYS[1], name, string.char(record:byte(1) + 1) .. record:sub(2) .. padding .. 'later bytes', name .. 'l', 'x')
    changed = changed + 1
  end
end
return changed`

// rewriteAsLaterVersion rewrites the records of the first users again and again until stop is closed. It returns how
// many records it has rewritten.
func rewriteAsLaterVersion(server *redistest.Server, users int, stop <-chan struct{}) (rewritten int) {
	for {
		for user := range users {
			for _, sessionType := range []string{"LONG", "SHORT"} {
				got := server.Do("EVAL", laterVersion, "1", userKey(user, "data:"+sessionType))
				if got != "" && !strings.HasPrefix(got, "0") {
					rewritten++
				}
			}
		}
		select {
		case <-stop:
			return rewritten
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// mixedSettings are those of instances while one configuration replaces another.
var mixedSettings = []gatewaytest.Settings{
	{"REDIS_WAIT_REPLICAS": "1", "REVOCATION_BOUND": "500ms"},
	{
		"APP_LONG_SESSION_ROTATE_REFRESH_TOKENS": "false", "APP_LONG_SESSION_REFRESH_TOKEN_LIFETIME": "20d",
		"APP_LONG_SESSION_RETRY_WINDOW": "30s", "APP_LONG_SESSION_EXTEND_SESSION": "false",
	},
	{
		"APP_LONG_SESSION_EXTEND_SESSION_EVERY_TIME": "true", "APP_LONG_SESSION_ABSOLUTE_LIFETIME": "60d",
		"APP_ACCESS_TOKEN_LIFETIME": "2m", "APP_LONG_SESSION_UPDATE_LAST_LOGIN": "false",
	},
}

// TestMixedInstances runs instances with other settings, while records change to the form of a later version, and
// sends each request of the clients to any of them. No valid session may be rejected and no revoked one accepted.
func TestMixedInstances(t *testing.T) {
	t.Parallel()
	p := newLaggingPair(t)
	var gateways []*gatewaytest.Gateway
	for _, s := range mixedSettings {
		gateways = append(gateways, gatewaytest.Start(t, p.primary.URL, merge(withBound(revocationBound), s)))
	}
	tr := startTraffic(t, &traffic{gateways: clientsOf(gateways), bound: revocationBound})
	stop, rewritten := make(chan struct{}), 0
	var done sync.WaitGroup
	done.Go(func() { rewritten = rewriteAsLaterVersion(p.primary, tr.clients+1, stop) })
	tr.runPhase("mixed", time.Duration(gatewaytest.RunSize("MIXED_SECONDS", 2, 120))*time.Second, allResults(succeeded))
	close(stop)
	done.Wait()
	t.Logf("%d times records were rewritten", rewritten)
	if rewritten == 0 {
		t.Error("no record was rewritten")
	}
	tr.stopAndCheck()
}

// TestMixedMaximums runs instances with two maximums, while records change to the form of a later version. After a
// login a user has at most as many sessions as the instance that answered allows, and the newest among them.
func TestMixedMaximums(t *testing.T) {
	t.Parallel()
	server := redistest.Standalone(t)
	wider := merge(maxClockSettings, gatewaytest.Settings{"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS": "4"})
	lower := gatewaytest.Start(t, server.URL, merge(unlimitedSettings, maxClockSettings)).Client()
	higher := gatewaytest.Start(t, server.URL, merge(unlimitedSettings, wider)).Client()
	stop, users := make(chan struct{}), 4
	var done sync.WaitGroup
	done.Go(func() { rewriteAsLaterVersion(server, users, stop) })
	forEach(users, users, func(user int) {
		l := &loginSequence{user: user}
		for range gatewaytest.RunSize("MIXED_LOGINS", 20, 1000) {
			for _, problem := range []string{
				l.next(higher, 4, maxClockSessions), l.next(higher, 4, maxClockSessions), l.next(lower, maxClockSessions, maxClockSessions),
			} {
				if problem != "" {
					t.Errorf("user %d: %s", user, problem)
					return
				}
			}
		}
	})
	close(stop)
	done.Wait()
}
