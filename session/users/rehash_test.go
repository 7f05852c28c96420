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

// PutAccount implements [session.Directory] for a replacement. It fails with putErr.
func (d fakeDirectory) PutAccount(_ context.Context, app string, a, was session.Account) (session.Durability, error) {
	for i, stored := range d.list {
		if app != d.app || stored.ID != a.ID {
			continue
		}
		if d.putErr != nil {
			return "", d.putErr
		}
		if err := was.CheckUnchanged(stored); err != nil {
			return "", err
		}
		d.list[i] = a
		return "", nil
	}
	return "", session.Fail(session.UserUnknown, nil)
}

// rehashFixture is a redis source, its directory and its log.
type rehashFixture struct {
	*Source
	directory *fakeDirectory
	queue     *password.Queue
	log       strings.Builder
}

func newRehashFixture(t *testing.T) *rehashFixture {
	t.Helper()
	credential := session.RandomFingerprint()
	f := &rehashFixture{queue: password.NewQueue(1, time.Minute, nil)}
	f.directory = &fakeDirectory{app: "shop", list: testUsers(t)}
	for i := range f.directory.list {
		f.directory.list[i].Credential = credential
	}
	var err error
	f.Source, err = Open(t.Context(), "redis:", Options{
		Queue: f.queue, DummyKey: testKey, App: "shop", Directory: f.directory, Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// login logs alice in.
func (f *rehashFixture) login(t *testing.T, pw string) session.User {
	t.Helper()
	user, err := f.Check(t.Context(), presented("alice", pw), anyone)
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// TestRehashAfterLogin checks that an outdated hash is replaced by a new one of the password
// as it was stored, that the account is otherwise the same, and that it happens once.
func TestRehashAfterLogin(t *testing.T) {
	f := newRehashFixture(t)
	before := f.directory.list[0]
	user := f.login(t, " correct horse\n")
	if user.Credential != before.Credential || !user.InStore || user.Rehash == nil {
		t.Fatalf("got user %+v, want the account's credential and hash, and Rehash", user)
	}
	if f.directory.list[0].Password != before.Password {
		t.Error("the hash was replaced before the session exists")
	}
	user.Rehash(t.Context())
	after := f.directory.list[0]
	if !strings.HasPrefix(after.Password, "$argon2id$") {
		t.Fatalf("got hash %s, want argon2id", after.Password)
	}
	unchanged := after
	unchanged.Password = before.Password
	if err := before.CheckUnchanged(unchanged); err != nil {
		t.Errorf("got %+v after %+v, want only the hash to be replaced", after, before)
	}
	if user := f.login(t, "correct horse"); user.Rehash != nil || user.Credential != before.Credential {
		t.Errorf("got user %+v, want no second rehash", user)
	}
	user.Rehash(t.Context()) // of the first login: the account has changed since
	if f.directory.list[0].Password != after.Password || f.log.Len() != 0 {
		t.Errorf("a late rehash changed the account, or was logged:\n%s", &f.log)
	}
}

// TestRehashGivesUp checks that a rehash changes nothing if the account has changed, if
// logins need the queue, or if the store fails, and that only the last is logged.
func TestRehashGivesUp(t *testing.T) {
	f := newRehashFixture(t)
	user := f.login(t, "correct horse")
	f.directory.list[0].Active = false
	user.Rehash(t.Context())
	f.directory.list[0].Active = true

	done, started := make(chan struct{}), make(chan struct{})
	go func() { _ = f.queue.Do(context.Background(), 1, func() { close(started); <-done }) }()
	<-started
	user.Rehash(t.Context())
	close(done)
	if f.log.Len() != 0 {
		t.Errorf("got the log\n%s\nwant none", &f.log)
	}
	waitFor(t, "the queue is free", func() bool {
		_, err := f.queue.Rehash(t.Context(), mustParse(t, f.directory.list[0].Password), "correct horse")
		return err == nil
	})

	stored := f.directory.list[0].Password
	f.directory.putErr = session.Fail(session.Unavailable, errors.New("no Redis"))
	user.Rehash(t.Context())
	if text := f.log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, "user=1") || !strings.Contains(text, "no Redis") ||
		strings.Contains(text, "correct horse") || strings.Contains(text, "$") {
		t.Errorf("got the log\n%s\nwant one line with the user and the reason, and no password or hash", text)
	}
	if f.directory.list[0].Password != stored {
		t.Error("the hash was replaced")
	}
}
