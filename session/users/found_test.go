package users

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/memstore"
	"tokengate/session/password"
)

// anyone allows the password of every user to be compared.
func anyone(session.Found) error { return nil }

func presented(username, password string) session.Credentials {
	return session.Credentials{Username: username, Password: password}
}

// TestFoundIsCalledFirst checks that found gets the ID of the user, and that no password
// is compared if it fails.
func TestFoundIsCalledFirst(t *testing.T) {
	queue := password.NewQueue(1, 10*time.Millisecond, nil)
	directory := memstore.New(memstore.Options{}).Directory()
	for _, a := range testUsers(t) {
		if _, err := directory.PutAccount(t.Context(), "shop", a, session.Account{}); err != nil {
			t.Fatal(err)
		}
	}
	managed, err := Open(t.Context(), "redis:", Options{Queue: queue, DummyKey: testKey, Directory: directory, App: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("not now")
	done, started := make(chan struct{}), make(chan struct{})
	go func() { _ = queue.Do(context.Background(), 1, func() { close(started); <-done }) }()
	defer close(done)
	<-started // from now on each comparison fails with Busy
	for kind, source := range map[string]*Source{"static": openStatic(t, testUsers(t), Options{Queue: queue}), "redis:": managed} {
		for name, want := range map[string]session.UserID{
			"alice": session.NumberID(1), "bob": session.TextID("b-2"), "carol": session.NumberID(3), "unknown": {},
		} {
			for _, pw := range []string{"correct horse", "wrong"} {
				var got []session.UserID
				found := func(f session.Found) error { got = append(got, f.ID); return refused }
				if _, err := source.Check(t.Context(), presented(name, pw), found); !errors.Is(err, refused) {
					t.Errorf("%s: %s with %q: got %v, want the error of found", kind, name, pw, err)
				}
				if !slices.Equal(got, []session.UserID{want}) {
					t.Errorf("%s: %s with %q: found was called with %v, want once with %v", kind, name, pw, got, want)
				}
			}
		}
	}
}

// TestFoundIsCalledBeforeRequest checks that the other program is not asked if found fails.
func TestFoundIsCalledBeforeRequest(t *testing.T) {
	u := startUpstream(t)
	source := openSource(t, u.URL+"/verify", Options{})
	refused := errors.New("not now")
	for _, pw := range []string{"open sesame", " wrong "} {
		var got []session.UserID
		found := func(f session.Found) error { got = append(got, f.ID); return refused }
		if _, err := source.Check(t.Context(), presented("alice", pw), found); !errors.Is(err, refused) {
			t.Errorf("got %v, want the error of found", err)
		}
		if !slices.Equal(got, []session.UserID{{}}) {
			t.Errorf("found was called with %v, want once without an ID", got)
		}
	}
	if n := u.requests.Load(); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
}
