package session_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"tokengate/session"
)

// The settings of the lists that the tests use.
const (
	retention = 5 * time.Minute
	bound     = 10 * time.Second
)

// revocation returns the revocation of one session with CauseUser.
func revocation(app string, id session.ID, at time.Time) session.Revocation {
	return session.Revocation{
		Owner:     session.Owner{App: app, User: "1"},
		Tombstone: session.Tombstone{ID: id, Cause: session.CauseUser, At: at},
	}
}

func appRevocation(app string, at time.Time) session.Revocation {
	return session.Revocation{Owner: session.Owner{App: app}, Tombstone: session.Tombstone{Cause: session.CauseApp, At: at}}
}

// wantCheck checks the result of Check for a token of a session that was issued
// age before now.
func wantCheck(t *testing.T, list *session.RevocationList, id session.ID, age time.Duration, now time.Time, revoked, fresh bool) {
	t.Helper()
	issued := now.Add(-age)
	cause, gotRevoked, gotFresh := list.Check(session.AccessToken{App: "shop", Session: id, Issued: issued, Expires: issued.Add(retention)}, now)
	if gotRevoked != revoked || gotFresh != fresh {
		t.Errorf("Check(%s): got revoked %v, fresh %v, want %v, %v", id, gotRevoked, gotFresh, revoked, fresh)
	}
	if revoked != (cause == session.CauseUser) {
		t.Errorf("Check(%s): got cause %q and revoked %v, want a cause only if revoked", id, cause, revoked)
	}
}

func TestRevocationListFreshness(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	wantCheck(t, list, "a", 0, now, false, false)
	list.Revoked(revocation("shop", "b", now))
	wantCheck(t, list, "b", 0, now, true, true) // a revocation in the list counts even if the list is stale
	wantCheck(t, list, "a", 0, now, false, false)
	list.CaughtUp(now)
	wantCheck(t, list, "a", 0, now, false, true)
	wantCheck(t, list, "a", 0, now.Add(bound), false, true)
	wantCheck(t, list, "a", 0, now.Add(bound+1), false, false)
	wantCheck(t, list, "b", 0, now.Add(bound+1), true, true)
	list.CaughtUp(now.Add(-time.Minute)) // an earlier time has no effect
	wantCheck(t, list, "a", 0, now.Add(bound), false, true)
}

func TestRevocationListPurges(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	list.CaughtUp(now)
	list.Revoked(revocation("shop", "a", now))
	list.Revoked(revocation("shop", "a", now.Add(-time.Minute))) // reported again with an earlier time
	list.Revoked(revocation("shop", "b", now.Add(time.Minute)))
	wantSize(t, list, 2)
	list.CaughtUp(now.Add(retention))
	wantCheck(t, list, "a", 0, now.Add(retention), true, true)
	later := now.Add(retention + retention/4 + time.Minute + time.Second)
	list.CaughtUp(later)
	wantCheck(t, list, "a", 0, later, false, true)
	list.CaughtUp(later.Add(retention))
	wantSize(t, list, 0)
}

func wantSize(t *testing.T, list *session.RevocationList, want int) {
	t.Helper()
	if got := list.Size(); got != want {
		t.Errorf("Size: got %d, want %d", got, want)
	}
}

// TestRevocationListApp checks that Check reports fresh false for tokens that were
// issued before their app's not-before and fresh true for those of other apps, and
// that the later of two not-befores applies.
func TestRevocationListApp(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	list.CaughtUp(now)
	list.Revoked(appRevocation("other", now))
	wantCheck(t, list, "a", time.Second, now, false, true)
	list.Revoked(appRevocation("shop", now.Add(-time.Minute)))
	list.Revoked(appRevocation("shop", now.Add(-time.Hour)))
	wantCheck(t, list, "a", time.Minute+1, now, false, false)
	wantCheck(t, list, "a", time.Minute, now, false, true)
	wantCheck(t, list, "a", 0, now, false, true)
	wantSize(t, list, 0)
}

// TestRevocationListMany checks that the list does not decide about the tokens of a user many of
// whose sessions were revoked at once, unless they are of the kept session or were issued at
// least a minute later, and that it decides again when no token of the others is left.
func TestRevocationListMany(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond)
	list := session.NewRevocationList(retention, bound, func() time.Time { return now })
	list.CaughtUp(now)
	many := func(user string, keep session.ID, at time.Time) {
		list.Revoked(session.Revocation{
			Owner: session.Owner{App: "shop", User: user}, Tombstone: session.Tombstone{Cause: session.CauseOthers, At: at}, Keep: keep,
		})
	}
	want := func(app, user string, id session.ID, age time.Duration, want bool) {
		t.Helper()
		issued := now.Add(-age)
		token := session.AccessToken{App: app, User: user, Session: id, Issued: issued, Expires: issued.Add(retention)}
		if cause, revoked, fresh := list.Check(token, now); revoked || cause != "" || fresh != want {
			t.Errorf("a token of session %s of user %s, issued %s ago: got revoked %v (%s), fresh %v, want fresh %v", id, user, age, revoked, cause, fresh, want)
		}
	}
	many("1", "kept", now.Add(-2*time.Minute))
	many("1", "kept", now.Add(-3*time.Minute)) // reported later
	want("shop", "1", "a", 2*time.Minute, false)
	want("shop", "1", "a", time.Minute, false)
	want("shop", "1", "a", time.Minute-time.Millisecond, true)
	want("shop", "1", "kept", 2*time.Minute, true)
	want("shop", "2", "a", 2*time.Minute, true)
	want("blog", "1", "a", 2*time.Minute, true)
	many("2", "", now)
	want("shop", "2", "a", 0, false)
	many("1", "b", now.Add(-time.Minute)) // one of the kept sessions was revoked, whatever the times
	want("shop", "1", "kept", time.Minute, false)
	want("shop", "1", "b", time.Minute, false)
	wantSize(t, list, 2)
	list.ExtendRetention(2 * retention)
	now = now.Add(2*retention + time.Minute)
	list.CaughtUp(now)
	want("shop", "1", "a", 2*retention+time.Minute, false)
	wantSize(t, list, 2)
	now = now.Add(retention)
	list.CaughtUp(now)
	wantSize(t, list, 0)
	want("shop", "1", "a", 2*time.Minute, true)
}

