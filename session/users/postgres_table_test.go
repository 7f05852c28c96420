package users

import (
	"log/slog"
	"strings"
	"testing"

	"tokengate/session"
)

func TestTableOf(t *testing.T) {
	for sql, want := range map[string]string{
		`select is_active from auth_user where id = $1`:                                        `auth_user`,
		"SELECT is_active\nFROM\tauth.Users u\nJOIN x ON true":                                 `auth.Users`,
		`select 1 from "Auth"."User ""x"" table"`:                                              `"Auth"."User ""x"" table"`,
		`select 1 from auth . users;`:                                                          `auth.users`,
		`select 1 from only member m, role`:                                                    `member`,
		`select not banned from member`:                                                        `member`,
		`select extract(year from joined) > 2000, trim(both from name) from member`:            `member`,
		`select a is distinct from b, a is not distinct from c from member where id = $1`:      `member`,
		`select exists (select 1 from ban where id = m.id), x from member m where id = $1`:     `member`,
		`select is_active from (select * from member where id = $1) x`:                         `member`,
		`with m as (select * from member) select is_active from m where id = $1`:               `member`,
		`with m as materialized (select * from member) select is_active from M`:                `member`,
		`select is_active from member -- from comment` + "\n" + `where x = 'from text'`:        `member`,
		`select is_active -- from comment` + "\n" + `from member`:                              `member`,
		`select 'from a', ' it''s from b ', E'\' from c', $$ from d $$, $q$ from e $q$ from f`: `f`,
		`select /* from a /* from b */ from c */ 1 from d`:                                     `d`,
		`select distinct 'x' from member`:                                                      `member`,
		`select distinct E'x' from member where x is distinct from $$x$$`:                      `member`,
		`select 1 from /* comment */ member`:                                                   `member`,
		`select "from" from "select"`:                                                          `"select"`,
		`select 1 from größe where $1 = $2`:                                                    `größe`,
		`select is_active from active_user($1)`:                                                ``,
		`select is_active from auth.active_user($1)`:                                           ``,
		`select x from lateral f($1)`:                                                          ``,
		`select x from rows from (f($1))`:                                                      ``,
		`select active_user($1)`:                                                               ``,
		`select is_active from`:                                                                ``,
		`select is_active from (values (1))`:                                                   ``,
		`select 'x from y`:                                                                     ``,
		`/* from`:                                                                              ``,
		``:                                                                                     ``,
	} {
		if got := tableOf(sql); got != want {
			t.Errorf("%s: got %q, want %q", sql, got, want)
		}
	}
}

func FuzzTableOf(f *testing.F) {
	f.Add(`select "a" from /* x */ b.c where $1 = E'\'' and $q$ $q$ is distinct from (select 'x' from y)`)
	f.Fuzz(func(t *testing.T, sql string) {
		if table := tableOf(sql); table != "" && tableOf("select from "+table) != table {
			t.Errorf("got %q, which is not read as a table", table)
		}
	})
}

// emptyTable checks that a user missing in an empty table is not taken for a user
// who was removed.
func (s *server) emptyTable(t *testing.T) {
	s.exec(`create schema "My Auth"`, `create table "My Auth".person (id int, name text, secret text, ok bool)`,
		`create table tally (id int)`, `insert into tally values (1)`)
	query, recheckQuery := `select id, secret, ok from "My Auth".person where name = $1`, `select ok from "My Auth".person where id = $1`
	for _, o := range []Options{
		{Query: query, RecheckQuery: recheckQuery},
		{Query: query, RecheckQuery: `select ok from (select ok, p.id from "My Auth".person p, tally t where t.id = 1) x where id = $1`},
		{Query: query, RecheckQuery: `select (select ok from "My Auth".person where id = $1) where exists (select from "My Auth".person where id = $1)`},
	} {
		s.exec(`insert into "My Auth".person values (1, 'alice', '!', true), (2, 'bob', '!', true)`)
		source := s.open(t, o)
		now := setClock(t, source)
		for _, c := range []struct {
			sql  string
			want session.Code
		}{
			{`delete from "My Auth".person where id = 1`, session.UserUnknown},
			{`delete from "My Auth".person`, session.Unavailable},
			{`insert into "My Auth".person values (2, 'bob', '!', true)`, session.UserUnknown},
		} {
			s.exec(c.sql)
			now.Add(int64(DefaultRecheck))
			err := recheck(t.Context(), session.NumberID(1), source)
			if wantCode(t, err, c.want); c.want == session.Unavailable && !strings.Contains(err.Error(), "the user source has no users; if that is right") {
				t.Errorf("got error %q, want one that says what to do", err)
			}
		}
		before := queryCount(source)
		if wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserUnknown); queryCount(source) != before {
			t.Error("the answer that a user is unknown was not cached")
		}
		s.exec(`delete from "My Auth".person`)
		now.Add(int64(DefaultRecheck))
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
		before = queryCount(source)
		if wantCode(t, recheck(t.Context(), session.NumberID(2), source), session.Unavailable); queryCount(source) != before {
			t.Error("an empty table did not open the circuit breaker")
		}
		_, err := source.Check(t.Context(), presented("alice", "x"), anyone)
		wantCode(t, err, session.InvalidCredentials)
	}
}

// unknownTable checks that a missing user is not taken for removed if it can't be checked
// whether there are others, and that the reason is logged once.
func (s *server) unknownTable(t *testing.T) {
	s.exec(`create function active_user(text) returns setof bool language sql as 'select is_active from auth_user where id::text = $1'`,
		`create function found_user(text) returns table (id int, password varchar, is_active bool) language sql as 'select id, password, is_active from auth_user where username = $1'`)
	for _, o := range []Options{
		{Query: `select id, password, is_active from found_user($1)`, RecheckQuery: `select active_user($1)`},
		{Query: `select id, password, is_active from found_user($1)`, RecheckQuery: `with x (n) as (select active_user($1)) select n from x`},
	} {
		var log strings.Builder
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		source := s.open(t, o)
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
		for range 3 {
			wantCode(t, recheck(t.Context(), session.NumberID(99), source), session.Unavailable)
		}
		if n := strings.Count(log.String(), "removed users can't be recognized"); n != 1 {
			t.Errorf("%s: logged %d times, want once:\n%s", o.RecheckQuery, n, &log)
		}
		wantCode(t, recheck(t.Context(), session.NumberID(2), source), session.UserInactive) // the breaker is closed
	}
	source := s.open(t, Options{RecheckQuery: `select active_user($1)`}) // Query is that for Django's table
	wantCode(t, recheck(t.Context(), session.NumberID(99), source), session.UserUnknown)
}
