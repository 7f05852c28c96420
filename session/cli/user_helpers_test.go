package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/users"
)

// testDirectory is a directory in memory that can fail.
type testDirectory struct {
	*memstore.Directory
	putErr     error                // returned by every PutAccount
	hiddenName string               // FindAccount does not find this name
	durability []session.Durability // of the next calls of PutAccount; later calls return none
	afterFind  func()               // called once, after the next FindAccount
}

func (d *testDirectory) FindAccount(ctx context.Context, app, username string) (session.Account, error) {
	if username == d.hiddenName {
		username = ""
	}
	a, err := d.Directory.FindAccount(ctx, app, username)
	if f := d.afterFind; f != nil {
		d.afterFind = nil
		f()
	}
	return a, err
}

func (d *testDirectory) PutAccount(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	if d.putErr != nil {
		return "", d.putErr
	}
	_, err := d.Directory.PutAccount(ctx, app, a, was)
	if len(d.durability) == 0 {
		return "", err
	}
	durability := d.durability[0]
	d.durability = d.durability[1:]
	return durability, err
}

// userFixture runs userCommand for one app over a store in memory.
type userFixture struct {
	userCommand
	store            *memstore.Store
	users            *testDirectory
	stdout, stderr   bytes.Buffer       // of the last command
	revoked          []string           // ids of users whose sessions were revoked, in order
	revokeDurability session.Durability // returned by every revocation
}

func newUserFixture(app string, store *memstore.Store) *userFixture {
	f := &userFixture{store: store, users: &testDirectory{Directory: store.Directory()}}
	f.userCommand = userCommand{app: app, directory: f.users, out: &f.stdout, err: &f.stderr, revoke: f.revokeSessions}
	return f
}

// newShop returns a fixture for the app "shop" with a store of its own.
func newShop() *userFixture { return newUserFixture("shop", memstore.New(memstore.Options{})) }

func (f *userFixture) revokeSessions(ctx context.Context, id session.UserID) (session.Durability, error) {
	f.revoked = append(f.revoked, id.String())
	_, err := f.store.RevokeOthers(ctx, session.RevokeOthersStep{
		Owner: session.Owner{App: f.app, User: id.String()}, Types: session.Types, Cause: session.CauseAccount, By: "test",
	})
	return f.revokeDurability, err
}

// runLine runs a command line with input on standard input.
func (f *userFixture) runLine(t *testing.T, input, line string) error {
	t.Helper()
	f.in = strings.NewReader(input)
	return f.runArgs(t, strings.Fields(line)...)
}

// runArgs runs a command with the standard input that f has.
func (f *userFixture) runArgs(t *testing.T, args ...string) error {
	t.Helper()
	f.stdout.Reset()
	f.stderr.Reset()
	return f.run(t.Context(), args)
}

// must runs a command line that must succeed and returns what it prints.
func (f *userFixture) must(t *testing.T, input, line string) string {
	t.Helper()
	if err := f.runLine(t, input, line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return f.stdout.String()
}

// account returns a user by name, or the zero Account if there is none.
func (f *userFixture) account(username string) session.Account {
	a, _ := f.store.Directory().FindAccount(context.Background(), f.app, username)
	return a
}

// count returns the number of users.
func (f *userFixture) count() int {
	all, _ := f.store.Directory().Accounts(context.Background(), f.app)
	return len(all)
}

// openSource opens the user source of the fixture's users.
func (f *userFixture) openSource(t *testing.T, recheck users.Recheck) *users.Source {
	t.Helper()
	source, err := users.Open(t.Context(), "redis:", users.Options{
		App: f.app, Directory: f.users, Recheck: recheck, Queue: password.NewQueue(1, time.Minute, nil),
		DummyKey: []byte("0123456789abcdef"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// canLogIn reports whether the user source accepts a password.
func (f *userFixture) canLogIn(t *testing.T, username, pw string) bool {
	t.Helper()
	_, err := f.openSource(t, users.Recheck{}).Check(t.Context(), username, pw)
	return err == nil
}

// createSession creates a session of a user; hash is that of the password they logged
// in with, or empty.
func (f *userFixture) createSession(t *testing.T, id session.UserID, hash string) error {
	t.Helper()
	_, err := f.store.Create(t.Context(), session.CreateStep{
		Owner: session.Owner{App: f.app, User: id.String()}, Hash: hash,
		Session: session.Session{ID: session.NewID(), Type: session.Long},
		Policy:  session.Policy{Lifetime: session.MaxAbsoluteLifetime, AbsoluteLifetime: session.MaxAbsoluteLifetime},
	})
	return err
}

// readerFunc implements io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
