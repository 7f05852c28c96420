package users

import (
	"strings"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/password"
)

// TestFileCredential checks that a file's users have the fingerprint of their hash at login
// and recheck, and that a change of the hash, and of nothing else, is a change.
func TestFileCredential(t *testing.T) {
	first := quickHash(t, "correct horse")
	second := strings.Replace(first, "$1000$", "$1001$", 1)
	const bob = `,{"id":2,"username":"bob","password":"!"}]`
	alice := func(name, hash, more string) string {
		return `[{"id":1,"username":"` + name + `","password":"` + hash + `"` + more + `}` + bob
	}
	w := openWatchedFile(t, alice("alice", first, ""))
	user, err := w.Check(t.Context(), presented("alice", "correct horse"), anyone)
	if err != nil || user.Credential != fingerprintOf("1", first) || user.LoginOnly || user.InStore || user.Rehash != nil {
		t.Errorf("got user %+v, %v, want the fingerprint of the stored hash", user, err)
	}
	if got := status(t, w, 1, false); got.Credential != user.Credential || !got.Changed.IsZero() {
		t.Errorf("got %+v, want the credential of the login and no change", got)
	}
	if got := status(t, w, 2, false); got.Credential != fingerprintOf("2", "!") {
		t.Errorf("got %+v, want a fingerprint of an unusable password", got)
	}
	for _, c := range []struct {
		content, wantHash string
		wantChange        bool
	}{
		{alice("alicia", first, `,"is_active":true,"claims":{"x":1}`), first, false},
		{alice("alicia", second, ""), second, true},
		{alice("alice", second, ""), second, false},
		{alice("alice", "!", ""), "!", true},
		{alice("alice", second, ""), second, true},
	} {
		before := status(t, w, 1, false)
		w.write(c.content)
		w.recheckLater(session.OK)
		got := status(t, w, 1, false)
		if got.Credential != fingerprintOf("1", c.wantHash) || c.wantChange && !got.Changed.Equal(w.now.Add(statInterval)) || !c.wantChange && !got.Changed.Equal(before.Changed) {
			t.Errorf("%s: got %+v at %s, before %+v, want a change: %v", c.content, got, w.now, before, c.wantChange)
		}
		if got := status(t, w, 2, false); !got.Changed.IsZero() {
			t.Errorf("%s: got %+v, want no change of bob", c.content, got)
		}
	}
}

// TestFileUserComesBack checks that the credential of a user who was removed is compared
// with that of a later user with the same id.
func TestFileUserComesBack(t *testing.T) {
	const bob = `[{"id":2,"username":"bob","password":"!"}`
	w := openWatchedFile(t, bob+`,{"id":1,"username":"alice","password":"!"}]`)
	for range 2 {
		w.write(bob + `]`)
		w.recheckLater(session.UserUnknown)
		w.write(bob + `,{"id":1,"username":"alice","password":"!"}]`)
		w.recheckLater(session.OK)
		if got := status(t, w, 1, false); !got.Changed.IsZero() {
			t.Errorf("alice came back: got %+v, want no change", got)
		}
	}
	w.write(bob + `]`)
	w.recheckLater(session.UserUnknown)
	w.write(bob + `,{"id":1,"username":"carl","password":"!x"}]`)
	w.recheckLater(session.OK)
	if got := status(t, w, 1, false); !got.Changed.Equal(w.now.Add(statInterval)) {
		t.Errorf("another user with the id: got %+v, want a change at %s", got, w.now)
	}
	changed := status(t, w, 1, false).Changed
	next, err := Open(t.Context(), "file:"+w.path, Options{Queue: password.NewQueue(0, time.Minute, nil), DummyKey: testKey, EndOnChange: true, App: "shop", Previous: w.Source})
	if err != nil {
		t.Fatal(err)
	}
	if got := status(t, next, 1, false); !got.Changed.Equal(changed) {
		t.Errorf("the source that replaces it: got %+v, want the change at %s", got, changed)
	}
}

// TestFileFreshRecheck checks that a fresh recheck reads a changed file at once.
func TestFileFreshRecheck(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	w.recheckLater(session.OK)
	w.write(inactiveOne)
	wantCode(t, recheck(t.Context(), session.NumberID(1), w), session.OK)
	_, err := w.Recheck(t.Context(), session.NumberID(1), true)
	wantCode(t, err, session.UserInactive)
	w.write(activeOne)
	status(t, w, 1, true)
}

// TestFileClaims checks that a recheck returns the present claims.
func TestFileClaims(t *testing.T) {
	w := openWatchedFile(t, `[{"id":1,"username":"alice","password":"!","claims":{"role": "admin"}}]`)
	if got := status(t, w, 1, false); string(got.Claims) != `{"role":"admin"}` || !got.HasClaims {
		t.Errorf("got %+v, want the role admin", got)
	}
	w.write(activeOne)
	w.recheckLater(session.OK)
	if got := status(t, w, 1, false); got.Claims != nil || !got.HasClaims {
		t.Errorf("got %+v, want no claims", got)
	}
}

// TestEmptyFile checks that the users of a file that has become empty are not taken for
// removed, and that logins fail as for any unknown name.
func TestEmptyFile(t *testing.T) {
	for _, start := range []string{activeOne, "[]"} {
		w := openWatchedFile(t, start)
		w.write(" [ ] ")
		w.recheckLater(session.Unavailable)
		for _, fresh := range []bool{true, false} {
			if _, err := w.Recheck(t.Context(), session.NumberID(1), fresh); err == nil || !strings.Contains(err.Error(), "the user source has no users; if that is right") {
				t.Errorf("got error %v, want one that says what to do", err)
			}
		}
		_, err := w.Check(t.Context(), presented("alice", "correct horse"), anyone)
		wantCode(t, err, session.InvalidCredentials)
		if w.logCount("level=WARN msg=\"user file has no users") == 0 {
			t.Errorf("got the log\n%s\nwant a warning that the file has no users", &w.log)
		}
		w.write(`[{"id":2,"username":"bob","password":"!"}]`)
		w.recheckLater(session.UserUnknown)
	}
}

// TestStaticStatus checks what a recheck returns about users that are part of the program.
func TestStaticStatus(t *testing.T) {
	list := testUsers(t)
	list[0].Claims = []byte(` {"role": "admin"} `)
	source := openStatic(t, list, Options{EndOnChange: true, App: "shop"})
	want := fingerprintOf("1", list[0].Password)
	user, err := source.Check(t.Context(), presented("alice", "correct horse"), anyone)
	if err != nil || user.Credential != want || string(user.Claims) != `{"role":"admin"}` {
		t.Errorf("got user %+v, %v, want the fingerprint of the hash", user, err)
	}
	if got := status(t, source, 1, true); got.Credential != want || string(got.Claims) != `{"role":"admin"}` || !got.HasClaims || got.Changed != (time.Time{}) {
		t.Errorf("got %+v, want the credential and the claims of the login", got)
	}
	for _, o := range []Options{{App: "shop"}, {Recheck: Recheck{Set: true, Off: true}, EndOnChange: true, App: "shop"}} {
		if got := status(t, openStatic(t, list, o), 1, true); !got.Credential.IsZero() {
			t.Errorf("%+v: got %+v, want no credential", o, got)
		}
	}
	wantCode(t, recheck(t.Context(), session.NumberID(1), openStatic(t, nil, Options{})), session.Unavailable)
	if _, err := Static(list, Options{Queue: source.Checker.(*hashChecker).queue, DummyKey: testKey, EndOnChange: true}); err == nil {
		t.Error("got no error for EndOnChange without App")
	}
}
