package users

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/session"
)

// status rechecks a user, who must be active, and returns the answer.
func status(t *testing.T, c session.Checker, id int64, fresh bool) session.Status {
	t.Helper()
	s, err := c.Recheck(t.Context(), session.NumberID(id), fresh)
	if err != nil {
		t.Errorf("recheck of user %d: %v", id, err)
	}
	return s
}

// fingerprintOf returns the fingerprint of a hash of a user of the app shop.
func fingerprintOf(id, hash string) session.Fingerprint {
	return session.NewFingerprint(session.Owner{App: "shop", User: id}, hash)
}

// recheckColumns checks that the columns of the recheck query are read by name, in any
// order, and that those that are missing are not taken from the login.
func (s *server) recheckColumns(t *testing.T) {
	alice := fingerprintOf("1", quickHash(t, "correct horse"))
	admin := session.Status{Credential: alice, Claims: []byte(`{"role":"admin"}`), HasClaims: true}
	for columns, want := range map[string]session.Status{
		`is_active`:             {},
		`is_active as active`:   {},
		`is_active as password`: {},
		`is_active as claims`:   {},
		`password, is_active`:   {Credential: alice},
		`'{"role": "admin"}'::json as claims, is_active, password`: admin,
		`password, '{"role":"admin"}' as claims, is_active`:        admin,
		`is_active, ' {"role": "admin"}'::text as claims`:          {Claims: admin.Claims, HasClaims: true},
		`is_active, null::jsonb as claims`:                         {HasClaims: true},
		`is_active, '' as claims`:                                  {HasClaims: true},
		`is_active, '{ }'::json as claims`:                         {HasClaims: true},
		`is_active, null::text as password`:                        {Credential: fingerprintOf("1", "!")},
		`is_active, '' as password`:                                {Credential: fingerprintOf("1", "!")},
	} {
		for _, endOnChange := range []bool{true, false} {
			source := s.open(t, Options{
				RecheckQuery: `select ` + columns + ` from auth_user where id = cast($1 as bigint)`,
				EndOnChange:  endOnChange, App: "shop",
			})
			if err := source.Ping(t.Context()); err != nil {
				t.Errorf("%s: %v", columns, err)
			}
			if !endOnChange {
				want.Credential = session.Fingerprint{}
			}
			for _, from := range []string{"query", "cached query", "login"} {
				if from == "login" {
					if _, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil {
						t.Fatal(err)
					}
					if want.Credential == fingerprintOf("1", "!") || want.HasClaims {
						continue // this query and the login's return different values
					}
				}
				if got := status(t, source, 1, false); !slices.Equal(got.Claims, want.Claims) || got.HasClaims != want.HasClaims || got.Credential != want.Credential {
					t.Errorf("%s from the %s: got %+v, want %+v", columns, from, got, want)
				}
			}
		}
	}
}

// recheckByNameReturnsAll checks that USERS_QUERY alone, which a recheck then sends with the
// name of the last login, returns claims and credential as well.
func (s *server) recheckByNameReturnsAll(t *testing.T) {
	s.exec(`create table named (id int, name text, secret text, role text)`,
		`insert into named values (1, 'alice', '`+quickHash(t, "correct horse")+`', 'admin')`)
	source := s.open(t, Options{
		Query:   `select id, secret, true, json_build_object('role', role) from named where name = $1`,
		Recheck: Recheck{Set: true}, EndOnChange: true, App: "shop",
	})
	if _, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil {
		t.Fatal(err)
	}
	s.exec(`update named set role = 'none', secret = '!'`)
	got := status(t, source, 1, false)
	if string(got.Claims) != `{"role":"none"}` || !got.HasClaims || got.Credential != fingerprintOf("1", "!") || got.Changed.IsZero() {
		t.Errorf("got %+v, want the present claims and credential, and when it changed", got)
	}
	s.exec(`insert into named values (9, 'bob', '!', null)`, `delete from named where id = 1`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserUnknown)
	s.exec(`delete from named`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
}

// claimsOfRecheck checks that changed claims are returned by the next recheck, and that
// invalid ones have the same result as at a login, unless the user is inactive.
func (s *server) claimsOfRecheck(t *testing.T) {
	s.exec(`create table claiming (id int, is_active bool, claims text)`, `insert into claiming values (1, true, '{"role":"admin"}')`)
	source := s.open(t, Options{RecheckQuery: `select claims, is_active from claiming where id::text = $1`, Recheck: Recheck{Set: true}})
	if got := status(t, source, 1, false); string(got.Claims) != `{"role":"admin"}` {
		t.Errorf("got %+v, want the role admin", got)
	}
	s.exec(`update claiming set claims = null`)
	if got := status(t, source, 1, false); got.Claims != nil || !got.HasClaims {
		t.Errorf("got %+v, want no claims", got)
	}
	s.exec(`update claiming set claims = '["admin"]'`)
	if err := recheck(t.Context(), session.NumberID(1), source); session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), "USERS_RECHECK_QUERY: user 1: claims is not a JSON object") {
		t.Errorf("got %v, want one that names the query, the user and the column", err)
	}
	s.exec(`update claiming set is_active = false`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserInactive)
	source = s.open(t, Options{Query: `select id, '!'::text, is_active, claims from claiming where $1 <> ''`, RecheckQuery: `select is_active from claiming where id::text = $1`})
	_, err := source.Check(t.Context(), presented("alice", "x"), anyone)
	wantCode(t, err, session.InvalidCredentials)
	s.exec(`update claiming set is_active = true`)
	_, err = source.Check(t.Context(), presented("alice", "x"), anyone)
	wantCode(t, err, session.Unavailable)
}

