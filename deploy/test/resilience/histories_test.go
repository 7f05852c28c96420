package resilience

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/redisstore/redistest"
	"tokengate/session"
	"tokengate/session/storetest"
)

// The policies of the histories. In LONG every spent token is a replay, and a login at the maximum evicts. In
// SHORT the token just spent is always a retry, and a login at the maximum is rejected.
var (
	historyPolicies = map[session.Type]session.Policy{
		session.Long:  {Rotate: true, ReuseDetection: true, UpdateLastLogin: true, Limit: true, Max: 3, DestroyOldest: true},
		session.Short: {Rotate: true, ReuseDetection: true, UpdateLastLogin: true, Limit: true, Max: 2, RetryWindow: session.MaxRetryWindow},
	}
	historySettings = gatewaytest.Settings{
		"LOG_LEVEL":                                       "error",
		"APP_LONG_SESSION_RETRY_WINDOW":                   "0s",
		"APP_SHORT_SESSION_RETRY_WINDOW":                  "300s",
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     "3",
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    "2",
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "false",
		"APP_LONG_SESSION_EXTEND_SESSION":                 "false",
	}
)

// TestHistories records the answers to clients of four gateways, while responses are lost or delayed and
// processes are killed. It checks that the histories are linearizable: an order of single steps must explain
// all answers.
func TestHistories(t *testing.T) {
	topologies := map[string]func(t *testing.T) (url string, proxied bool){
		"standalone": func(t *testing.T) (string, bool) { return redistest.Standalone(t).Addr, true },
		"sentinel":   func(t *testing.T) (string, bool) { return redistest.Sentinel(t).URL, false },
		"cluster":    func(t *testing.T) (string, bool) { return redistest.Cluster(t, 3).URL, false },
	}
	rounds := max(1, gatewaytest.RunSize("OPS", 15_000, 1_000_000)/len(topologies)/stepsPerRound)
	for name, start := range topologies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, proxied := start(t)
			settings := merge(historySettings, gatewaytest.Settings{"APP_USERS": userFile(t, rounds*usersPerRound)})
			h := &histories{T: t, gateways: startUnreliableGateways(t, url, proxied, settings)}
			h.run(rounds)
		})
	}
}

// unreliableGateway is a gateway process that is killed now and then. Proxies lose responses to its clients
// and, on a standalone server, responses of Redis.
type unreliableGateway struct {
	*gatewaytest.Gateway
	client *gatewaytest.Client // through the proxy
	down   atomic.Bool
}

// startUnreliableGateways starts four gateways. If proxied is set, url is the address of a server, and each
// gateway reaches it through a proxy.
func startUnreliableGateways(t *testing.T, url string, proxied bool, settings gatewaytest.Settings) []*unreliableGateway {
	gateways := make([]*unreliableGateway, 4)
	for i := range gateways {
		redisURL := url
		if proxied {
			redisProxy := gatewaytest.NewProxy(t, url)
			redisURL = "redis://" + redisProxy.Addr
			defer redisProxy.Set(gatewaytest.Faults{Jitter: time.Millisecond, Lose: .005})
		}
		g := gatewaytest.Start(t, redisURL, settings)
		proxy := gatewaytest.NewProxy(t, strings.TrimPrefix(g.URL, "http://"))
		proxy.Set(gatewaytest.Faults{Jitter: 2 * time.Millisecond, Lose: .015})
		gateways[i] = &unreliableGateway{Gateway: g, client: gatewaytest.NewClient("http://" + proxy.Addr)}
	}
	return gateways
}

// histories runs rounds and checks their histories.
type histories struct {
	*testing.T
	gateways []*unreliableGateway

	mu           sync.Mutex
	steps, lost  int
	undecided    int
	codes        map[session.Code]int
	slowestCheck time.Duration
}

// concurrentRounds is the number of rounds that run at the same time.
const concurrentRounds = 2

