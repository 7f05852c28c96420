package credential

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tokengate/session"
	"tokengate/session/memstore"
)

// shelf is a session.Directory whose Put may be made to fail, and which may have
// lost a name.
type shelf struct {
	*memstore.Store
	err  error  // of every Put
	lost string // finds nobody
	// durable is how durable the next Puts are, then none is.
	durable []session.Durability
}

func (s *shelf) Find(ctx context.Context, app, username string) (session.Account, error) {
	if username == s.lost {
		username = ""
	}
	return s.Store.Find(ctx, app, username)
}

func (s *shelf) Put(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
	if s.err != nil {
		return "", s.err
	}
	_, err := s.Store.Put(ctx, app, a, was)
	var done session.Durability
	if len(s.durable) > 0 {
		done, s.durable = s.durable[0], s.durable[1:]
	}
	return done, err
}

// desk is a Manager, its shelf, and whose sessions it has ended.
type desk struct {
	Manager
	shelf
	out   bytes.Buffer
	told  bytes.Buffer // beside out
	ended []string
	// lasts is how durable the ends of sessions are.
	lasts session.Durability
}

func newDesk() *desk {
	d := &desk{shelf: shelf{Store: memstore.New(memstore.Options{})}}
	d.Manager = Manager{App: "shop", Directory: &d.shelf, Out: &d.out, Err: &d.told, End: func(_ context.Context, id session.UserID) (session.Durability, error) {
		d.ended = append(d.ended, id.String())
		return d.lasts, nil
	}}
	return d
}

// run runs a command line with something on standard input.
func (d *desk) run(t *testing.T, input, line string) error {
	t.Helper()
	d.In = strings.NewReader(input)
	return d.Run(t.Context(), strings.Fields(line))
}

// user is a user by name, the zero Account for nobody.
func (d *desk) user(username string) session.Account {
	a, _ := d.Find(context.Background(), "shop", username)
	return a
}

// count is how many users there are.
func (d *desk) count() int {
	all, _ := d.Accounts(context.Background(), "shop")
	return len(all)
}