// changedPassword checks the credential of Django's own table at login and recheck, and
// when it was first seen to change.
func (s *server) changedPassword(t *testing.T) {
	first := quickHash(t, "correct horse")
	second := strings.Replace(first, "$1000$", "$1001$", 1)
	s.exec(insertUser(t, 20, "dora", "correct horse", true))
	defer s.exec(`delete from auth_user where id = 20`)
	source := s.open(t, Options{Recheck: Recheck{Set: true}, EndOnChange: true, App: "shop"})
	now := setClock(t, source)
	user, err := source.Check(t.Context(), presented("dora", "correct horse"), anyone)
	if err != nil || user.Credential != fingerprintOf("20", first) || user.LoginOnly {
		t.Errorf("got user %+v, %v, want the fingerprint of the stored hash", user, err)
	}
	start := status(t, source, 20, false)
	if start.Credential != user.Credential || start.HasClaims || !start.Changed.IsZero() {
		t.Errorf("got %+v, want the credential of the login and no change", start)
	}
	change := func(sql string, wantHash string, wantChange bool) {
		t.Helper()
		before := status(t, source, 20, false)
		now.Add(int64(time.Minute))
		s.exec(sql)
		got := status(t, source, 20, false)
		if got.Credential != fingerprintOf("20", wantHash) || wantChange != got.Changed.After(before.Changed) || !wantChange && !got.Changed.Equal(before.Changed) {
			t.Errorf("%s: got %+v after %+v, want a change: %v", sql, got, before, wantChange)
		}
	}
	change(`update auth_user set email = 'd@example.org', username = 'dora2' where id = 20`, first, false)
	change(`update auth_user set password = '`+second+`' where id = 20`, second, true)
	change(`update auth_user set password = '!' where id = 20`, "!", true)
	change(`update auth_user set password = '' where id = 20`, "!", false)
	change(`update auth_user set password = '`+second+`' where id = 20`, second, true)
	last := status(t, source, 20, false).Changed
	if last.IsZero() {
		t.Error("the time of the change was forgotten")
	}
	next := s.open(t, Options{Recheck: Recheck{Set: true, Every: time.Minute}, EndOnChange: true, App: "shop", Previous: source})
	if got := status(t, next, 20, true); !got.Changed.Equal(last) {
		t.Errorf("the source that replaces it: got %+v, want the change at %s", got, last)
	}
	s.exec(`delete from auth_user where id = 20`)
	wantCode(t, recheck(t.Context(), session.NumberID(20), source), session.UserUnknown)
	s.exec(insertUser(t, 20, "another", "correct horse", true))
	now.Add(int64(time.Hour))
	if got := status(t, source, 20, false); !got.Changed.After(last) {
		t.Errorf("after the id was given to another person: got %+v, want a later change than %s", got, last)
	}
}

// loginShowsChange checks that a change that a login shows is returned at once, although the
// former answer of a recheck is still relied on.
func (s *server) loginShowsChange(t *testing.T) {
	second := strings.Replace(quickHash(t, "correct horse"), "pbkdf2_sha256$1000$", "pbkdf2_sha256$01000$", 1) // another text of the same hash
	for _, query := range []string{"", `select password, is_active from auth_user where id::text = $1`} {
		s.exec(insertUser(t, 21, "emil", "correct horse", true))
		source := s.open(t, Options{RecheckQuery: query, EndOnChange: true, App: "shop"})
		before := status(t, source, 21, false)
		s.exec(`update auth_user set password = '` + second + `' where id = 21`)
		if got := status(t, source, 21, false); got.Credential != before.Credential {
			t.Error("the answer was not cached, so this test checks nothing")
		}
		if _, err := source.Check(t.Context(), presented("emil", "correct horse"), anyone); err != nil {
			t.Fatal(err)
		}
		if got := status(t, source, 21, false); got.Credential != fingerprintOf("21", second) || got.Changed.IsZero() {
			t.Errorf("%s: got %+v, want the new credential, and when it changed", query, got)
		}
		s.exec(`delete from auth_user where id = 21`)
	}
}

