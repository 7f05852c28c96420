package proofs

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

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
	"tokengate/session"
	"tokengate/session/storetest"
)

// The histories' policies: in LONG every spent token is a replay, and a login
// at the maximum evicts; in SHORT the token just spent is always a retry, and a
// login at the maximum is refused.
var (
	historyPolicies = map[session.Type]session.Policy{
		session.Long:  {Rotate: true, ReuseDetection: true, UpdateLastLogin: true, Limit: true, Max: 3, DestroyOldest: true},
		session.Short: {Rotate: true, ReuseDetection: true, UpdateLastLogin: true, Limit: true, Max: 2, RetryWindow: session.MaxRetryWindow},
	}
	historySettings = rig.Settings{
		"LOG_LEVEL":                                       "error",
		"APP_LONG_SESSION_RETRY_WINDOW":                   "0s",
		"APP_SHORT_SESSION_RETRY_WINDOW":                  "300s",
		"APP_LONG_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":     "3",
		"APP_SHORT_SESSION_MAX_NUMBER_ACTIVE_SESSIONS":    "2",
		"APP_SHORT_SESSION_DESTROY_OLDEST_ACTIVE_SESSION": "false",
		"APP_LONG_SESSION_EXTEND_SESSION":                 "false",
	}
)

// TestHistories records what clients of four gateways are answered, while
// answers are lost and late and processes are killed, and looks for an order of
// single steps that explains it all.
func TestHistories(t *testing.T) {
	topologies := map[string]func(t *testing.T) (url string, proxied bool){
		"standalone": func(t *testing.T) (string, bool) { return redistest.Standalone(t).Addr, true },
		"sentinel":   func(t *testing.T) (string, bool) { return redistest.Sentinel(t).URL, false },
		"cluster":    func(t *testing.T) (string, bool) { return redistest.Cluster(t, 3).URL, false },
	}
	rounds := max(1, scale("OPS", 15_000, 1_000_000)/len(topologies)/stepsPerRound)
	for name, open := range topologies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, proxied := open(t)
			settings := with(historySettings, rig.Settings{"APP_USERS": userFile(t, rounds*usersPerRound)})
			h := &histories{T: t, gateways: shakyGateways(t, url, proxied, settings)}
			h.run(rounds)
		})
	}
}

// shakyGateway is a process whose answers get lost on both of its sides.
type shakyGateway struct {
	*rig.Gateway
	front *rig.Client
	down  atomic.Bool
}

func shakyGateways(t *testing.T, url string, proxied bool, settings rig.Settings) []*shakyGateway {
	all := make([]*shakyGateway, 4)
	for i := range all {
		redisURL := url
		if proxied {
			back := rig.NewProxy(t, url)
			redisURL = "redis://" + back.Addr
			defer back.Set(rig.Faults{Jitter: time.Millisecond, Lose: .005})
		}
		g := rig.Start(t, redisURL, settings)
		front := rig.NewProxy(t, strings.TrimPrefix(g.URL, "http://"))
		front.Set(rig.Faults{Jitter: 2 * time.Millisecond, Lose: .015})
		all[i] = &shakyGateway{Gateway: g, front: rig.NewClient("http://" + front.Addr)}
	}
	return all
}

// histories plays rounds and has them checked.
type histories struct {
	*testing.T
	gateways []*shakyGateway

	mu              sync.Mutex
	steps, lost     int
	undecided       int
	codes           map[session.Code]int
	slowest, played time.Duration
}

// lanes is how many rounds are played at once.
const lanes = 2

func (h *histories) run(rounds int) {
	h.codes = map[session.Code]int{}
	stop := h.killNowAndThen()
	var done sync.WaitGroup
	next := make(chan int, rounds)
	for i := range rounds {
		next <- i
	}
	close(next)
	start := time.Now()
	for range lanes {
		done.Go(func() {
			for i := range next {
				if !h.Failed() {
					h.one(i)
				}
			}
		})
	}
	done.Wait()
	h.played = time.Since(start)
	kills := stop()
	h.Logf("%d steps of %d rounds in %s, %d without an answer, %d gateways killed; slowest check %s, %d without a verdict; %v",
		h.steps, rounds, h.played.Round(time.Millisecond), h.lost, kills, h.slowest.Round(time.Millisecond), h.undecided, h.codes)
	if h.undecided > 1+rounds/undecidable {
		h.Errorf("%d of %d histories were not decided", h.undecided, rounds)
	}
	for _, code := range []session.Code{session.OK, session.Replayed, session.Ended, session.LimitReached, session.TokenRevoked} {
		if h.codes[code] == 0 {
			h.Errorf("nobody was answered %s: the histories try too little", code)
		}
	}
	if h.lost == 0 || kills == 0 {
		h.Error("nothing was lost, nobody was killed: the histories try too little")
	}
}

// one plays a round and checks it.
func (h *histories) one(n int) {
	r := &round{start: time.Now(), gateways: h.gateways}
	for i := range usersPerRound {
		index := n*usersPerRound + i
		r.users = append(r.users, &known{index: index, owner: session.Owner{App: rig.App, User: strconv.Itoa(index + 1)}})
	}
	history := r.play(uint64(n))
	start := time.Now()
	h.check(history)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowest = max(h.slowest, time.Since(start))
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

// patience is how long one check may take. One without a verdict by then proves
// nothing, so no more than one of undecidable may be left like that: the time
// grows exponentially with the answers that one user's history lacks.
const (
	patience    = time.Minute
	undecidable = 1000
)

func (h *histories) check(history []porcupine.Operation) {
	history = slices.DeleteFunc(slices.Clone(history), func(op porcupine.Operation) bool {
		return op.Output.(storetest.Output).Lost && op.Input.(storetest.Input).Step == session.StepList // which changes nothing
	})
	model := storetest.Model{Policies: historyPolicies}.Porcupine()
	result, info := porcupine.CheckOperationsVerbose(model, history, patience)
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
		h.Logf("a history of %d steps was not decided within %s; see %s", len(history), patience, page.Name())
		return
	}
	h.Errorf("a history of %d steps is linearizable: %s; see %s", len(history), result, page.Name())
}

// killNowAndThen kills gateways, one at a time, and starts them again. The
// function that it gives ends that and says how many were killed.
func (h *histories) killNowAndThen() (stop func() int) {
	quit, kills := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { kills <- n }() // also where a restart fails the test
		for ; ; n++ {
			select {
			case <-quit:
				return
			case <-time.After(300*time.Millisecond + rand.N(400*time.Millisecond)):
				g := h.gateways[rand.IntN(len(h.gateways))]
				g.Kill() // with all that it was asked
				g.down.Store(true)
				time.Sleep(rand.N(100 * time.Millisecond))
				g.Restart()
				g.down.Store(false)
			}
		}
	}()
	return func() int { close(quit); return <-kills }
}
