package storetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"tokengate/session"
)

// Model is the contract as a sequential machine, against which Check holds a
// recorded history of concurrent steps. It knows what a client can see: ids,
// generations, codes. It knows no time: record within the sessions' lives, and
// either within the retry window or with one of 0. Extension must be off.
type Model struct {
	Policies map[session.Type]session.Policy
}

// Input is one step as its client asked for it.
type Input struct {
	Step       session.Step // StepLogin, StepRefresh, StepList, StepDestroy, StepOthers or StepLogout
	Owner      session.Owner
	Type       session.Type // login, refresh
	Types      []session.Type
	ID         session.ID // the session that is refreshed, destroyed, logged out, or kept
	Generation uint32     // that the token of ID says; not for destroy
	Caller     session.ID // empty: not checked
}

// Output is what the client was answered.
type Output struct {
	Lost       bool // no answer, or Unavailable: the step may yet happen, have happened, or never
	Code       session.Code
	Cause      session.Cause
	ID         session.ID // login: the new session
	Generation uint32     // login, refresh: that the new token says; 0: none was given
	Token      string     // login, refresh: what is the same for the same token, such as its jti; empty: not compared
	IDs        []session.ID
}

// user is the state: one owner's sessions. Steps copy it.
type user struct {
	live []live // the least recently updated first
	dead []dead // by id
}

type live struct {
	id         session.ID // unnamed while only a lost login could tell it
	kind       session.Type
	generation uint32
	token      string
}

type dead struct {
	id    session.ID
	cause session.Cause
}

const unnamed session.ID = ""

// Porcupine is m for the checker.
func (m Model) Porcupine() porcupine.Model {
	nm := porcupine.NondeterministicModel{
		Partition: partition,
		Init:      func() []any { return []any{user{}} },
		Step: func(state, in, out any) []any {
			var next []any
			for _, u := range m.step(state.(user), in.(Input), out.(Output)) {
				next = append(next, u)
			}
			return next
		},
		Equal: func(a, b any) bool {
			return slices.Equal(a.(user).live, b.(user).live) && slices.Equal(a.(user).dead, b.(user).dead)
		},
		DescribeOperation: func(in, out any) string { return describe(in.(Input), out.(Output)) },
	}
	return nm.ToModel()
}

// partition divides a history by owner: no step concerns two.
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

// step gives every state that may follow u when in is answered with out; none
// where out can't be.
func (m Model) step(u user, in Input, out Output) []user {
	if out.Lost {
		return append(m.silent(u, in), u)
	}
	switch in.Step {
	case session.StepLogin:
		return m.login(u, in, out)
	case session.StepRefresh:
		return m.refresh(u, in, out)
	case session.StepList:
		return m.list(u, in, out)
	case session.StepDestroy:
		return m.destroy(u, in, out)
	case session.StepOthers:
		return m.others(u, in, out)
	case session.StepLogout:
		return m.logout(u, in, out)
	}
	panic("storetest: no model of " + string(in.Step))
}

// silent gives the states that in leads to when it happens unseen.
func (m Model) silent(u user, in Input) []user {
	switch in.Step {
	case session.StepLogin:
		return m.login(u, in, Output{Code: session.OK, ID: unnamed, Generation: 1})
	case session.StepRefresh:
		if next := m.refresh(u, in, Output{Code: session.OK}); next != nil {
			return next
		}
		return m.refresh(u, in, Output{Code: session.Replayed, Cause: session.CauseReplay})
	case session.StepDestroy:
		return m.destroy(u, in, Output{Code: session.OK})
	case session.StepOthers:
		return m.others(u, in, Output{Code: session.OK})
	case session.StepLogout:
		if next := m.logout(u, in, Output{Code: session.OK}); next != nil {
			return next
		}
		return m.logout(u, in, Output{Code: session.Replayed, Cause: session.CauseReplay})
	}
	return nil
}

func (m Model) login(u user, in Input, out Output) []user {
	held := 0
	for _, l := range u.live {
		if l.kind == in.Type {
			held++
		}
	}
	surplus, ok := m.Policies[in.Type].Surplus(held)
	if !ok {
		return only(u, out.Code == session.LimitReached)
	}
	if out.Code != session.OK || out.Generation != 1 || out.ID != unnamed && u.knows(out.ID) {
		return nil
	}
	for ; surplus > 0; surplus-- {
		oldest := slices.IndexFunc(u.live, func(l live) bool { return l.kind == in.Type })
		u = u.kill(oldest, session.CauseEvicted)
	}
	u.live = append(slices.Clip(u.live), live{out.ID, in.Type, 1, out.Token})
	return []user{u}
}

func (m Model) refresh(u user, in Input, out Output) []user {
	at := u.find(in.ID)
	if at < 0 || u.live[at].kind != in.Type {
		return only(u, u.explains(in.ID, out))
	}
	switch l := u.live[at]; {
	case in.Generation == l.generation:
		return m.rotate(u, at, out)
	case m.holds(l, in.Generation):
		return m.retry(u, at, out)
	}
	return m.replayed(u, at, in, out)
}

// retry is the refresh with the token just spent: it must get the successor
// that is there, and the very token if that was ever seen.
func (m Model) retry(u user, at int, out Output) []user {
	l := u.live[at]
	if out.Code != session.OK && out.Code != session.Retried || out.Generation != 0 && out.Generation != l.generation ||
		out.Token != "" && l.token != "" && out.Token != l.token {
		return nil
	}
	if out.Token != "" {
		l.token = out.Token
	}
	u.live = slices.Clone(u.live)
	u.live[at] = l
	return []user{u}
}

