package e2e

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"tokengate/deploy/test/freeport"
	"tokengate/deploy/test/gatewaytest"
)

// account is a user of an accountSource. Its JSON is an entry of a user file.
type account struct {
	ID       int             `json:"id"`
	Username string          `json:"username"`
	Password string          `json:"password"` // the hash
	Active   bool            `json:"is_active"`
	Claims   json.RawMessage `json:"claims,omitempty"`
}

// quickHash returns a hash of a password with one round of PBKDF2, to keep logins fast.
func quickHash(t *testing.T, password, salt string) string {
	t.Helper()
	key, err := pbkdf2.Key(sha256.New, password, []byte(salt), 1, sha256.Size)
	must(t, err)
	return "pbkdf2_sha256$1$" + salt + "$" + base64.StdEncoding.EncodeToString(key)
}

// newAccount returns an active account.
func newAccount(t *testing.T, id int, username, password string) account {
	t.Helper()
	return account{ID: id, Username: username, Password: quickHash(t, password, "salt"), Active: true}
}

// disabled returns a copy of a that is not active.
func (a account) disabled() account { a.Active = false; return a }

// withHash returns a copy of a with another hash.
func (a account) withHash(hash string) account { a.Password = hash; return a }

// withClaims returns a copy of a with claims, a JSON object, or without claims.
func (a account) withClaims(claims string) account {
	if a.Claims = json.RawMessage(claims); claims == "" {
		a.Claims = nil
	}
	return a
}

// accountSource keeps the users of an app outside the gateway.
type accountSource interface {
	settings() gatewaytest.Settings
	set(accounts ...account) // replaces all accounts at once
}

// forEachSource runs a test with users in a file and with users in PostgreSQL.
func forEachSource(t *testing.T, test func(t *testing.T, source accountSource)) {
	t.Helper()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		test(t, &fileSource{t, writeFile(t, "users.json", []byte("[]"))})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, startPostgres(t))
	})
}

// fileSource is a user file.
type fileSource struct {
	t    *testing.T
	path string
}

func (s *fileSource) settings() gatewaytest.Settings {
	return gatewaytest.Settings{"APP_USERS": "file:" + s.path}
}

func (s *fileSource) set(accounts ...account) {
	s.t.Helper()
	content, err := json.Marshal(accounts)
	must(s.t, err)
	if len(accounts) == 0 {
		content = []byte("[]")
	}
	s.write(content)
}

// write replaces the file in one step.
func (s *fileSource) write(content []byte) {
	s.t.Helper()
	must(s.t, os.WriteFile(s.path+".new", content, 0o600))
	must(s.t, os.Rename(s.path+".new", s.path))
}

// postgresSource is a PostgreSQL server with Django's table of users. It asks the server at
// each refresh.
type postgresSource struct {
	t   *testing.T
	url string
}

const postgresPassword = "pg-Tr0ub4dor"

// startPostgres starts a server on a free port of loopback, in a temporary directory.
func startPostgres(t *testing.T) *postgresSource {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-postgres-")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := freeport.Address(t)
	owner := postgresOwner(t, dir)
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(postgresPrograms(t), name), args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true, Pdeathsig: syscall.SIGQUIT} // it must not outlive a test that is killed
		return cmd
	}
	secret, data := filepath.Join(dir, "password"), filepath.Join(dir, "data")
	must(t, os.WriteFile(secret, []byte(postgresPassword), 0o644)) // the server reads it as another user
	if out, err := run("initdb", "-D", data, "-U", "gate", "--pwfile", secret, "--auth", "scram-sha-256", "-E", "UTF8", "--no-locale", "-N").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	host, port, _ := net.SplitHostPort(address)
	server := run("postgres", "-D", data, "-p", port, "-h", host, "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=30")
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	s := &postgresSource{t, fmt.Sprintf("postgres://gate:%s@%s/postgres?sslmode=disable", postgresPassword, address)}
	poll(t, "PostgreSQL answers", func() bool {
		conn, err := pgx.Connect(t.Context(), s.url)
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	})
	s.exec(`create table auth_user (
		id serial not null primary key, password varchar(128) not null, last_login timestamp with time zone null,
		is_superuser boolean not null default false, username varchar(150) not null unique, first_name varchar(150) not null default '',
		last_name varchar(150) not null default '', email varchar(254) not null default '', is_staff boolean not null default false,
		is_active boolean not null, date_joined timestamp with time zone not null default now(), claims jsonb)`)
	return s
}

// postgresPrograms returns the directory of initdb and postgres, which on Debian is not in
// PATH.
func postgresPrograms(t *testing.T) string {
	t.Helper()
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

// postgresOwner gives dir to the user that the server runs as, if the test runs as root, which
// PostgreSQL rejects.
func postgresOwner(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	must(t, err)
	uid, err := strconv.Atoi(u.Uid)
	must(t, err)
	gid, err := strconv.Atoi(u.Gid)
	must(t, err)
	must(t, os.Chown(dir, uid, gid))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func (s *postgresSource) settings() gatewaytest.Settings {
	return gatewaytest.Settings{"APP_USERS": s.url, "APP_RECHECK_USER": "0s"}
}

func (s *postgresSource) set(accounts ...account) {
	s.t.Helper()
	s.transaction(func(tx pgx.Tx) error {
		_, err := tx.Exec(s.t.Context(), `delete from auth_user`)
		for _, a := range accounts {
			if err == nil {
				_, err = tx.Exec(s.t.Context(), `insert into auth_user (id, username, password, is_active, claims) values ($1, $2, $3, $4, $5)`,
					a.ID, a.Username, a.Password, a.Active, a.Claims)
			}
		}
		return err
	})
}

func (s *postgresSource) exec(statement string) {
	s.t.Helper()
	s.transaction(func(tx pgx.Tx) error {
		_, err := tx.Exec(s.t.Context(), statement)
		return err
	})
}

func (s *postgresSource) transaction(do func(tx pgx.Tx) error) {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.url)
	must(s.t, err)
	defer func() { _ = conn.Close(context.Background()) }()
	must(s.t, pgx.BeginFunc(s.t.Context(), conn, do))
}
