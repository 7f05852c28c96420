package resilience

import (
	"fmt"
	"testing"
	"time"

	"tokengate/deploy/test/gatewaytest"
	"tokengate/session"
	"tokengate/session/memstore"
)

// delivery is what happens to one request.
type delivery int

const (
	delivered  delivery = iota
	answerLost          // the request takes effect, but its answer is lost
	duplicated          // the request takes effect twice
	delayed             // the request is sent when all retry windows opened so far have closed
	deliveries          // the number of deliveries
)

// move is one refresh by the client or the thief.
type move struct {
	thief    bool
	delivery delivery
}

func (m move) String() string {
	sender := "client"
	if m.thief {
		sender = "thief"
	}
	return sender + " " + []string{"refreshes", "loses the answer", "refreshes twice", "refreshes late"}[m.delivery]
}

// party is the client or the thief.
type party struct {
	token      session.Presented
	missed     bool      // there was a rotation of which the party did not get the new token
	missedAt   time.Time // when the last such rotation happened
	lostAnswer bool      // the answer to the party's last request was lost
}

// simulation is one session under the pure rules of [session.Policy], with a client and a thief of the
// client's token.
type simulation struct {
	policy  session.Policy
	now     time.Time
	session session.Session
	revoked bool
	parties [2]party // the client and the thief
}

func newSimulation(window time.Duration) simulation {
	p := session.Policy{
		Lifetime: 24 * time.Hour, AbsoluteLifetime: 48 * time.Hour,
		Rotate: true, ReuseDetection: true, RetryWindow: window, UpdateLastLogin: true,
	}
	now := time.Unix(1_800_000_000, 0)
	s := simulation{policy: p, now: now, session: p.Start(session.Session{ID: "s"}, now)}
	s.parties[0].token = s.newestToken()
	return s
}

func (s *simulation) newestToken() session.Presented {
	return session.Presented{Secret: s.session.Secret, Generation: s.session.Generation, Expires: s.session.Expires}
}

// steal gives the thief the client's token. With fromWire set, the thief gets the newest token that was sent,
// even if the client has not received it.
func (s *simulation) steal(fromWire bool) {
	s.parties[1] = party{token: s.parties[0].token, missed: s.parties[0].missed, missedAt: s.parties[0].missedAt}
	if fromWire {
		s.parties[1] = party{token: s.newestToken()}
	}
}

// refresh refreshes the session with a token.
func (s *simulation) refresh(token session.Presented) session.Code {
	if s.revoked {
		return session.Revoked
	}
	next, code := s.policy.Refresh(s.session, token, s.now)
	switch code {
	case session.OK, session.Retried, session.Healed:
		s.session = next
	case session.Replayed:
		s.revoked = true
	}
	return code
}

const moveInterval = time.Second // time between two moves, unless the later one is delayed

// apply makes a move and returns the code of the answer.
func (s *simulation) apply(m move) session.Code {
	sender, other := &s.parties[0], &s.parties[1]
	if m.thief {
		sender, other = other, sender
	}
	if m.delivery == delayed {
		s.now = s.now.Add(s.policy.RetryWindow)
	} else {
		s.now = s.now.Add(moveInterval)
	}
	token, before := sender.token, s.session.Generation
	code := s.refresh(token)
	if m.delivery == duplicated {
		s.refresh(token)
	}
	rotated := s.session.Generation != before
	if rotated {
		other.missed, other.missedAt = true, s.now
	}
	switch {
	case !isSuccess(code):
	case m.delivery == answerLost:
		sender.lostAnswer = true
		if rotated {
			sender.missed, sender.missedAt = true, s.now
		}
	default:
		*sender = party{token: s.newestToken()}
	}
	return code
}

func isSuccess(code session.Code) bool {
	return code == session.OK || code == session.Retried || code == session.Healed
}

// violation returns the promise that a move broke, or an empty string. The move m was made in the state
// before and led to the state after. stolen reports whether the thief has had a token.
func violation(before, after *simulation, m move, code session.Code, stolen bool) string {
	sender := before.parties[0]
	if m.thief {
		sender = before.parties[1]
	}
	mayFail := sender.lostAnswer && m.delivery == delayed // a retry after the window
	windowClosed := sender.missed && !after.now.Before(sender.missedAt.Add(after.policy.RetryWindow))
	switch {
	case isSuccess(code) && before.revoked:
		return "a revoked session was refreshed"
	case before.revoked:
		return ""
	case code == session.Healed:
		return "a token had a higher generation than the session"
	case windowClosed && !after.revoked:
		return "a token presented after its retry window did not revoke the session"
	case sender.token.Generation+1 < before.session.Generation && !after.revoked:
		return "a token two generations behind did not revoke the session"
	case !stolen && !isSuccess(code) && !mayFail:
		return "an honest client was logged out"
	case !stolen && after.revoked && !mayFail:
		return "an honest client's session was revoked"
	}
	return ""
}

// sameTokenViolation checks the case that the thief and the client have the same, newest token: if both
// present it after the retry window, in either order, the session must be revoked.
func (s *simulation) sameTokenViolation() string {
	if s.revoked || s.parties[0].token != s.newestToken() || s.parties[1].token != s.newestToken() {
		return ""
	}
	for _, thiefFirst := range []bool{true, false} {
		next := *s
		next.apply(move{thiefFirst, delayed})
		next.apply(move{!thiefFirst, delayed})
		if !next.revoked {
			return "a thief with the client's token was not detected by two refreshes after the window"
		}
	}
	return ""
}

