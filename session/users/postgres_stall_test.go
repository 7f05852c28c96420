package users

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tokengate/session"
)

// stall makes all queries of the user table wait until resume is called.
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

// queryCount returns the number of queries that have acquired a connection.
func queryCount(source *Source) int64 {
	c, _ := source.Checker.(*hashChecker)
	pg, _ := c.accounts.(*postgresSource)
	return pg.pool.Stat().AcquireCount()
}

// checkBreakerOpen rechecks alice, and checks that this causes neither a connection nor a
// query.
func checkBreakerOpen(t *testing.T, source *Source) {
	t.Helper()
	c, _ := source.Checker.(*hashChecker)
	pg, _ := c.accounts.(*postgresSource)
	before := pg.pool.Stat()
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
	after := pg.pool.Stat()
	if after.AcquireCount() != before.AcquireCount() || after.NewConnsCount() != before.NewConnsCount() {
		t.Error("the circuit breaker is closed")
	}
}

// waitFor waits up to 5 s until condition returns true.
func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 500 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 5 s: %s", what)
}

// recheckAll rechecks users concurrently and returns how often it got each code.
func recheckAll(t *testing.T, source *Source, ids ...int64) map[session.Code]int {
	t.Helper()
	codes := make([]session.Code, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { codes[i] = session.CodeOf(recheck(t.Context(), session.NumberID(id), source)) })
	}
	wg.Wait()
	count := map[session.Code]int{}
	for _, code := range codes {
		count[code]++
	}
	return count
}

// breakerOpens checks that a source that did not answer gets one recheck a second until it
// answers.
func (s *server) breakerOpens(t *testing.T) {
	source := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}, Timeout: time.Second})
	now := setClock(t, source)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
	resume := s.stall(t)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
	for second := range 2 {
		before := queryCount(source)
		now.Store(int64(time.Duration(second)*breakerInterval + breakerInterval - 1))
		if count := recheckAll(t, source, 1, 2, 3, 4, 5, 6); count[session.Unavailable] != 6 || queryCount(source) != before {
			t.Errorf("in second %d: got %v and %d queries, want none", second, count, queryCount(source)-before)
		}
		now.Store(int64(time.Duration(second+1) * breakerInterval))
		if count := recheckAll(t, source, 1, 2, 3, 4, 5, 6); count[session.Unavailable] != 6 || queryCount(source) != before+1 {
			t.Errorf("after second %d: got %v and %d queries, want 1", second, count, queryCount(source)-before)
		}
	}
	resume()
	now.Store(int64(3 * breakerInterval))
	wantCode(t, recheck(t.Context(), session.NumberID(3), source), session.OK)
	if count := recheckAll(t, source, 1, 2, 3); count[session.OK] != 2 || count[session.UserInactive] != 1 {
		t.Errorf("after the source answers again: got %v, want 2 ok and 1 user_inactive", count)
	}
}

// recheckIsShared checks that concurrent rechecks of one user share one query, which
// neither ends nor opens the circuit breaker when the context of one of them is done.
func (s *server) recheckIsShared(t *testing.T) {
	source := s.open(t, Options{})
	resume := s.stall(t)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	wantCode(t, recheck(short, session.NumberID(1), source), session.Unavailable)
	if waited := time.Since(start); waited > 2*time.Second {
		t.Errorf("a recheck with a timeout of 50 ms took %s, want at most 2s", waited)
	}
	time.AfterFunc(200*time.Millisecond, resume)
	if count := recheckAll(t, source, 1, 1, 1, 1, 1, 1, 1, 1); count[session.OK] != 8 || queryCount(source) != 1 {
		t.Errorf("got %v with %d queries, want 8 with 1", count, queryCount(source))
	}
}

// recheckIsFresh checks that the answer to an earlier query of another caller is relied on
// for no longer than any other answer: not at all if RECHECK_USER is 0s.
func (s *server) recheckIsFresh(t *testing.T) {
	source := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}, RecheckQuery: `select is_active from auth_user, pg_sleep(0.5) where id = cast($1 as bigint)`})
	var done atomic.Bool
	go func() {
		_ = recheck(t.Context(), session.NumberID(1), source)
		done.Store(true)
	}()
	waitFor(t, "a query is sent", func() bool { return queryCount(source) == 1 })
	time.Sleep(100 * time.Millisecond) // the query sees the table as it was when it began
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 1`)
	waitFor(t, "the first recheck returns", done.Load)
}

// concurrentQueries checks that concurrent logins and rechecks, which share a few
// connections, each get their own answer.
func (s *server) concurrentQueries(t *testing.T) {
	source := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}})
	c, _ := source.Checker.(*hashChecker)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				a, err := c.accounts.find(t.Context(), "alice")
				if err != nil || a.ID != session.NumberID(1) {
					t.Errorf("got user %v, %v, want 1", a.ID, err)
				}
				wantCode(t, recheck(t.Context(), session.NumberID(3), source), session.OK)
			}
		})
	}
	wg.Wait()
}

// errorOfOneUser checks that an error that concerns one user does not open the circuit
// breaker.
func (s *server) errorOfOneUser(t *testing.T) {
	for _, query := range []string{
		`select is_active and 1 / (id - 1) >= 0 from auth_user where id = cast($1 as bigint)`, // divides by zero
		`select is_active from auth_user where id = cast($1 as bigint) or cast($1 as bigint) = 1`,
	} {
		source := s.open(t, Options{RecheckQuery: query})
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
		wantCode(t, recheck(t.Context(), session.NumberID(3), source), session.OK)
	}
}

// TestBreakerIgnoresEarlierQueries checks that the circuit breaker ignores the failure of a
// query that was sent before another one that has been answered in the meantime.
func TestBreakerIgnoresEarlierQueries(t *testing.T) {
	var b circuitBreaker
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	failure := session.Fail(session.Unavailable, nil)
	b.record(at(0), at(5), failure)
	if b.allow(at(5)) == nil || b.allow(at(6)) != nil || b.allow(at(6)) == nil {
		t.Error("after a failure, want one query to be allowed once the interval has passed")
	}
	b.record(at(6), at(6), nil)
	b.record(at(4), at(9), failure)
	if err := b.allow(at(9)); err != nil {
		t.Errorf("the failure of an earlier query opened the breaker: %v", err)
	}
	b.record(at(7), at(12), failure)
	if b.allow(at(12)) == nil {
		t.Error("the failure of a later query did not open the breaker")
	}
}
