package credential

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

// someUsers are users with quick hashes; each but the two last has the password
// "correct horse".
func someUsers(t testing.TB) []session.Account {
	return []session.Account{
		{ID: session.NumberID(1), Username: "alice", Password: quick(t, "correct horse"), Active: true, Claims: []byte(`{"role":"admin"}`)},
		{ID: session.TextID("b-2"), Username: "bob", Password: quick(t, "correct horse")},
		{ID: session.NumberID(3), Username: "carol", Password: "!" + strings.Repeat("x", 40), Active: true},
		{ID: session.NumberID(4), Username: "dave", Password: quick(t, " spaced "), Active: true},
	}
}

func static(t testing.TB, list []session.Account, o Options) *Source {
	t.Helper()
	if o.Lane == nil {
		o.Lane = NewLane(0, time.Minute, nil)
	}
	if o.DecoyKey == nil {
		o.DecoyKey = testKey
	}
	source, err := Static(list, o)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestCheck(t *testing.T) {
	source := static(t, someUsers(t), Options{})
	user, err := source.Check(t.Context(), "alice", "correct horse")
	if err != nil || user.ID != session.NumberID(1) || string(user.Claims) != `{"role":"admin"}` {
		t.Errorf("alice is %v %s, %v", user.ID, user.Claims, err)
	}
	var refusals []error
	for name, password := range map[string]string{
		"alice": "wrong", "Alice": "correct horse", "nobody": "correct horse", "": "",
		"bob": "correct horse", "carol": "!" + strings.Repeat("x", 40),
	} {
		user, err := source.Check(t.Context(), name, password)
		wantCode(t, err, session.InvalidCredentials)
		if !user.ID.IsZero() {
			t.Errorf("%s is %v all the same", name, user.ID)
		}
		refusals = append(refusals, err)
	}
	for _, err := range refusals {
		if err.Error() != refusals[0].Error() {
			t.Errorf("a refusal can be told from another: %v, %v", err, refusals[0])
		}
	}
}

// As sent, and then as the seed would have made it.
func TestPasswordsWithOuterSpace(t *testing.T) {
	source := static(t, someUsers(t), Options{})
	for _, login := range []struct {
		name, password string
		want           session.Code
	}{
		{"alice", "\ncorrect horse ", session.OK},
		{"alice", "\u3000correct horse\u001f\u0085", session.OK},
		{"alice", "correct  horse", session.InvalidCredentials},
		{"alice", "\u200bcorrect horse", session.InvalidCredentials}, // no white space to Unicode or Python
		{"dave", " spaced ", session.OK},
		{"dave", "spaced", session.InvalidCredentials},
		{"dave", "  spaced ", session.InvalidCredentials},
		{"bob", " correct horse ", session.InvalidCredentials},
	} {
		_, err := source.Check(t.Context(), login.name, login.password)
		if got := session.CodeOf(err); got != login.want {
			t.Errorf("%s with %q: %s, want %s", login.name, login.password, got, login.want)
		}
	}
	if got := forms(" \t "); len(got) != 1 {
		t.Errorf("white space alone stands for %q", got)
	}
}

// The list is Python's: [c for c in range(0x110000) if chr(c).isspace()].
func TestSpaceIsPythons(t *testing.T) {
	python := []rune{
		0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003, 0x2004,
		0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
	}
	for r := rune(0); r < 0x110000; r++ {
		if space(r) != slices.Contains(python, r) {
			t.Errorf("%U: %v", r, space(r))
		}
	}
}

// counted is a hash that matches one password and counts its work.
type counted struct {
	password string
	tried    *int
}

func (c counted) match(password string) bool { *c.tried++; return password == c.password }
func (c counted) threads() int               { return 1 }
func (c counted) kind() string               { return "counted" }

// However a login is refused, it has cost as many hashes.
func TestRefusalsCostTheSame(t *testing.T) {
	for _, password := range []string{"secret", " secret ", "secret ", "wrong", " wrong "} {
		want := len(forms(password))
		for _, fits := range []string{"secret", " secret ", "something else"} {
			for _, allowed := range []bool{true, false} {
				tried := 0
				if !matches(counted{fits, &tried}, password, allowed) && tried != want {
					t.Errorf("%q against %q (allowed %v): refused after %d hashes, want %d", password, fits, allowed, tried, want)
				}
				if !allowed && tried != want {
					t.Errorf("%q against %q: inactive user refused after %d hashes, want %d", password, fits, tried, want)
				}
			}
		}
	}
}

// Where there is no hash, one like the source's others is worked on. Clocks
// tell that only roughly while other programs run, so this asks for no more than
// that the work is done; what it is, the next test tells.
func TestRefusalsTakeAsLong(t *testing.T) {
	source := static(t, slowUsers(t), Options{})
	least := map[string]time.Duration{}
	for range 7 {
		for _, name := range []string{"alice", "nobody", "bob", "carol"} {
			start := time.Now()
			_, err := source.Check(t.Context(), name, "wrong")
			took := time.Since(start)
			wantCode(t, err, session.InvalidCredentials)
			if least[name] == 0 || took < least[name] {
				least[name] = took
			}
		}
	}
	for name, took := range least {
		if wrong := least["alice"]; took < wrong/4 || took > wrong*4 {
			t.Errorf("%s is refused after %s, a wrong password after %s", name, took, wrong)
		}
	}
}

// slowUsers are someUsers with hashes that take some milliseconds.
func slowUsers(t *testing.T) []session.Account {
	list := someUsers(t)
	for i, a := range list {
		list[i].Password = strings.Replace(a.Password, "$1000$", "$30000$", 1)
	}
	return list
}

func TestDecoysAreLikeTheOthers(t *testing.T) {
	list := slowUsers(t)
	p, _ := static(t, list, Options{}).Checker.(*passwords)
	for _, a := range append(list, session.Account{Username: "nobody"}) {
		found := a.Username != "nobody"
		h, usable := p.hash(a.Username, a, found)
		if got, ok := h.hash.(pbkdf2Hash); !ok || got.iterations != 30000 || len(got.sum) != 32 {
			t.Errorf("for %s the work is %T %+v", a.Username, h.hash, h)
		}
		if want := found && a.Username != "carol"; usable != want {
			t.Errorf("%s: usable %v, want %v", a.Username, usable, want)
		}
	}
}

func TestCheckWaitsItsTurn(t *testing.T) {
	lane := NewLane(1, 10*time.Millisecond, nil)
	source := static(t, someUsers(t), Options{Lane: lane})
	done, started := make(chan struct{}), make(chan struct{})
	go func() { _ = lane.Do(context.Background(), 1, func() { close(started); <-done }) }()
	<-started
	for _, name := range []string{"alice", "nobody"} {
		_, err := source.Check(t.Context(), name, "correct horse")
		wantCode(t, err, session.Busy)
	}
	if err := source.Recheck(t.Context(), session.NumberID(1)); err != nil {
		t.Errorf("a recheck waits for logins: %v", err)
	}
	close(done)
}

func TestStatic(t *testing.T) {
	source := static(t, someUsers(t), Options{})
	if err := source.Recheck(t.Context(), session.NumberID(1)); err != nil {
		t.Error(err)
	}
	wantCode(t, source.Recheck(t.Context(), session.TextID("b-2")), session.UserInactive)
	wantCode(t, source.Recheck(t.Context(), session.NumberID(99)), session.UserUnknown)
	wantCode(t, static(t, someUsers(t), Options{Recheck: RecheckOff()}).Recheck(t.Context(), session.TextID("b-2")), session.OK)
	if source.UsersInStore() {
		t.Error("its users are in the store")
	}
	if err := errors.Join(source.Reach(t.Context()), source.Close()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func([]session.Account){
		"no name":        func(l []session.Account) { l[0].Username = "" },
		"space around":   func(l []session.Account) { l[0].Username = "alice " },
		"claims no JSON": func(l []session.Account) { l[0].Claims = []byte("[]") },
		"no id":          func(l []session.Account) { l[0].ID = session.UserID{} },
		"same name":      func(l []session.Account) { l[1].Username = "alice" },
		"same id":        func(l []session.Account) { l[1].ID = session.TextID("1") },
		"clear password": func(l []session.Account) { l[1].Password = "hunter22" },
	} {
		list := someUsers(t)
		spoil(list)
		if _, err := Static(list, Options{Lane: NewLane(1, 0, nil), DecoyKey: testKey}); err == nil || strings.Contains(err.Error(), "hunter22") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []Options{{DecoyKey: testKey}, {Lane: NewLane(1, 0, nil)}} {
		if _, err := Static(someUsers(t), o); err == nil {
			t.Errorf("no error without what is required: %+v", o)
		}
	}
}

// keeper is a session.Directory of one app.
type keeper struct {
	session.Directory
	app  string
	list []session.Account
	err  error
}

func (k keeper) Find(_ context.Context, app, username string) (session.Account, error) {
	for _, a := range k.list {
		if k.err == nil && app == k.app && a.Username == username {
			return a, nil
		}
	}
	if k.err != nil {
		return session.Account{}, k.err
	}
	return session.Account{}, session.Fail(session.UserUnknown, nil)
}

func TestDirectory(t *testing.T) {
	var log strings.Builder
	list := append(someUsers(t), session.Account{ID: session.NumberID(9), Username: "eve", Password: "clear-text-password", Active: true})
	o := Options{Lane: NewLane(1, 0, nil), DecoyKey: testKey, App: "shop", Directory: keeper{app: "shop", list: list}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	source, err := Open(t.Context(), "redis:", o)
	if err != nil {
		t.Fatal(err)
	}
	if !source.UsersInStore() {
		t.Error("its users are not in the store")
	}
	if user, err := source.Check(t.Context(), "alice", "correct horse"); err != nil || user.ID != session.NumberID(1) {
		t.Errorf("alice is %v, %v", user, err)
	}
	for name, password := range map[string]string{"alice": "wrong", "bob": "correct horse", "nobody": "x", "eve": "clear-text-password"} {
		_, err := source.Check(t.Context(), name, password)
		wantCode(t, err, session.InvalidCredentials)
	}
	if !strings.Contains(log.String(), "user=9") || strings.Contains(log.String(), "clear-text") {
		t.Errorf("of a hash that can't be read the log says: %s", &log)
	}
	if err := source.Recheck(t.Context(), session.NumberID(99)); err != nil {
		t.Errorf("the store's step is to say that, not the checker: %v", err)
	}

	o.Recheck = RecheckOff()
	if source, _ = Open(t.Context(), "redis:", o); source.UsersInStore() {
		t.Error("RECHECK_USER=off, and the store is to be asked")
	}
	o.Directory = keeper{err: session.Fail(session.Unavailable, errors.New("no Redis"))}
	if source, err = Open(t.Context(), "redis:", o); err != nil {
		t.Fatal(err)
	}
	_, err = source.Check(t.Context(), "alice", "correct horse")
	wantCode(t, err, session.Unavailable)
}
