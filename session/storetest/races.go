package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tokengate/session"
)

var raceTests = map[string]func(*fixture){
	"LoginsEvict":         raceEvict,
	"LoginsRefused":       raceRefuse,
	"NeverOverTheMaximum": raceWatched,
	"RefreshInTheWindow":  raceRetry,
	"RefreshOnce":         raceOnce,
	"RefreshReplayed":     raceReplay,
	"EndIsFinal":          raceEnd,
	"LogoutIsFinal":       raceLogout,
	"OthersAreFinal":      raceOthers,
	"OneEnds":             raceOneEnds,
	"Linearizable":        raceLinearizable,
}

// together runs n goroutines that start at once.
func together(n int, do func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			ready.Wait()
			do(i)
		})
	}
	done.Wait()
}

// codes counts outcomes.
func codes(errs []error) map[session.Code]int {
	out := map[session.Code]int{}
	for _, err := range errs {
		out[session.CodeOf(err)]++
	}
	return out
}

func raceEvict(f *fixture) {
	const logins, limit = 64, 2
	created, errs := make([]session.Created, logins), make([]error, logins)
	together(logins, func(i int) {
		created[i], errs[i] = f.create(f.owner, session.Long, f.capped(limit, true))
	})
	if got := codes(errs); got[session.OK] != logins {
		f.Fatalf("outcomes %v", got)
	}
	left := map[session.ID]bool{}
	for _, c := range created {
		left[c.Session.ID] = true
	}
	for _, c := range created {
		for _, t := range c.Evicted {
			if !left[t.ID] {
				f.Errorf("%s was evicted twice, or never began", t.ID)
			}
			delete(left, t.ID)
		}
	}
	got := f.listed(f.owner)
	if len(got) != limit || len(left) != limit || !left[got[0].ID] || !left[got[1].ID] {
		f.Errorf("listed %v, not evicted %v", ids(got), left)
	}
	if n := len(f.traces(f.owner)); n != maxTraces {
		f.Errorf("%d traces, want %d", n, maxTraces)
	}
}

func raceRefuse(f *fixture) {
	const logins, limit = 64, 2
	errs := make([]error, logins)
	together(logins, func(i int) {
		_, errs[i] = f.create(f.owner, session.Long, f.capped(limit, false))
	})
	if got := codes(errs); got[session.OK] != limit || got[session.LimitReached] != logins-limit {
		f.Errorf("outcomes %v", got)
	}
	if n := len(f.listed(f.owner)); n != limit {
		f.Errorf("%d sessions, want %d", n, limit)
	}
}

// raceWatched looks while logins and refreshes go on: the maximum holds at any
// moment, for each type.
func raceWatched(f *fixture) {
	const limit = 3
	var seen atomic.Int64
	together(12, func(i int) {
		t := session.Types[i%2]
		for range 40 {
			if i >= 4 {
				_, err := f.create(f.owner, t, f.capped(limit, true))
				f.check(err, session.OK)
				continue
			}
			out, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Types: []session.Type{t}})
			f.check(err, session.OK)
			if len(out.Sessions) > limit {
				f.Errorf("%d sessions at once", len(out.Sessions))
			}
			seen.Add(int64(len(out.Sessions)))
		}
	})
	if n := len(f.listed(f.owner)); n != 2*limit || seen.Load() == 0 {
		f.Errorf("%d sessions, want %d; the lists held %d", n, 2*limit, seen.Load())
	}
}

// check is fails for other goroutines than the test's.
func (f *fixture) check(err error, allowed ...session.Code) {
	if !slices.Contains(allowed, session.CodeOf(err)) {
		f.Errorf("got %v, want one of %v", err, allowed)
	}
}

// refreshers presents one token from many goroutines at once.
func (f *fixture) refreshers(s session.Session, p session.Policy) ([]session.Refreshed, []error) {
	const n = 20
	done, errs := make([]session.Refreshed, n), make([]error, n)
	together(n, func(i int) { done[i], errs[i] = f.present(s, token(s), p) })
	return done, errs
}

