package resilience

import (
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/deploy/test/preload"
	"tokengate/redisstore/redistest"
)

// redisHosts are three hosts with the files that deploy ships for them: a primary, two replicas and three
// Sentinels. All have the same disk.
type redisHosts struct {
	*testing.T
	url       string // for the gateways
	faults    *preload.Faults
	primary   *redistest.Server
	replicas  [2]*redistest.Server
	sentinels [3]*redistest.Server
}

// startReplicas starts the three servers. follow returns the address at which the i-th replica reaches the primary.
func startReplicas(t *testing.T, follow func(i int, primary string) string) *redisHosts {
	t.Helper()
	h := &redisHosts{T: t, faults: preload.New(t)}
	h.primary = redistest.Start(t, redistest.Options{File: "../../redis-ha.conf", Env: h.faults.Env()})
	for i := range h.replicas {
		host, port, _ := net.SplitHostPort(follow(i, h.primary.Addr))
		h.replicas[i] = redistest.Start(t, redistest.Options{
			Text: readShipped(t, "redis-ha.conf") + "\nreplicaof " + host + " " + port + "\n", Env: h.faults.Env(),
		})
	}
	for _, replica := range h.replicas {
		h.primary.WaitInSync(replica)
	}
	return h
}

// startHosts starts the servers with Sentinels, which know each other and both replicas.
func startHosts(t *testing.T) *redisHosts {
	t.Helper()
	h := startReplicas(t, func(_ int, primary string) string { return primary })
	var addrs []string
	for i := range h.sentinels {
		conf := monitor(t, readShipped(t, "sentinel.conf"), h.primary.Addr)
		h.sentinels[i] = redistest.Start(t, redistest.Options{Text: conf, Args: []string{"--sentinel"}})
		addrs = append(addrs, h.sentinels[i].Addr)
	}
	for _, sentinel := range h.sentinels {
		gatewaytest.WaitUntil(t, 30*time.Second, "the Sentinels know each other", func() bool {
			return strings.Contains(sentinel.Do("INFO", "sentinel"), "status=ok,address="+h.primary.Addr+",slaves=2,sentinels=3")
		})
	}
	h.url = "redis+sentinel://" + strings.Join(addrs, ",") + "/" + sentinelMaster
	return h
}

// supervisorPause returns how long the shipped service waits before it starts Redis again.
func supervisorPause(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("../../systemd/redis-ha.conf")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^ExecStartPre=\S*sleep (\d+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatal("the service does not wait before it starts Redis")
	}
	pause, _ := time.ParseDuration(string(found[1]) + "s")
	return pause
}

// replicatedHASettings wait for one replica, as the documents recommend with these files.
var replicatedHASettings = merge(unlimitedSettings, gatewaytest.Settings{"REDIS_WAIT_REPLICAS": "1"})

// TestPrimaryKilledOnSlowDisk kills a primary alone, with the files for three hosts and a slow disk, while clients
// log out. A supervisor starts it again. After the pause of the shipped service, Sentinel has promoted a replica,
// and no logout that was answered as replicated may be undone. Without the pause, the primary brings the
// older state of its file back to its replicas, which shows that the pause is needed.
func TestPrimaryKilledOnSlowDisk(t *testing.T) {
	for name, pause := range map[string]time.Duration{"as shipped": supervisorPause(t), "started at once": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rounds, counts := max(1, gatewaytest.RunSize("KILLS", 3, 100)/10), &killCounts{}
			for range rounds {
				h := startHosts(t)
				k := &killRound{T: t, gateway: gatewaytest.Start(t, h.url, replicatedHASettings).Client()}
				k.logIn(true)
				h.faults.SetSyncDelay(verySlowSync)
				waitUntilFlushing(t, h.primary)
				k.killWhileLoggingOut(h.primary.Kill)
				h.faults.SetSyncDelay(0)
				time.Sleep(pause)
				h.primary.Restart()
				counts.check(k, replicatedOnly)
			}
			counts.report(t, rounds, pause == 0)
		})
	}
}

// TestTwoHostsKilled kills the primary together with the replica that acknowledges first, while the other replica
// lags. WAIT for one replica does not keep what the third host has not received: some logouts are undone. Those
// that it has received are kept, and so are all other sessions.
func TestTwoHostsKilled(t *testing.T) {
	t.Parallel()
	rounds, counts := max(1, gatewaytest.RunSize("KILLS", 3, 100)/10), &killCounts{}
	for range rounds {
		var link *gatewaytest.Proxy
		h := startReplicas(t, func(i int, primary string) string {
			if i == 0 {
				return primary
			}
			link = gatewaytest.NewProxy(t, primary)
			return link.Addr
		})
		front := gatewaytest.NewProxy(t, h.primary.Addr)
		k := &killRound{T: t, gateway: gatewaytest.Start(t, "redis://"+front.Addr, replicatedHASettings).Client()}
		k.logIn(true)
		h.primary.WaitInSync(h.replicas[1])
		link.Set(gatewaytest.Faults{Delay: longestThought})
		k.killWhileLoggingOut(func() {
			h.primary.Kill()
			h.replicas[0].Kill()
			link.Set(gatewaytest.Faults{Refuse: true})
			link.Cut()
		})
		// The operator makes the third host the primary, and an empty server its replica.
		third := h.replicas[1]
		third.Do("REPLICAOF", "NO", "ONE")
		present := k.presentAt(third)
		host, port, _ := net.SplitHostPort(third.Addr)
		third.WaitInSync(redistest.Standalone(t, "--replicaof", host, port))
		front.Retarget(third.Addr)
		front.Cut()
		counts.check(k, replicatedOnly)
		for s, had := range present {
			if live := s.after.Status == http.StatusOK; live != had {
				t.Errorf("a session that the third host has (%v) got %d %s", had, s.after.Status, s.after.Code)
			}
		}
	}
	counts.report(t, rounds, true)
}

// presentAt returns the sessions that a server has.
func (k *killRound) presentAt(server *redistest.Server) map[*killedSession]bool {
	present := map[*killedSession]bool{}
	for user := range k.sessions {
		ids := strings.Fields(server.Do("ZRANGE", userKey(user, "LONG"), "0", "-1"))
		for _, s := range k.sessions[user] {
			present[s] = slices.Contains(ids, string(claimsOf(s.refresh).Session))
		}
	}
	return present
}
