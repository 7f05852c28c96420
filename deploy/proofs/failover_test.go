package proofs

import (
	"context"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"tokengate/deploy/rig"
	"tokengate/redisstore/redistest"
)

// primary is what can be lost while clients use it, and come back.
type primary interface {
	lose()   // the replica takes over; what it had not got is gone
	rejoin() // the old primary is the new one's replica, and in step
}

// pair is a primary and a replica that lags behind it by some milliseconds.
// Gateways reach the primary through front, the replica through link.
type pair struct {
	primary, replica *redistest.Server
	front, link      *rig.Proxy
}

var lag = rig.Faults{Delay: 4 * time.Millisecond}

func newPair(t *testing.T) *pair {
	options := []string{"--repl-diskless-sync", "no", "--hz", "100", "--repl-timeout", "5"}
	p := &pair{primary: redistest.Standalone(t, options...), replica: redistest.Standalone(t, options...)}
	p.front, p.link = rig.NewProxy(t, p.primary.Addr), rig.NewProxy(t, p.primary.Addr)
	p.rejoin()
	return p
}

func (p *pair) lose() {
	p.link.Set(rig.Faults{Refuse: true})
	p.link.Cut()
	p.front.Retarget(p.replica.Addr)
	p.front.Cut()
	p.replica.Do("REPLICAOF", "NO", "ONE")
	p.primary, p.replica = p.replica, p.primary
}

func (p *pair) rejoin() {
	p.link.Retarget(p.primary.Addr)
	p.link.Set(lag)
	host, port, _ := net.SplitHostPort(p.link.Addr)
	p.replica.Do("REPLICAOF", host, port)
	p.primary.InStep(p.replica)
}

// watched is a primary behind Sentinel.
type watched struct{ *redistest.Replicated }

func (w watched) lose()   { w.FailOver() }
func (w watched) rejoin() { w.Rejoin() }

// subject is one session in the moment of a failover: its tokens, the newest
// last, and what its last request was answered.
type subject struct {
	kind   string // how it ends, or "rotated"
	user   int
	tokens []string
	access string
	id     string
	firm   int // how many of the tokens a replica is known to have
	last   rig.Answer
}

var kinds = []string{"destroy", "logout", "others", "rotated"}

// begin logs in and refreshes, so that there are spent tokens. With firm set a
// replica has the session before it goes on.
func (s *subject) begin(t *testing.T, c *rig.Client, firm bool) {
	ctx := context.Background()
	s.tokens = nil
	eventually(t, 15*time.Second, "a login works", func() bool {
		in := c.Login(ctx, s.user, "LONG", "subject")
		s.id, s.access, s.tokens = in.SessionID, in.Access, []string{in.Refresh}
		return in.Status == http.StatusOK && (!firm || in.Header.Get("Durability") == "replicated")
	})
	for range 3 {
		s.rotate(c)
	}
}

func (s *subject) newest() string { return s.tokens[len(s.tokens)-1] }

// rotate refreshes and remembers the successor.
func (s *subject) rotate(c *rig.Client) rig.Answer {
	a := c.Refresh(context.Background(), "LONG", s.newest())
	if a.Status == http.StatusOK && a.Refresh != s.newest() {
		s.tokens, s.access = append(s.tokens, a.Refresh), a.Access
	}
	if a.Header.Get("Durability") == "replicated" {
		s.firm = len(s.tokens)
	}
	return a
}

// moment is how far apart the requests and the loss of the primary may be: a
// replica's word takes about half of it.
const moment = 20 * time.Millisecond

// act does what the failover shall not undo. "others" spares a session that
// nobody asks for afterwards.
func (s *subject) act(c *rig.Client, spare *subject) {
	ctx := context.Background()
	time.Sleep(rand.N(moment))
	switch s.kind {
	case "destroy":
		s.last = c.Destroy(ctx, s.access, s.id)
	case "logout":
		s.last = c.Logout(ctx, s.newest())
	case "others":
		s.last = c.DestroyOthers(ctx, spare.access, spare.newest(), "ALL")
	default:
		for s.last = s.rotate(c); s.last.Status == http.StatusOK; s.last = s.rotate(c) {
			if len(s.tokens) > 12 { // more take longer than the moment
				return
			}
		}
	}
}

