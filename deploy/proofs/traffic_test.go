package proofs

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tokengate/deploy/rig"
)

// The ways in which a request ends, as the tables show them.
const (
	good    = "200"
	refused = "401"
	later   = "503"
	lost    = "lost"
)

// traffic is honest devices that go on whatever happens, and note every answer.
// They know which sessions are live and which have ended, so they notice a
// valid one that is refused and an ended one that passes.
type traffic struct {
	t        *testing.T
	gateways []*rig.Client
	bound    time.Duration // for so long an ended session's access token may pass
	durable  bool          // endings count only when they are answered as replicated
	devices  int

	phase    atomic.Pointer[string]
	amnesia  atomic.Bool // the store may have lost its data: a 401 is the truth
	stopping chan struct{}
	done     sync.WaitGroup

	mu     sync.Mutex
	seen   map[cell]int
	wrong  map[string]int
	graves []grave
}

// cell is one count of the table.
type cell struct{ phase, endpoint, outcome string }

// grave is a session whose end was acknowledged.
type grave struct {
	refresh, access string
	at              time.Time
}

// startTraffic begins with the phase "before". The test must call stop.
func startTraffic(t *testing.T, tr *traffic) *traffic {
	t.Helper()
	tr.t, tr.stopping = t, make(chan struct{})
	tr.seen, tr.wrong = map[cell]int{}, map[string]int{}
	tr.enter("before")
	if tr.devices == 0 {
		tr.devices = 6
	}
	for i := range tr.devices {
		d := &device{traffic: tr, user: i, random: rand.New(rand.NewPCG(uint64(i), 1))}
		tr.done.Go(d.run)
	}
	tr.done.Go((&device{traffic: tr, user: tr.devices, random: rand.New(rand.NewPCG(0, 2))}).watch)
	t.Cleanup(tr.halt)
	return tr
}

// halt ends the traffic. It may be called twice.
func (tr *traffic) halt() {
	if !tr.stopped() {
		close(tr.stopping)
	}
	tr.done.Wait()
}

// enter names the phase that requests from now on belong to.
func (tr *traffic) enter(phase string) { tr.phase.Store(&phase) }

// during gives the traffic some time in a phase.
func (tr *traffic) during(phase string, d time.Duration) {
	tr.enter(phase)
	time.Sleep(d)
}

// stop ends the traffic, prints the table and fails the test where a promise
// was broken.
func (tr *traffic) stop() {
	tr.t.Helper()
	tr.halt()
	tr.t.Log("\n" + tr.table())
	for _, what := range slices.Sorted(maps.Keys(tr.wrong)) {
		tr.t.Errorf("%d times: %s", tr.wrong[what], what)
	}
	if len(tr.graves) == 0 {
		tr.t.Error("no session was ended: nothing was tried")
	}
}

// expect says how requests to an endpoint may end in a phase; those ways before
// a "?" must have been seen.
func (tr *traffic) expect(phase, endpoint, outcomes string) {
	tr.t.Helper()
	must, may, _ := strings.Cut(outcomes, "?")
	allowed := append(strings.Fields(must), strings.Fields(may)...)
	for c, n := range tr.seen {
		if c.phase == phase && c.endpoint == endpoint && !slices.Contains(allowed, c.outcome) {
			tr.t.Errorf("%s, %s: %d answers %s, want %s only", phase, endpoint, n, c.outcome, outcomes)
		}
	}
	for _, outcome := range strings.Fields(must) {
		if tr.seen[cell{phase, endpoint, outcome}] == 0 {
			tr.t.Errorf("%s, %s: no answer %s", phase, endpoint, outcome)
		}
	}
}

// table shows what each endpoint answered.
func (tr *traffic) table() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	rows := map[string]map[string]int{}
	for c, n := range tr.seen {
		row := c.phase + "\t" + c.endpoint
		if rows[row] == nil {
			rows[row] = map[string]int{}
		}
		rows[row][c.outcome] = n
	}
	var b strings.Builder
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		phase, endpoint, _ := strings.Cut(row, "\t")
		fmt.Fprintf(&b, "%-10s %-14s", phase, endpoint)
		for _, outcome := range slices.Sorted(maps.Keys(rows[row])) {
			fmt.Fprintf(&b, " %5d × %s", rows[row][outcome], outcome)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// changing is the phase of requests that began in one and ended in another.
const changing = "changing"

// note counts an answer to a request that began in a phase, and checks what
// holds for any answer.
func (tr *traffic) note(phase, endpoint string, a rig.Answer) {
	if phase != *tr.phase.Load() {
		phase = changing
	}
	outcome := strconv.Itoa(a.Status)
	if a.Status == 0 {
		outcome = lost
	}
	tr.mu.Lock()
	tr.seen[cell{phase, endpoint, outcome}]++
	tr.mu.Unlock()
	ours := a.Status == http.StatusServiceUnavailable && a.Header.Get("Content-Type") == "application/json" // not a balancer's
	if ours && (a.Header.Get("Retry-After") == "" || a.Code != "unavailable" && a.Code != "busy") {
		tr.complain("%s: 503 without Retry-After or code: %s", endpoint, a.Body)
	}
	if a.Status == http.StatusInternalServerError {
		tr.complain("%s: 500 %s", endpoint, a.Code)
	}
}

// complain notes a broken promise.
func (tr *traffic) complain(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.wrong[*tr.phase.Load()+": "+fmt.Sprintf(format, args...)]++
}

func (tr *traffic) bury(g grave) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.graves = append(tr.graves, g)
}

func (tr *traffic) grave(random *rand.Rand) (g grave, ok bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.graves) == 0 {
		return g, false
	}
	return tr.graves[random.IntN(len(tr.graves))], true
}

// forget says that the store has lost everything, and that devices may find so.
func (tr *traffic) forget() {
	tr.amnesia.Store(true)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.graves = tr.graves[:0]
}

func (tr *traffic) stopped() bool {
	select {
	case <-tr.stopping:
		return true
	default:
		return false
	}
}

// recovered waits until each gateway logs in, refreshes and lists again, and
// says how long that took.
func (tr *traffic) recovered(limit time.Duration) time.Duration {
	tr.t.Helper()
	start, ctx := time.Now(), context.Background()
	for _, g := range tr.gateways {
		eventually(tr.t, limit, "the gateway works again", func() bool {
			in := g.Login(ctx, rig.Users-1, "LONG", "prober")
			again := g.Refresh(ctx, "LONG", in.Refresh)
			_, listed := g.List(ctx, again.Access)
			return in.Status == http.StatusOK && again.Status == http.StatusOK && listed.Status == http.StatusOK
		})
	}
	took := time.Since(start)
	tr.t.Logf("works again after %s", took.Round(time.Millisecond))
	return took
}
