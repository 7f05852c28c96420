package session_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tokengate/session"
)

const (
	keep  = 5 * time.Minute
	bound = 10 * time.Second
)

func ended(app string, id session.ID, at time.Time) session.Ending {
	return session.Ending{
		Owner: session.Owner{App: app, User: "1"},
		Trace: session.Trace{ID: id, Cause: session.CauseUser, At: at},
	}
}

func appEnded(app string, at time.Time) session.Ending {
	return session.Ending{Owner: session.Owner{App: app}, Trace: session.Trace{Cause: session.CauseApp, At: at}}
}

// check wants what Check says of a token issued before an instant.
func check(t *testing.T, r *session.Revocations, id session.ID, age time.Duration, now time.Time, ended, fresh bool) {
	t.Helper()
	iat := now.Add(-age)
	cause, gotEnded, gotFresh := r.Check(session.Token{App: "shop", Session: id, Issued: iat, Expires: iat.Add(keep)}, now)
	if gotEnded != ended || gotFresh != fresh {
		t.Errorf("Check(%s): ended %v, fresh %v, want %v, %v", id, gotEnded, gotFresh, ended, fresh)
	}
	if ended != (cause == session.CauseUser) {
		t.Errorf("Check(%s): cause %q", id, cause)
	}
}

func TestRevocationsFreshness(t *testing.T) {
	r, now := session.NewRevocations(keep, bound), time.Now()
	check(t, r, "a", 0, now, false, false)
	r.Ended(ended("shop", "b", now))
	check(t, r, "b", 0, now, true, true) // what is known to have ended needs no news
	check(t, r, "a", 0, now, false, false)
	r.CaughtUp(now)
	check(t, r, "a", 0, now, false, true)
	check(t, r, "a", 0, now.Add(bound), false, true)
	check(t, r, "a", 0, now.Add(bound+1), false, false)
	check(t, r, "b", 0, now.Add(bound+1), true, true)
	r.CaughtUp(now.Add(-time.Minute)) // late news of an earlier moment doesn't set it back
	check(t, r, "a", 0, now.Add(bound), false, true)
}

func TestRevocationsForget(t *testing.T) {
	r, now := session.NewRevocations(keep, bound), time.Now()
	r.CaughtUp(now)
	r.Ended(ended("shop", "a", now))
	r.Ended(ended("shop", "a", now.Add(-time.Minute))) // the same again, as of earlier
	r.Ended(ended("shop", "b", now.Add(time.Minute)))
	if r.Size() != 2 {
		t.Errorf("size %d, want 2", r.Size())
	}
	r.CaughtUp(now.Add(keep))
	check(t, r, "a", 0, now.Add(keep), true, true)
	later := now.Add(keep + keep/4 + time.Minute + time.Second)
	r.CaughtUp(later)
	check(t, r, "a", 0, later, false, true)
	r.CaughtUp(later.Add(keep))
	if r.Size() != 0 {
		t.Errorf("size %d, want 0", r.Size())
	}
}

// TestRevocationsApp: of tokens issued before an app's moment the list can't
// say, of another app's it can; of two moments the later counts.
func TestRevocationsApp(t *testing.T) {
	r, now := session.NewRevocations(keep, bound), time.Now()
	r.CaughtUp(now)
	r.Ended(appEnded("other", now))
	check(t, r, "a", time.Second, now, false, true)
	r.Ended(appEnded("shop", now.Add(-time.Minute)))
	r.Ended(appEnded("shop", now.Add(-time.Hour)))
	check(t, r, "a", time.Minute+1, now, false, false)
	check(t, r, "a", time.Minute, now, false, true)
	check(t, r, "a", 0, now, false, true)
	if r.Size() != 0 {
		t.Errorf("size %d, want 0", r.Size())
	}
}

// TestRevocationsLongLivedToken: an ending may be forgotten before a token dies
// that lives longer than the list was made for, so the list can't say of it.
func TestRevocationsLongLivedToken(t *testing.T) {
	r, now := session.NewRevocations(keep, bound), time.Now()
	r.CaughtUp(now)
	for life, want := range map[time.Duration]bool{keep: true, keep + 1: false} {
		_, _, fresh := r.Check(session.Token{App: "shop", Session: "a", Issued: now, Expires: now.Add(life)}, now)
		if fresh != want {
			t.Errorf("a token for %s: fresh %v", life, fresh)
		}
	}
	if _, _, fresh := r.Check(session.Token{App: "shop", Session: "a", Expires: now.Add(keep)}, now); fresh {
		t.Error("a token without iat counts as young")
	}
}

// TestRevocationsConcurrent has readers while a feed writes; it is for -race.
func TestRevocationsConcurrent(t *testing.T) {
	r, now := session.NewRevocations(keep, bound), time.Now()
	const n = 500
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range n {
				r.Check(session.Token{App: "shop", Session: session.ID(fmt.Sprint(i)), Issued: now, Expires: now.Add(keep)}, now)
				r.Size()
			}
		})
	}
	for i := range n {
		r.Ended(ended("shop", session.ID(fmt.Sprint(i)), now))
		r.CaughtUp(now.Add(time.Duration(i)))
	}
	readers.Wait()
	for i := range n {
		check(t, r, session.ID(fmt.Sprint(i)), 0, now, true, true)
	}
}
