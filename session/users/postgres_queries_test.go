package users

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func (s *server) customQueries(t *testing.T) {
	const uuid = "0b6c1c0e-58a5-4b49-8a5e-9bd0a4a3f5e1"
	s.exec(`create table member (id uuid primary key, mail text, secret text, banned bool, role text)`,
		`insert into member values ('`+uuid+`', 'eve@example.org', '`+quickHash(t, "correct horse")+`', false, 'admin')`,
		`insert into member values ('`+strings.Replace(uuid, "0", "1", 1)+`', 'null@example.org', null, null, null)`)
	source := s.open(t, Options{
		Query:        `select id, secret, not banned, jsonb_build_object('role', role, 'n', 1.50) from member where lower(mail) = lower($1)`,
		RecheckQuery: `select not banned from member where id = $1`,
		Recheck:      Recheck{Set: true, Every: 0},
	})
	if err := source.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	u, err := source.Check(t.Context(), presented("Eve@example.org", "correct horse"), anyone)
	if err != nil || u.ID != session.TextID(uuid) || string(u.Claims) != `{"n":1.50,"role":"admin"}` {
		t.Errorf("got user %v with claims %s, %v, want user %s with n and role", u.ID, u.Claims, err, uuid)
	}
	_, err = source.Check(t.Context(), presented("null@example.org", ""), anyone)
	wantCode(t, err, session.InvalidCredentials)
	wantCode(t, recheck(t.Context(), u.ID, source), session.OK)
	s.exec(`update member set banned = true`)
	wantCode(t, recheck(t.Context(), u.ID, source), session.UserInactive)
	wantCode(t, recheck(t.Context(), session.TextID("no uuid"), source), session.UserUnknown)
	s.exec(`delete from member where mail like 'eve%'`)
	wantCode(t, recheck(t.Context(), u.ID, source), session.UserUnknown)
}

// customQueryOnly checks that without RecheckQuery, users are rechecked by the name of their
// last login.
func (s *server) customQueryOnly(t *testing.T) {
	var log bytes.Buffer
	o := Options{
		Query:   `select id, password, is_active from auth_user where username = $1`,
		Recheck: Recheck{Set: true, Every: 0}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	source, other := s.open(t, o), s.open(t, o)
	if !strings.Contains(log.String(), "USERS_RECHECK_QUERY") {
		t.Errorf("got log %q, want a warning about USERS_RECHECK_QUERY", &log)
	}
	if err := source.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	alice := session.NumberID(1)
	if _, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil {
		t.Fatal(err)
	}
	wantCode(t, recheck(t.Context(), alice, source), session.OK)
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, recheck(t.Context(), alice, source), session.UserInactive)
	wantCode(t, recheck(t.Context(), alice, other), session.OK) // no login there, so nothing to query by
	s.exec(`update auth_user set is_active = true, username = 'alice2' where id = 1`, insertUser(t, 10, "alice", "correct horse", true))
	wantCode(t, recheck(t.Context(), alice, source), session.UserUnknown) // the name belongs to another user now
	s.exec(`delete from auth_user where id = 10`, `update auth_user set username = 'alice' where id = 1`)
}

// invalidQueries checks that an invalid query fails for every name with an error that says
// why, and that no login succeeds.
func (s *server) invalidQueries(t *testing.T) {
	for query, want := range map[string]string{
		`select id, password from auth_user where username = $1`:                                                  "USERS_QUERY: the query returns 2 columns",
		`select id, password, is_active, null, 1 from auth_user where username = $1`:                              "USERS_QUERY: the query returns 5 columns",
		`select id, password, is_active::text from auth_user where username = $1`:                                 "is_active is not a boolean",
		`select id, password, is_active from auth_user where username <> $1`:                                      "more than one user",
		`select id, password, true, '[]'::json from auth_user where username = $1`:                                "claims is not a JSON object",
		`select id, password, true, json_build_object('x', repeat('x', 4096)) from auth_user where username = $1`: "user 1: claims has 4104 bytes",
		`select null::int, password, true from auth_user where username = $1`:                                     "a user id is",
		`select id, password, is_active from no_such_table where username = $1`:                                   "no_such_table",
		`select id, password, is_active from auth_user where username = $1 and pg_sleep(9) is null`:               "timeout",
	} {
		timeout := 30 * time.Second
		if want == "timeout" {
			timeout = 300 * time.Millisecond
		}
		source := s.open(t, Options{Query: query, RecheckQuery: djangoRecheck, Timeout: timeout})
		_, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
		if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", query, err, want)
		}
		if strings.Contains(err.Error(), "pbkdf2") || strings.Contains(err.Error(), serverPassword) {
			t.Errorf("error %q contains a secret", err)
		}
	}
	for query, want := range map[string]string{
		`select id, is_active from auth_user where id = $1`:                       `USERS_RECHECK_QUERY: the query returns the column "id"`,
		`select username from auth_user where id = $1`:                            "is_active is not a boolean",
		`select username as is_active, password from auth_user where id = $1`:     "is_active is not a boolean",
		`select is_active, password, password from auth_user where id = $1`:       "the column password twice",
		`select is_active, is_active from auth_user where id = $1`:                "the column is_active twice",
		`select password, null as claims from auth_user where id = $1`:            "does not return the column is_active",
		`select is_active, password as "Password" from auth_user where id = $1`:   `the column "Password"`,
		`select is_active, password, 1 as claims, 2 from auth_user where id = $1`: `the column "?column?"`,
		`select from auth_user where id = $1`:                                     "the query returns 0 columns",
		`select is_active from auth_user where id <> $1`:                          "more than one user",
	} {
		source := s.open(t, Options{RecheckQuery: query})
		for _, id := range []int64{1, 99} {
			err := recheck(t.Context(), session.NumberID(id), source)
			if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("%s with id %d: got error %v, want one with %q", query, id, err, want)
			}
		}
		wantCode(t, source.Ping(t.Context()), map[bool]session.Code{true: session.OK, false: session.Unavailable}[strings.Contains(query, "<>")])
	}
}