// TestRevocationListLongLivedToken checks that Check reports fresh false for a token
// that lives longer than the retention by more than a minute, because a revocation of
// its session may be purged before the token expires.
func TestRevocationListLongLivedToken(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	list.CaughtUp(now)
	for lifetime, want := range map[time.Duration]bool{retention: true, retention + time.Minute: true, retention + time.Minute + 1: false} {
		_, _, fresh := list.Check(session.AccessToken{App: "shop", Session: "a", Issued: now, Expires: now.Add(lifetime)}, now)
		if fresh != want {
			t.Errorf("a token that lives for %s: got fresh %v, want %v", lifetime, fresh, want)
		}
	}
	if _, _, fresh := list.Check(session.AccessToken{App: "shop", Session: "a", Expires: now.Add(retention)}, now); fresh {
		t.Error("a token without iat: got fresh true, want false")
	}
}

// TestRevocationListConcurrent reads the list while it is written; run it with
// -race.
func TestRevocationListConcurrent(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	const n = 500
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := range n {
				list.Check(session.AccessToken{App: "shop", Session: session.ID(fmt.Sprint(i)), Issued: now, Expires: now.Add(retention)}, now)
				list.Size()
			}
		})
	}
	for i := range n {
		list.Revoked(revocation("shop", session.ID(fmt.Sprint(i)), now))
		list.CaughtUp(now.Add(time.Duration(i)))
	}
	readers.Wait()
	for i := range n {
		wantCheck(t, list, session.ID(fmt.Sprint(i)), 0, now, true, true)
	}
}

// TestRevocationListAwaits checks that the list decides nothing about an app whose revocations
// the feed has not read, and goes on deciding about the others.
func TestRevocationListAwaits(t *testing.T) {
	list, now := session.NewRevocationList(retention, bound, nil), time.Now()
	list.CaughtUp(now)
	list.MarkUnread("shop")
	wantCheck(t, list, "a", 0, now, false, false)
	other := session.AccessToken{App: "blog", Session: "b", Issued: now, Expires: now.Add(retention)}
	if _, revoked, fresh := list.Check(other, now); revoked || !fresh {
		t.Errorf("another app: got revoked %v, fresh %v, want false, true", revoked, fresh)
	}
	list.Revoked(revocation("shop", "c", now))
	wantCheck(t, list, "c", 0, now, true, true)
	list.CaughtUp(now)
	wantCheck(t, list, "a", 0, now, false, true)
}

// TestRevocationListGrows checks that a longer retention applies to the revocations that are in
// the list, and that the list decides about longer tokens when a feed has caught up again.
func TestRevocationListGrows(t *testing.T) {
	start := time.Now()
	list := session.NewRevocationList(retention, bound, func() time.Time { return start })
	list.CaughtUp(start)
	list.Revoked(revocation("shop", "a", start))
	list.ExtendRetention(retention / 2)
	wantCheck(t, list, "b", 0, start, false, true) // a shorter one changes nothing
	list.ExtendRetention(2 * retention)
	wantCheck(t, list, "b", 0, start, false, true)
	wantCheck(t, list, "a", 0, start, true, true)
	long := func(at time.Time) session.AccessToken {
		return session.AccessToken{App: "shop", Session: "b", Issued: at, Expires: at.Add(2 * retention)}
	}
	if _, _, fresh := list.Check(long(start), start); fresh {
		t.Error("the list decides about a token with the longer lifetime before the feed has caught up")
	}
	later := start.Add(2*retention + time.Minute)
	list.CaughtUp(later)
	wantCheck(t, list, "b", 0, later, false, true)
	wantCheck(t, list, "a", 0, later, true, true)
	if _, _, fresh := list.Check(long(later), later); !fresh {
		t.Error("the list does not decide about a token with the longer lifetime")
	}
}

// TestListRestarts checks that the list drops what the feed does not report again, and keeps
// it until the feed has caught up.
func TestListRestarts(t *testing.T) {
	now := time.Now()
	list := session.NewRevocationList(retention, bound, func() time.Time { return now })
	revoked := func(id session.ID) bool {
		_, revoked, _ := list.Check(session.AccessToken{App: "shop", Session: id, Issued: now, Expires: now.Add(time.Minute)}, now)
		return revoked
	}
	report := func(ids ...session.ID) {
		for _, id := range ids {
			list.Revoked(session.Revocation{Owner: session.Owner{App: "shop", User: "42"}, Tombstone: session.Tombstone{ID: id, Cause: session.CauseLogout}})
		}
	}
	report("kept", "lost")
	list.CaughtUp(now)
	list.Restart()
	if !revoked("lost") {
		t.Error("the list has dropped a revocation before the feed has caught up")
	}
	report("kept", "own") // own is this instance's, while the feed reads
	list.CaughtUp(now.Add(time.Millisecond))
	if !revoked("kept") || !revoked("own") || revoked("lost") {
		t.Errorf("after the restart: kept %t, own %t, lost %t; want the first two", revoked("kept"), revoked("own"), revoked("lost"))
	}
	list.CaughtUp(now.Add(2 * time.Millisecond))
	if !revoked("kept") || list.Size() != 2 {
		t.Errorf("after the next CaughtUp: got %d revocations, want 2", list.Size())
	}
}
