package proofs

import (
	"fmt"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
)

// how is what happens to one request.
type how int

// A duplicate is run twice; a late one is sent when the retry window of
// whatever happened before has closed; the answer of a lost one is.
const (
	sent how = iota
	answerLost
	duplicated
	late
	ways
)

// move is one request of one party.
type move struct {
	thief bool
	how   how
}

func (m move) String() string {
	who := "client"
	if m.thief {
		who = "thief"
	}
	return who + " " + []string{"sends", "loses the answer", "sends twice", "is late"}[m.how]
}

// party is one who holds a refresh token.
type party struct {
	token session.Presented
	// What is to be held against it: the last rotation that it doesn't know of.
	unknown bool
	since   time.Time
	pending bool // its last answer was lost
}

// world is the pure state machine with a client, and a thief of his token.
type world struct {
	policy  session.Policy
	now     time.Time
	session session.Session
	over    bool
	parties [2]party // the client and the thief
}

func newWorld(window time.Duration) world {
	p := session.Policy{
		Lifetime: 24 * time.Hour, AbsoluteLifetime: 48 * time.Hour,
		Rotate: true, ReuseDetection: true, RetryWindow: window, UpdateLastLogin: true,
	}
	now := time.Unix(1_800_000_000, 0)
	w := world{policy: p, now: now, session: p.Start(session.Session{ID: "s"}, now)}
	w.parties[0].token = w.current()
	return w
}

func (w *world) current() session.Presented {
	return session.Presented{Generation: w.session.Generation, Expires: w.session.Expires}
}

// steal gives the thief what the client holds or, from the wire, the newest
// token that was ever sent.
func (w *world) steal(wire bool) {
	w.parties[1] = party{token: w.parties[0].token, unknown: w.parties[0].unknown, since: w.parties[0].since}
	if wire {
		w.parties[1] = party{token: w.current()}
	}
}

// present runs one refresh of the machine.
func (w *world) present(token session.Presented) session.Code {
	if w.over {
		return session.Ended
	}
	next, code := w.policy.Refresh(w.session, token, w.now)
	switch code {
	case session.OK, session.Retried, session.Healed:
		w.session = next
	case session.Replayed:
		w.over = true
	}
	return code
}

const tick = time.Second // from one move to the next

// play makes a move and gives what the party was answered.
func (w *world) play(m move) session.Code {
	me, other := &w.parties[0], &w.parties[1]
	if m.thief {
		me, other = other, me
	}
	if m.how == late {
		w.now = w.now.Add(w.policy.RetryWindow)
	} else {
		w.now = w.now.Add(tick)
	}
	token, before := me.token, w.session.Generation
	code := w.present(token)
	if m.how == duplicated {
		w.present(token)
	}
	rotated := w.session.Generation != before
	if rotated {
		other.unknown, other.since = true, w.now
	}
	switch {
	case code != session.OK && code != session.Retried && code != session.Healed:
	case m.how == answerLost:
		me.pending = true
		if rotated {
			me.unknown, me.since = true, w.now
		}
	default:
		*me = party{token: w.current()}
	}
	return code
}

// judge says which promise a move broke that was made in was and led to w.
func (was *world) judge(w *world, m move, code session.Code, stolen bool) string {
	me := was.parties[0]
	if m.thief {
		me = was.parties[1]
	}
	good := code == session.OK || code == session.Retried || code == session.Healed
	switch {
	case good && was.over:
		return "an ended session went on"
	case was.over:
		return ""
	case code == session.Healed:
		return "a token from the future"
	case me.unknown && !w.now.Before(me.since.Add(w.policy.RetryWindow)) && !w.over:
		return "a token that was spent outside the window did not end the session"
	case me.token.Generation+1 < was.session.Generation && !w.over:
		return "a token that is two behind did not end the session"
	case !stolen && !good && !(me.pending && m.how == late):
		return "an honest client was logged out"
	case !stolen && w.over && !(me.pending && m.how == late):
		return "an honest client's session was ended"
	}
	return ""
}

// lockstep tries the two refreshes that must be the end of a thief who holds
// the same token as his victim, once they are outside the window.
func (w *world) lockstep() string {
	if w.over || w.parties[0].token != w.current() || w.parties[1].token != w.current() {
		return ""
	}
	for _, thiefFirst := range []bool{true, false} {
		then := *w
		then.play(move{thiefFirst, late})
		then.play(move{!thiefFirst, late})
		if !then.over {
			return "a thief in lockstep outlived two refreshes outside the window"
		}
	}
	return ""
}

