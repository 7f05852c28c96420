package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

var feedTests = map[string]func(*fixture){
	"EveryEnding":      feedEvery,
	"EarlierEndings":   feedEarlier,
	"OnlyTheAppsAsked": feedApps,
	"EndApp":           feedEndApp,
	"OddUsers":         feedOdd,
	"GoesOnCatchingUp": feedCatchesUp,
	"EndsWithContext":  feedStops,
}

// patience is how long a feed may take; it is spent only where a test fails.
const patience = 10 * time.Second

// sink remembers what a feed reports.
type sink struct {
	mu       sync.Mutex
	endings  []session.Ending
	caughtUp []time.Time
}

func (s *sink) Ended(e session.Ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endings = append(s.endings, e)
}

func (s *sink) CaughtUp(asOf time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caughtUp = append(s.caughtUp, asOf)
}

// upTo gives what was reported by the time that the feed had caught up with a
// moment. ok is false where it hasn't yet.
func (s *sink) upTo(moment time.Time) (endings []session.Ending, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = slices.ContainsFunc(s.caughtUp, func(asOf time.Time) bool { return asOf.After(moment) })
	return slices.Clone(s.endings), ok
}

// follow starts a feed that stops with the test.
func (f *fixture) follow(apps ...string) *sink {
	if f.Feed == nil {
		f.Skip("the harness has no Feed")
	}
	s, done := &sink{}, make(chan struct{})
	ctx, stop := context.WithCancel(f.ctx)
	go func() {
		defer close(done)
		_ = f.Feed.Follow(ctx, apps, s) // ends with the context
	}()
	f.Cleanup(func() { stop(); <-done })
	return s
}

// reported waits until s has caught up with this moment, and gives its endings
// without repetitions.
func (f *fixture) reported(s *sink) []session.Ending {
	f.Helper()
	now := time.Now()
	for time.Since(now) < patience {
		if got, ok := s.upTo(now); ok {
			var once []session.Ending
			for _, e := range got {
				if !slices.ContainsFunc(once, func(o session.Ending) bool { return o.Owner == e.Owner && o.ID == e.ID }) {
					once = append(once, e)
				}
			}
			return once
		}
		time.Sleep(time.Millisecond)
	}
	f.Fatalf("not caught up after %s", patience)
	return nil
}

// wantReported wants exactly the fixture owner's traces in a feed.
func (f *fixture) wantReported(s *sink) {
	f.Helper()
	got, want := f.reported(s), f.traces(f.owner)
	if len(got) != len(want) {
		f.Fatalf("reported %v, want %v", got, want)
	}
	for _, t := range want {
		i := slices.IndexFunc(got, func(e session.Ending) bool { return e.ID == t.ID })
		if i < 0 || got[i].Owner != f.owner || got[i].Cause != t.Cause || got[i].By != t.By || apart(got[i].At, t.At) >= time.Millisecond {
			f.Fatalf("reported %v, want %v of %v", got, t, f.owner)
		}
	}
}

// endInEveryWay ends sessions by each step that can, and tells of one that
// nobody ended.
func (f *fixture) endInEveryWay() {
	f.Helper()
	for _, cause := range []session.Cause{session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount} {
		_, err := f.end(f.login().ID, cause, "ops|night, {1}")
		f.ok(err, "End")
	}
	s := f.login()
	_, err := f.logout(s, token(s), f.policy)
	f.ok(err, "Logout")
	f.loginAs(f.owner, session.Short)
	f.login()
	_, err = f.others("", session.Session{}, 0)
	f.ok(err, "EndOthers")
	f.login()
	_, err = f.create(f.owner, session.Long, f.capped(1, true))
	f.ok(err, "Create")
	s = f.login()
	f.refresh(f.refresh(s, f.policy), f.policy)
	_, err = f.present(s, token(s), f.policy)
	f.fails(err, session.Replayed, "")
}

func feedEvery(f *fixture) {
	s := f.follow("shop")
	f.reported(s)
	f.endInEveryWay()
	f.wantReported(s)
}

func feedEarlier(f *fixture) {
	f.endInEveryWay()
	f.wantReported(f.follow("shop"))
	f.wantReported(f.follow("other", "shop"))
}

func feedApps(f *fixture) {
	s := f.follow("shop", "third")
	o := session.Owner{App: "other", User: f.owner.User}
	_, err := f.Store.End(f.ctx, session.EndStep{Owner: o, ID: f.loginAs(o, session.Long).ID, Cause: session.CauseUser})
	f.ok(err, "End")
	_, err = f.Ledger.EndApp(f.ctx, "other")
	f.ok(err, "EndApp")
	_, err = f.end(f.login().ID, session.CauseUser, "")
	f.ok(err, "End")
	f.wantReported(s)
}

func feedEndApp(f *fixture) {
	s := f.follow("shop")
	old := f.login()
	f.later()
	receipt, err := f.Ledger.EndApp(f.ctx, "shop")
	f.ok(err, "EndApp")
	got := f.reported(s)
	if len(got) != 1 || got[0].Cause != session.CauseApp || got[0].Owner != (session.Owner{App: "shop"}) || got[0].ID != "" {
		f.Fatalf("reported %+v", got)
	}
	if apart(got[0].At, receipt.Now) > time.Second || !got[0].At.After(old.Created) {
		f.Errorf("reported at %s, done at %s", got[0].At, receipt.Now)
	}
}

func feedOdd(f *fixture) {
	s := f.follow("shop")
	users := []string{"a|b", "{shop:00}", "a:b", "|", "||", "%7C", "ユーザー", "a\nb\x00", ",", "a b"}
	var want []session.Ending
	for _, user := range users {
		o := session.Owner{App: "shop", User: user}
		receipt, err := f.Store.End(f.ctx, session.EndStep{
			Owner: o, ID: f.loginAs(o, session.Long).ID, Cause: session.CauseOperator, By: "by " + user,
		})
		f.ok(err, "End")
		want = append(want, session.Ending{Owner: o, Trace: receipt.Ended[0]})
	}
	got := f.reported(s)
	for _, w := range want {
		if !slices.ContainsFunc(got, func(e session.Ending) bool { return e.Owner == w.Owner && e.ID == w.ID && e.By == w.By }) {
			f.Errorf("not reported: %+v", w)
		}
	}
	if len(got) != len(want) {
		f.Errorf("%d reported, want %d", len(got), len(want))
	}
}

func feedCatchesUp(f *fixture) {
	s := f.follow("shop")
	for range 3 {
		f.reported(s)
	}
}

func feedStops(f *fixture) {
	if f.Feed == nil {
		f.Skip("the harness has no Feed")
	}
	ctx, stop := context.WithCancel(f.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = f.Feed.Follow(ctx, []string{"shop"}, &sink{}) // ends with the context
	}()
	time.Sleep(50 * time.Millisecond)
	stop()
	select {
	case <-done:
	case <-time.After(patience):
		f.Errorf("Follow goes on %s after its context ended", patience)
	}
}