func (d *desk) must(t *testing.T, input, line string) {
	t.Helper()
	if err := d.run(t, input, line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
}

// lets tells whether the source of these users lets one in.
func (d *desk) lets(t *testing.T, username, password string) bool {
	t.Helper()
	source, err := Open(t.Context(), "redis:", Options{Lane: NewLane(0, 0, nil), DecoyKey: testKey, Directory: &d.shelf, App: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = source.Check(t.Context(), username, password)
	return err == nil
}

func TestManagerKeepsUsers(t *testing.T) {
	d := newDesk()
	d.must(t, "open sesame\r\nand no more", `add alice -id 7 -claims {"role":"admin"}`)
	if a := d.user("alice"); a.ID != session.NumberID(7) || string(a.Claims) != `{"role":"admin"}` || !d.lets(t, "alice", "open sesame") {
		t.Errorf("alice is %+v", a)
	}
	d.must(t, "s3same", "add bob")
	if id := d.user("bob").ID; strings.TrimPrefix(d.out.String(), "7\n") != id.String()+"\n" || !session.ID(id.String()).Valid() {
		t.Errorf("bob is %v, and told: %s", id, &d.out)
	}
	d.must(t, "changed\n", "passwd alice")
	if d.lets(t, "alice", "open sesame") || !d.lets(t, "alice", "changed") {
		t.Error("the old password still fits, or the new does not")
	}
	d.must(t, "", "disable alice")
	if d.lets(t, "alice", "changed") {
		t.Error("a disabled user is let in")
	}
	d.must(t, "", "enable alice")
	if !d.lets(t, "alice", "changed") || strings.Join(d.ended, " ") != "7 7" {
		t.Errorf("enabled again; sessions ended of %v", d.ended)
	}
	d.out.Reset()
	d.must(t, "", "list")
	if out := d.out.String(); !strings.Contains(out, "alice") || !strings.Contains(out, "bob") || strings.Contains(out, "argon2") {
		t.Errorf("list shows\n%s", out)
	}
}

// TestManagerAddsNobodyTwice: an id is one user's, except that who has lost his
// name to a failure may be added again.
func TestManagerAddsNobodyTwice(t *testing.T) {
	d := newDesk()
	d.must(t, "open sesame", "add alice -id 7")
	alice := d.user("alice")
	if err := d.run(t, "s3same", "add bob -id 7"); err == nil || !strings.Contains(err.Error(), `there is a user with the id 7 already: "alice"`) {
		t.Errorf("a user with another's id: %v", err)
	}
	if got := d.user("alice"); got.Password != alice.Password || d.count() != 1 {
		t.Errorf("%d users; alice is %+v", d.count(), got)
	}
	d.In = readerFunc(func(b []byte) (int, error) { // while the password is typed
		_, err := d.Put(t.Context(), "shop", session.Account{ID: session.NumberID(8), Username: "carl", Password: "!"}, session.Account{})
		return copy(b, "s3same\n"), err
	})
	if err := d.Run(t.Context(), strings.Fields("add bob -id 8")); err == nil || !strings.Contains(err.Error(), "in the meantime") {
		t.Errorf("a user with an id that was given meanwhile: %v", err)
	}
	d.lost = "alice"
	d.must(t, "changed", "add alice -id 7")
	d.lost = ""
	if !d.lets(t, "alice", "changed") || d.count() != 2 {
		t.Errorf("added again: %+v, %d users", d.user("alice"), d.count())
	}
}

// readerFunc is a Read.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestManagerImports(t *testing.T) {
	d := newDesk()
	d.must(t, "", "import testdata/dumpdata-all.json")
	if d.count() != 5 || d.out.String() != "5 users\n" || !d.lets(t, "zoë", "pässwörd") || d.lets(t, "bob", "bob-pw") {
		t.Errorf("%d users are in, and told: %s", d.count(), &d.out)
	}
	d.must(t, "["+anEntry+"]", "import -")
	broken := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(broken, []byte("["+strings.ReplaceAll(anEntry, "alice", "eve")+`,{"id":2}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.run(t, "", "import "+broken); err == nil || d.user("eve").Username != "" {
		t.Errorf("half a file is in: %v", err)
	}
	d.err = session.Fail(session.Unavailable, nil)
	if err := d.run(t, "["+anEntry+"]", "import -"); err == nil || !strings.Contains(err.Error(), "0 of 1") {
		t.Errorf("a store that is away: %v", err)
	}
}

// TestManagerTellsWhatIsPending: whichever step of a command it is of, and also when
// a later one fails; not on the output, which programs read.
func TestManagerTellsWhatIsPending(t *testing.T) {
	const two = `[{"id": 7, "username": "alice", "password": "!"}, {"id": 8, "username": "HIM", "password": "!"}]`
	const pending, replicated = session.Pending, session.Replicated
	for _, c := range []struct {
		line, input string
		puts        []session.Durability
		end         session.Durability
		told        bool
	}{
		{"add carl", "pw", []session.Durability{pending}, "", true},
		{"add carl", "pw", []session.Durability{replicated}, "", false},
		{"passwd alice", "pw", []session.Durability{pending}, replicated, true},
		{"passwd alice", "pw", []session.Durability{replicated}, pending, true},
		{"disable alice", "", []session.Durability{pending}, "", true},
		{"disable alice", "", []session.Durability{replicated}, replicated, false},
		{"disable alice", "", nil, "", false},
		{"enable alice", "", []session.Durability{pending}, "", true},
		{"import -", two, []session.Durability{pending, replicated, replicated}, replicated, true},
		{"import -", two, []session.Durability{replicated, pending, replicated}, replicated, true},
		{"import -", two, []session.Durability{replicated, replicated, replicated}, pending, true},
		{"import -", two, []session.Durability{replicated, replicated, replicated}, replicated, false},
		{"import -", strings.ReplaceAll(two, "HIM", "bob"), []session.Durability{pending, replicated}, replicated, true}, // whose name is taken
	} {
		d := newDesk()
		d.must(t, "pw", "add alice -id 7")
		d.must(t, "pw", "add bob -id 9")
		d.out.Reset()
		d.durable, d.lasts = c.puts, c.end
		fails := strings.Contains(c.input, `"bob"`)
		if err := d.run(t, c.input, c.line); (err != nil) != fails {
			t.Errorf("%+v: %v", c, err)
		}
		if told := strings.HasPrefix(d.told.String(), "pending: "); told != c.told || strings.Contains(d.out.String(), "pending") {
			t.Errorf("%+v: told %q, and on the output %q", c, &d.told, &d.out)
		}
	}
}

func TestManagerRefuses(t *testing.T) {
	d := newDesk()
	d.must(t, "open sesame", "add alice")
	before := d.user("alice").Password
	for line, want := range map[string]string{
		"":                                    "give one of",
		"list alice":                          "give one of",
		"add":                                 "give one of",
		"add bob -id":                         "give one of",
		"add bob -password secret":            "give one of",
		"passwd alice secret":                 "give one of",
		"remove alice":                        "give one of",
		"add bob -id caf\xe9":                 "-id: a user id is",
		"add bob -claims []":                  "-claims is not a JSON object",
		"add bob -claims {\"n\":\"caf\xe9\"}": "-claims is not valid UTF-8",
		"add bob -claims " + claimsOf(session.MaxClaims+1): "-claims has 4097 bytes",
		"add bob":              "the password is empty",
		"add alice":            "there is a user of this name",
		"passwd alice":         "the password is empty",
		"passwd nobody":        "the password is empty",
		"enable nobody":        "no user of this name",
		"disable nobody":       "no user of this name",
		"import /no/such/file": "no such file",
	} {
		if err := d.run(t, "\n", line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want …%s…", line, err, want)
		}
	}
	for name, want := range map[string]string{
		"": "username is empty", " spaced ": "white space around it", "new\n": "white space around it",
		"caf\xe9": "username is not valid UTF-8", "a\x00b": "a NUL",
	} {
		d.In = strings.NewReader("open sesame")
		if err := d.Run(t.Context(), []string{"add", name}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("add %q: %v, want …%s…", name, err, want)
		}
	}
	if d.count() != 1 || d.user("alice").Password != before || d.ended != nil {
		t.Errorf("something was changed: %d users, %v", d.count(), d.ended)
	}
	if err := d.run(t, "open sesame", "passwd nobody"); err == nil || !strings.Contains(err.Error(), "no user of this name") {
		t.Errorf("the password of nobody: %v", err)
	}
	d.End = func(context.Context, session.UserID) (session.Durability, error) {
		return "", session.Fail(session.Unavailable, nil)
	}
	if err := d.run(t, "", "disable alice"); err == nil || !strings.Contains(err.Error(), "run it again") || d.user("alice").Active {
		t.Errorf("where the sessions can't be ended: %v", err)
	}
}
