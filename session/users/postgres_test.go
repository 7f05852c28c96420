package users

import (
	"bytes"
	"context"
	"errors"
	"fmt"
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

	"tokengate/deploy/test/freeport"
	"tokengate/session"
	"tokengate/session/password"
)

// server is a PostgreSQL server that the test runs on a free port of loopback, in a
// temporary directory.
type server struct {
	t       *testing.T
	bin     string // the directory of its programs
	dir     string
	listen  string
	owner   *syscall.Credential // the user it runs as if the test runs as root, which PostgreSQL rejects
	process *exec.Cmd
	output  bytes.Buffer
}

const serverPassword = "pg-Tr0ub4dor"

// startServer creates a database cluster and starts it. The test fails if PostgreSQL is not
// installed.
func startServer(t *testing.T) *server {
	t.Helper()
	dir, err := os.MkdirTemp("", "users-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, bin: binDir(t), dir: dir, listen: freeport.Address(t)}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		s.owner = credential(t, "postgres")
		if err := os.Chown(dir, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte(serverPassword), 0o644); err != nil { // the server reads it as another user
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

// binDir returns the directory of initdb and postgres, which on Debian is not in PATH.
func binDir(t *testing.T) string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Fatal("PostgreSQL is not installed: install Debian's package postgresql")
	}
	return filepath.Dir(found[len(found)-1])
}

func credential(t *testing.T, name string) *syscall.Credential {
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
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT} // the server must not outlive a test that is killed
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
	s.t.Fatalf("PostgreSQL did not start:\n%s", &s.output)
}

// stop stops the server at once. Committed data is kept.
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

// authUser creates Django's own table, as its migrations do.
const authUser = `create table auth_user (
	id serial not null primary key, password varchar(128) not null, last_login timestamp with time zone null,
	is_superuser boolean not null, username varchar(150) not null unique, first_name varchar(150) not null,
	last_name varchar(150) not null, email varchar(254) not null, is_staff boolean not null,
	is_active boolean not null, date_joined timestamp with time zone not null)`

// insertUser returns the statement that inserts a user into authUser's table.
func insertUser(t *testing.T, id int, name, password string, active bool) string {
	return fmt.Sprintf(`insert into auth_user values (%d, '%s', null, false, '%s', '', '', '', false, %v, now())`,
		id, quickHash(t, password), name, active)
}

// TestPostgres runs all tests of the postgres source on one server, which takes a second to
// set up.
func TestPostgres(t *testing.T) {
	s := startServer(t)
	s.exec(authUser, insertUser(t, 1, "alice", "correct horse", true), insertUser(t, 2, "bob", "correct horse", false),
		insertUser(t, 3, "zoë", "pässwörd-密码", true), `insert into auth_user values (4, '!unusable', null, false, 'carol', '', '', '', false, true, now())`,
		`create role rotating login`, `grant select on auth_user to rotating`)
	t.Run("DjangoTable", s.djangoTable)
	t.Run("Recheck", s.recheck)
	t.Run("RecheckIsCached", s.recheckIsCached)
	t.Run("FailureIsNotCached", s.failureIsNotCached)
	t.Run("BreakerOpens", s.breakerOpens)
	t.Run("RecheckIsShared", s.recheckIsShared)
	t.Run("RecheckIsFresh", s.recheckIsFresh)
	t.Run("ErrorOfOneUser", s.errorOfOneUser)
	t.Run("ConcurrentQueries", s.concurrentQueries)
	t.Run("CustomQueries", s.customQueries)
	t.Run("CustomQueryOnly", s.customQueryOnly)
	t.Run("InvalidQueries", s.invalidQueries)
	t.Run("RecheckColumns", s.recheckColumns)
	t.Run("RecheckByNameReturnsAll", s.recheckByNameReturnsAll)
	t.Run("ClaimsOfRecheck", s.claimsOfRecheck)
	t.Run("ChangedPassword", s.changedPassword)
	t.Run("LoginBeforeRecheck", s.loginBeforeRecheck)
	t.Run("LoginShowsChange", s.loginShowsChange)
	t.Run("FreshRecheck", s.freshRecheck)
	t.Run("FreshRecheckIsShared", s.freshRecheckIsShared)
	t.Run("EmptyTable", s.emptyTable)
	t.Run("UnknownTable", s.unknownTable)
	t.Run("UsernameField", s.usernameField)
	t.Run("ExecModes", s.execModes)
	t.Run("PgBouncer", s.pgBouncer)
	t.Run("RefusedConnection", s.refusedConnection)
	t.Run("PasswordFile", s.passwordFile)
	t.Run("CertificateFiles", s.certificateFiles)
	t.Run("ServerRestart", s.serverRestart)
	t.Run("WrongPassword", s.wrongPassword)
}

func (s *server) open(t *testing.T, o Options) *Source {
	t.Helper()
	return openAt(t, s.address(), o)
}

// openAt opens a source at an address, with a queue if o has none.
func openAt(t *testing.T, address string, o Options) *Source {
	t.Helper()
	if o.Queue == nil {
		o.Queue = password.NewQueue(0, time.Minute, nil)
	}
	return openSource(t, address, o)
}

func (s *server) djangoTable(t *testing.T) {
	source := s.open(t, Options{})
	if err := source.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]int64{"alice": 1, "zoë": 3} {
		u, err := source.Check(t.Context(), presented(name, map[string]string{"alice": " correct horse\n", "zoë": "pässwörd-密码"}[name]), anyone)
		if err != nil || u.ID != session.NumberID(want) || u.Claims != nil {
			t.Errorf("%s: got user %v with claims %s, %v, want %d", name, u.ID, u.Claims, err, want)
		}
	}
	for _, login := range [][2]string{
		{"alice", "wrong"}, {"Alice", "correct horse"}, {"bob", "correct horse"}, {"carol", "!unusable"}, {"unknown", "x"},
		{"a\x00b", "x"}, {"\xff", "x"}, {"", ""}, {"alice' or '1'='1", "correct horse"},
	} {
		_, err := source.Check(t.Context(), presented(login[0], login[1]), anyone)
		wantCode(t, err, session.InvalidCredentials)
	}
	if source.UsersInStore() {
		t.Error("UsersInStore is true for a postgres source")
	}
}

