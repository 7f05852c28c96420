package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tokengate/api/listen"
	"tokengate/session"
)

// listing is a large list that a test has started.
type listing struct {
	list *largeList
	err  error
	done atomic.Bool
}

// start starts a large list of an app, and waits until it has entered, waits or was refused.
func start(l *largeLists, app string) *listing {
	w := &listing{list: l.of(app)}
	ctx := w.list.context(context.Background())
	go func() {
		w.err = session.EnterLargeList(ctx)
		w.done.Store(true)
	}()
	synctest.Wait()
	return w
}

// TestLargeListsOfOneApp checks that an app's large lists are worked on one after the other,
// that one that waits too long and one beyond those that may wait are refused, and that
// another app's go on.
func TestLargeListsOfOneApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLists()
		first, second := start(l, "a"), start(l, "a")
		if !first.list.entered || second.done.Load() {
			t.Fatalf("got %+v and %+v, want one in work and one that waits", first, second)
		}
		for range maxWaitingLists - 1 {
			start(l, "a")
		}
		if surplus := start(l, "a"); session.CodeOf(surplus.err) != session.Busy {
			t.Errorf("one more than may wait: got %v, want %s", surplus.err, session.Busy)
		}
		if other := start(l, "b"); !other.list.entered {
			t.Errorf("another app's list waits: %+v", other)
		}
		first.list.leave()
		synctest.Wait()
		if !second.list.entered {
			t.Errorf("the list that waits has not followed: %+v", second)
		}
		time.Sleep(2 * largeListPatience)
		synctest.Wait()
		if third := start(l, "a"); third.done.Load() {
			t.Errorf("got %+v, want one that waits, because those before have given up", third)
		}
		second.list.leave()
		synctest.Wait()
		if len(l.places) != 2 {
			t.Errorf("%d lists are in work, want 2", len(l.places))
		}
	})
}

// TestLargeListsOfAllApps checks the bound for all apps together, and that a list that was
// refused leaves its app's place to the next one.
func TestLargeListsOfAllApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLargeLists()
		var inWork []*listing
		for _, app := range []string{"a", "b", "c", "d"} {
			inWork = append(inWork, start(l, app))
		}
		refused := start(l, "e")
		if refused.done.Load() {
			t.Fatalf("got %+v, want one that waits", refused)
		}
		time.Sleep(2 * largeListPatience)
		synctest.Wait()
		if session.CodeOf(refused.err) != session.Busy || refused.list.entered {
			t.Errorf("got %+v, want %s", refused, session.Busy)
		}
		refused.list.leave()
		inWork[0].list.leave()
		if next := start(l, "e"); !next.list.entered {
			t.Errorf("got %+v, want one in work", next)
		}
	})
}

// deadlineWriter records the deadlines that are set for an answer.
type deadlineWriter struct {
	http.ResponseWriter
	deadlines []time.Time
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}

// TestPartsHaveDeadlines checks that a client has a limited time to read each part of a large
// list, and no longer than any answer may take for all of it.
func TestPartsHaveDeadlines(t *testing.T) {
	w := &deadlineWriter{ResponseWriter: httptest.NewRecorder()}
	x := &exchange{ResponseWriter: w, start: time.Now()}
	send := func() { (&largeList{entered: true}).sendPart(x, make([]byte, partSize)) }
	for i := range 3 {
		if send(); len(w.deadlines) != i+1 || time.Until(w.deadlines[i]) > partTime {
			t.Fatalf("got the deadlines %s, want %d within %s", w.deadlines, i+1, partTime)
		}
	}
	x.start = x.start.Add(-listen.AnswerTimeout)
	if send(); time.Until(w.deadlines[3]) > 0 {
		t.Errorf("after %s: got the deadline %s, want one that is over", listen.AnswerTimeout, w.deadlines[3])
	}
}