// verdicts counts what became of promises.
type verdicts struct {
	mu sync.Mutex
	n  map[string]int
}

func (v *verdicts) add(what string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.n[what]++
}

// newest and spent count whether such a token went on.
func (v *verdicts) newest(a rig.Answer) { v.token("newest", a) }
func (v *verdicts) spent(a rig.Answer)  { v.token("spent", a) }

func (v *verdicts) token(which string, a rig.Answer) {
	switch a.Status {
	case http.StatusOK:
		v.add(which + " tokens that went on")
	case http.StatusUnauthorized:
		v.add(which + " tokens refused")
	default:
		v.add(unanswerable)
	}
}

// unanswerable is a request that was sent again until time was up, or was
// answered with a fault: what became of its session nobody knows.
const unanswerable = "requests without an answer"

// ended counts a session whose end was acknowledged by what a refresh with its
// token was answered afterwards: it must not go on.
func (v *verdicts) ended(after rig.Answer, promised bool) {
	switch {
	case after.Status != http.StatusOK && after.Status != http.StatusUnauthorized:
		v.add(unanswerable)
	case after.Status == http.StatusOK && promised:
		v.add("endings undone")
	case after.Status == http.StatusOK:
		v.add("endings undone that were not promised")
	case promised:
		v.add("endings kept")
	}
}

// rotated checks a session that was being refreshed: its newest token goes on,
// and one that is two behind does not, not even when it comes first.
func (v *verdicts) rotated(s *subject, c *rig.Client) {
	present := func(token string) rig.Answer {
		return again(func() rig.Answer { return c.Refresh(context.Background(), "LONG", token) })
	}
	if s.firm >= 3 && rand.IntN(2) == 0 {
		v.spent(present(s.tokens[s.firm-3]))
		return
	}
	spent := s.tokens[len(s.tokens)-2]
	v.newest(again(func() rig.Answer { return s.rotate(c) }))
	v.spent(present(spent))
}

// again sends a request until it is answered.
func again(send func() rig.Answer) rig.Answer {
	a := send()
	for deadline := time.Now().Add(15 * time.Second); unanswered(a) && time.Now().Before(deadline); a = send() {
		time.Sleep(2 * time.Millisecond)
	}
	return a
}

// loseOnce lets 16 sessions be ended or refreshed at once, takes the primary
// away in the middle of it and checks what was acknowledged.
func (v *verdicts) loseOnce(t *testing.T, p primary, c *rig.Client, asked bool) {
	subjects, spares := make([]*subject, 16), make([]*subject, 16)
	each := func(do func(s, spare *subject)) *sync.WaitGroup {
		var done sync.WaitGroup
		for i := range subjects {
			done.Go(func() { do(subjects[i], spares[i]) })
		}
		return &done
	}
	for i := range subjects {
		subjects[i], spares[i] = &subject{kind: kinds[i%len(kinds)], user: i}, &subject{user: i}
	}
	_, restarts := p.(watched) // an old primary, which is one for a moment more: what it is told then was never promised
	each(func(s, spare *subject) {
		s.begin(t, c, restarts)
		spare.begin(t, c, restarts)
	}).Wait()
	acting := each(func(s, spare *subject) { s.act(c, spare) })
	time.Sleep(rand.N(2 * moment))
	p.lose()
	acting.Wait()
	each(func(s, _ *subject) { v.check(s, c, asked) }).Wait()
	p.rejoin()
}

func (v *verdicts) check(s *subject, c *rig.Client, asked bool) {
	switch {
	case s.kind == "rotated":
		v.rotated(s, c)
	case s.last.Status == http.StatusOK:
		after := again(func() rig.Answer { return c.Refresh(context.Background(), "LONG", s.newest()) })
		v.ended(after, !asked || s.last.Header.Get("Durability") == "replicated")
	default:
		v.add("endings not answered")
	}
}

