package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"tokengate/deploy/ports"
	"tokengate/session"
)

// server is a PostgreSQL of the test's own, on a free port of loopback, in a
// directory that goes with the test.
type server struct {
	t       *testing.T
	bin     string // where its programs are
	dir     string
	listen  string
	owner   *syscall.Credential // whom it runs as, where that must not be root
	process *exec.Cmd
	output  bytes.Buffer
}

const serverPassword = "pg-Tr0ub4dor"

// startServer makes a database cluster and starts it. A missing PostgreSQL is a
// failure.
func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "credential-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, bin: programs(t), dir: dir, listen: ports.Address(t)}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		s.owner = account(t, "postgres")
		if err := os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(serverPassword), 0o644); err != nil { //nolint:gosec // of this test
		t.Fatal(err)
	}
	out, err := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "gate", "--pwfile", secret,
		"--auth", "scram-sha-256", "-E", "UTF8", "--no-locale", "-N").CombinedOutput()
	if err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// programs is where initdb and postgres are: Debian keeps them off PATH.
func programs(t *testing.T) string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("no PostgreSQL here: install Debian's package postgresql")
	}
	return filepath.Dir(found[len(found)-1])
}

func account(t *testing.T, name string) *syscall.Credential {
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT} // nor outlives a test that is killed
	return cmd
}

func (s *server) start() {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.listen)
	s.process = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-p", port,
		"-h", host, "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=30")
	s.output.Reset()
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 500 {
		conn, err := pgx.Connect(context.Background(), s.address())
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.stop()
	s.t.Fatalf("PostgreSQL does not start:\n%s", &s.output)
}

// stop ends the server at once; what it has committed stays.
func (s *server) stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Signal(syscall.SIGQUIT)
	_ = s.process.Wait()
	s.process = nil
}

func (s *server) address() string {
	return fmt.Sprintf("postgres://gate:%s@%s/postgres?sslmode=disable", serverPassword, s.listen)
}

func (s *server) exec(statements ...string) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.address())
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(s.t.Context(), statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
}

// authUser is Django's own table, as its migrations make it.
const authUser = `create table auth_user (
	id serial not null primary key, password varchar(128) not null, last_login timestamp with time zone null,
	is_superuser boolean not null, username varchar(150) not null unique, first_name varchar(150) not null,
	last_name varchar(150) not null, email varchar(254) not null, is_staff boolean not null,
	is_active boolean not null, date_joined timestamp with time zone not null)`

func insert(t *testing.T, id int, name, password string, active bool) string {
	return fmt.Sprintf(`insert into auth_user values (%d, '%s', null, false, '%s', '', '', '', false, %v, now())`,
		id, quick(t, password), name, active)
}

// PostgreSQL takes a second to set up, so there is one for all that is asked.
func TestPostgres(t *testing.T) {
	s := startServer(t)
	s.exec(authUser, insert(t, 1, "alice", "correct horse", true), insert(t, 2, "bob", "correct horse", false),
		insert(t, 3, "zoë", "pässwörd-密码", true), `insert into auth_user values (4, '!unusable', null, false, 'carol', '', '', '', false, true, now())`)
	t.Run("DjangoTable", s.djangoTable)
	t.Run("Recheck", s.recheck)
	t.Run("RecheckIsRemembered", s.recheckIsRemembered)
	t.Run("RecheckRemembersNoFailure", s.recheckRemembersNoFailure)
	t.Run("StalledIsLeftAlone", s.stalledIsLeftAlone)
	t.Run("RecheckIsAskedOnce", s.recheckIsAskedOnce)
	t.Run("RecheckIsAskedInTime", s.recheckIsAskedInTime)
	t.Run("OneUsersFault", s.oneUsersFault)
	t.Run("ManyAtOnce", s.manyAtOnce)
	t.Run("OwnQueries", s.ownQueries)
	t.Run("OwnQueryAlone", s.ownQueryAlone)
	t.Run("WrongQueries", s.wrongQueries)
	t.Run("WithoutPreparing", s.withoutPreparing)
	t.Run("AwayAndBack", s.awayAndBack)
	t.Run("WrongPassword", s.wrongPassword)
}

