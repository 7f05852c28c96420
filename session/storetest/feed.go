package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"tokengate/session"
)

var feedTests = map[string]func(*fixture){
	"reports every revocation":              feedEveryRevocation,
	"reports revocations before it started": feedEarlierRevocations,
	"reports only the apps asked for":       feedApps,
	"reports RevokeApp as one revocation":   feedRevokeApp,
	"unusual users and authors":             feedUnusualUsers,
	"catches up repeatedly":                 feedCaughtUp,
	"ends with its context":                 feedStops,
}

// feedTimeout is how long a feed may take. Only a failing test takes that long.
const feedTimeout = 10 * time.Second

// sink records what a feed reports.
type sink struct {
	mu          sync.Mutex
	revocations []session.Revocation
	caughtUp    []time.Time
}

func (s *sink) Revoked(e session.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revocations = append(s.revocations, e)
}

func (s *sink) Restart() {} // what was reported before stays in revocations

func (s *sink) CaughtUp(asOf time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caughtUp = append(s.caughtUp, asOf)
}

// upTo returns what was reported so far. ok is false if the feed has not yet caught up with
// a moment.
func (s *sink) upTo(moment time.Time) (revocations []session.Revocation, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = slices.ContainsFunc(s.caughtUp, func(asOf time.Time) bool { return asOf.After(moment) })
	return slices.Clone(s.revocations), ok
}

// follow starts Follow, which runs until the end of the test.
func (f *fixture) follow(apps ...string) *sink {
	if f.Feed == nil {
		f.Skip("the harness has no Feed")
	}
	s, done := &sink{}, make(chan struct{})
	ctx, stop := context.WithCancel(f.ctx)
	go func() {
		defer close(done)
		_ = f.Feed.Follow(ctx, apps, s) // returns the context's error
	}()
	f.Cleanup(func() { stop(); <-done })
	return s
}

// waitForRevocations waits until s has caught up with the present moment, and returns what
// was reported, without repetitions.
func (f *fixture) waitForRevocations(s *sink) []session.Revocation {
	f.Helper()
	now := time.Now()
	for time.Since(now) < feedTimeout {
		if got, ok := s.upTo(now); ok {
			var once []session.Revocation
			for _, e := range got {
				if !slices.ContainsFunc(once, func(o session.Revocation) bool { return o.Owner == e.Owner && o.ID == e.ID }) {
					once = append(once, e)
				}
			}
			return once
		}
		time.Sleep(time.Millisecond)
	}
	f.Fatalf("the feed has not caught up after %s", feedTimeout)
	return nil
}

// wantReported checks that a feed has reported exactly the tombstones of the fixture's
// owner.
func (f *fixture) wantReported(s *sink) {
	f.Helper()
	got, want := f.waitForRevocations(s), f.mustTombstones(f.owner)
	if len(got) != len(want) {
		f.Fatalf("reported %v, want %v", got, want)
	}
	for _, t := range want {
		i := slices.IndexFunc(got, func(e session.Revocation) bool { return e.ID == t.ID })
		if i < 0 || got[i].Owner != f.owner || got[i].Cause != t.Cause || got[i].By != t.By || timeDiff(got[i].At, t.At) >= time.Millisecond {
			f.Fatalf("reported %v, want %v of %v", got, t, f.owner)
		}
	}
}

// revokeByEveryStep revokes sessions of the fixture's owner by every step except RevokeApp,
// with every cause. It leaves one session live.
func (f *fixture) revokeByEveryStep() {
	f.Helper()
	for _, cause := range []session.Cause{session.CauseUser, session.CauseTypeMismatch, session.CauseOperator, session.CauseAccount} {
		_, err := f.revoke(f.login().ID, cause, "ops|night, {1}")
		f.noError(err, "Revoke")
	}
	s := f.login()
	_, err := f.logout(s, token(s), f.policy)
	f.noError(err, "Logout")
	f.loginAs(f.owner, session.Short)
	f.login()
	_, err = f.revokeOthers("", session.Session{}, 0)
	f.noError(err, "RevokeOthers")
	f.login()
	_, err = f.create(f.owner, session.Long, f.withMaximum(1, true))
	f.noError(err, "Create")
	s = f.login()
	f.mustRefresh(f.mustRefresh(s, f.policy), f.policy)
	_, err = f.refresh(s, token(s), f.policy)
	f.wantError(err, session.Replayed, "")
}