func (h *histories) run(rounds int) {
	h.codes = map[session.Code]int{}
	stopKilling := h.startKilling()
	start := time.Now()
	forEach(concurrentRounds, rounds, func(i int) {
		if !h.Failed() {
			h.runRound(i)
		}
	})
	elapsed := time.Since(start)
	kills := stopKilling()
	h.Logf("%d steps of %d rounds in %s, %d without an answer, %d gateways killed; slowest check %s, %d undecided; %v",
		h.steps, rounds, elapsed.Round(time.Millisecond), h.lost, kills, h.slowestCheck.Round(time.Millisecond), h.undecided, h.codes)
	if h.undecided > 1+rounds/roundsPerUndecided {
		h.Errorf("%d of %d histories were not decided", h.undecided, rounds)
	}
	for _, code := range []session.Code{session.OK, session.Replayed, session.Revoked, session.LimitReached, session.TokenRevoked} {
		if h.codes[code] == 0 {
			h.Errorf("no answer had the code %s: the histories test too little", code)
		}
	}
	if h.lost == 0 || kills == 0 {
		h.Errorf("%d answers lost and %d gateways killed: the histories test too little", h.lost, kills)
	}
}

// runRound runs the n-th round and checks its history.
func (h *histories) runRound(n int) {
	r := &round{start: time.Now(), gateways: h.gateways}
	for i := range usersPerRound {
		index := n*usersPerRound + i
		r.users = append(r.users, &historyUser{index: index, owner: session.Owner{App: gatewaytest.App, User: strconv.Itoa(index + 1)}})
	}
	history := r.run(uint64(n))
	start := time.Now()
	h.check(history)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowestCheck = max(h.slowestCheck, time.Since(start))
	for _, op := range history {
		out := op.Output.(storetest.Output)
		h.steps++
		if out.Lost {
			h.lost++
		} else {
			h.codes[out.Code]++
		}
	}
}

// checkTimeout limits the check of one history. The time of a check grows exponentially with the number of
// lost answers to one user's requests. A check that does not finish shows nothing, so only one in
// roundsPerUndecided histories may be undecided, and one more.
const (
	checkTimeout       = time.Minute
	roundsPerUndecided = 1000
)

// check checks that a history is linearizable. If it is not, or if the check does not finish, the error or
// log message names an HTML page that shows the history.
func (h *histories) check(history []porcupine.Operation) {
	// A list without an answer says nothing, because it changes nothing.
	history = slices.DeleteFunc(slices.Clone(history), func(op porcupine.Operation) bool {
		return op.Output.(storetest.Output).Lost && op.Input.(storetest.Input).Step == session.StepList
	})
	model := storetest.Model{Policies: historyPolicies}.Porcupine()
	result, info := porcupine.CheckOperationsVerbose(model, history, checkTimeout)
	if result == porcupine.Ok {
		return
	}
	page, err := os.CreateTemp("", "tokengate-history-*.html")
	if err != nil {
		h.Fatal(err)
	}
	defer page.Close()
	if err := porcupine.Visualize(model, info, page); err != nil {
		h.Log(err)
	}
	if result == porcupine.Unknown {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.undecided++
		h.Logf("a history of %d steps was not decided within %s; see %s", len(history), checkTimeout, page.Name())
		return
	}
	h.Errorf("a history of %d steps is not linearizable (%s); see %s", len(history), result, page.Name())
}

// startKilling kills and restarts gateways at random, one at a time, until stop is called. stop returns how
// often a gateway was killed.
func (h *histories) startKilling() (stop func() int) {
	quit, kills := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { kills <- n }() // also if Restart fails the test
		for ; ; n++ {
			select {
			case <-quit:
				return
			case <-time.After(300*time.Millisecond + rand.N(400*time.Millisecond)):
				g := h.gateways[rand.IntN(len(h.gateways))]
				g.Kill() // before down is set, so that requests under way are lost
				g.down.Store(true)
				time.Sleep(rand.N(100 * time.Millisecond))
				g.Restart()
				g.down.Store(false)
			}
		}
	}()
	return func() int { close(quit); return <-kills }
}