func (s *server) open(t *testing.T, o Options) *Source {
	t.Helper()
	if o.Lane == nil {
		o.Lane = NewLane(0, time.Minute, nil)
	}
	return openAt(t, s.address(), o)
}

func (s *server) djangoTable(t *testing.T) {
	source := s.open(t, Options{})
	if err := source.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int64{"alice": 1, "zoë": 3} {
		u, err := source.Check(t.Context(), name, map[string]string{"alice": " correct horse\n", "zoë": "pässwörd-密码"}[name])
		if err != nil || u.ID != session.NumberID(want) || u.Claims != nil {
			t.Errorf("%s is %v %s, %v", name, u.ID, u.Claims, err)
		}
	}
	for _, login := range [][2]string{
		{"alice", "wrong"}, {"Alice", "correct horse"}, {"bob", "correct horse"}, {"carol", "!unusable"}, {"nobody", "x"},
		{"a\x00b", "x"}, {"\xff", "x"}, {"", ""}, {"alice' or '1'='1", "correct horse"},
	} {
		_, err := source.Check(t.Context(), login[0], login[1])
		wantCode(t, err, session.InvalidCredentials)
	}
	if source.UsersInStore() {
		t.Error("its users are in the store")
	}
}

func (s *server) recheck(t *testing.T) {
	source := s.open(t, Options{Recheck: RecheckEvery(0)})
	for id, want := range map[session.UserID]session.Code{
		session.NumberID(1): session.OK, session.TextID("1"): session.OK,
		session.NumberID(2): session.UserInactive, session.NumberID(99): session.UserUnknown,
		session.TextID("no number"): session.UserUnknown, session.TextID("9999999999999999999999"): session.UserUnknown,
	} {
		wantCode(t, source.Recheck(t.Context(), id), want)
	}
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.UserInactive)
	wantCode(t, s.open(t, Options{Recheck: RecheckOff()}).Recheck(t.Context(), session.NumberID(1)), session.OK)
	s.exec(`update auth_user set is_active = true where id = 1`)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
}

// clock makes a postgres source go by a clock of the test's.
func clock(t *testing.T, source *Source) *atomic.Int64 {
	t.Helper()
	p, _ := source.Checker.(*passwords)
	pg, ok := p.accounts.(*postgres)
	if !ok {
		t.Fatalf("the source is %T", p.accounts)
	}
	var offset atomic.Int64
	start := time.Now()
	pg.now = func() time.Time { return start.Add(time.Duration(offset.Load())) }
	return &offset
}

func (s *server) recheckIsRemembered(t *testing.T) {
	source := s.open(t, Options{}) // for 30 s
	now := clock(t, source)
	alice := session.NumberID(1)
	wantCode(t, source.Recheck(t.Context(), alice), session.OK)
	s.exec(`update auth_user set is_active = false where id = 1`)
	now.Store(int64(30*time.Second - 1))
	wantCode(t, source.Recheck(t.Context(), alice), session.OK)
	now.Store(int64(30 * time.Second))
	wantCode(t, source.Recheck(t.Context(), alice), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 1`)
	now.Store(int64(60*time.Second - 1))
	wantCode(t, source.Recheck(t.Context(), alice), session.UserInactive) // no longer than the good news was
	now.Store(int64(60 * time.Second))
	wantCode(t, source.Recheck(t.Context(), alice), session.OK)

	bob := session.NumberID(2)
	wantCode(t, source.Recheck(t.Context(), bob), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 2`)
	if _, err := source.Check(t.Context(), "bob", "correct horse"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, source.Recheck(t.Context(), bob), session.OK) // the login has asked
	s.exec(`update auth_user set is_active = false where id = 2`)
}

