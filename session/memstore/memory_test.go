package memstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"tokengate/session"
)

var policy = session.Policy{Lifetime: time.Minute, AbsoluteLifetime: time.Hour, Rotate: true, Limit: true, Max: 2, DestroyOldest: true}

// aged is a store whose clock the test moves.
func aged() (*Store, *time.Time) {
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

func end(t *testing.T, s *Store, user string, id session.ID) {
	t.Helper()
	_, err := s.End(t.Context(), session.EndStep{
		Owner: session.Owner{App: "shop", User: user}, ID: id, Cause: session.CauseUser,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sizes(s *Store) string {
	return fmt.Sprintf("%d holders, %d sessions, %d with traces, %d endings", len(s.holders), s.round.Len(), s.bygone.Len(), len(s.endings))
}

func (s *Store) want(t *testing.T, holders, sessions, traced, endings int) {
	t.Helper()
	want := fmt.Sprintf("%d holders, %d sessions, %d with traces, %d endings", holders, sessions, traced, endings)
	if got := sizes(s); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestFreesWhatNobodyAsksFor has users who log in once and never come back,
// and one user whose steps must free all that in passing.
func TestFreesWhatNobodyAsksFor(t *testing.T) {
	const users = 1000
	s, now := aged()
	for i := range users {
		login(t, s, fmt.Sprint(i))
	}
	for i := range users {
		user := fmt.Sprint("ended ", i)
		end(t, s, user, login(t, s, user).ID)
	}
	s.want(t, 2*users, users, users, users)
	*now = now.Add(policy.Lifetime + linger)
	visits := func(n int) {
		for range n {
			_ = s.Live(t.Context(), session.Owner{App: "shop", User: "visitor"}, "")
		}
	}
	visits(users / sweepWidth)
	s.want(t, users, 0, users, users)
	*now = now.Add(horizon)
	visits(1)
	s.want(t, users, 0, users, 0)
	*now = now.Add(traceLife)
	visits(users / sweepWidth)
	s.want(t, 0, 0, 0, 0)
}

// TestGrowsNoFurther has logins without end, by users who never come back.
func TestGrowsNoFurther(t *testing.T) {
	s, now := aged()
	most := 0
	for i := range 20_000 {
		login(t, s, fmt.Sprint(i))
		*now = now.Add(time.Second)
		most = max(most, len(s.holders))
	}
	if lifetimes := int((policy.Lifetime + linger) / time.Second); most > 3*lifetimes {
		t.Errorf("up to %d sessions were kept where %d were alive or just over", most, lifetimes)
	}
}

// TestTellsExpiredForAWhile: a session that is over is told from one that there
// never was, until it is freed.
func TestTellsExpiredForAWhile(t *testing.T) {
	s, now := aged()
	id, owner := login(t, s, "1").ID, session.Owner{App: "shop", User: "1"}
	*now = now.Add(policy.Lifetime + linger - time.Second)
	if err := s.Live(t.Context(), owner, id); session.CodeOf(err) != session.Expired {
		t.Errorf("just over: %v", err)
	}
	*now = now.Add(2 * time.Second)
	if err := s.Live(t.Context(), owner, id); session.CodeOf(err) != session.Unknown {
		t.Errorf("freed: %v", err)
	}
}

// TestTracesLastSevenDays: also where the owner has had an ending since.
func TestTracesLastSevenDays(t *testing.T) {
	s, now := aged()
	owner, first := session.Owner{App: "shop", User: "1"}, login(t, s, "1").ID
	end(t, s, "1", first)
	*now = now.Add(24 * time.Hour)
	second := login(t, s, "1").ID
	end(t, s, "1", second)
	*now = now.Add(traceLife - 24*time.Hour)
	if err := s.Live(t.Context(), owner, first); session.CodeOf(err) != session.Unknown {
		t.Errorf("after seven days: %v", err)
	}
	if err := s.Live(t.Context(), owner, second); session.CodeOf(err) != session.Ended {
		t.Errorf("after six days: %v", err)
	}
	if got, _ := s.Traces(t.Context(), owner); len(got) != 1 || got[0].ID != second {
		t.Errorf("traces: %v", got)
	}
}

// last remembers the endings of one Follow and stops it at the second CaughtUp
// without news.
type last struct {
	ids  []session.ID
	seen int
	stop func()
}

func (l *last) Ended(e session.Ending) { l.ids = append(l.ids, e.ID) }

func (l *last) CaughtUp(time.Time) {
	if len(l.ids) == l.seen {
		l.stop()
	}
	l.seen = len(l.ids)
}

// TestFollowBeginsAtTheHorizon: what has been trimmed is not told, what hasn't
// is told once.
func TestFollowBeginsAtTheHorizon(t *testing.T) {
	s, now := aged()
	var want []session.ID
	for i := range 10 {
		id := login(t, s, "1").ID
		end(t, s, "1", id)
		if i >= 5 {
			want = append(want, id)
		}
		*now = now.Add(12 * time.Minute)
	}
	ctx, stop := context.WithCancel(t.Context())
	sink := &last{stop: stop}
	if err := s.Follow(ctx, []string{"shop"}, sink); err != context.Canceled {
		t.Errorf("Follow: %v", err)
	}
	if fmt.Sprint(sink.ids) != fmt.Sprint(want) {
		t.Errorf("told of %v, want %v", sink.ids, want)
	}
}
