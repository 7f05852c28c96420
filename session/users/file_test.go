package users

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tokengate/session"
	"tokengate/session/password"
)

// watchedFile is a user file, the source that reads it, its log and its clock.
type watchedFile struct {
	*Source
	t    *testing.T
	path string
	log  strings.Builder
	now  time.Time
}

// openWatchedFile writes a user file and opens it.
func openWatchedFile(t *testing.T, content string) *watchedFile {
	w := &watchedFile{t: t, path: filepath.Join(t.TempDir(), "users.json")}
	w.write(content)
	var err error
	w.Source, err = Open(t.Context(), "file:"+w.path, Options{
		Queue: password.NewQueue(0, time.Minute, nil), DummyKey: testKey, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
		EndOnChange: true, App: "shop",
	})
	if err != nil {
		t.Fatal(err)
	}
	w.now = time.Now()
	w.source().now = func() time.Time { return w.now }
	return w
}

func (w *watchedFile) source() *fileSource {
	c, _ := w.Checker.(*hashChecker)
	f, _ := c.accounts.(*fileSource)
	return f
}

// write replaces the file by a new one, as an editor does.
func (w *watchedFile) write(content string) {
	w.t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

// recheckLater advances the clock until the file is due to be checked, and rechecks user 1.
func (w *watchedFile) recheckLater(want session.Code) {
	w.t.Helper()
	w.now = w.now.Add(statInterval)
	wantCode(w.t, recheck(w.t.Context(), session.NumberID(1), w), want)
}

// logCount returns how often text occurs in the log.
func (w *watchedFile) logCount(text string) int { return strings.Count(w.log.String(), text) }

const (
	activeOne   = `[{"id":1,"username":"alice","password":"!","is_active":true }]`
	inactiveOne = `[{"id":1,"username":"alice","password":"!","is_active":false}]`
)

func TestFileIsReadAgain(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	w.recheckLater(session.OK)
	w.write(inactiveOne)
	wantCode(t, recheck(t.Context(), session.NumberID(1), w), session.OK) // the file is checked only once a second
	w.recheckLater(session.UserInactive)
	w.write(`[{"id":2,"username":"bob","password":"!"}]`)
	w.recheckLater(session.UserUnknown)
	w.write(`[{"id":1,"username":"alice","password":"` + quickHash(t, "correct horse") + `"}]`)
	w.recheckLater(session.OK)
	if user, err := w.Check(t.Context(), presented("alice", "correct horse"), anyone); err != nil || user.ID != session.NumberID(1) {
		t.Errorf("got user %v, %v, want 1", user.ID, err)
	}
	if w.logCount("was read again") != 3 || w.logCount("users=1") != 3 || w.logCount("ERROR") != 0 {
		t.Errorf("got the log\n%s\nwant three lines that the file was read again, with users=1, and no error", &w.log)
	}
}

func TestInvalidFileChangesNothing(t *testing.T) {
	const secret = "Tr0ub4dor-and-3"
	w := openWatchedFile(t, activeOne)
	for i, content := range []string{
		inactiveOne[:40],
		`[` + aliceEntry + `,` + aliceEntry + `]`,
		`[{"id":1,"username":"alice","password":"` + secret + `","is_active":false}]`,
		``,
	} {
		w.write(content)
		for range 5 { // after mtimeGranularity the file is no longer read
			w.recheckLater(session.OK)
		}
		if w.logCount("level=ERROR") != i+1 {
			t.Errorf("%q: logged %d times, want once:\n%s", content, w.logCount("level=ERROR")-i, &w.log)
		}
	}
	w.write(inactiveOne)
	w.recheckLater(session.UserInactive)
	if w.logCount("valid again") != 1 || w.logCount(secret) != 0 {
		t.Errorf("got the log\n%s\nwant one line that the file is valid again, and no password", &w.log)
	}
}

func TestMissingFileChangesNothing(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	w.recheckLater(session.OK)
	w.recheckLater(session.OK)
	if err := syscall.Mkfifo(w.path, 0o600); err != nil { // reading it would never end, since no process writes to it
		t.Fatal(err)
	}
	w.recheckLater(session.OK)
	w.recheckLater(session.OK)
	if w.logCount("no such file") != 1 || w.logCount("not a regular file") != 1 {
		t.Errorf("got the log\n%s\nwant one line for the missing file and one for the file that is not regular", &w.log)
	}
	w.write(activeOne)
	w.recheckLater(session.OK)
	if w.logCount("valid again") != 1 {
		t.Errorf("got the log\n%s\nwant one line that the file is valid again", &w.log)
	}
}

// TestRefresh checks that Refresh reads a changed file at once, and returns the error of a
// file that can't be used, also of one that has not changed since.
func TestRefresh(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	for _, c := range []struct {
		content, fault string
		want           session.Code
	}{
		{activeOne, "", session.OK},
		{inactiveOne, "", session.UserInactive},
		{activeOne[:40], "last valid content stays in use", session.UserInactive},
		{activeOne, "", session.OK},
	} {
		w.write(c.content)
		for range 3 {
			err := w.Refresh()
			if (err == nil) != (c.fault == "") || err != nil && (!strings.Contains(err.Error(), c.fault) || !strings.Contains(err.Error(), w.path)) {
				t.Errorf("%s: got error %v, want one with %q", c.content, err, c.fault)
			}
			wantCode(t, recheck(t.Context(), session.NumberID(1), w), c.want)
			w.now = w.now.Add(mtimeGranularity)
		}
	}
	if w.logCount("level=ERROR") != 1 {
		t.Errorf("got the log\n%s\nwant one line with an error", &w.log)
	}
	other := openStatic(t, testUsers(t), Options{})
	if err := other.Refresh(); err != nil {
		t.Errorf("another source: got error %v, want none", err)
	}
}

// TestFileChangedWithinTick checks that a second change within one tick of the file
// system's clock is noticed, though file, size and time are the same.
func TestFileChangedWithinTick(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	w.recheckLater(session.OK)
	before, err := os.Stat(w.path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteAt([]byte(inactiveOne), 0); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(w.path, before.ModTime(), before.ModTime()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.Stat(w.path); !os.SameFile(before, after) || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		t.Fatal("os.Stat shows the change, so this test checks nothing")
	}
	w.recheckLater(session.UserInactive)
}

// TestUnchangedFileIsNotRead checks that a file whose last change is older than
// mtimeGranularity is not read again.
func TestUnchangedFileIsNotRead(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	w.now = w.now.Add(time.Minute)
	w.recheckLater(session.OK)
	if w.source().stat == nil {
		t.Fatal("the file is still read each time")
	}
	w.source().sum[0]++ // if the file was read, its content would count as changed
	w.recheckLater(session.OK)
	if w.logCount("was read again") != 0 {
		t.Errorf("got the log\n%s\nwant no line that the file was read again", &w.log)
	}
}

// TestFileSetsDummyHashes checks that the dummy hashes change with the file.
func TestFileSetsDummyHashes(t *testing.T) {
	w := openWatchedFile(t, activeOne)
	c, _ := w.Checker.(*hashChecker)
	if !strings.HasPrefix(c.dummies.Pick("unknown").Kind(), "argon2id ") {
		t.Errorf("a file without hashes: got kind %q, want argon2id", c.dummies.Pick("unknown").Kind())
	}
	w.write(`[{"id":1,"username":"alice","password":"` + quickHash(t, "correct horse") + `"}]`)
	w.recheckLater(session.OK)
	if !strings.HasPrefix(c.dummies.Pick("unknown").Kind(), "pbkdf2 ") {
		t.Errorf("a file with a pbkdf2 hash: got kind %q, want pbkdf2", c.dummies.Pick("unknown").Kind())
	}
}

func TestFileRecheckOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(inactiveOne), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := Open(t.Context(), "file:"+path, Options{Queue: password.NewQueue(1, 0, nil), DummyKey: testKey, Recheck: Recheck{Set: true, Off: true}})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, recheck(t.Context(), session.NumberID(1), source), session.OK)
}

// TestConcurrentReadersOfFile checks that concurrent readers always get the users of one
// version of the file.
func TestConcurrentReadersOfFile(t *testing.T) {
	version := func(n int) string {
		return fmt.Sprintf(`[{"id":%d,"username":"alice","password":"!"},{"id":"v","username":"v%d","password":"!"}]`, n, n)
	}
	w := openWatchedFile(t, version(0))
	f := w.source()
	var mu sync.Mutex
	f.now = func() time.Time { mu.Lock(); defer mu.Unlock(); w.now = w.now.Add(statInterval); return w.now }
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				users := f.current(false)
				a, err := users.find(t.Context(), "alice")
				if err != nil {
					t.Error(err)
				}
				if _, err := users.find(t.Context(), "v"+a.ID.String()); err != nil {
					t.Error("got users of two versions")
				}
			}
		})
	}
	for n := range 100 {
		w.write(version(n))
	}
	close(stop)
	wg.Wait()
	if _, err := f.current(false).find(t.Context(), "v99"); err != nil {
		t.Error("the last version is not in use")
	}
}