// search plays every game of a length. Two worlds that look alike have the
// same future, so it is played once.
type search struct {
	theft    int // the move before which the token is stolen
	wire     bool
	path     []move
	games    map[look]int
	problems map[string]string
}

// look is what of a world its future rests on.
type look struct {
	left    int
	over    bool
	wasOver bool
	rotated time.Duration // ago
	behind  [2]uint32
	unknown [2]bool
	since   [2]time.Duration // ago
	pending [2]bool
}

func (w *world) look(wasOver bool, left int) look {
	l := look{left: left, over: w.over, wasOver: wasOver, rotated: w.now.Sub(w.session.Rotated)}
	for i, p := range w.parties {
		l.behind[i], l.unknown[i], l.pending[i] = w.session.Generation-p.token.Generation, p.unknown, p.pending
		if p.unknown {
			l.since[i] = w.now.Sub(p.since)
		}
	}
	return l
}

// from plays on and gives the number of games.
func (s *search) from(w world, wasOver bool, left int) (games int) {
	if len(s.path) == s.theft {
		w.steal(s.wire)
	}
	stolen := len(s.path) >= s.theft
	if stolen {
		s.complain(w.lockstep())
	}
	if left == 0 || wasOver { // one move after the end shows that it stays so
		return 1
	}
	l := w.look(wasOver, left)
	if games, known := s.games[l]; known {
		return games
	}
	for m := (move{}); m.how < ways; m.how++ {
		games += s.try(w, m, left, stolen)
		if stolen {
			games += s.try(w, move{true, m.how}, left, stolen)
		}
	}
	s.games[l] = games
	return games
}

func (s *search) try(w world, m move, left int, stolen bool) int {
	next := w
	s.path = append(s.path, m)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	code := next.play(m)
	s.complain(w.judge(&next, m, code, stolen))
	return s.from(next, w.over, left-1)
}

func (s *search) complain(problem string) {
	if problem != "" && s.problems[problem] == "" {
		s.problems[problem] = fmt.Sprintf("stolen before move %d, wire %v: %s",
			s.theft+1, s.wire, fmt.Sprint(s.path))
	}
}

// TestThief plays every game of a client and a thief to a depth: whatever they
// send, lose, repeat and delay, an honest client within the window is never
// logged out, and a thief is caught by the first refresh after it.
func TestThief(t *testing.T) {
	depth, games := scale("DEPTH", 8, 12), 0
	for theft := range depth + 1 {
		for _, wire := range []bool{false, true} {
			s := &search{theft: theft, wire: wire, games: map[look]int{}, problems: map[string]string{}}
			games += s.from(newWorld(30*time.Second), false, depth)
			for problem, path := range s.problems {
				t.Errorf("%s: %s", problem, path)
			}
		}
	}
	t.Logf("%d games of up to %d moves", games, depth)
}

// TestThiefInStore plays shorter games on a whole store with its clock, which
// must answer as the pure machine does.
func TestThiefInStore(t *testing.T) {
	depth := scale("STORE_DEPTH", 4, 5)
	var path []move
	var extend func()
	games := 0
	extend = func() {
		if len(path) == depth {
			games++
			storeAgrees(t, path)
			return
		}
		for i := range 2 * int(ways) {
			path = append(path, move{i%2 == 1, how(i / 2)})
			extend()
			path = path[:len(path)-1]
		}
	}
	extend()
	t.Logf("%d games of %d moves", games, depth)
}

func storeAgrees(t *testing.T, path []move) {
	w := newWorld(30 * time.Second)
	store := memstore.New(memstore.Options{Now: func() time.Time { return w.now }})
	owner := session.Owner{App: "shop", User: "1"}
	step := session.CreateStep{Owner: owner, Session: session.Session{ID: session.NewID(), Type: session.Long}, Policy: w.policy}
	if _, err := store.Create(t.Context(), step); err != nil {
		t.Fatal(err)
	}
	w.steal(false)
	for _, m := range path {
		token := w.parties[map[bool]int{true: 1}[m.thief]].token
		want := w.play(m)
		var got session.Code
		for i := range map[bool]int{true: 2, false: 1}[m.how == duplicated] {
			done, err := store.Refresh(t.Context(), session.RefreshStep{
				Owner: owner, ID: step.Session.ID, Type: session.Long, Presented: token, Policy: w.policy,
			})
			if i == 0 {
				if got = done.Code; err != nil {
					got = session.CodeOf(err)
				}
			}
		}
		if got != want {
			t.Fatalf("%v: the store says %s, the machine %s", path, got, want)
		}
	}
}