// search tries every sequence of moves of a given length. Simulations with the same stateKey continue in the same
// way, so only one of them is continued.
type search struct {
	stolenAt   int // the number of moves before the theft
	fromWire   bool
	path       []move
	sequences  map[stateKey]int // how many sequences continue from a state
	violations map[string]string
}

// stateKey has everything of a simulation that affects how it can continue. Times are relative to now.
type stateKey struct {
	left       int // moves
	revoked    bool
	wasRevoked bool
	rotated    time.Duration
	behind     [2]uint32 // generations between the party's token and the newest one
	missed     [2]bool
	missedAt   [2]time.Duration
	lostAnswer [2]bool
}

func (s *simulation) key(wasRevoked bool, left int) stateKey {
	k := stateKey{left: left, revoked: s.revoked, wasRevoked: wasRevoked, rotated: s.now.Sub(s.session.Rotated)}
	for i, p := range s.parties {
		k.behind[i], k.missed[i], k.lostAnswer[i] = s.session.Generation-p.token.Generation, p.missed, p.lostAnswer
		if p.missed {
			k.missedAt[i] = s.now.Sub(p.missedAt)
		}
	}
	return k
}

// explore tries every sequence of the given number of further moves and returns the number of sequences.
// wasRevoked reports whether the session was revoked before the last move.
func (s *search) explore(sim simulation, wasRevoked bool, left int) (n int) {
	if len(s.path) == s.stolenAt {
		sim.steal(s.fromWire)
	}
	stolen := len(s.path) >= s.stolenAt
	if stolen {
		s.record(sim.sameTokenViolation())
	}
	if left == 0 || wasRevoked { // one move after the revocation shows that the session remains revoked
		return 1
	}
	key := sim.key(wasRevoked, left)
	if n, known := s.sequences[key]; known {
		return n
	}
	for m := (move{}); m.delivery < deliveries; m.delivery++ {
		n += s.try(sim, m, left, stolen)
		if stolen {
			n += s.try(sim, move{true, m.delivery}, left, stolen)
		}
	}
	s.sequences[key] = n
	return n
}

// try makes a move, checks it and explores what can follow.
func (s *search) try(sim simulation, m move, left int, stolen bool) int {
	next := sim
	s.path = append(s.path, m)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	code := next.apply(m)
	s.record(violation(&sim, &next, m, code, stolen))
	return s.explore(next, sim.revoked, left-1)
}

// record keeps the first path to each violation.
func (s *search) record(violation string) {
	if violation != "" && s.violations[violation] == "" {
		s.violations[violation] = fmt.Sprintf("stolen before move %d, from the wire %v: %v", s.stolenAt+1, s.fromWire, s.path)
	}
}

// TestTokenTheft tries every sequence of moves of a client and a thief, up to a length. It checks that an
// honest client that retries within the window is never logged out, and that a theft is detected by the
// first refresh after the window, whatever is lost, repeated or delayed.
func TestTokenTheft(t *testing.T) {
	depth, sequences := gatewaytest.RunSize("DEPTH", 8, 12), 0
	for stolenAt := range depth + 1 {
		for _, fromWire := range []bool{false, true} {
			s := &search{stolenAt: stolenAt, fromWire: fromWire, sequences: map[stateKey]int{}, violations: map[string]string{}}
			sequences += s.explore(newSimulation(30*time.Second), false, depth)
			for violation, path := range s.violations {
				t.Errorf("%s: %s", violation, path)
			}
		}
	}
	t.Logf("%d sequences of up to %d moves", sequences, depth)
}

// TestTokenTheftInStore tries shorter sequences on a [memstore.Store]. Its answers must be those of the
// simulation.
func TestTokenTheftInStore(t *testing.T) {
	depth := gatewaytest.RunSize("STORE_DEPTH", 4, 5)
	var path []move
	var extend func()
	sequences := 0
	extend = func() {
		if len(path) == depth {
			sequences++
			checkStore(t, path)
			return
		}
		for i := range 2 * int(deliveries) {
			path = append(path, move{i%2 == 1, delivery(i / 2)})
			extend()
			path = path[:len(path)-1]
		}
	}
	extend()
	t.Logf("%d sequences of %d moves", sequences, depth)
}

// checkStore makes the moves of path on a store and in a simulation, and compares the codes.
func checkStore(t *testing.T, path []move) {
	sim := newSimulation(30 * time.Second)
	store := memstore.New(memstore.Options{Now: func() time.Time { return sim.now }})
	owner := session.Owner{App: "shop", User: "1"}
	step := session.CreateStep{Owner: owner, Session: session.Session{ID: session.NewID(), Type: session.Long}, Policy: sim.policy}
	if _, err := store.Create(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	sim.steal(false)
	for _, m := range path {
		token := sim.parties[map[bool]int{true: 1}[m.thief]].token
		want := sim.apply(m)
		var got session.Code
		for i := range map[bool]int{true: 2, false: 1}[m.delivery == duplicated] {
			refreshed, err := store.Refresh(t.Context(), session.RefreshStep{
				Owner: owner, ID: step.Session.ID, Type: session.Long, Presented: token, Policy: sim.policy,
			})
			if i == 0 {
				if got = refreshed.Code; err != nil {
					got = session.CodeOf(err)
				}
			}
		}
		if got != want {
			t.Fatalf("%v: got %s from the store, want %s", path, got, want)
		}
	}
}
