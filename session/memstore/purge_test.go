package memstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tokengate/session"
)

var policy = session.Policy{Lifetime: time.Minute, AbsoluteLifetime: time.Hour, Rotate: true, Limit: true, Max: 2, DestroyOldest: true}

// newTestStore returns a store and its clock, which the test moves.
func newTestStore() (*Store, *time.Time) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return New(Options{Now: func() time.Time { return now }}), &now
}

func login(t *testing.T, s *Store, user string) session.Session {
	t.Helper()
	out, err := s.Create(t.Context(), session.CreateStep{
		Owner: session.Owner{App: "shop", User: user}, Policy: policy,
		Session: session.Session{ID: session.NewID(), Type: session.Long},
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Session
}

func revoke(t *testing.T, s *Store, user string, id session.ID) {
	t.Helper()
	_, err := s.Revoke(t.Context(), session.RevokeStep{
		Owner: session.Owner{App: "shop", User: user}, ID: id, Cause: session.CauseUser,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sizes counts what a store holds.
type sizes struct{ owners, sessions, revokedOwners, revocations int }

func checkSizes(t *testing.T, s *Store, want sizes) {
	t.Helper()
	got := sizes{len(s.owners), s.purgeOrder.Len(), s.revokedOwners.Len(), len(s.revocations)}
	if got != want {
		t.Errorf("the store holds %+v, want %+v", got, want)
	}
}

// TestPurgeFreesAbandonedSessions creates sessions whose users never return, and
// checks that the steps of one other user free all of them.
func TestPurgeFreesAbandonedSessions(t *testing.T) {
	const users = 1000
	s, now := newTestStore()
	for i := range users {
		login(t, s, fmt.Sprint(i))
	}
	for i := range users {
		user := fmt.Sprint("revoked ", i)
		revoke(t, s, user, login(t, s, user).ID)
	}
	checkSizes(t, s, sizes{2 * users, users, users, users})
	runSteps := func(n int) {
		for range n {
			_ = s.Live(t.Context(), session.LiveStep{Owner: session.Owner{App: "shop", User: "other"}})
		}
	}
	*now = now.Add(policy.Lifetime + purgeDelay)
	runSteps(users / purgeBatch)
	checkSizes(t, s, sizes{users, 0, users, users})
	*now = now.Add(defaultRetention)
	runSteps(1)
	checkSizes(t, s, sizes{users, 0, users, 0})
	*now = now.Add(tombstoneLifetime)
	runSteps(users / purgeBatch)
	checkSizes(t, s, sizes{})
}

// TestMemoryIsBounded logs in one new user a second, none of whom returns, and checks
// that the number of stored owners stays in proportion to the live sessions.
func TestMemoryIsBounded(t *testing.T) {
	s, now := newTestStore()
	most := 0
	for i := range 20_000 {
		login(t, s, fmt.Sprint(i))
		*now = now.Add(time.Second)
		most = max(most, len(s.owners))
	}
	if needed := int((policy.Lifetime + purgeDelay) / time.Second); most > 3*needed {
		t.Errorf("the store held up to %d owners, want at most 3 times the %d that are live or just expired", most, needed)
	}
}

// TestExpiredIsReportedDuringGrace checks that an expired session is reported as
// Expired until it is purged, and as Unknown from then on.
func TestExpiredIsReportedDuringGrace(t *testing.T) {
	s, now := newTestStore()
	id, owner := login(t, s, "1").ID, session.Owner{App: "shop", User: "1"}
	*now = now.Add(policy.Lifetime + purgeDelay - time.Second)
	if err := s.Live(t.Context(), session.LiveStep{Owner: owner, ID: id}); session.CodeOf(err) != session.Expired {
		t.Errorf("just before the purge: got %v, want %s", err, session.Expired)
	}
	*now = now.Add(2 * time.Second)
	if err := s.Live(t.Context(), session.LiveStep{Owner: owner, ID: id}); session.CodeOf(err) != session.Unknown {
		t.Errorf("after the purge: got %v, want %s", err, session.Unknown)
	}
}

// TestTombstonesLastSevenDays checks that each tombstone has its own seven days, also
// if the owner has a later one.
func TestTombstonesLastSevenDays(t *testing.T) {
	s, now := newTestStore()
	owner, first := session.Owner{App: "shop", User: "1"}, login(t, s, "1").ID
	revoke(t, s, "1", first)
	*now = now.Add(24 * time.Hour)
	second := login(t, s, "1").ID
	revoke(t, s, "1", second)
	*now = now.Add(tombstoneLifetime - 24*time.Hour)
	if err := s.Live(t.Context(), session.LiveStep{Owner: owner, ID: first}); session.CodeOf(err) != session.Unknown {
		t.Errorf("after seven days: got %v, want %s", err, session.Unknown)
	}
	if err := s.Live(t.Context(), session.LiveStep{Owner: owner, ID: second}); session.CodeOf(err) != session.Revoked {
		t.Errorf("after six days: got %v, want %s", err, session.Revoked)
	}
	if got, _ := s.Tombstones(t.Context(), owner); len(got) != 1 || got[0].ID != second {
		t.Errorf("got tombstones %v, want one of %s", got, second)
	}
}

// recorder records the revocations of one Follow, and stops it at the first CaughtUp
// without a new revocation since the one before.
type recorder struct {
	ids      []session.ID
	previous int // number of ids at the CaughtUp before
	stop     func()
}

func (r *recorder) Revoked(e session.Revocation) { r.ids = append(r.ids, e.ID) }

func (r *recorder) Restart() {}

func (r *recorder) CaughtUp(time.Time) {
	if len(r.ids) == r.previous {
		r.stop()
	}
	r.previous = len(r.ids)
}

// TestFollowStartsAtRetention checks that Follow reports each revocation within the
// retention once, and none of the older ones.
func TestFollowStartsAtRetention(t *testing.T) {
	s, now := newTestStore()
	var want []session.ID
	for i := range 10 {
		id := login(t, s, "1").ID
		revoke(t, s, "1", id)
		if i >= 5 {
			want = append(want, id)
		}
		*now = now.Add(12 * time.Minute)
	}
	ctx, stop := context.WithCancel(t.Context())
	sink := &recorder{stop: stop}
	if err := s.Follow(ctx, []string{"shop"}, sink); err != context.Canceled {
		t.Errorf("Follow: got %v, want %v", err, context.Canceled)
	}
	if fmt.Sprint(sink.ids) != fmt.Sprint(want) {
		t.Errorf("Follow reported %v, want %v", sink.ids, want)
	}
}
