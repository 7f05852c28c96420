package users

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tokengate/deploy/test/pgbouncer"
	"tokengate/session"
)

// pgBouncer runs the tests that reach the server through PgBouncer.
func (s *server) pgBouncer(t *testing.T) {
	t.Run("Transaction", func(t *testing.T) { s.pgBouncerQueries(t, "pool_mode = transaction", "default_pool_size = 4") })
	t.Run("Statement", func(t *testing.T) { s.pgBouncerQueries(t, "pool_mode = statement", "default_pool_size = 4") })
	t.Run("Session", func(t *testing.T) { s.pgBouncerQueries(t, "pool_mode = session", "default_pool_size = 18") })
	t.Run("Timeout", s.pgBouncerTimeout)
	t.Run("Errors", s.pgBouncerErrors)
}

// pgBouncerQueries checks that concurrent logins and rechecks of several sources, with 18
// connections to PgBouncer, each get their own answer.
func (s *server) pgBouncerQueries(t *testing.T, settings ...string) {
	address := pgbouncer.Start(t, s.address(), settings...) + "&pool_max_conns=6"
	var sources []*Source
	for range 3 {
		sources = append(sources, openAt(t, address, Options{Recheck: Recheck{Set: true, Every: 0}, Timeout: time.Minute}))
	}
	var wg sync.WaitGroup
	for i := range 120 {
		source := sources[i%len(sources)]
		wg.Go(func() {
			u, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
			if err != nil || u.ID != session.NumberID(1) {
				t.Errorf("login: got user %v, %v, want 1", u.ID, err)
			}
		})
		wg.Go(func() {
			wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
			wantCode(t, recheck(t.Context(), session.NumberID(2), source), session.UserInactive)
			wantCode(t, recheck(t.Context(), session.NumberID(99), source), session.UserUnknown)
		})
	}
	wg.Wait()
	for _, source := range sources {
		wantCode(t, source.Ping(t.Context()), session.OK)
	}
}

// pgBouncerTimeout checks that a query that is given up leaves no shared connection in a
// state in which the next query gets a wrong answer or none.
func (s *server) pgBouncerTimeout(t *testing.T) {
	address := pgbouncer.Start(t, s.address(), "default_pool_size = 1")
	slow := `select id, password, is_active from auth_user where username = $1 and pg_sleep(case when $1 = 'alice' then 3600 else 0 end) is not null`
	for range 3 {
		source := openAt(t, address, Options{Query: slow, RecheckQuery: djangoRecheck, Timeout: 300 * time.Millisecond})
		_, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
		wantCode(t, err, session.Unavailable)
	}
	source := openAt(t, address, Options{Query: slow, RecheckQuery: djangoRecheck, Recheck: Recheck{Set: true, Every: 0}, Timeout: time.Minute})
	u, err := source.Check(t.Context(), presented("zoë", "pässwörd-密码"), anyone)
	if err != nil || u.ID != session.NumberID(3) {
		t.Errorf("after queries that were given up: got user %v, %v, want 3", u.ID, err)
	}
	wantCode(t, recheck(t.Context(), session.NumberID(2), source), session.UserInactive)
}

// pgBouncerErrors checks that an error of PgBouncer itself says nothing about a user, and
// opens the circuit breaker as that of an unreachable server does.
func (s *server) pgBouncerErrors(t *testing.T) {
	full := pgbouncer.Start(t, s.address(), "max_client_conn = 1")
	holder := openAt(t, full, Options{})
	waitFor(t, "a source has the only connection", func() bool { return holder.Ping(t.Context()) == nil })
	busy := pgbouncer.Start(t, s.address(), "default_pool_size = 1", "query_wait_timeout = 1")
	blocker := openAt(t, busy, Options{Timeout: time.Hour, Query: `select id, password, is_active from auth_user where username = $1 and pg_sleep(3600) is not null`})
	go func() { _, _ = blocker.Check(t.Context(), presented("alice", "correct horse"), anyone) }() // the end of the test ends it
	waitFor(t, "a query occupies the only connection", func() bool { return s.isRunning(t, "pg_sleep(3600)") })
	for name, c := range map[string]struct{ address, want string }{
		"database":          {strings.Replace(pgbouncer.Start(t, s.address()), "/postgres?", "/other?", 1), "no such database"},
		"password":          {strings.Replace(pgbouncer.Start(t, s.address()), serverPassword, "wrong", 1), "authentication failed"},
		"startup parameter": {pgbouncer.Start(t, s.address()) + "&search_path=public", "unsupported startup parameter"},
		"server login":      {pgbouncer.Start(t, strings.Replace(s.address(), "/postgres?", "/absent?", 1), "server_login_retry = 1"), "does not exist"},
		"clients":           {full, "no more connections"},
		"query wait":        {busy, "query_wait_timeout"},
	} {
		source := openAt(t, c.address, Options{Timeout: time.Minute})
		setClock(t, source)
		_, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
		if wantCode(t, err, session.Unavailable); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
		checkBreakerOpen(t, source)
	}
}

// isRunning reports whether the server executes a query that contains text.
func (s *server) isRunning(t *testing.T, text string) (running bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.address())
	if err == nil {
		err = conn.QueryRow(t.Context(), `select exists (select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid() and strpos(query, $1) > 0)`, text).Scan(&running)
		_ = conn.Close(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
	return running
}