// TestEndingsSurviveFailover promotes a lagging replica again and again. With
// REDIS_WAIT_REPLICAS nothing that was answered as replicated is undone;
// without it some endings are, which shows that the test would notice.
func TestEndingsSurviveFailover(t *testing.T) {
	for _, asked := range []bool{true, false} {
		t.Run(map[bool]string{true: "replicated", false: "not asked"}[asked], func(t *testing.T) {
			t.Parallel()
			rounds := scale("FAILOVERS", 20, 500)
			settings := maps.Clone(unlimited)
			if asked {
				settings = with(replicated, rig.Settings{"REDIS_WAIT_TIMEOUT": "60ms"})
			} else {
				rounds = max(10, rounds/10)
			}
			p := newPair(t)
			g := rig.Start(t, "redis://"+p.front.Addr, settings)
			v := &verdicts{n: map[string]int{}}
			for range rounds {
				v.loseOnce(t, p, g.Client(), asked)
			}
			v.n["rotations healed"] = stepsOf(t, g, "healed")
			t.Logf("%d failovers: %v", rounds, v.n)
			v.judge(t, asked)
		})
	}
}

// judge fails the test where a promise was broken, or none was tried.
func (v *verdicts) judge(t *testing.T, asked bool) {
	t.Helper()
	for _, fault := range v.faults(asked) {
		t.Error(fault)
	}
}

func (v *verdicts) faults(asked bool) []string {
	var found []string
	for fault, is := range map[string]bool{
		"a client's newest token was refused after a failover":           v.n["newest tokens refused"] > 0,
		"a request had no answer, so what it asked for is not known":     v.n[unanswerable] > 0,
		"what was answered as replicated was undone":                     asked && v.n["endings undone"]+v.n["spent tokens that went on"] > 0,
		"nothing was promised, so nothing was tried":                     !v.tried(),
		"nothing was lost without WAIT, so the test would not notice it": !asked && (v.n["endings undone"] == 0 || v.n["rotations healed"] == 0),
	} {
		if is {
			found = append(found, fault)
		}
	}
	return found
}

// tried tells whether there was an ending, and a rotation, to be undone.
func (v *verdicts) tried() bool {
	return v.n["endings kept"] > 0 && v.n["newest tokens that went on"] > 0
}

// TestNoAnswerIsNoVerdict: a gateway that never comes back has kept nothing.
func TestNoAnswerIsNoVerdict(t *testing.T) {
	for _, status := range []int{0, http.StatusServiceUnavailable, http.StatusInternalServerError} {
		for what, tell := range map[string]func(*verdicts, rig.Answer){
			"newest": (*verdicts).newest, "spent": (*verdicts).spent,
			"ended": func(v *verdicts, a rig.Answer) { v.ended(a, true) },
		} {
			v := &verdicts{n: map[string]int{"endings kept": 1, "newest tokens that went on": 1}}
			if found := v.faults(true); len(found) != 0 {
				t.Errorf("before: %q", found)
			}
			if tell(v, rig.Answer{Status: status}); v.n[unanswerable] != 1 || len(v.n) != 3 || len(v.faults(true)) != 1 {
				t.Errorf("%s, status %d: %v, %q", what, status, v.n, v.faults(true))
			}
		}
	}
}

// spareFailovers are for when every ending of a run met a primary that was
// already gone, or chance let no newest token come first: then not all was tried.
const spareFailovers = 4

func TestEndingsSurviveSentinel(t *testing.T) {
	t.Parallel()
	r := redistest.Sentinel(t)
	g := rig.Start(t, r.URL, with(replicated, rig.Settings{"REDIS_WAIT_TIMEOUT": "60ms"}))
	v, rounds := &verdicts{n: map[string]int{}}, scale("SENTINEL_FAILOVERS", 1, 200)
	for lost := range rounds + spareFailovers {
		if lost >= rounds && v.tried() {
			break
		}
		v.loseOnce(t, watched{r}, g.Client(), true)
	}
	v.n["rotations healed"] = stepsOf(t, g, "healed")
	t.Logf("%d failovers or a few more: %v", rounds, v.n)
	v.judge(t, true)
}
