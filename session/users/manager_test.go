package users

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/fairqueue"
	"tokengate/session/memstore"
	"tokengate/session/password"
)

// managedDirectory is a directory in memory in which other operators and failures can be
// simulated.
type managedDirectory struct {
	*memstore.Directory
	putErr     error                // returned by every PutAccount
	durability []session.Durability // of the next calls of PutAccount
	afterRead  func()               // called once, after the next read of an account by its ID
	hiddenName string               // FindAccount does not find this name
}

func (d *managedDirectory) Account(ctx context.Context, app string, id session.UserID) (session.Account, error) {
	a, err := d.Directory.Account(ctx, app, id)
	if f := d.afterRead; f != nil {
		d.afterRead = nil
		f()
	}
	return a, err
}

func (d *managedDirectory) FindAccount(ctx context.Context, app, username string) (session.Account, error) {
	if username == d.hiddenName {
		return session.Account{}, session.Fail(session.UserUnknown, nil)
	}
	return d.Directory.FindAccount(ctx, app, username)
}

func (d *managedDirectory) PutAccount(ctx context.Context, app string, a, was session.Account) (session.Durability, error) {
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

// managerTest is a Manager of the apps shop and bank.
type managerTest struct {
	*testing.T
	*Manager
	directory *managedDirectory
	revoked   []string // ids of users of shop whose sessions were revoked, in order
	revokeErr error
	onRevoke  func()
}

func newManagerTest(t *testing.T) *managerTest {
	t.Helper()
	m := &managerTest{T: t, directory: &managedDirectory{Directory: memstore.New(memstore.Options{}).Directory()}}
	var err error
	m.Manager, err = NewManager(ManagerOptions{
		Directory: m.directory, Queue: password.NewQueue(1, time.Minute, nil), MinPassword: map[string]int{"shop": 8, "bank": 12},
		Revoke: func(_ context.Context, owner session.Owner, by string) (session.RevokeResult, error) {
			if m.onRevoke != nil {
				m.onRevoke()
			}
			if owner.App != "shop" || by != "ops" {
				t.Errorf("Revoke of %v by %q, want an owner in shop, by ops", owner, by)
			}
			m.revoked = append(m.revoked, owner.User)
			return session.RevokeResult{Revoked: []session.Tombstone{{ID: "x"}}}, m.revokeErr
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// add adds a user to shop. Their password is "first password".
func (m *managerTest) add(n session.NewAccount) session.Account {
	m.Helper()
	n.Password = "first password"
	a, _, err := m.AddAccount(m.Context(), "shop", n)
	if err != nil {
		m.Fatalf("AddAccount of %q: %v", n.Username, err)
	}
	return a
}

// putOlder adds a user to shop as builds did that gave no numbers to users.
func (m *managerTest) putOlder(id int64) session.Account {
	m.Helper()
	older := session.Account{ID: session.NumberID(id), Username: "older", Password: "!", Active: true}
	if _, err := m.directory.Directory.PutAccount(m.Context(), "shop", older, session.Account{}); err != nil {
		m.Fatal(err)
	}
	return older
}

// change changes a user of shop.
func (m *managerTest) change(id session.UserID, c session.AccountChange) (session.Account, error) {
	a, _, err := m.ChangeAccount(m.Context(), "shop", id, c, "ops")
	return a, err
}

// stored returns an account of shop as the directory has it, or the zero Account.
func (m *managerTest) stored(id session.UserID) session.Account {
	a, _ := m.directory.Directory.Account(m.Context(), "shop", id)
	return a
}

func (m *managerTest) wantCode(what string, err error, want session.Code) {
	m.Helper()
	if session.CodeOf(err) != want {
		m.Errorf("%s: got %v, want %s", what, err, want)
	}
}

func (m *managerTest) wantRevoked(what string, want ...string) {
	m.Helper()
	if !slices.Equal(m.revoked, want) {
		m.Errorf("%s: sessions were revoked of %q, want %q", what, m.revoked, want)
	}
	m.revoked = nil
}

func accepts(a session.Account, text string) bool {
	hash, err := password.ParseHash(a.Password)
	if err != nil {
		return false
	}
	_, place, err := password.NewQueue(1, time.Minute, nil).Enter(context.Background(), fairqueue.Client{}, 0)
	if err != nil {
		return false
	}
	defer place.Leave()
	matched, err := place.Match(context.Background(), hash, text, true)
	return err == nil && matched
}

func TestManagerAddsAccount(t *testing.T) {
	m := newManagerTest(t)
	seven := session.NumberID(7)
	a := m.add(session.NewAccount{ID: seven, Username: "alice", Claims: json.RawMessage(`{"role": "admin"}`)})
	if m.stored(seven).CheckUnchanged(a) != nil || !a.Active || string(a.Claims) != `{"role":"admin"}` || a.Credential.IsZero() || !accepts(a, "first password") {
		t.Errorf("got %+v, stored %+v; want an active user with the claims, a credential and the password", a, m.stored(seven))
	}
	b := m.add(session.NewAccount{Username: "bob", Inactive: true})
	if !session.ID(b.ID.String()).Valid() || b.Active || b.Credential == a.Credential {
		t.Errorf("got %+v, want an inactive user with a random id and a credential of their own", b)
	}
	for _, c := range []session.NewAccount{{Username: "alice"}, {Username: "carl", ID: seven}, {Username: "carl", ID: session.TextID("7")}, {Username: "alice", ID: seven}} {
		c.Password = "first password"
		_, _, err := m.AddAccount(t.Context(), "shop", c)
		m.wantCode(fmt.Sprintf("add %q with the id %q", c.Username, c.ID), err, session.UserExists)
	}
	m.directory.afterRead = func() { m.add(session.NewAccount{ID: session.NumberID(8), Username: "dora"}) }
	_, _, err := m.AddAccount(t.Context(), "shop", session.NewAccount{ID: session.NumberID(8), Username: "carl", Password: "first password"})
	if m.wantCode("add with an id that is taken meanwhile", err, session.UserExists); !strings.Contains(err.Error(), "in the meantime") {
		t.Errorf("got %v, want an error that says so", err)
	}
	m.directory.hiddenName = "alice" // as after a failed attempt
	if a := m.add(session.NewAccount{ID: seven, Username: "alice"}); m.stored(seven).CheckUnchanged(a) != nil {
		t.Errorf("adding alice again: got %+v, stored %+v", a, m.stored(seven))
	}
	m.wantRevoked("after adding users")
}

// TestManagerRejectsValues checks that values which are not accepted change nothing, revoke
// nothing and are not repeated in the error.
func TestManagerRejectsValues(t *testing.T) {
	m := newManagerTest(t)
	a := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
	for text, want := range map[string]string{
		"": "empty", "       \t\u00a0": "white space", "sécret\x00word": "NUL", "caf\xe9 sécret": "UTF-8",
		strings.Repeat("s", 1025): "1024 bytes", "sécret!": "give at least 8 characters", strings.Repeat("x", 70<<10): "1024 bytes",
	} {
		_, err := m.change(a.ID, session.AccountChange{Password: &text})
		checkInvalid(t, err, "password", want)
		_, _, err = m.AddAccount(t.Context(), "shop", session.NewAccount{Username: "bob", Password: text})
		checkInvalid(t, err, "password", want)
	}
	eleven := "11 letters!"
	if _, _, err := m.AddAccount(t.Context(), "bank", session.NewAccount{Username: "bob", Password: eleven}); err == nil {
		t.Error("a password of 11 characters is accepted in an app with a minimum of 12")
	}
	for name, want := range map[string]string{"": "empty", " bob": "white space", "b\x00b": "NUL", "b\xe9b": "UTF-8"} {
		_, err := m.change(a.ID, session.AccountChange{Username: &name})
		checkInvalid(t, err, "username", want)
		_, _, err = m.AddAccount(t.Context(), "shop", session.NewAccount{Username: name, Password: "first password"})
		checkInvalid(t, err, "username", want)
	}
	claims := json.RawMessage(`[]`)
	_, err := m.change(a.ID, session.AccountChange{Claims: &claims, Password: &eleven})
	checkInvalid(t, err, "claims", "JSON object")
	_, _, err = m.AddAccount(t.Context(), "shop", session.NewAccount{ID: session.NumberID(9), IntegerID: true, Username: "bob", Password: eleven})
	checkInvalid(t, err, "integer_id", "leave one")
	all, err := m.Accounts(t.Context(), "shop")
	if err != nil || len(all) != 1 || all[0].CheckUnchanged(a) != nil {
		t.Errorf("got the users %+v, %v; want only alice, unchanged", all, err)
	}
	m.wantRevoked("after rejected changes")
}

// checkInvalid checks that err is about one field and contains a text, but no secret.
func checkInvalid(t *testing.T, err error, field, text string) {
	t.Helper()
	invalid, _ := err.(session.InvalidFields)
	if len(invalid) != 1 || invalid[0].Name != field || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "sécret") {
		t.Errorf("got %v, want an error of %s with %q", err, field, text)
	}
}

// TestManagerChangesAccount checks what each change does: which fields it sets, whether it
// changes the credential, and whether it revokes the sessions.
func TestManagerChangesAccount(t *testing.T) {
	text, name, yes, no, claims, none := "second password", "alicia", true, false, json.RawMessage(`{ "role": "x" }`), json.RawMessage(`{}`)
	for what, c := range map[string]struct {
		change             session.AccountChange
		edit               func(*session.Account) // what the change does, besides the password
		password, revoking bool
	}{
		"nothing":     {},
		"username":    {change: session.AccountChange{Username: &name}, edit: func(a *session.Account) { a.Username = "alicia" }},
		"claims":      {change: session.AccountChange{Claims: &claims}, edit: func(a *session.Account) { a.Claims = json.RawMessage(`{"role":"x"}`) }},
		"no claims":   {change: session.AccountChange{Claims: &none}, edit: func(a *session.Account) { a.Claims = nil }},
		"enable":      {change: session.AccountChange{Active: &yes}},
		"disable":     {change: session.AccountChange{Active: &no}, edit: func(a *session.Account) { a.Active = false }, revoking: true},
		"password":    {change: session.AccountChange{Password: &text}, password: true, revoking: true},
		"both":        {change: session.AccountChange{Password: &text, Active: &no}, edit: func(a *session.Account) { a.Active = false }, password: true, revoking: true},
		"same values": {change: session.AccountChange{Username: ptr("alice"), Active: &yes}},
	} {
		m := newManagerTest(t)
		was := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice", Claims: json.RawMessage(`{"a":1}`)})
		got, err := m.change(was.ID, c.change)
		want := was
		if c.edit != nil {
			c.edit(&want)
		}
		if c.password {
			if got.Credential == was.Credential || got.Credential.IsZero() || !accepts(got, text) {
				t.Errorf("%s: got %+v, want the new password and another credential", what, got)
			}
			want.Password, want.Credential = got.Password, got.Credential
		}
		if err != nil || want.CheckUnchanged(got) != nil || m.stored(was.ID).CheckUnchanged(got) != nil {
			t.Errorf("%s: got %+v, %v, stored %+v; want %+v", what, got, err, m.stored(was.ID), want)
		}
		if c.revoking {
			m.wantRevoked(what, "7")
		} else {
			m.wantRevoked(what)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestManagerChangeFails(t *testing.T) {
	m := newManagerTest(t)
	a := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
	m.add(session.NewAccount{ID: session.NumberID(8), Username: "bob"})
	_, err := m.change(session.NumberID(9), session.AccountChange{Active: ptr(false)})
	m.wantCode("change of an unknown user", err, session.UserUnknown)
	_, err = m.RemoveAccount(t.Context(), "shop", session.NumberID(9), "ops")
	m.wantCode("removal of an unknown user", err, session.UserUnknown)
	_, err = m.change(a.ID, session.AccountChange{Username: ptr("bob"), Password: ptr("second password")})
	m.wantCode("change to a name that is taken", err, session.UserExists)
	m.directory.putErr = session.Fail(session.Unavailable, nil)
	_, err = m.change(a.ID, session.AccountChange{Password: ptr("second password")})
	m.wantCode("change without Redis", err, session.Unavailable)
	m.directory.putErr = session.Fail(session.UserUnknown, nil) // as if others change the user after every read
	_, err = m.change(a.ID, session.AccountChange{Password: ptr("second password")})
	m.wantCode("change while others change the user", err, session.UserChanged)
	m.wantRevoked("after changes that failed")
	if m.directory.putErr = nil; m.stored(a.ID).CheckUnchanged(a) != nil {
		t.Errorf("got %+v, want %+v", m.stored(a.ID), a)
	}
	m.revokeErr = session.Fail(session.Unavailable, nil)
	_, err = m.change(a.ID, session.AccountChange{Active: ptr(false)})
	if m.wantCode("failed revocation", err, session.Unavailable); m.stored(a.ID).Active || !strings.Contains(err.Error(), "make the change again") {
		t.Errorf("got %v and %+v, want the advice to make the change again, and a disabled user", err, m.stored(a.ID))
	}
}

// TestManagerKeepsConcurrentChanges checks that of two changes at the same time neither
// undoes the other.
func TestManagerKeepsConcurrentChanges(t *testing.T) {
	for _, c := range []struct{ change, other session.AccountChange }{
		{session.AccountChange{Password: ptr("second password")}, session.AccountChange{Active: ptr(false)}},
		{session.AccountChange{Active: ptr(false)}, session.AccountChange{Password: ptr("second password")}},
		{session.AccountChange{Active: ptr(false), Username: ptr("alicia")}, session.AccountChange{Password: ptr("second password")}},
	} {
		for _, before := range []int{1, 2} { // the first read, and the one in the loop
			m := newManagerTest(t)
			a := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
			interrupt := func() {
				if _, err := m.change(a.ID, c.other); err != nil {
					t.Error(err)
				}
			}
			m.directory.afterRead = interrupt
			if before == 2 {
				m.directory.afterRead = func() { m.directory.afterRead = interrupt }
			}
			if _, err := m.change(a.ID, c.change); err != nil {
				t.Error(err)
			}
			if got := m.stored(a.ID); got.Active || !accepts(got, "second password") || got.Credential == a.Credential {
				t.Errorf("%+v and %+v before read %d: got %+v, want both changes", c.change, c.other, before, got)
			}
		}
	}
}

// TestManagerRemovesAccount checks that a removal revokes the sessions while the user can no
// longer log in, and that a failed one can be repeated.
func TestManagerRemovesAccount(t *testing.T) {
	m := newManagerTest(t)
	a := m.add(session.NewAccount{ID: session.NumberID(7), Username: "alice"})
	m.onRevoke = func() {
		if got := m.stored(a.ID); got.Active || got.ID.IsZero() {
			t.Errorf("at the revocation the user is %+v, want them disabled", got)
		}
	}
	m.revokeErr = session.Fail(session.Unavailable, nil)
	_, err := m.RemoveAccount(t.Context(), "shop", a.ID, "ops")
	if m.wantCode("removal with a failed revocation", err, session.Unavailable); !strings.Contains(err.Error(), "remove them again") {
		t.Errorf("got %v, want the advice to repeat it", err)
	}
	m.revokeErr = nil
	m.directory.durability = []session.Durability{session.Pending}
	result, err := m.RemoveAccount(t.Context(), "shop", session.TextID("7"), "ops")
	if err != nil || len(result.Revoked) != 1 || result.Durability != session.Pending || !m.stored(a.ID).ID.IsZero() {
		t.Errorf("got %+v, %v and the user %+v; want 1 session revoked, pending, and no user", result, err, m.stored(a.ID))
	}
	m.wantRevoked("after two removals", "7", "7")
}

func TestManagerRequiresItsOptions(t *testing.T) {
	for name, leaveOut := range map[string]func(*ManagerOptions){
		"Directory": func(o *ManagerOptions) { o.Directory = nil },
		"Queue":     func(o *ManagerOptions) { o.Queue = nil },
		"Revoke":    func(o *ManagerOptions) { o.Revoke = nil },
	} {
		o := newManagerTest(t).o
		leaveOut(&o)
		if _, err := NewManager(o); err == nil || !strings.Contains(err.Error(), "requires Directory, Queue and Revoke") {
			t.Errorf("without %s: got error %v, want one that says what is required", name, err)
		}
	}
}

func TestManagerKnowsItsApps(t *testing.T) {
	m := newManagerTest(t)
	id := session.NumberID(7)
	_, accounts := m.Accounts(t.Context(), "files")
	_, find := m.FindAccount(t.Context(), "files", "alice")
	_, account := m.Account(t.Context(), "files", id)
	_, _, add := m.AddAccount(t.Context(), "files", session.NewAccount{Username: "alice", Password: "first password"})
	_, _, change := m.ChangeAccount(t.Context(), "files", id, session.AccountChange{Active: ptr(false)}, "ops")
	_, remove := m.RemoveAccount(t.Context(), "files", id, "ops")
	_, imported := m.Import(t.Context(), "files", []session.Account{{ID: id, Username: "alice", Password: "!"}}, "ops", func() {})
	for i, err := range []error{accounts, find, account, add, change, remove, imported} {
		m.wantCode(fmt.Sprint("method ", i), err, session.UsersElsewhere)
	}
}

// TestIntegerIDs checks that a number is given to one user only, also if users have numbers
// that were not given but added or imported, or that were there before numbers were given.
func TestIntegerIDs(t *testing.T) {
	m := newManagerTest(t)
	next := func(what string, want int64) {
		t.Helper()
		if got := m.add(session.NewAccount{Username: what, IntegerID: true}).ID; got != session.NumberID(want) {
			t.Errorf("%s: got the id %s, want %d", what, got, want)
		}
	}
	remove := func(id int64) {
		t.Helper()
		if _, err := m.RemoveAccount(t.Context(), "shop", session.NumberID(id), "ops"); err != nil {
			t.Fatal(err)
		}
	}
	next("first", 1)
	remove(1)
	next("after a removal", 2)
	m.add(session.NewAccount{Username: "added", ID: session.NumberID(40)})
	remove(40)
	next("after an added number", 41)
	m.add(session.NewAccount{Username: "text", ID: session.TextID("50")})
	next("after a number that is a string", 51)
	for i, id := range []session.UserID{session.TextID("060"), session.NumberID(-70), session.TextID("x"), session.NumberID(session.MaxNextID + 1), session.NumberID(0)} {
		m.add(session.NewAccount{Username: fmt.Sprint("other ", i), ID: id})
	}
	next("after ids that are no such numbers", 52)
	if _, err := m.Import(t.Context(), "shop", []session.Account{{ID: session.NumberID(90), Username: "i", Password: "!"}, {ID: session.NumberID(80), Username: "j", Password: "!"}}, "ops", func() {}); err != nil {
		t.Fatal(err)
	}
	next("after an import", 91)
	m.add(session.NewAccount{Username: "far", ID: session.NumberID(1 << 40)})
	next("after a number that no count of users reaches", 92)
	m = newManagerTest(t)
	m.putOlder(1 << 40)
	next("beside an older user with such a number", 1)
	for _, c := range []struct{ change, remove, taken bool }{{}, {remove: true}, {change: true, remove: true}, {taken: true}} {
		m = newManagerTest(t)
		if c.taken {
			next("before an older user", 1)
		}
		older := m.putOlder(2)
		if c.change {
			if _, err := m.change(older.ID, session.AccountChange{Password: ptr("second password")}); err != nil {
				t.Fatal(err)
			}
		}
		if c.remove {
			remove(2)
		}
		next(fmt.Sprintf("beside an older user: %+v", c), 3)
	}
}
