// Package pgbouncer runs PgBouncer, a connection pooler, in front of a PostgreSQL server for
// tests.
package pgbouncer

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tokengate/deploy/test/freeport"
)

// Start runs PgBouncer with transaction pooling until the test ends. It connects to the
// server and database of databaseURL, whose user and password are also those of its own
// clients. Settings are further lines of the section [pgbouncer], such as
// "default_pool_size = 2"; they override those of Start. Start returns databaseURL with PgBouncer's address in place of the
// server's.
func Start(tb testing.TB, databaseURL string, settings ...string) string {
	tb.Helper()
	server, err := url.Parse(databaseURL)
	if err != nil {
		tb.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	address := freeport.Address(tb)
	host, port, _ := net.SplitHostPort(address)
	secret, _ := server.User.Password()
	config := fmt.Sprintf("[databases]\n%s = host=%s port=%s\n[pgbouncer]\nlisten_addr = %s\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = scram-sha-256\nauth_file = %s/users\npool_mode = transaction\n%s\n",
		strings.Trim(server.Path, "/"), server.Hostname(), server.Port(), host, port, dir, strings.Join(settings, "\n"))
	accounts := fmt.Sprintf("%q %q\n", server.User.Username(), secret)
	// PgBouncer reads both files as another user if the test runs as root.
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/config", []byte(config), 0o644), os.WriteFile(dir+"/users", []byte(accounts), 0o644))
	if err != nil {
		tb.Fatal(err)
	}
	run(tb, dir, address)
	server.Host = address
	return server.String()
}

// run starts the process and waits until it listens.
func run(tb testing.TB, dir, address string) {
	tb.Helper()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("pgbouncer", dir+"/config")
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner(tb), Setpgid: true, Pdeathsig: syscall.SIGQUIT} // it must not outlive a test that is killed
	if err := cmd.Start(); err != nil {
		tb.Fatalf("this test needs Debian's package pgbouncer: %v", err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT)
		_ = cmd.Wait()
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && tb.Failed() {
			tb.Logf("pgbouncer:\n%s", text)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("PgBouncer does not listen: %v", err)
		}
	}
}

// owner returns the user that PgBouncer runs as if the test runs as root, which PgBouncer
// rejects.
func owner(tb testing.TB) *syscall.Credential {
	tb.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Fatal(err)
	}
	uid, _ := strconv.ParseUint(u.Uid, 10, 32)
	gid, _ := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
