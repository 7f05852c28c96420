package storetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"tokengate/session"
)

var raceTests = map[string]func(*fixture){
	"logins evict at the maximum":                 raceCreateEvicts,
	"logins fail at the maximum":                  raceCreateFails,
	"no list shows more than the maximum":         raceMaximumHolds,
	"one token within the retry window":           raceRefreshInWindow,
	"one token without retry and reuse detection": raceRefreshOnce,
	"one token without retry is a replay":         raceRefreshReplay,
	"no refresh succeeds after Revoke":            raceRevoke,
	"no refresh succeeds after Logout":            raceLogout,
	"no refresh succeeds after RevokeOthers":      raceRevokeOthers,
	"one of many Revokes succeeds":                raceRevokeOnce,
	"random steps are linearizable":               raceLinearizable,
}

// concurrently runs n goroutines that start at the same time, and waits for them.
func concurrently(n int, do func(i int)) {
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

// countCodes returns how often errs has each code.
func countCodes(errs []error) map[session.Code]int {
	out := map[session.Code]int{}
	for _, err := range errs {
		out[session.CodeOf(err)]++
	}
	return out
}

// raceCreateEvicts checks that concurrent logins each succeed and evict every session once,
// until the maximum is left.
func raceCreateEvicts(f *fixture) {
	const logins, limit = 64, 2
	created, errs := make([]session.CreateResult, logins), make([]error, logins)
	concurrently(logins, func(i int) {
		created[i], errs[i] = f.create(f.owner, session.Long, f.withMaximum(limit, true))
	})
	if got := countCodes(errs); got[session.OK] != logins {
		f.Fatalf("got codes %v, want %d %s", got, logins, session.OK)
	}
	remaining := map[session.ID]bool{}
	for _, c := range created {
		remaining[c.Session.ID] = true
	}
	for _, c := range created {
		for _, t := range c.Revoked {
			if !remaining[t.ID] {
				f.Errorf("session %s was evicted twice, or never created", t.ID)
			}
			delete(remaining, t.ID)
		}
	}
	got := f.mustList(f.owner)
	if len(got) != limit || len(remaining) != limit || !remaining[got[0].ID] || !remaining[got[1].ID] {
		f.Errorf("List: got %v, want those not evicted, %v", ids(got), remaining)
	}
	if n := len(f.mustTombstones(f.owner)); n != maxTombstones {
		f.Errorf("got %d tombstones, want %d", n, maxTombstones)
	}
}

func raceCreateFails(f *fixture) {
	const logins, limit = 64, 2
	errs := make([]error, logins)
	concurrently(logins, func(i int) {
		_, errs[i] = f.create(f.owner, session.Long, f.withMaximum(limit, false))
	})
	if got := countCodes(errs); got[session.OK] != limit || got[session.LimitReached] != logins-limit {
		f.Errorf("got codes %v, want %d %s and %d %s", got, limit, session.OK, logins-limit, session.LimitReached)
	}
	if n := len(f.mustList(f.owner)); n != limit {
		f.Errorf("got %d sessions, want %d", n, limit)
	}
}

// raceMaximumHolds lists sessions during concurrent logins, and checks that the maximum
// holds at any moment, for each type.
func raceMaximumHolds(f *fixture) {
	const limit = 3
	var seen atomic.Int64
	concurrently(12, func(i int) {
		t := session.Types[i%2]
		for range 40 {
			if i >= 4 {
				_, err := f.create(f.owner, t, f.withMaximum(limit, true))
				f.wantCode(err, session.OK)
				continue
			}
			out, err := f.Store.List(f.ctx, session.ListStep{Owner: f.owner, Types: []session.Type{t}})
			f.wantCode(err, session.OK)
			if len(out.Sessions) > limit {
				f.Errorf("List: got %d sessions, want at most %d", len(out.Sessions), limit)
			}
			seen.Add(int64(len(out.Sessions)))
		}
	})
	if n := len(f.mustList(f.owner)); n != 2*limit || seen.Load() == 0 {
		f.Errorf("got %d sessions, want %d; the concurrent lists showed %d in total", n, 2*limit, seen.Load())
	}
}

// wantCode checks that err has one of the allowed codes. Unlike wantError it may be called
// in any goroutine.
func (f *fixture) wantCode(err error, allowed ...session.Code) {
	if !slices.Contains(allowed, session.CodeOf(err)) {
		f.Errorf("got %v, want one of %v", err, allowed)
	}
}

// refreshConcurrently presents one token from many goroutines at the same time.
func (f *fixture) refreshConcurrently(s session.Session, p session.Policy) ([]session.RefreshResult, []error) {
	const n = 20
	results, errs := make([]session.RefreshResult, n), make([]error, n)
	concurrently(n, func(i int) { results[i], errs[i] = f.refresh(s, token(s), p) })
	return results, errs
}

// raceRefreshInWindow checks that one concurrent refresh spends the token, and that the
// others are retries which return the same session.
func raceRefreshInWindow(f *fixture) {
	s := f.login()
	for range 5 {
		results, errs := f.refreshConcurrently(s, f.policy)
		codes := map[session.Code]int{}
		for i := range results {
			f.wantCode(errs[i], session.OK)
			codes[results[i].Code]++
			f.wantSession("successor", results[i].Session, results[0].Session)
		}
		if codes[session.OK] != 1 || codes[session.Retried] != len(results)-1 || results[0].Session.Generation != s.Generation+1 {
			f.Fatalf("got codes %v, generation %d, want one %s, otherwise %s, and generation %d", codes, results[0].Session.Generation, session.OK, session.Retried, s.Generation+1)
		}
		s = results[0].Session
	}
}

// raceRefreshOnce checks that one concurrent refresh succeeds and the others fail with
// Spent.
func raceRefreshOnce(f *fixture) {
	s, p := f.login(), f.policy
	p.RetryWindow, p.ReuseDetection = 0, false
	for range 5 {
		results, errs := f.refreshConcurrently(s, p)
		if got := countCodes(errs); got[session.OK] != 1 || got[session.Spent] != len(errs)-1 {
			f.Fatalf("got codes %v, want one %s, otherwise %s", got, session.OK, session.Spent)
		}
		s = results[slices.Index(errs, nil)].Session
	}
	if s.Generation != 6 {
		f.Errorf("got generation %d, want 6", s.Generation)
	}
}

// raceRefreshReplay checks that one concurrent refresh succeeds, one is a replay that
// revokes the session, and the others find it revoked.
func raceRefreshReplay(f *fixture) {
	p := f.policy
	p.RetryWindow = 0
	for range 5 {
		s := f.login()
		_, errs := f.refreshConcurrently(s, p)
		got := countCodes(errs)
		if got[session.OK] != 1 || got[session.Replayed] != 1 || got[session.Revoked] != len(errs)-2 {
			f.Fatalf("got codes %v, want one %s, one %s, otherwise %s", got, session.OK, session.Replayed, session.Revoked)
		}
		f.wantList()
	}
}

// checkRevokeIsFinal refreshes sessions as fast as possible while one call of revoke
// revokes them. It checks that no refresh succeeds that starts after revoke has returned.
func (f *fixture) checkRevokeIsFinal(cause session.Cause, revoke func(s session.Session) error) {
	const rounds, refreshers = 15, 4
	for round := range rounds {
		s := f.login()
		var revoked atomic.Bool
		concurrently(refreshers+1, func(i int) {
			if i == refreshers {
				f.wantCode(revoke(s), session.OK)
				revoked.Store(true)
				return
			}
			f.refreshUntilRevoked(s, &revoked)
		})
		f.wantError(f.live(f.owner, s.ID), session.Revoked, cause)
		f.wantIDs(fmt.Sprintf("List after round %d", round), ids(f.mustList(f.owner)))
	}
}

// refreshUntilRevoked refreshes a session until a refresh fails because it is revoked. If
// another goroutine has spent its token, its refreshes fail with Spent until then.
func (f *fixture) refreshUntilRevoked(s session.Session, revoked *atomic.Bool) {
	for {
		late := revoked.Load()
		result, err := f.refresh(s, token(s), f.policy)
		switch session.CodeOf(err) {
		case session.Revoked:
			return
		case session.OK:
			s = result.Session
		case session.Spent:
		default:
			f.Errorf("Refresh: %v", err)
			return
		}
		if late {
			f.Errorf("Refresh after the revocation: got %v, generation %d, want %s", err, s.Generation, session.Revoked)
			return
		}
	}
}

func raceRevoke(f *fixture) {
	f.policy.ReuseDetection = false
	f.policy.RetryWindow = session.MaxRetryWindow
	f.checkRevokeIsFinal(session.CauseUser, func(s session.Session) error {
		_, err := f.revoke(s.ID, session.CauseUser, "")
		return err
	})
}

// raceLogout logs out with a token far ahead of the record, since the concurrent refreshes
// have spent every token that was issued.
func raceLogout(f *fixture) {
	f.policy.ReuseDetection = false
	f.checkRevokeIsFinal(session.CauseLogout, func(s session.Session) error {
		_, err := f.logout(s, session.Presented{Secret: s.Secret, Generation: 1 << 30, Expires: s.Expires}, f.policy)
		return err
	})
}

func raceRevokeOthers(f *fixture) {
	f.policy.ReuseDetection = false
	f.checkRevokeIsFinal(session.CauseOthers, func(session.Session) error {
		_, err := f.revokeOthers("", session.Session{}, 0)
		return err
	})
}

func raceRevokeOnce(f *fixture) {
	for range 10 {
		s := f.login()
		errs := make([]error, 16)
		concurrently(len(errs), func(i int) { _, errs[i] = f.revoke(s.ID, session.CauseUser, "") })
		if got := countCodes(errs); got[session.OK] != 1 || got[session.Revoked] != len(errs)-1 {
			f.Fatalf("got codes %v, want one %s, otherwise %s", got, session.OK, session.Revoked)
		}
	}
	if n := len(f.mustTombstones(f.owner)); n != 10 {
		f.Errorf("got %d tombstones, want 10", n)
	}
}
