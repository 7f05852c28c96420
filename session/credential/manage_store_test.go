package credential_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/credential"
	"tokengate/session/memstore"
)

// clerk is a Manager over a real Directory, and a session of user 7's to end.
type clerk struct {
	credential.Manager
	store *memstore.Store
	out   bytes.Buffer
}

func newClerk(app string, store *memstore.Store) *clerk {
	c := &clerk{store: store}
	c.Manager = credential.Manager{App: app, Directory: store, Out: &c.out, End: func(ctx context.Context, id session.UserID) (session.Durability, error) {
		receipt, err := store.EndOthers(ctx, session.EndOthersStep{
			Owner: session.Owner{App: app, User: id.String()}, Types: session.Types, Cause: session.CauseAccount, By: "clerk",
		})
		return receipt.Durability, err
	}}
	return c
}

func (c *clerk) run(t *testing.T, input, line string) error {
	t.Helper()
	c.In = strings.NewReader(input)
	c.out.Reset()
	return c.Run(t.Context(), strings.Fields(line))
}

func (c *clerk) must(t *testing.T, input, line string) string {
	t.Helper()
	if err := c.run(t, input, line); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return c.out.String()
}

// TestManagerOverADirectory does what only a Directory's own rules decide: who
// has a name, what a second import changes, and which app a user is of.
func TestManagerOverADirectory(t *testing.T) {
	store := memstore.New(memstore.Options{})
	shop, bank := newClerk("shop", store), newClerk("bank", store)
	shop.must(t, "pw", "add zoe -id 9")
	shop.must(t, "pw", "add alice -id 7")
	bank.must(t, "pw", "add alice -id 8")
	if out := shop.must(t, "", "list"); strings.Join(strings.Fields(out), " ") != "ID USERNAME ACTIVE 7 alice true 9 zoe true" {
		t.Errorf("list shows\n%s", out)
	}

	shop.must(t, `[{"id": 7, "username": "alicia", "password": "!", "is_active": false}]`, "import -")
	if out := shop.must(t, "", "list"); strings.Join(strings.Fields(out), " ") != "ID USERNAME ACTIVE 7 alicia false 9 zoe true" {
		t.Errorf("after an import that renames, list shows\n%s", out)
	}
	err := shop.run(t, `[{"id": 10, "username": "yan", "password": "!"}, {"id": 11, "username": "zoe", "password": "!"}]`, "import -")
	if session.CodeOf(err) != session.UserExists || !strings.Contains(err.Error(), "1 of 2 users are in") {
		t.Errorf("an import of a name that is taken: %v", err)
	}
	for _, part := range []string{`"zoe" (id 11) is not`, "the user with the id 9 has this name", "run it again"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("an import of a name that is taken does not say %q: %v", part, err)
		}
	}
	if out := bank.must(t, "", "list"); strings.Join(strings.Fields(out), " ") != "ID USERNAME ACTIVE 8 alice true" {
		t.Errorf("the other app's list shows\n%s", out)
	}
}

// intruder is a Directory, and standard input, that lets another command come in
// once: behind a Find, or before the password is there.
type intruder struct {
	*memstore.Store
	once      sync.Once
	afterFind bool
	come      func()
}

func (i *intruder) Find(ctx context.Context, app, username string) (session.Account, error) {
	a, err := i.Store.Find(ctx, app, username)
	if i.afterFind {
		i.once.Do(i.come)
	}
	return a, err
}

func (i *intruder) Read(b []byte) (int, error) {
	i.once.Do(i.come)
	return copy(b, "new-pw\n"), nil
}

// TestManagerUndoesNothing: of two changes to one user at a time, both stay.
func TestManagerUndoesNothing(t *testing.T) {
	for _, c := range []struct {
		line, other string
		afterFind   bool
		active      bool // in the end
	}{
		{"passwd alice", "disable alice", false, false},
		{"passwd alice", "disable alice", true, false},
		{"enable alice", "passwd alice", true, true},
		{"disable alice", "passwd alice", true, false},
	} {
		store := memstore.New(memstore.Options{})
		shop, other := newClerk("shop", store), newClerk("shop", store)
		shop.must(t, "pw", "add alice -id 7")
		before, _ := store.Find(t.Context(), "shop", "alice")
		in := &intruder{Store: store, afterFind: c.afterFind}
		in.come = func() { other.must(t, "other-pw", c.other) }
		shop.Directory, shop.In = in, in
		if err := shop.Run(t.Context(), strings.Fields(c.line)); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		after, err := store.Find(t.Context(), "shop", "alice")
		if err != nil || after.Active != c.active || after.Password == before.Password {
			t.Errorf("%+v: active %t, another password %t, %v", c, after.Active, after.Password != before.Password, err)
		}
	}
}