// rotate is the refresh with the current token.
func (m Model) rotate(u user, at int, out Output) []user {
	l := u.live[at]
	p := m.Policies[l.kind]
	if p.Rotate {
		l.generation, l.token = l.generation+1, out.Token
	}
	if out.Code != session.OK || out.Generation != 0 && out.Generation != l.generation {
		return nil
	}
	rest := slices.Concat(u.live[:at], u.live[at+1:])
	if p.UpdateLastLogin {
		at = len(rest)
	}
	u.live = slices.Insert(rest, at, l)
	return []user{u}
}

// replayed is a spent token outside the retry window, or one from the future,
// which no history without a lost step has.
func (m Model) replayed(u user, at int, in Input, out Output) []user {
	l := u.live[at]
	switch {
	case in.Generation > l.generation:
		return nil
	case m.Policies[l.kind].ReuseDetection:
		return only(u.kill(at, session.CauseReplay), out.Code == session.Replayed)
	}
	return only(u, out.Code == session.Spent)
}

func (m Model) list(u user, in Input, out Output) []user {
	if u.revoked(in.Caller) {
		return only(u, out.Code == session.TokenRevoked)
	}
	if out.Code != session.OK {
		return nil
	}
	var next []user
	for _, named := range u.named(in.Types, out.IDs) {
		var want []session.ID
		for _, l := range named.live {
			if slices.Contains(in.Types, l.kind) {
				want = append(want, l.id)
			}
		}
		slices.Sort(want)
		if slices.Equal(want, slices.Sorted(slices.Values(out.IDs))) {
			next = append(next, named)
		}
	}
	return next
}

func (m Model) destroy(u user, in Input, out Output) []user {
	if u.revoked(in.Caller) {
		return only(u, out.Code == session.TokenRevoked)
	}
	at := u.find(in.ID)
	if at < 0 {
		return only(u, u.explains(in.ID, out))
	}
	return only(u.kill(at, session.CauseUser), out.Code == session.OK)
}

func (m Model) others(u user, in Input, out Output) []user {
	if in.ID != "" {
		at := u.find(in.ID)
		if at < 0 || in.Generation < u.live[at].generation && !m.holds(u.live[at], in.Generation) {
			return only(u, out.Code == session.Unknown)
		}
	}
	if u.revoked(in.Caller) {
		return only(u, out.Code == session.TokenRevoked)
	}
	for i := len(u.live) - 1; i >= 0; i-- {
		if l := u.live[i]; slices.Contains(in.Types, l.kind) && (in.ID == "" || l.id != in.ID) {
			u = u.kill(i, session.CauseOthers)
		}
	}
	return only(u, out.Code == session.OK)
}

func (m Model) holds(l live, generation uint32) bool {
	return generation == l.generation || generation+1 == l.generation && m.Policies[l.kind].RetryWindow > 0
}

func (m Model) logout(u user, in Input, out Output) []user {
	at := u.find(in.ID)
	if at < 0 {
		return only(u, u.explains(in.ID, out))
	}
	if m.holds(u.live[at], in.Generation) {
		return only(u.kill(at, session.CauseLogout), out.Code == session.OK)
	}
	return m.replayed(u, at, in, out)
}

func only(u user, ok bool) []user {
	if !ok {
		return nil
	}
	return []user{u}
}

func (u user) find(id session.ID) int {
	if id == unnamed {
		return -1
	}
	return slices.IndexFunc(u.live, func(l live) bool { return l.id == id })
}

func (u user) knows(id session.ID) bool {
	return u.find(id) >= 0 || slices.ContainsFunc(u.dead, func(d dead) bool { return d.id == id })
}

func (u user) revoked(caller session.ID) bool { return caller != "" && u.find(caller) < 0 }

// explains tells whether out is what may be said of a session that isn't live.
// A store forgets its traces in time.
func (u user) explains(id session.ID, out Output) bool {
	if out.Code == session.Unknown {
		return true
	}
	return out.Code == session.Ended && slices.Contains(u.dead, dead{id, out.Cause})
}

// kill ends the session at a place of live.
func (u user) kill(at int, cause session.Cause) user {
	d := dead{u.live[at].id, cause}
	u.live = slices.Concat(u.live[:at], u.live[at+1:])
	if d.id != unnamed {
		place, _ := slices.BinarySearchFunc(u.dead, d.id, func(e dead, id session.ID) int {
			return strings.Compare(string(e.id), string(id))
		})
		u.dead = slices.Insert(slices.Clone(u.dead), place, d)
	}
	return u
}

// named gives u with the ids that a list shows and nobody knows given to the
// sessions of lost logins, in every way that is possible.
func (u user) named(types []session.Type, shown []session.ID) []user {
	at := slices.IndexFunc(u.live, func(l live) bool { return l.id == unnamed && slices.Contains(types, l.kind) })
	if at < 0 {
		return []user{u}
	}
	var out []user
	for _, id := range shown {
		if !u.knows(id) {
			one := user{slices.Clone(u.live), u.dead}
			one.live[at].id = id
			out = append(out, one.named(types, shown)...)
		}
	}
	return out
}

func describe(in Input, out Output) string {
	return fmt.Sprintf("%s %s %v %.6s/%d → %s %s %.6s/%d %.6v lost=%v",
		in.Step, in.Type, in.Types, in.ID, in.Generation, out.Code, out.Cause, out.ID, out.Generation, out.IDs, out.Lost)
}