func (s *server) recheckRemembersNoFailure(t *testing.T) {
	source := s.open(t, Options{})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	wantCode(t, source.Recheck(gone, session.NumberID(1)), session.Unavailable)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
}

func (s *server) ownQueries(t *testing.T) {
	const uuid = "0b6c1c0e-58a5-4b49-8a5e-9bd0a4a3f5e1"
	s.exec(`create table member (id uuid primary key, mail text, secret text, banned bool, role text)`,
		`insert into member values ('`+uuid+`', 'eve@example.org', '`+quick(t, "correct horse")+`', false, 'admin')`,
		`insert into member values ('`+strings.Replace(uuid, "0", "1", 1)+`', 'null@example.org', null, null, null)`)
	source := s.open(t, Options{
		Query:        `select id, secret, not banned, jsonb_build_object('role', role, 'n', 1.50) from member where lower(mail) = lower($1)`,
		RecheckQuery: `select not banned from member where id = $1`,
		Recheck:      RecheckEvery(0),
	})
	if err := source.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	u, err := source.Check(t.Context(), "Eve@example.org", "correct horse")
	if err != nil || u.ID != session.TextID(uuid) || string(u.Claims) != `{"n":1.50,"role":"admin"}` {
		t.Errorf("eve is %v %s, %v", u.ID, u.Claims, err)
	}
	_, err = source.Check(t.Context(), "null@example.org", "")
	wantCode(t, err, session.InvalidCredentials)
	wantCode(t, source.Recheck(t.Context(), u.ID), session.OK)
	s.exec(`update member set banned = true`)
	wantCode(t, source.Recheck(t.Context(), u.ID), session.UserInactive)
	wantCode(t, source.Recheck(t.Context(), session.TextID("no uuid")), session.UserUnknown)
	s.exec(`delete from member where mail like 'eve%'`)
	wantCode(t, source.Recheck(t.Context(), u.ID), session.UserUnknown)
}

// Without a query by id, users are asked for by the name they came by.
func (s *server) ownQueryAlone(t *testing.T) {
	var log bytes.Buffer
	o := Options{
		Query:   `select id, password, is_active from auth_user where username = $1`,
		Recheck: RecheckEvery(0), Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	source, elsewhere := s.open(t, o), s.open(t, o)
	if !strings.Contains(log.String(), "USERS_RECHECK_QUERY") {
		t.Errorf("the log says: %s", &log)
	}
	if err := source.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	alice := session.NumberID(1)
	if _, err := source.Check(t.Context(), "alice", "correct horse"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, source.Recheck(t.Context(), alice), session.OK)
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, source.Recheck(t.Context(), alice), session.UserInactive)
	wantCode(t, elsewhere.Recheck(t.Context(), alice), session.OK) // it can't be asked there
	s.exec(`update auth_user set is_active = true, username = 'alice2' where id = 1`, insert(t, 10, "alice", "correct horse", true))
	wantCode(t, source.Recheck(t.Context(), alice), session.UserUnknown) // the name is another user's now
	s.exec(`delete from auth_user where id = 10`, `update auth_user set username = 'alice' where id = 1`)
}