func (s *server) recheck(t *testing.T) {
	source := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}})
	for id, want := range map[session.UserID]session.Code{
		session.NumberID(1): session.OK, session.TextID("1"): session.OK,
		session.NumberID(2): session.UserInactive, session.NumberID(99): session.UserUnknown,
		session.TextID("no number"): session.UserUnknown, session.TextID("9999999999999999999999"): session.UserUnknown,
	} {
		wantCode(t, recheck(t.Context(), id, source), want)
	}
	s.exec(`update auth_user set is_active = false where id = 1`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.UserInactive)
	wantCode(t, recheck(t.Context(), session.NumberID(1), s.open(t, Options{Recheck: Recheck{Set: true, Off: true}})), session.OK)
	s.exec(`update auth_user set is_active = true where id = 1`)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
}

// setClock makes a postgres source use a clock of the test, and returns the nanoseconds by
// which it is ahead of the moment when setClock was called.
func setClock(t *testing.T, source *Source) *atomic.Int64 {
	t.Helper()
	c, _ := source.Checker.(*hashChecker)
	pg, ok := c.accounts.(*postgresSource)
	if !ok {
		t.Fatalf("the source is %T, want a *postgresSource", c.accounts)
	}
	var offset atomic.Int64
	start := time.Now()
	pg.now = func() time.Time { return start.Add(time.Duration(offset.Load())) }
	return &offset
}

func (s *server) recheckIsCached(t *testing.T) {
	source := s.open(t, Options{}) // the default of 30 s
	now := setClock(t, source)
	alice := session.NumberID(1)
	wantCode(t, recheck(t.Context(), alice, source), session.OK)
	s.exec(`update auth_user set is_active = false where id = 1`)
	now.Store(int64(30*time.Second - 1))
	wantCode(t, recheck(t.Context(), alice, source), session.OK)
	now.Store(int64(30 * time.Second))
	wantCode(t, recheck(t.Context(), alice, source), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 1`)
	now.Store(int64(60*time.Second - 1))
	wantCode(t, recheck(t.Context(), alice, source), session.UserInactive) // cached as long as a positive answer
	now.Store(int64(60 * time.Second))
	wantCode(t, recheck(t.Context(), alice, source), session.OK)

	bob := session.NumberID(2)
	wantCode(t, recheck(t.Context(), bob, source), session.UserInactive)
	s.exec(`update auth_user set is_active = true where id = 2`)
	if _, err := source.Check(t.Context(), presented("bob", "correct horse"), anyone); err != nil {
		t.Fatal(err)
	}
	wantCode(t, recheck(t.Context(), bob, source), session.OK) // the login has updated the cache
	s.exec(`update auth_user set is_active = false where id = 2`)
}

func (s *server) failureIsNotCached(t *testing.T) {
	source := s.open(t, Options{})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	wantCode(t, recheck(cancelled, session.NumberID(1), source), session.Unavailable)
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
}

// execModes checks the driver's modes, which an operator can set in the address.
func (s *server) execModes(t *testing.T) {
	for _, mode := range []string{"exec", "simple_protocol", "describe_exec", "cache_describe", "cache_statement"} {
		source := openAt(t, s.address()+"&default_query_exec_mode="+mode, Options{Recheck: Recheck{Set: true, Every: 0}})
		u, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
		if err != nil || u.ID != session.NumberID(1) {
			t.Errorf("%s: got user %v, %v, want 1", mode, u.ID, err)
		}
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
		wantCode(t, recheck(t.Context(), session.NumberID(2), source), session.UserInactive)
	}
}

// serverRestart checks that sources can be opened while the server is stopped, that logins
// then fail with Unavailable, and that they succeed after its start.
func (s *server) serverRestart(t *testing.T) {
	before := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}})
	if _, err := before.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil {
		t.Fatal(err)
	}
	s.stop()
	during := s.open(t, Options{Recheck: Recheck{Set: true, Every: 0}})
	for _, source := range []*Source{before, during} {
		for _, name := range []string{"alice", "unknown"} {
			_, err := source.Check(t.Context(), presented(name, "correct horse"), anyone)
			wantCode(t, err, session.Unavailable)
			if err != nil && strings.Contains(err.Error(), serverPassword) {
				t.Errorf("error %q contains the password", err)
			}
		}
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.Unavailable)
		wantCode(t, source.Ping(t.Context()), session.Unavailable)
	}
	s.start()
	for _, source := range []*Source{before, during} {
		if _, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil {
			t.Errorf("after the restart: %v", err)
		}
		setClock(t, source).Store(int64(breakerInterval))
		wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
	}
}

func (s *server) wrongPassword(t *testing.T) {
	const wrong = "wr0ng-Tr0ub4dor"
	source := openSource(t, strings.Replace(s.address(), serverPassword, wrong, 1), Options{Queue: password.NewQueue(1, 0, nil)})
	_, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
	wantCode(t, err, session.Unavailable)
	for e := err; e != nil; e = errors.Unwrap(e) {
		if slices.ContainsFunc([]string{wrong, serverPassword, "correct horse"}, func(s string) bool { return strings.Contains(e.Error(), s) }) {
			t.Errorf("error %q contains a password", e)
		}
	}
}
