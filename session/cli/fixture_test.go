package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/config"
	"tokengate/session/config/configtest"
	"tokengate/session/memstore"
	"tokengate/session/password"
	"tokengate/session/storetest"
	"tokengate/session/token"
	"tokengate/session/users"
)

// cliTest runs commands on a gateway whose store is in memory. Its apps are shop and bank,
// with users in the directory, and files, with the user alice (id 1) in a file.
type cliTest struct {
	*testing.T
	store          *memstore.Store
	durability     session.Durability // of every change
	many           bool               // the store does not name the sessions that it revokes
	onFind         func()             // called once, after the next FindAccount
	now            time.Time          // for testStorage, like the next two
	each           map[string][]session.Session
	storageErr     error
	env            []string
	in             io.Reader
	stdout, stderr bytes.Buffer // of the last command
}

func newCLITest(t *testing.T) *cliTest {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(file, []byte(`[{"id": 1, "username": "alice", "password": "!"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cliTest{T: t, store: memstore.New(memstore.Options{}), env: []string{"TOKENGATE_REDIS_URL=redis://unused", "TOKENGATE_APPS=shop,bank,files"}}
	for app, source := range map[string]string{"shop": "redis:", "bank": "redis:", "files": "file:" + file} {
		prefix := config.AppPrefix(app)
		c.env = append(c.env, prefix+"SECRET_KEY="+app+"-secret", prefix+"USERS="+source, prefix+"SIGNING_KEY="+strings.Repeat(app+"-signing-key", 4))
	}
	return c
}

// assemble implements Program.Assemble.
func (c *cliTest) assemble(ctx context.Context, settings *config.Config, _ Stdio) (*Gateway, error) {
	g := &Gateway{Storage: testStorage{test: c}, Directory: testDirectory{c.store.Directory(), c}, Sources: map[string]*users.Source{}}
	queue := password.NewQueue(1, time.Minute, nil)
	engine := session.Config{Store: testStore{c.store, c}, Limiter: c.store.Limiter(), Revocations: session.NewRevocationList(5*time.Minute, time.Minute, nil)}
	for _, name := range settings.Apps {
		a := settings.ByApp[name]
		source, err := users.Open(ctx, string(a.Users), users.Options{Directory: g.Directory, App: name, Queue: queue, DummyKey: []byte("0123456789abcdef")})
		if err != nil {
			return nil, err
		}
		signer, err := token.New(token.Options{App: name, SigningKey: string(a.SigningKey)})
		if err != nil {
			return nil, err
		}
		g.Sources[name] = source
		engine.Apps = append(engine.Apps, session.App{
			Name: name, Secrets: a.SecretKey, Policies: a.Policies(), AccessLifetime: a.AccessTokenLifetime.Value, Signer: signer, Devices: signer, Checker: source,
			AccountKey: users.AccountKey(a.AccountKeySecret(name)),
		})
	}
	var err error
	if g.Engine, err = session.New(engine); err != nil {
		return nil, err
	}
	return g, g.ManageAccounts(settings.ByApp, queue)
}

// testDirectory returns the test's durability for changes, and interrupts commands.
type testDirectory struct {
	*memstore.Directory
	test *cliTest
}

func (d testDirectory) FindAccount(ctx context.Context, app, username string) (session.Account, error) {
	a, err := d.Directory.FindAccount(ctx, app, username)
	if f := d.test.onFind; f != nil {
		d.test.onFind = nil
		f()
	}
	return a, err
}

func (d testDirectory) PutAccount(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	_, err := d.Directory.PutAccount(ctx, app, a, was)
	return d.test.durability, err
}

// testStorage visits the test's sessions, at the test's time.
type testStorage struct {
	MemoryStorage
	test *cliTest
}

func (s testStorage) EachSession(_ context.Context, app string, visit func(session.Owner, session.Session, time.Time) error) error {
	for _, found := range s.test.each[app] {
		if err := visit(session.Owner{App: app, User: "7"}, found, s.test.now); err != nil {
			return err
		}
	}
	return s.test.storageErr
}

// testStore returns the test's durability for revocations.
type testStore struct {
	*memstore.Store
	test *cliTest
}

func (s testStore) RevokeOthers(ctx context.Context, step session.RevokeOthersStep) (session.RevokeResult, error) {
	result, err := s.Store.RevokeOthers(ctx, step)
	if s.test.many {
		result = storetest.Unnamed(step, result)
	}
	result.Durability = s.test.durability
	return result, err
}

func (s testStore) RevokeApp(ctx context.Context, app string) (session.RevokeResult, error) {
	result, err := s.Store.RevokeApp(ctx, app)
	result.Durability = s.test.durability
	return result, err
}

// run runs a command with input on standard input. The words of line are its arguments.
func (c *cliTest) run(input, line string) error {
	c.in = strings.NewReader(input)
	return c.runArgs(strings.Fields(line)...)
}

// runArgs runs a command with the standard input c.in.
func (c *cliTest) runArgs(args ...string) error {
	c.stdout.Reset()
	c.stderr.Reset()
	configtest.Setenv(c, c.env...)
	return Program{Assemble: c.assemble}.Run(c.Context(), args, Stdio{In: c.in, Out: &c.stdout, Err: &c.stderr})
}

// must runs a command that must succeed and returns what it prints on standard output.
func (c *cliTest) must(input, line string) string {
	c.Helper()
	if err := c.run(input, line); err != nil {
		c.Fatalf("%s: %v", line, err)
	}
	return c.stdout.String()
}

// mustFail runs a command that must fail with an error that contains each of texts, and
// print nothing on standard output.
func (c *cliTest) mustFail(input, line string, texts ...string) {
	c.Helper()
	err := c.run(input, line)
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			c.Errorf("%s: got the error %v, want %q", line, err, text)
		}
	}
	if c.stdout.Len() > 0 {
		c.Errorf("%s: got the output %q, want none", line, &c.stdout)
	}
}

// account returns a user of shop by name, or the zero Account.
func (c *cliTest) account(username string) session.Account {
	a, _ := c.store.Directory().FindAccount(c.Context(), "shop", username)
	return a
}

// count returns the number of users of shop.
func (c *cliTest) count() int {
	all, _ := c.store.Directory().Accounts(c.Context(), "shop")
	return len(all)
}

// accepts reports whether the user source of shop accepts a password.
func (c *cliTest) accepts(username, text string) bool {
	_, err := c.check(username, text)
	return err == nil
}

func (c *cliTest) check(username, text string) (session.User, error) {
	configtest.Setenv(c, c.env...)
	settings, err := config.Read()
	if err != nil {
		c.Fatal(err)
	}
	g, err := c.assemble(c.Context(), settings, Stdio{})
	if err != nil {
		c.Fatal(err)
	}
	return g.Sources["shop"].Check(c.Context(), session.Credentials{Username: username, Password: text}, func(session.Found) error { return nil })
}

// login creates a session of a user. credential is the one that they logged in with, or nil
// if the account is not checked.
func (c *cliTest) login(app, user string, credential *session.Fingerprint) (session.ID, error) {
	step := session.CreateStep{
		Owner: session.Owner{App: app, User: user}, CheckUser: credential != nil,
		Session: session.Session{ID: session.NewID(), Type: session.Long, Info: "phone"},
		Policy:  session.Policy{Lifetime: time.Hour, AbsoluteLifetime: time.Hour},
	}
	if credential != nil {
		step.Session.Credential = *credential
	}
	_, err := c.store.Create(c.Context(), step)
	return step.Session.ID, err
}

// sessions returns the IDs of a user's live sessions.
func (c *cliTest) sessions(app, user string) (ids []session.ID) {
	listed, err := c.store.List(c.Context(), session.ListStep{Owner: session.Owner{App: app, User: user}, Types: session.Types})
	if err != nil {
		c.Fatal(err)
	}
	for _, s := range listed.Sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// mustLogin creates sessions of a user that must be created.
func (c *cliTest) mustLogin(app, user string, n int) (ids []session.ID) {
	c.Helper()
	for range n {
		id, err := c.login(app, user, nil)
		if err != nil {
			c.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// wantSessions checks which sessions of a user are live, in any order.
func (c *cliTest) wantSessions(what, app, user string, want ...session.ID) {
	c.Helper()
	got := c.sessions(app, user)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.Errorf("%s: user %s of %s has the sessions %v, want %v", what, user, app, got, want)
	}
}

// readerFunc implements io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// words returns the words of a text, with one space between them.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

// userFile returns a user file with the given entries.
func userFile(format string, args ...any) string { return "[" + fmt.Sprintf(format, args...) + "]" }