func feedEveryRevocation(f *fixture) {
	s := f.follow("shop")
	f.waitForRevocations(s)
	f.revokeByEveryStep()
	f.wantReported(s)
}

func feedEarlierRevocations(f *fixture) {
	f.revokeByEveryStep()
	f.wantReported(f.follow("shop"))
	f.wantReported(f.follow("other", "shop"))
}

func feedApps(f *fixture) {
	s := f.follow("shop", "third")
	o := session.Owner{App: "other", User: f.owner.User}
	_, err := f.Store.Revoke(f.ctx, session.RevokeStep{Owner: o, ID: f.loginAs(o, session.Long).ID, Cause: session.CauseUser})
	f.noError(err, "Revoke")
	_, err = f.Store.RevokeApp(f.ctx, "other")
	f.noError(err, "RevokeApp")
	_, err = f.revoke(f.login().ID, session.CauseUser, "")
	f.noError(err, "Revoke")
	f.wantReported(s)
}

// feedRevokeApp checks that RevokeApp is reported as one revocation without user and
// session, whose time is after the creation of the app's sessions.
func feedRevokeApp(f *fixture) {
	s := f.follow("shop")
	old := f.login()
	f.tick()
	result, err := f.Store.RevokeApp(f.ctx, "shop")
	f.noError(err, "RevokeApp")
	got := f.waitForRevocations(s)
	if len(got) != 1 || got[0].Cause != session.CauseApp || got[0].Owner != (session.Owner{App: "shop"}) || got[0].ID != "" {
		f.Fatalf("reported %+v, want one revocation of the app with cause %s", got, session.CauseApp)
	}
	if timeDiff(got[0].At, result.Now) > time.Second || !got[0].At.After(old.Created) {
		f.Errorf("reported for %s, want the time of the step, %s", got[0].At, result.Now)
	}
}

// feedUnusualUsers uses users and authors that contain characters which a store may use as
// separators.
func feedUnusualUsers(f *fixture) {
	s := f.follow("shop")
	users := []string{"a|b", "{shop:00}", "a:b", "|", "||", "%7C", "ユーザー", "a\nb\x00", ",", "a b"}
	var want []session.Revocation
	for _, user := range users {
		o := session.Owner{App: "shop", User: user}
		result, err := f.Store.Revoke(f.ctx, session.RevokeStep{
			Owner: o, ID: f.loginAs(o, session.Long).ID, Cause: session.CauseOperator, By: "by " + user,
		})
		f.noError(err, "Revoke")
		want = append(want, session.Revocation{Owner: o, Tombstone: result.Revoked[0]})
	}
	got := f.waitForRevocations(s)
	for _, w := range want {
		if !slices.ContainsFunc(got, func(e session.Revocation) bool { return e.Owner == w.Owner && e.ID == w.ID && e.By == w.By }) {
			f.Errorf("not reported: %+v", w)
		}
	}
	if len(got) != len(want) {
		f.Errorf("reported %d revocations, want %d", len(got), len(want))
	}
}

func feedCaughtUp(f *fixture) {
	s := f.follow("shop")
	for range 3 {
		f.waitForRevocations(s)
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
		_ = f.Feed.Follow(ctx, []string{"shop"}, &sink{}) // returns the context's error
	}()
	time.Sleep(50 * time.Millisecond)
	stop()
	select {
	case <-done:
	case <-time.After(feedTimeout):
		f.Errorf("Follow has not returned %s after the end of its context", feedTimeout)
	}
}