func raceRetry(f *fixture) {
	s := f.login()
	for range 5 {
		done, errs := f.refreshers(s, f.policy)
		words := map[session.Code]int{}
		for i := range done {
			f.check(errs[i], session.OK)
			words[done[i].Code]++
			f.same("successor", done[i].Session, done[0].Session)
		}
		if words[session.OK] != 1 || words[session.Retried] != len(done)-1 || done[0].Session.Generation != s.Generation+1 {
			f.Fatalf("outcomes %v, generation %d after %d", words, done[0].Session.Generation, s.Generation)
		}
		s = done[0].Session
	}
}

func raceOnce(f *fixture) {
	s, p := f.login(), f.policy
	p.RetryWindow, p.ReuseDetection = 0, false
	for range 5 {
		done, errs := f.refreshers(s, p)
		if got := codes(errs); got[session.OK] != 1 || got[session.Spent] != len(errs)-1 {
			f.Fatalf("outcomes %v", got)
		}
		s = done[slices.Index(errs, nil)].Session
	}
	if s.Generation != 6 {
		f.Errorf("generation %d, want 6", s.Generation)
	}
}

func raceReplay(f *fixture) {
	p := f.policy
	p.RetryWindow = 0
	for range 5 {
		s := f.login()
		_, errs := f.refreshers(s, p)
		got := codes(errs)
		if got[session.OK] != 1 || got[session.Replayed] != 1 || got[session.Ended] != len(errs)-2 {
			f.Fatalf("outcomes %v", got)
		}
		f.wantIDs("List", ids(f.listed(f.owner)))
	}
}

// raceFinal lets sessions be refreshed as fast as can be while one step ends
// them, and wants that no refresh that begins after the end's answer succeeds.
func (f *fixture) raceFinal(cause session.Cause, end func(s session.Session) error) {
	const rounds, refreshers = 15, 4
	for round := range rounds {
		s := f.login()
		var over atomic.Bool
		together(refreshers+1, func(i int) {
			if i == refreshers {
				f.check(end(s), session.OK)
				over.Store(true)
				return
			}
			f.refreshUntilOver(s, &over)
		})
		f.fails(f.Ledger.Live(f.ctx, f.owner, s.ID), session.Ended, cause)
		f.wantIDs(fmt.Sprintf("List after round %d", round), ids(f.listed(f.owner)))
	}
}

// refreshUntilOver goes on where another goroutine was quicker and its own
// token is spent: then it is only refused until the end.
func (f *fixture) refreshUntilOver(s session.Session, over *atomic.Bool) {
	for {
		late := over.Load()
		done, err := f.present(s, token(s), f.policy)
		switch session.CodeOf(err) {
		case session.Ended:
			return
		case session.OK:
			s = done.Session
		case session.Spent:
		default:
			f.Errorf("Refresh: %v", err)
			return
		}
		if late {
			f.Errorf("a refresh after the end: %v, generation %d", err, s.Generation)
			return
		}
	}
}

func raceEnd(f *fixture) {
	f.policy.ReuseDetection = false
	f.policy.RetryWindow = session.MaxRetryWindow
	f.raceFinal(session.CauseUser, func(s session.Session) error {
		_, err := f.end(s.ID, session.CauseUser, "")
		return err
	})
}

// raceLogout logs out with a token that heals, since the others' refreshes have
// spent any that is known.
func raceLogout(f *fixture) {
	f.policy.ReuseDetection = false
	f.raceFinal(session.CauseLogout, func(s session.Session) error {
		_, err := f.logout(s, session.Presented{Generation: 1 << 30, Expires: s.Expires}, f.policy)
		return err
	})
}

func raceOthers(f *fixture) {
	f.policy.ReuseDetection = false
	f.raceFinal(session.CauseOthers, func(session.Session) error {
		_, err := f.others("", session.Session{}, 0)
		return err
	})
}

func raceOneEnds(f *fixture) {
	for range 10 {
		s := f.login()
		errs := make([]error, 16)
		together(len(errs), func(i int) { _, errs[i] = f.end(s.ID, session.CauseUser, "") })
		if got := codes(errs); got[session.OK] != 1 || got[session.Ended] != len(errs)-1 {
			f.Fatalf("outcomes %v", got)
		}
	}
	if n := len(f.traces(f.owner)); n != 10 {
		f.Errorf("%d traces, want 10", n)
	}
}
