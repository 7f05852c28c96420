package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"tokengate/session"
)

// Model is the contract of [session.Store] as a sequential state machine. [History.Check]
// checks a recorded history of concurrent steps with it. The model has what a client sees:
// IDs, generations and codes. It has no time: no session may expire during the history, and
// every retry window must be either zero or longer than the history. The policies must not
// extend sessions.
type Model struct {
	Policies map[session.Type]session.Policy
}

// Input is one step as a client calls it.
type Input struct {
	Step       session.Step // StepLogin, StepRefresh, StepList, StepDestroy, StepDestroyOthers or StepLogout
	Owner      session.Owner
	Type       session.Type // of login and refresh
	Types      []session.Type
	ID         session.ID // the session that is refreshed, destroyed, logged out, or kept
	Generation uint32     // of the token presented for ID; unused by destroy
	Caller     session.ID // empty means not checked
}

// Output is the answer to a client.
type Output struct {
	Lost       bool // no answer, or Unavailable: the step has happened, may still happen, or never happens
	Code       session.Code
	Cause      session.Cause
	ID         session.ID // login: the new session
	Generation uint32     // login, refresh: of the new token; 0 means that none was returned
	Token      string     // login, refresh: identifies the new token, such as by its jti; empty means not compared
	IDs        []session.ID
}

// state is one owner's sessions. Steps do not modify it but return copies.
type state struct {
	live    []liveSession    // the least recently updated first
	revoked []revokedSession // ordered by id
}

type liveSession struct {
	id         session.ID // unknownID while the answer to the login is lost and no list has shown the session
	typ        session.Type
	generation uint32
	token      string
	repeats    int // of the token that was spent last
}

type revokedSession struct {
	id    session.ID
	cause session.Cause
}

// unknownID stands for the ID of a session whose login was not answered.
const unknownID session.ID = ""

