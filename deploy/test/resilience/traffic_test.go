package resilience

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

	"tokengate/deploy/test/gatewaytest"
)

// The results of requests, as the table shows them: the status, or responseLost if no response came.
const (
	succeeded    = "200"
	unauthorized = "401"
	unavailable  = "503"
	responseLost = "lost"
)

// traffic is a number of clients that keep sending requests while a test injects faults. It counts every
// answer. The clients record which sessions are live and which are revoked, so they detect a valid session
// that is rejected and a revoked one that is accepted.
type traffic struct {
	t              *testing.T
	gateways       []*gatewaytest.Client
	bound          time.Duration // how long a revoked session's access token may still be accepted
	refreshBound   time.Duration // the same for a refresh and a list, which is longer than 0 where two primaries may be reached
	replicatedOnly bool          // only steps that were answered as replicated must survive
	clients        int           // 0 means 6; one more client sends only authz requests
	pause          time.Duration // how much longer a client waits after each request, where the traffic lasts long
	recoveryUser   int           // the user of waitRecovered; 0 means the last user

	phase    atomic.Pointer[string]
	dataLost atomic.Bool // the store may have lost its data, so a 401 may be correct
	stopping chan struct{}
	done     sync.WaitGroup

	mu         sync.Mutex
	counts     map[countKey]int
	expected   map[string]map[string]string // results by phase and endpoint; see expect
	violations map[string]int
	revoked    []revokedSession
	uncertain  []revokedSession // those whose revocation was acknowledged but need not survive
}

// countKey identifies one count of the table.
type countKey struct{ phase, endpoint, result string }

// revokedSession is a session whose revocation was acknowledged.
type revokedSession struct {
	refresh, access string
	at              time.Time
}

// startTraffic starts the clients in the phase "before". The test must call stopAndCheck.
func startTraffic(t *testing.T, tr *traffic) *traffic {
	t.Helper()
	tr.t, tr.stopping = t, make(chan struct{})
	tr.counts, tr.expected, tr.violations = map[countKey]int{}, map[string]map[string]string{}, map[string]int{}
	tr.enter("before")
	if tr.clients == 0 {
		tr.clients = 6
	}
	if tr.recoveryUser == 0 {
		tr.recoveryUser = gatewaytest.Users - 1
	}
	for i := range tr.clients {
		c := &trafficClient{traffic: tr, user: i, random: rand.New(rand.NewPCG(uint64(i), 1))}
		tr.done.Go(c.run)
	}
	tr.done.Go((&trafficClient{traffic: tr, user: tr.clients, random: rand.New(rand.NewPCG(0, 2))}).runAuthz)
	t.Cleanup(tr.stop)
	return tr
}

// stop stops the clients. It may be called twice.
func (tr *traffic) stop() {
	if !tr.stopped() {
		close(tr.stopping)
	}
	tr.done.Wait()
}

func (tr *traffic) stopped() bool {
	select {
	case <-tr.stopping:
		return true
	default:
		return false
	}
}

// enter starts a phase. Requests that are sent from now on are counted under its name.
func (tr *traffic) enter(phase string) { tr.phase.Store(&phase) }

// runPhase enters a phase, lets the traffic run for d, and longer if it has not had all results that must
// occur; see expect.
func (tr *traffic) runPhase(phase string, d time.Duration, want map[string]string) {
	tr.enter(phase)
	time.Sleep(d)
	tr.expect(want)
}

// expectLimit is the longest time in which a result that must occur may occur. On a loaded machine a client
// may send few requests a second.
const expectLimit = 20 * time.Second

// expect declares the results of requests in the current phase, by endpoint. The results before a "?" must
// occur, those after it may occur. It waits until those that must occur have occurred. stopAndCheck reports
// those that are missing, and any other result.
func (tr *traffic) expect(want map[string]string) {
	phase := *tr.phase.Load()
	tr.expected[phase] = want
	for deadline := time.Now().Add(expectLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if len(tr.missing(phase)) == 0 {
			return
		}
	}
}

// missing returns the results that must occur in a phase and have not occurred yet.
func (tr *traffic) missing(phase string) (missing []countKey) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for endpoint, results := range tr.expected[phase] {
		must, _, _ := strings.Cut(results, "?")
		for _, result := range strings.Fields(must) {
			if key := (countKey{phase, endpoint, result}); tr.counts[key] == 0 {
				missing = append(missing, key)
			}
		}
	}
	return missing
}

// usualResults returns the same expected results for the endpoints whose requests are the most frequent.
func usualResults(results string) map[string]string {
	return map[string]string{"login": results, "refresh": results, "list": results, "authz": results}
}