// loginBeforeRecheck checks that the first recheck of an instance asks, even if logins came
// before it.
func (s *server) loginBeforeRecheck(t *testing.T) {
	const claims = `'{"role":"admin"}'::json as claims`
	for _, query := range []string{"", `select password, is_active, ` + claims + ` from auth_user where id::text = $1`} {
		s.exec(insertUser(t, 22, "frida", "correct horse", true))
		source := s.open(t, Options{RecheckQuery: query, EndOnChange: true, App: "shop"})
		login := func() {
			t.Helper()
			if _, err := source.Check(t.Context(), presented("frida", "correct horse"), anyone); err != nil {
				t.Fatal(err)
			}
		}
		login()
		second := strings.Replace(quickHash(t, "correct horse"), "pbkdf2_sha256$1000$", "pbkdf2_sha256$01000$", 1) // another text of the same hash
		s.exec(`update auth_user set password = '` + second + `' where id = 22`)
		login()
		if got := status(t, source, 22, false); got.Credential != fingerprintOf("22", second) || got.Changed.IsZero() || got.HasClaims != (query != "") {
			t.Errorf("%q: got %+v, want the new credential, when it changed, and the query's claims", query, got)
		}
		s.exec(`delete from auth_user where id = 22`)
	}
}

// freshRecheck checks that a fresh recheck is not answered from the cache, that its answer
// is cached, and that the circuit breaker applies to it.
func (s *server) freshRecheck(t *testing.T) {
	source := s.open(t, Options{Timeout: 300 * time.Millisecond})
	now := setClock(t, source)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
	for range 2 {
		_, err := source.Recheck(t.Context(), session.NumberID(1), true)
		wantCode(t, err, session.UserInactive)
	}
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 1`)
	resume := s.stall(t)
	_, err := source.Recheck(t.Context(), session.NumberID(1), true)
	wantCode(t, err, session.Unavailable)
	before := queryCount(source)
	_, err = source.Recheck(t.Context(), session.NumberID(1), true)
	if wantCode(t, err, session.Unavailable); queryCount(source) != before {
		t.Error("a fresh recheck was sent although the circuit breaker is open")
	}
	resume()
	now.Store(int64(breakerInterval))
	status(t, source, 1, true)
}

// freshRecheckIsShared checks that fresh rechecks of a user share one query, but none that
// was sent before they began.
func (s *server) freshRecheckIsShared(t *testing.T) {
	source := s.open(t, Options{RecheckQuery: `select is_active from auth_user, pg_sleep(0.5) where id = cast($1 as bigint)`})
	var wg sync.WaitGroup
	wg.Go(func() { _ = recheck(t.Context(), session.NumberID(1), source) })
	waitFor(t, "a query is sent", func() bool { return queryCount(source) == 1 })
	time.Sleep(100 * time.Millisecond) // the query sees the table as it was when it began
	s.exec(`update auth_user set is_active = false where id = 1`)
	for range 8 {
		wg.Go(func() {
			_, err := source.Recheck(t.Context(), session.NumberID(1), true)
			wantCode(t, err, session.UserInactive)
		})
	}
	wg.Wait()
	if n := queryCount(source); n != 2 {
		t.Errorf("got %d queries, want the first and one that is shared", n)
	}
	s.exec(`update auth_user set is_active = true where id = 1`)
}

// usernameField checks that the default query finds users by the column that is set, whose
// name is quoted.
func (s *server) usernameField(t *testing.T) {
	s.exec(`alter table auth_user add "E-Mail ""x""" text`, `update auth_user set email = 'alice@example.org', "E-Mail ""x""" = 'a' where id = 1`)
	for field, name := range map[string]string{"": "alice", "username": "alice", "email": "alice@example.org", `E-Mail "x"`: "a"} {
		source := s.open(t, Options{UsernameField: field})
		if err := source.Ping(t.Context()); err != nil {
			t.Errorf("%q: %v", field, err)
		}
		if user, err := source.Check(t.Context(), presented(name, "correct horse"), anyone); err != nil || user.ID != session.NumberID(1) {
			t.Errorf("%q: got user %v, %v, want 1", field, user.ID, err)
		}
		_, err := source.Check(t.Context(), presented("bob@example.org", "correct horse"), anyone)
		wantCode(t, err, session.InvalidCredentials)
	}
	for _, field := range []string{"no_such_field", `username" is not null or "username`} {
		_, err := s.open(t, Options{UsernameField: field}).Check(t.Context(), presented("alice", "correct horse"), anyone)
		wantCode(t, err, session.Unavailable)
	}
	s.exec(`alter table auth_user drop "E-Mail ""x"""`)
}