// Porcupine returns the model in the form that porcupine checks.
func (m Model) Porcupine() porcupine.Model {
	nm := porcupine.NondeterministicModel{
		Partition: partition,
		Init:      func() []any { return []any{state{}} },
		Step: func(before, in, out any) []any {
			var next []any
			for _, s := range m.step(before.(state), in.(Input), out.(Output)) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool {
			return slices.Equal(a.(state).live, b.(state).live) && slices.Equal(a.(state).revoked, b.(state).revoked)
		},
		DescribeOperation: func(in, out any) string { return describe(in.(Input), out.(Output)) },
	}
	return nm.ToModel()
}

// partition divides a history by owner, since no step concerns two owners.
func partition(history []porcupine.Operation) [][]porcupine.Operation {
	byOwner := map[session.Owner][]porcupine.Operation{}
	for _, op := range history {
		o := op.Input.(Input).Owner
		byOwner[o] = append(byOwner[o], op)
	}
	var out [][]porcupine.Operation
	for _, ops := range byOwner {
		out = append(out, ops)
	}
	return out
}

// step returns every state that may follow s if in is answered with out. It returns none if
// out is not a valid answer.
func (m Model) step(s state, in Input, out Output) []state {
	if out.Lost {
		return append(m.unanswered(s, in), s)
	}
	switch in.Step {
	case session.StepLogin:
		return m.login(s, in, out)
	case session.StepRefresh:
		return m.refresh(s, in, out)
	case session.StepList:
		return m.list(s, in, out)
	case session.StepDestroy:
		return m.destroy(s, in, out)
	case session.StepDestroyOthers:
		return m.destroyOthers(s, in, out)
	case session.StepLogout:
		return m.logout(s, in, out)
	}
	panic("storetest: no model of " + string(in.Step))
}

// unanswered returns the states that may follow s if in happens and its answer is lost.
func (m Model) unanswered(s state, in Input) []state {
	switch in.Step {
	case session.StepLogin:
		return m.login(s, in, Output{Code: session.OK, ID: unknownID, Generation: 1})
	case session.StepRefresh:
		if next := m.refresh(s, in, Output{Code: session.OK}); next != nil {
			return next
		}
		return m.refresh(s, in, Output{Code: session.Replayed, Cause: session.CauseReplay})
	case session.StepDestroy:
		return m.destroy(s, in, Output{Code: session.OK})
	case session.StepDestroyOthers:
		return m.destroyOthers(s, in, Output{Code: session.OK})
	case session.StepLogout:
		if next := m.logout(s, in, Output{Code: session.OK}); next != nil {
			return next
		}
		return m.logout(s, in, Output{Code: session.Replayed, Cause: session.CauseReplay})
	}
	return nil
}

func (m Model) login(s state, in Input, out Output) []state {
	held := 0
	for _, l := range s.live {
		if l.typ == in.Type {
			held++
		}
	}
	surplus, ok := m.Policies[in.Type].Surplus(held)
	if !ok {
		return stateIf(s, out.Code == session.LimitReached)
	}
	if out.Code != session.OK || out.Generation != 1 || out.ID != unknownID && s.hasSeen(out.ID) {
		return nil
	}
	for ; surplus > 0; surplus-- {
		oldest := slices.IndexFunc(s.live, func(l liveSession) bool { return l.typ == in.Type })
		s = s.revoke(oldest, session.CauseEvicted)
	}
	s.live = append(slices.Clip(s.live), liveSession{id: out.ID, typ: in.Type, generation: 1, token: out.Token})
	return []state{s}
}

func (m Model) refresh(s state, in Input, out Output) []state {
	i := s.find(in.ID)
	if i < 0 || s.live[i].typ != in.Type {
		return stateIf(s, s.validForMissing(in.ID, out))
	}
	switch l := s.live[i]; {
	case in.Generation == l.generation:
		return m.rotate(s, i, out)
	case m.tokenIsValid(l, in.Generation):
		return m.retry(s, i, out)
	}
	return m.spent(s, i, in, out)
}

// retry models a refresh with the token just spent. The answer must have the current
// generation, and the same token as before if an earlier answer has shown it. The token
// must be refused if it was repeated too often.
func (m Model) retry(s state, i int, out Output) []state {
	l := s.live[i]
	if l.repeats == session.MaxRepeats {
		return stateIf(s, out.Code == session.Throttled)
	}
	l.repeats++
	if out.Code != session.OK && out.Code != session.Retried || out.Generation != 0 && out.Generation != l.generation ||
		out.Token != "" && l.token != "" && out.Token != l.token {
		return nil
	}
	if out.Token != "" {
		l.token = out.Token
	}
	s.live = slices.Clone(s.live)
	s.live[i] = l
	return []state{s}
}

// rotate models a refresh with the current token. It moves the session to the end of the
// eviction order if the policy updates it.
func (m Model) rotate(s state, i int, out Output) []state {
	l := s.live[i]
	p := m.Policies[l.typ]
	if p.Rotate {
		l.generation, l.token, l.repeats = l.generation+1, out.Token, 0
	}
	if out.Code != session.OK || out.Generation != 0 && out.Generation != l.generation {
		return nil
	}
	rest := slices.Concat(s.live[:i], s.live[i+1:])
	if p.UpdateLastLogin {
		i = len(rest)
	}
	s.live = slices.Insert(rest, i, l)
	return []state{s}
}

// spent models a refresh or logout with a spent token outside the retry window. For a
// token ahead of the record no answer is valid: it needs a store that has lost a step.
func (m Model) spent(s state, i int, in Input, out Output) []state {
	l := s.live[i]
	switch {
	case in.Generation > l.generation:
		return nil
	case m.Policies[l.typ].ReuseDetection:
		return stateIf(s.revoke(i, session.CauseReplay), out.Code == session.Replayed)
	}
	return stateIf(s, out.Code == session.Spent)
}

func (m Model) list(s state, in Input, out Output) []state {
	if s.callerRevoked(in.Caller) {
		return stateIf(s, out.Code == session.TokenRevoked)
	}
	if out.Code != session.OK {
		return nil
	}
	var next []state
	for _, candidate := range s.assignIDs(in.Types, out.IDs) {
		var want []session.ID
		for _, l := range candidate.live {
			if slices.Contains(in.Types, l.typ) {
				want = append(want, l.id)
			}
		}
		slices.Sort(want)
		if slices.Equal(want, slices.Sorted(slices.Values(out.IDs))) {
			next = append(next, candidate)
		}
	}
	return next
}

func (m Model) destroy(s state, in Input, out Output) []state {
	if s.callerRevoked(in.Caller) {
		return stateIf(s, out.Code == session.TokenRevoked)
	}
	i := s.find(in.ID)
	if i < 0 {
		return stateIf(s, s.validForMissing(in.ID, out))
	}
	return stateIf(s.revoke(i, session.CauseUser), out.Code == session.OK)
}

func (m Model) destroyOthers(s state, in Input, out Output) []state {
	if in.ID != "" {
		i := s.find(in.ID)
		if i < 0 || in.Generation < s.live[i].generation && !m.tokenIsValid(s.live[i], in.Generation) {
			return stateIf(s, out.Code == session.Unknown)
		}
	}
	if s.callerRevoked(in.Caller) {
		return stateIf(s, out.Code == session.TokenRevoked)
	}
	for i := len(s.live) - 1; i >= 0; i-- {
		if l := s.live[i]; slices.Contains(in.Types, l.typ) && (in.ID == "" || l.id != in.ID) {
			s = s.revoke(i, session.CauseOthers)
		}
	}
	return stateIf(s, out.Code == session.OK)
}

// tokenIsValid reports whether a generation is current, or just spent and within the retry
// window.
func (m Model) tokenIsValid(l liveSession, generation uint32) bool {
	return generation == l.generation || generation+1 == l.generation && m.Policies[l.typ].RetryWindow > 0
}

func (m Model) logout(s state, in Input, out Output) []state {
	i := s.find(in.ID)
	if i < 0 {
		return stateIf(s, s.validForMissing(in.ID, out))
	}
	if m.tokenIsValid(s.live[i], in.Generation) {
		return stateIf(s.revoke(i, session.CauseLogout), out.Code == session.OK)
	}
	return m.spent(s, i, in, out)
}

// stateIf returns s if the answer is valid, and no state otherwise.
func stateIf(s state, valid bool) []state {
	if !valid {
		return nil
	}
	return []state{s}
}

// find returns the index of a session in live, or -1.
func (s state) find(id session.ID) int {
	if id == unknownID {
		return -1
	}
	return slices.IndexFunc(s.live, func(l liveSession) bool { return l.id == id })
}

// hasSeen reports whether the owner has or had a session with this ID.
func (s state) hasSeen(id session.ID) bool {
	return s.find(id) >= 0 || slices.ContainsFunc(s.revoked, func(r revokedSession) bool { return r.id == id })
}

func (s state) callerRevoked(caller session.ID) bool { return caller != "" && s.find(caller) < 0 }

// validForMissing reports whether out is a valid answer about a session that is not live:
// Revoked and its cause, or Unknown, since a store drops its tombstones at some time.
func (s state) validForMissing(id session.ID, out Output) bool {
	if out.Code == session.Unknown {
		return true
	}
	return out.Code == session.Revoked && slices.Contains(s.revoked, revokedSession{id, out.Cause})
}

// revoke returns s with the session at index i of live revoked.
func (s state) revoke(i int, cause session.Cause) state {
	r := revokedSession{s.live[i].id, cause}
	s.live = slices.Concat(s.live[:i], s.live[i+1:])
	if r.id != unknownID {
		place, _ := slices.BinarySearchFunc(s.revoked, r.id, func(e revokedSession, id session.ID) int {
			return strings.Compare(string(e.id), string(id))
		})
		s.revoked = slices.Insert(slices.Clone(s.revoked), place, r)
	}
	return s
}

// assignIDs returns the states that follow if a list shows the given IDs: those not seen
// before are assigned to the sessions of lost logins, in every possible way.
func (s state) assignIDs(types []session.Type, shown []session.ID) []state {
	i := slices.IndexFunc(s.live, func(l liveSession) bool { return l.id == unknownID && slices.Contains(types, l.typ) })
	if i < 0 {
		return []state{s}
	}
	var out []state
	for _, id := range shown {
		if !s.hasSeen(id) {
			next := state{slices.Clone(s.live), s.revoked}
			next.live[i].id = id
			out = append(out, next.assignIDs(types, shown)...)
		}
	}
	return out
}

func describe(in Input, out Output) string {
	return fmt.Sprintf("%s %s %v %.6s/%d → %s %s %.6s/%d %.6v lost=%v",
		in.Step, in.Type, in.Types, in.ID, in.Generation, out.Code, out.Cause, out.ID, out.Generation, out.IDs, out.Lost)
}
