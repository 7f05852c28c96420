package password

import (
	"context"
	"strings"
	"testing"
	"time"

	"tokengate/session"
)

func TestOutdatedHashes(t *testing.T) {
	for encoded, want := range map[string]bool{
		argonText: false,
		strings.Replace(argonText, "t=2", "t=1", 1):                         true,
		strings.Replace(argonText, "m=19456", "m=19455", 1):                 true,
		strings.Replace(argonText, "m=19456,t=2", "m=9728,t=4", 1):          false, // the same work
		strings.Replace(argonText, "m=19456,t=2", "m=65536,t=1", 1):         false,
		"argon2" + strings.Replace(argonText, "m=19456,t=2", "m=8,t=16", 1): true,
		strings.Replace(argonText, "argon2id", "argon2i", 1):                true,
		slowText:   true,
		scryptText: true,
		bcryptText: true,
	} {
		if got := mustParse(t, encoded).Outdated("secret"); got != want {
			t.Errorf("%s: got %v, want %v", encoded, got, want)
		}
	}
	if mustParse(t, NewHash("secret")).Outdated("secret") {
		t.Error("a new hash is outdated")
	}
}

// TestBcryptOfLongPasswordIsKept checks that a bcrypt hash is not replaced by one of a
// password whose end bcrypt has ignored: it may be wrong.
func TestBcryptOfLongPasswordIsKept(t *testing.T) {
	for size, want := range map[int]bool{72: true, 73: false} {
		if got := mustParse(t, bcryptText).Outdated(strings.Repeat("x", size)); got != want {
			t.Errorf("%d bytes: got outdated %v, want %v", size, got, want)
		}
	}
	if !mustParse(t, "bcrypt_sha256$"+bcryptText).Outdated(strings.Repeat("x", 73)) {
		t.Error("bcrypt_sha256 uses the whole password, but its hash is not outdated")
	}
}

// TestRehash checks that the new hash is one of the form of the password that matches, with
// and without a worker process.
func TestRehash(t *testing.T) {
	w, log := newWorker(t)
	for _, q := range []*Queue{NewQueue(1, time.Minute, nil), NewQueue(1, time.Minute, w)} {
		for _, c := range []struct{ stored, sent string }{
			{"secret", "secret"}, {"secret", " secret\n"}, {" secret ", " secret "}, {"p\xffss", "p\xffss"}, {" ", " "},
		} {
			encoded, err := q.Rehash(t.Context(), fastHash(t, c.stored), c.sent)
			if err != nil {
				t.Fatal(err)
			}
			h := mustParse(t, encoded)
			if h.Kind() != argonKind || !h.match(c.stored) || c.stored != c.sent && h.match(c.sent) {
				t.Errorf("stored %q, sent %q: got a hash of the kind %q, or not of the stored form", c.stored, c.sent, h.Kind())
			}
		}
	}
	if w.conn == nil || log.String() != "" {
		t.Errorf("the worker process was not used, or it failed:\n%s", log)
	}
}

// TestRehashRunsInWorker checks that the worker process makes the hash, and that no hash is
// made in this process if it fails.
func TestRehashRunsInWorker(t *testing.T) {
	w, log := newWorker(t)
	q := NewQueue(1, time.Minute, w)
	h := fastHash(t, "secret")
	if !mustMatch(t, w, h, "secret", true) {
		t.Fatal("the password does not match")
	}
	_ = w.conn.process.Process.Kill()
	<-w.conn.closed
	encoded, err := q.Rehash(t.Context(), h, "secret")
	wantCode(t, err, session.Unavailable)
	if encoded != "" || strings.Contains(log.String(), "secret") || err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("got hash %q and error %v, want no hash, and no password in error or log", encoded, err)
	}
}

// TestRehashNeverWaits checks that Rehash leaves the queue to logins.
func TestRehashNeverWaits(t *testing.T) {
	q := NewQueue(1, time.Minute, nil)
	done, started := make(chan struct{}), make(chan struct{})
	go func() { _ = q.Do(context.Background(), 1, func() { close(started); <-done }) }()
	<-started
	_, err := q.Rehash(t.Context(), fastHash(t, "secret"), "secret")
	wantCode(t, err, session.Busy)
	close(done)
	two := NewQueue(2, time.Minute, nil)
	wide := mustParse(t, "$argon2id$v=19$m=64,t=1,p=2$"+pair)
	err = two.Do(t.Context(), 1, func() {
		_, err := two.Rehash(t.Context(), wide, "secret")
		wantCode(t, err, session.OK) // nothing is compared
		_, err = two.Rehash(t.Context(), wide, "secret ")
		wantCode(t, err, session.Busy) // the comparison needs two threads
	})
	wantCode(t, err, session.OK)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = NewQueue(1, 0, nil).Rehash(cancelled, fastHash(t, "secret"), "secret")
	wantCode(t, err, session.Unavailable)
}