// TestManagerEndsSessions: a changed password and a disabled account end what
// there is, in their own app alone, also where an import gives another name with
// it; to enable or to rename an account ends nothing.
func TestManagerEndsSessions(t *testing.T) {
	policy := session.Policy{Lifetime: session.MaxAbsoluteLifetime, AbsoluteLifetime: session.MaxAbsoluteLifetime}
	for _, c := range []struct {
		line, input string
		ends        bool
	}{
		{"passwd alice", "new-pw\n", true},
		{"disable alice", "", true},
		{"enable alice", "", false},
		{"import -", `[{"id": 7, "username": "alice", "password": "HASH"}]`, false},
		{"import -", `[{"id": 7, "username": "alicia", "password": "HASH"}]`, false},
		{"import -", `[{"id": 7, "username": "alicia", "password": "HASH", "is_active": false}]`, true},
		{"import -", `[{"id": 7, "username": "alicia", "password": "!"}]`, true},
		{"import -", `[{"id": 8, "username": "alicia", "password": "!"}]`, false},
	} {
		store := memstore.New(memstore.Options{})
		shop, bank := newClerk("shop", store), newClerk("bank", store)
		for _, c := range []*clerk{shop, bank} {
			c.must(t, "pw", "add alice -id 7")
			_, err := store.Create(t.Context(), session.CreateStep{
				Owner: session.Owner{App: c.App, User: "7"}, Session: session.Session{ID: session.NewID(), Type: session.Long}, Policy: policy,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		alice, _ := store.Find(t.Context(), "shop", "alice")
		shop.must(t, strings.ReplaceAll(c.input, "HASH", alice.Password), c.line)
		traces, err := store.Traces(t.Context(), session.Owner{App: "shop", User: "7"})
		if ended := len(traces) == 1 && traces[0].Cause == session.CauseAccount; err != nil || ended != c.ends {
			t.Errorf("%+v: traces %+v, %v", c, traces, err)
		}
		if traces, _ := store.Traces(t.Context(), session.Owner{App: "bank", User: "7"}); len(traces) > 0 {
			t.Errorf("%+v: the other app's session has ended", c)
		}
	}
}

// TestLoginUnderWay: who logs in with a password that is changed meanwhile, or
// whose account is disabled, has no session afterwards.
func TestLoginUnderWay(t *testing.T) {
	for line, want := range map[string]session.Code{
		"passwd alice": session.UserUnknown, "disable alice": session.UserInactive, "list": session.OK,
	} {
		for _, recheck := range []credential.Recheck{{}, credential.RecheckOff()} {
			store := memstore.New(memstore.Options{})
			shop := newClerk("shop", store)
			shop.must(t, "pw", "add alice -id 7")
			in := &intruder{Store: store, afterFind: true, come: func() { shop.must(t, "new-pw", line) }}
			source, err := credential.Open(t.Context(), "redis:", credential.Options{
				App: "shop", Directory: in, Recheck: recheck, Lane: credential.NewLane(1, time.Minute, nil),
				DecoyKey: []byte("0123456789abcdef"),
			})
			if err != nil {
				t.Fatal(err)
			}
			user, err := source.Check(t.Context(), "alice", "pw")
			if err != nil {
				t.Fatal(err)
			}
			_, err = store.Create(t.Context(), session.CreateStep{
				Owner: session.Owner{App: "shop", User: user.ID.String()}, Hash: user.Hash,
				Session: session.Session{ID: session.NewID(), Type: session.Long},
				Policy:  session.Policy{Lifetime: session.MaxAbsoluteLifetime, AbsoluteLifetime: session.MaxAbsoluteLifetime},
			})
			if session.CodeOf(err) != want {
				t.Errorf("%s: %v, want %s", line, err, want)
			}
		}
	}
}
