package credential

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tokengate/session"
)

// stall keeps PostgreSQL from answering any question about users until resume.
func (s *server) stall(t *testing.T) (resume func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.address())
	if err == nil {
		_, err = conn.Exec(t.Context(), `begin; lock table auth_user in access exclusive mode`)
	}
	if err != nil {
		t.Fatal(err)
	}
	resume = sync.OnceFunc(func() { _ = conn.Close(context.Background()) })
	t.Cleanup(resume)
	return resume
}

// asked counts the questions that have got a connection.
func asked(source *Source) int64 {
	p, _ := source.Checker.(*passwords)
	pg, _ := p.accounts.(*postgres)
	return pg.pool.Stat().AcquireCount()
}

// soon waits for what is about to be so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 500 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 5 s: %s", what)
}

// together rechecks users at one time and counts the answers.
func together(t *testing.T, source *Source, ids ...int64) map[session.Code]int {
	t.Helper()
	codes := make([]session.Code, len(ids))
	var all sync.WaitGroup
	for i, id := range ids {
		all.Go(func() { codes[i] = session.CodeOf(source.Recheck(t.Context(), session.NumberID(id))) })
	}
	all.Wait()
	count := map[session.Code]int{}
	for _, code := range codes {
		count[code]++
	}
	return count
}

// A source that gave no answer is asked one question a second until it gives one.
func (s *server) stalledIsLeftAlone(t *testing.T) {
	source := s.open(t, Options{Recheck: RecheckEvery(0), Timeout: time.Second})
	now := clock(t, source)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
	resume := s.stall(t)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.Unavailable)
	for second := range 2 {
		before := asked(source)
		now.Store(int64(time.Duration(second)*pause + pause - 1))
		if count := together(t, source, 1, 2, 3, 4, 5, 6); count[session.Unavailable] != 6 || asked(source) != before {
			t.Errorf("in second %d: %v, and %d questions", second, count, asked(source)-before)
		}
		now.Store(int64(time.Duration(second+1) * pause))
		if count := together(t, source, 1, 2, 3, 4, 5, 6); count[session.Unavailable] != 6 || asked(source) != before+1 {
			t.Errorf("after second %d: %v, and %d questions", second, count, asked(source)-before)
		}
	}
	resume()
	now.Store(int64(3 * pause))
	wantCode(t, source.Recheck(t.Context(), session.NumberID(3)), session.OK)
	if count := together(t, source, 1, 2, 3); count[session.OK] != 2 || count[session.UserInactive] != 1 {
		t.Errorf("where it answers again: %v", count)
	}
}

// However many want to know of one user, there is one question; that one of them
// goes away is neither its end nor the source's fault.
func (s *server) recheckIsAskedOnce(t *testing.T) {
	source := s.open(t, Options{})
	resume := s.stall(t)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	wantCode(t, source.Recheck(short, session.NumberID(1)), session.Unavailable)
	if waited := time.Since(start); waited > 2*time.Second {
		t.Errorf("who has 50 ms waits for %s", waited)
	}
	time.AfterFunc(200*time.Millisecond, resume)
	if count := together(t, source, 1, 1, 1, 1, 1, 1, 1, 1); count[session.OK] != 8 || asked(source) != 1 {
		t.Errorf("%v, and %d questions", count, asked(source))
	}
}

// An answer to a question that somebody else asked earlier is relied on for no
// longer than any other: with 0 s, not at all.
func (s *server) recheckIsAskedInTime(t *testing.T) {
	source := s.open(t, Options{Recheck: RecheckEvery(0), RecheckQuery: `select is_active from auth_user, pg_sleep(0.5) where id = cast($1 as bigint)`})
	var done atomic.Bool
	go func() {
		_ = source.Recheck(t.Context(), session.NumberID(1))
		done.Store(true)
	}()
	soon(t, "a question", func() bool { return asked(source) == 1 })
	time.Sleep(100 * time.Millisecond) // it sees what was so when it began
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 1`)
	soon(t, "its answer", done.Load)
}

// Questions of both kinds share a few connections and mix up nothing.
func (s *server) manyAtOnce(t *testing.T) {
	source := s.open(t, Options{Recheck: RecheckEvery(0)})
	p, _ := source.Checker.(*passwords)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				a, err := p.accounts.find(t.Context(), "alice")
				if err != nil || a.ID != session.NumberID(1) {
					t.Errorf("alice is %v, %v", a.ID, err)
				}
				wantCode(t, source.Recheck(t.Context(), session.NumberID(3)), session.OK)
			}
		})
	}
	all.Wait()
}

// A question that fails for one user is no reason to ask about no other.
func (s *server) oneUsersFault(t *testing.T) {
	for _, query := range []string{
		`select is_active and 1 / (id - 1) >= 0 from auth_user where id = cast($1 as bigint)`, // divides by zero
		`select is_active from auth_user where id = cast($1 as bigint) or cast($1 as bigint) = 1`,
	} {
		source := s.open(t, Options{RecheckQuery: query})
		wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.Unavailable)
		wantCode(t, source.Recheck(t.Context(), session.NumberID(3)), session.OK)
	}
}

// A question that was asked before one that has been answered since, and is given
// up only now, silences nobody.
func TestSilenceGoesByTheLastQuestion(t *testing.T) {
	var s silence
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	no := session.Fail(session.Unavailable, nil)
	s.heard(at(0), at(5), no)
	if s.refuse(at(5)) == nil || s.refuse(at(6)) != nil || s.refuse(at(6)) == nil {
		t.Error("after a failure it is not one who may ask, after the pause")
	}
	s.heard(at(6), at(6), nil)
	s.heard(at(4), at(9), no)
	if err := s.refuse(at(9)); err != nil {
		t.Errorf("a question of before it answered: %v", err)
	}
	s.heard(at(7), at(12), no)
	if s.refuse(at(12)) == nil {
		t.Error("a question of after it answered counts for nothing")
	}
}