// A query that is wrong says so for every name, in the log, and lets nobody in.
func (s *server) wrongQueries(t *testing.T) {
	for query, want := range map[string]string{
		`select id, password from auth_user where username = $1`:                                                  "USERS_QUERY: it gives 2 columns",
		`select id, password, is_active, null, 1 from auth_user where username = $1`:                              "USERS_QUERY: it gives 5 columns",
		`select id, password, is_active::text from auth_user where username = $1`:                                 "is_active is not a boolean",
		`select id, password, is_active from auth_user where username <> $1`:                                      "more than one user",
		`select id, password, true, '[]'::json from auth_user where username = $1`:                                "claims is not a JSON object",
		`select id, password, true, json_build_object('x', repeat('x', 4096)) from auth_user where username = $1`: "user 1: claims has 4104 bytes",
		`select null::int, password, true from auth_user where username = $1`:                                     "a user id is",
		`select id, password, is_active from no_such_table where username = $1`:                                   "no_such_table",
		`select id, password, is_active from auth_user where username = $1 and pg_sleep(9) is null`:               "timeout",
	} {
		source := s.open(t, Options{Query: query, RecheckQuery: djangoRecheck, Timeout: 300 * time.Millisecond})
		_, err := source.Check(t.Context(), "alice", "correct horse")
		if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s…", query, err, want)
		}
		if strings.Contains(err.Error(), "pbkdf2") || strings.Contains(err.Error(), serverPassword) {
			t.Errorf("%q shows too much", err)
		}
	}
	for query, want := range map[string]string{
		`select id, is_active from auth_user where id = $1`: "USERS_RECHECK_QUERY: it gives 2 columns",
		`select username from auth_user where id = $1`:      "is_active is not a boolean",
		`select from auth_user where id = $1`:               "it gives 0 columns",
		`select is_active from auth_user where id <> $1`:    "more than one user",
	} {
		source := s.open(t, Options{RecheckQuery: query})
		for _, id := range []int64{1, 99} {
			err := source.Recheck(t.Context(), session.NumberID(id))
			if session.CodeOf(err) != session.Unavailable || !strings.Contains(err.Error(), want) {
				t.Errorf("%s of %d: %v, want …%s…", query, id, err, want)
			}
		}
		wantCode(t, source.Reach(t.Context()), map[bool]session.Code{true: session.OK, false: session.Unavailable}[strings.Contains(query, "<>")])
	}
}

// Poolers between may forbid prepared statements; the address says so then.
func (s *server) withoutPreparing(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe"} {
		source := openAt(t, s.address()+"&default_query_exec_mode="+mode, Options{Lane: NewLane(0, time.Minute, nil), Recheck: RecheckEvery(0)})
		u, err := source.Check(t.Context(), "alice", "correct horse")
		if err != nil || u.ID != session.NumberID(1) {
			t.Errorf("%s: alice is %v, %v", mode, u.ID, err)
		}
		wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
		wantCode(t, source.Recheck(t.Context(), session.NumberID(2)), session.UserInactive)
	}
}

// A database that is away is no reason not to start, and never a refusal.
func (s *server) awayAndBack(t *testing.T) {
	before := s.open(t, Options{Recheck: RecheckEvery(0)})
	if _, err := before.Check(t.Context(), "alice", "correct horse"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	away := s.open(t, Options{Recheck: RecheckEvery(0)})
	for _, source := range []*Source{before, away} {
		for _, name := range []string{"alice", "nobody"} {
			_, err := source.Check(t.Context(), name, "correct horse")
			wantCode(t, err, session.Unavailable)
			if err != nil && strings.Contains(err.Error(), serverPassword) {
				t.Errorf("%q shows the password", err)
			}
		}
		wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.Unavailable)
		wantCode(t, source.Reach(t.Context()), session.Unavailable)
	}
	s.start()
	for _, source := range []*Source{before, away} {
		if _, err := source.Check(t.Context(), "alice", "correct horse"); err != nil {
			t.Errorf("it is back: %v", err)
		}
		clock(t, source).Store(int64(pause))
		wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
	}
}

func (s *server) wrongPassword(t *testing.T) {
	const wrong = "wr0ng-Tr0ub4dor"
	source := openAt(t, strings.Replace(s.address(), serverPassword, wrong, 1), Options{Lane: NewLane(1, 0, nil)})
	_, err := source.Check(t.Context(), "alice", "correct horse")
	wantCode(t, err, session.Unavailable)
	for e := err; e != nil; e = errors.Unwrap(e) {
		if slices.ContainsFunc([]string{wrong, serverPassword, "correct horse"}, func(s string) bool { return strings.Contains(e.Error(), s) }) {
			t.Errorf("%q shows a password", e)
		}
	}
}