// stopAndCheck stops the clients, logs the table and fails the test if a client found a violation or if the
// results of a phase are not as expected.
func (tr *traffic) stopAndCheck() {
	tr.t.Helper()
	tr.stop()
	tr.t.Log("\n" + tr.table())
	for phase := range tr.expected {
		for _, key := range tr.missing(phase) {
			tr.t.Errorf("phase %s, %s: never got %s", phase, key.endpoint, key.result)
		}
	}
	for key, n := range tr.counts {
		want, ok := tr.expected[key.phase][key.endpoint]
		if ok && !slices.Contains(strings.Fields(strings.Replace(want, "?", " ", 1)), key.result) {
			tr.t.Errorf("phase %s, %s: got %d times %s, want only %s", key.phase, key.endpoint, n, key.result, want)
		}
	}
	for _, violation := range slices.Sorted(maps.Keys(tr.violations)) {
		tr.t.Errorf("%d times: %s", tr.violations[violation], violation)
	}
	if len(tr.revoked) == 0 {
		tr.t.Error("no session was revoked, so revocations were not tested")
	}
}

// table returns how often each endpoint had each result, one line per phase and endpoint.
func (tr *traffic) table() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	rows := map[string]map[string]int{}
	for key, n := range tr.counts {
		row := key.phase + "\t" + key.endpoint
		if rows[row] == nil {
			rows[row] = map[string]int{}
		}
		rows[row][key.result] = n
	}
	var b strings.Builder
	for _, row := range slices.Sorted(maps.Keys(rows)) {
		phase, endpoint, _ := strings.Cut(row, "\t")
		fmt.Fprintf(&b, "%-10s %-15s", phase, endpoint)
		for _, result := range slices.Sorted(maps.Keys(rows[row])) {
			fmt.Fprintf(&b, " %5d × %s", rows[row][result], result)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// phaseChanged is the phase of requests that were sent in one phase and answered in another.
const phaseChanged = "changed"

// record counts the answer to a request that was sent in a phase, and checks what must hold for every answer.
func (tr *traffic) record(phase, endpoint string, a gatewaytest.Response) {
	if phase != *tr.phase.Load() {
		phase = phaseChanged
	}
	result := strconv.Itoa(a.Status)
	if a.Status == 0 {
		result = responseLost
	}
	tr.mu.Lock()
	tr.counts[countKey{phase, endpoint, result}]++
	tr.mu.Unlock()
	// A balancer's own 503 is not JSON and is not checked.
	fromGateway := a.Status == http.StatusServiceUnavailable && a.Header.Get("Content-Type") == "application/json"
	if fromGateway && (a.Header.Get("Retry-After") == "" || a.Code != "unavailable" && a.Code != "busy") {
		tr.violation("%s: got 503 without Retry-After or with another code than unavailable or busy: %s", endpoint, a.Body)
	}
	if a.Status == http.StatusInternalServerError {
		tr.violation("%s: got 500 %s", endpoint, a.Code)
	}
}

// violation records a violation in the current phase. stopAndCheck reports it.
func (tr *traffic) violation(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.violations[*tr.phase.Load()+": "+fmt.Sprintf(format, args...)]++
}

func (tr *traffic) addRevoked(s revokedSession) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.revoked = append(tr.revoked, s)
}

// addUncertain adds a session whose revocation may be lost. Nothing is checked about it meanwhile.
func (tr *traffic) addUncertain(s revokedSession) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.uncertain = append(tr.uncertain, s)
}

// takeUncertain returns the sessions of addUncertain since the last call.
func (tr *traffic) takeUncertain() []revokedSession {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	taken := tr.uncertain
	tr.uncertain = nil
	return taken
}

// pickRevoked returns one of the revoked sessions at random. ok is false if there is none.
func (tr *traffic) pickRevoked(random *rand.Rand) (s revokedSession, ok bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if len(tr.revoked) == 0 {
		return s, false
	}
	return tr.revoked[random.IntN(len(tr.revoked))], true
}

// setDataLost declares that the store has lost all data: from now on a 401 is not a violation.
func (tr *traffic) setDataLost() {
	tr.dataLost.Store(true)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.revoked = tr.revoked[:0]
}

// waitRecovered waits until login, refresh and list succeed at each gateway for recoveryUser.
func (tr *traffic) waitRecovered(limit time.Duration) {
	tr.t.Helper()
	start, ctx := time.Now(), context.Background()
	for _, g := range tr.gateways {
		gatewaytest.WaitUntil(tr.t, limit, "the gateway works again", func() bool {
			login := g.Login(ctx, tr.recoveryUser, "LONG", "recovery check")
			refresh := g.Refresh(ctx, "LONG", login.Refresh)
			_, list := g.List(ctx, refresh.Access)
			return login.Status == http.StatusOK && refresh.Status == http.StatusOK && list.Status == http.StatusOK
		})
	}
	tr.t.Logf("recovered after %s", time.Since(start).Round(time.Millisecond))
}
