package users

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/password"
)

// testUsers returns users whose hashes are fast to compare with. The password of alice and
// bob is "correct horse"; bob is inactive, and carol has an unusable password.
func testUsers(t testing.TB) []session.Account {
	return []session.Account{
		{ID: session.NumberID(1), Username: "alice", Password: quickHash(t, "correct horse"), Active: true, Claims: []byte(`{"role":"admin"}`)},
		{ID: session.TextID("b-2"), Username: "bob", Password: quickHash(t, "correct horse")},
		{ID: session.NumberID(3), Username: "carol", Password: "!" + strings.Repeat("x", 40), Active: true},
		{ID: session.NumberID(4), Username: "dave", Password: quickHash(t, " spaced "), Active: true},
	}
}

func wantCode(t *testing.T, err error, want session.Code) {
	t.Helper()
	if got := session.CodeOf(err); got != want {
		t.Errorf("got code %q (%v), want %q", got, err, want)
	}
}

// openStatic returns a static source, with a queue and a key if o has none.
func openStatic(t testing.TB, list []session.Account, o Options) *Source {
	t.Helper()
	if o.Queue == nil {
		o.Queue = password.NewQueue(0, time.Minute, nil)
	}
	if o.DummyKey == nil {
		o.DummyKey = testKey
	}
	source, err := Static(list, o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestCheck(t *testing.T) {
	source := openStatic(t, testUsers(t), Options{})
	user, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
	if err != nil || user.ID != session.NumberID(1) || string(user.Claims) != `{"role":"admin"}` {
		t.Errorf("got user %v with claims %s, %v, want user 1 with the role admin", user.ID, user.Claims, err)
	}
	var refusals []error
	for name, password := range map[string]string{
		"alice": "wrong", "Alice": "correct horse", "unknown": "correct horse", "": "",
		"bob": "correct horse", "carol": "!" + strings.Repeat("x", 40),
	} {
		user, err := source.Check(t.Context(), presented(name, password), anyone)
		wantCode(t, err, session.InvalidCredentials)
		if !user.ID.IsZero() {
			t.Errorf("%s: refused, but got user %v", name, user.ID)
		}
		refusals = append(refusals, err)
	}
	for _, err := range refusals {
		if err.Error() != refusals[0].Error() {
			t.Errorf("got refusals %q and %q, want the same error", err, refusals[0])
		}
	}
}

// TestPasswordsWithWhiteSpaceAround checks that a password is compared as it was sent, and
// then trimmed, as the Django app trims it.
func TestPasswordsWithWhiteSpaceAround(t *testing.T) {
	source := openStatic(t, testUsers(t), Options{})
	for _, login := range []struct {
		name, password string
		want           session.Code
	}{
		{"alice", "\ncorrect horse ", session.OK},
		{"alice", "\u3000correct horse\u001f\u0085", session.OK},
		{"alice", "correct  horse", session.InvalidCredentials},
		{"alice", "\u200bcorrect horse", session.InvalidCredentials}, // neither Unicode nor Python treats it as white space
		{"dave", " spaced ", session.OK},
		{"dave", "spaced", session.InvalidCredentials},
		{"dave", "  spaced ", session.InvalidCredentials},
		{"bob", " correct horse ", session.InvalidCredentials},
	} {
		_, err := source.Check(t.Context(), presented(login.name, login.password), anyone)
		if got := session.CodeOf(err); got != login.want {
			t.Errorf("%s with %q: got %s, want %s", login.name, login.password, got, login.want)
		}
	}
	if got := password.Forms(" \t "); len(got) != 1 {
		t.Errorf("got forms %q of white space alone, want one", got)
	}
}

// TestRefusalsTakeEquallyLong checks that a login without a hash takes about as long as a
// wrong password. Times are only rough while other programs run, so the bounds are wide;
// TestDummyHashesAreOfTheSourcesKind checks the kind of the hash.
func TestRefusalsTakeEquallyLong(t *testing.T) {
	source := openStatic(t, slowUsers(t), Options{})
	least := map[string]time.Duration{}
	for range 7 {
		for _, name := range []string{"alice", "unknown", "bob", "carol"} {
			start := time.Now()
			_, err := source.Check(t.Context(), presented(name, "wrong"), anyone)
			took := time.Since(start)
			wantCode(t, err, session.InvalidCredentials)
			if least[name] == 0 || took < least[name] {
				least[name] = took
			}
		}
	}
	for name, took := range least {
		if wrong := least["alice"]; took < wrong/4 || took > wrong*4 {
			t.Errorf("%s: got a refusal after %s, want between a quarter and four times of %s, the time of a wrong password", name, took, wrong)
		}
	}
}

// slowUsers returns testUsers with hashes that take some milliseconds.
func slowUsers(t *testing.T) []session.Account {
	list := testUsers(t)
	for i, a := range list {
		list[i].Password = strings.Replace(a.Password, "$1000$", "$30000$", 1)
	}
	return list
}

func TestDummyHashesAreOfTheSourcesKind(t *testing.T) {
	list := slowUsers(t)
	c, _ := openStatic(t, list, Options{}).Checker.(*hashChecker)
	for _, a := range append(list, session.Account{Username: "unknown"}) {
		found := a.Username != "unknown"
		h, usable := c.hashToCompare(a.Username, a, found)
		if h.Kind() != "pbkdf2 32 30000" {
			t.Errorf("%s: got a hash of the kind %q, want pbkdf2 32 30000", a.Username, h.Kind())
		}
		if want := found && a.Username != "carol"; usable != want {
			t.Errorf("%s: got usable %v, want %v", a.Username, usable, want)
		}
	}
}

func TestCheckWaitsInQueue(t *testing.T) {
	queue := password.NewQueue(1, 10*time.Millisecond, nil)
	source := openStatic(t, testUsers(t), Options{Queue: queue})
	done, started := make(chan struct{}), make(chan struct{})
	go func() { _ = queue.Do(context.Background(), 1, func() { close(started); <-done }) }()
	<-started
	for _, name := range []string{"alice", "unknown"} {
		_, err := source.Check(t.Context(), presented(name, "correct horse"), anyone)
		wantCode(t, err, session.Busy)
	}
	if err := recheck(t.Context(), session.NumberID(1), source); err != nil {
		t.Errorf("recheck while the queue is full: %v", err)
	}
	close(done)
}

func TestStatic(t *testing.T) {
	source := openStatic(t, testUsers(t), Options{})
	if err := recheck(t.Context(), session.NumberID(1), source); err != nil {
		t.Error(err)
	}
	wantCode(t, recheck(t.Context(), session.TextID("b-2"), source), session.UserInactive)
	wantCode(t, recheck(t.Context(), session.NumberID(99), source), session.UserUnknown)
	wantCode(t, recheck(t.Context(), session.TextID("b-2"), openStatic(t, testUsers(t), Options{Recheck: Recheck{Set: true, Off: true}})), session.OK)
	if source.UsersInStore() {
		t.Error("UsersInStore is true for a static source")
	}
	if err := errors.Join(source.Ping(t.Context()), source.Close()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func([]session.Account){
		"no name":             func(l []session.Account) { l[0].Username = "" },
		"white space around":  func(l []session.Account) { l[0].Username = "alice " },
		"invalid claims":      func(l []session.Account) { l[0].Claims = []byte("[]") },
		"no id":               func(l []session.Account) { l[0].ID = session.UserID{} },
		"same name":           func(l []session.Account) { l[1].Username = "alice" },
		"same id":             func(l []session.Account) { l[1].ID = session.TextID("1") },
		"clear-text password": func(l []session.Account) { l[1].Password = "hunter22" },
	} {
		list := testUsers(t)
		spoil(list)
		if _, err := Static(list, Options{Queue: password.NewQueue(1, 0, nil), DummyKey: testKey}); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: got error %v, want one without the password", name, err)
		}
	}
	for _, o := range []Options{{DummyKey: testKey}, {Queue: password.NewQueue(1, 0, nil)}} {
		if _, err := Static(testUsers(t), o); err == nil {
			t.Errorf("got no error for incomplete options %+v", o)
		}
	}
}

// fakeDirectory implements [session.Directory] with the users of one app.
type fakeDirectory struct {
	session.Directory
	app  string
	list []session.Account

	err, putErr error
}

func (d fakeDirectory) FindAccount(_ context.Context, app, username string) (session.Account, error) {
	for _, a := range d.list {
		if d.err == nil && app == d.app && a.Username == username {
			return a, nil
		}
	}
	if d.err != nil {
		return session.Account{}, d.err
	}
	return session.Account{}, session.Fail(session.UserUnknown, nil)
}

func TestDirectory(t *testing.T) {
	var log strings.Builder
	list := append(testUsers(t), session.Account{ID: session.NumberID(9), Username: "eve", Password: "clear-text-password", Active: true},
		session.Account{ID: session.NumberID(10), Username: "frank", Password: "$2b$15$" + strings.Repeat("a", 53), Active: true})
	o := Options{Queue: password.NewQueue(1, 0, nil), DummyKey: testKey, App: "shop", Directory: fakeDirectory{app: "shop", list: list}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	source, err := Open(t.Context(), "redis:", o)
	if err != nil {
		t.Fatal(err)
	}
	if !source.UsersInStore() {
		t.Error("UsersInStore is false for redis:")
	}
	if user, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil || user.ID != session.NumberID(1) {
		t.Errorf("got user %v, %v, want 1", user.ID, err)
	}
	for name, password := range map[string]string{"alice": "wrong", "bob": "correct horse", "unknown": "x", "eve": "clear-text-password", "frank": "x"} {
		_, err := source.Check(t.Context(), presented(name, password), anyone)
		wantCode(t, err, session.InvalidCredentials)
	}
	if !strings.Contains(log.String(), "user=9") || strings.Contains(log.String(), "clear-text") {
		t.Errorf("log for an invalid hash, want the user's id and no text of the hash:\n%s", &log)
	}
	if !strings.Contains(log.String(), "user=10 error=\"bcrypt cost is 15: it must be between 4 and 14; set a new password") {
		t.Errorf("log for a costly hash, want the user's id, the bound and what to do:\n%s", &log)
	}
	if err := recheck(t.Context(), session.NumberID(99), source); err != nil {
		t.Errorf("recheck of an unknown user: %v; want nil, since the store checks it", err)
	}

	o.Recheck = Recheck{Set: true, Off: true}
	if source, _ = Open(t.Context(), "redis:", o); source.UsersInStore() {
		t.Error("UsersInStore is true with RECHECK_USER=off")
	}
	o.Directory = fakeDirectory{err: session.Fail(session.Unavailable, errors.New("no Redis"))}
	if source, err = Open(t.Context(), "redis:", o); err != nil {
		t.Fatal(err)
	}
	_, err = source.Check(t.Context(), presented("alice", "correct horse"), anyone)
	wantCode(t, err, session.Unavailable)
}

// recheck returns the error of a recheck.
func recheck(ctx context.Context, id session.UserID, c session.Checker) error {
	_, err := c.Recheck(ctx, id, false)
	return err
}
