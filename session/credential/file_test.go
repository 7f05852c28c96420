package credential

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
)

// watched is a user file, the source that reads it, its log and its clock.
type watched struct {
	*Source
	t    *testing.T
	path string
	log  strings.Builder
	now  time.Time
}

func watch(t *testing.T, content string) *watched {
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "users.json")}
	w.write(content)
	var err error
	w.Source, err = Open(t.Context(), "file:"+w.path, Options{Lane: NewLane(0, time.Minute, nil), DecoyKey: testKey, Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.now = time.Now()
	w.file().now = func() time.Time { return w.now }
	return w
}

func (w *watched) file() *file {
	p, _ := w.Checker.(*passwords)
	f, _ := p.accounts.(*file)
	return f
}

// write puts a new file in the place of the old one, as an editor does.
func (w *watched) write(content string) {
	w.t.Helper()
	if err := os.WriteFile(w.path+".new", []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Rename(w.path+".new", w.path); err != nil {
		w.t.Fatal(err)
	}
}

// look lets time pass until the file is looked at again, and asks for user 1.
func (w *watched) look(want session.Code) {
	w.t.Helper()
	w.now = w.now.Add(lookEvery)
	wantCode(w.t, w.Recheck(w.t.Context(), session.NumberID(1)), want)
}

// logged counts the log's lines that hold a word.
func (w *watched) logged(word string) int { return strings.Count(w.log.String(), word) }

const (
	activeOne   = `[{"id":1,"username":"alice","password":"!","is_active":true }]`
	inactiveOne = `[{"id":1,"username":"alice","password":"!","is_active":false}]`
)

func TestFileIsReadAgain(t *testing.T) {
	w := watch(t, activeOne)
	w.look(session.OK)
	w.write(inactiveOne)
	wantCode(t, w.Recheck(t.Context(), session.NumberID(1)), session.OK) // not looked at twice within a second
	w.look(session.UserInactive)
	w.write(`[]`)
	w.look(session.UserUnknown)
	w.write(`[{"id":1,"username":"alice","password":"` + quick(t, "correct horse") + `"}]`)
	w.look(session.OK)
	if user, err := w.Check(t.Context(), "alice", "correct horse"); err != nil || user.ID != session.NumberID(1) {
		t.Errorf("alice is %v, %v", user, err)
	}
	if w.logged("read again") != 3 || w.logged("users=1") != 2 || w.logged("ERROR") != 0 {
		t.Errorf("the log says:\n%s", &w.log)
	}
}

func TestBrokenFileChangesNothing(t *testing.T) {
	const secret = "Tr0ub4dor-and-3"
	w := watch(t, activeOne)
	for i, content := range []string{
		inactiveOne[:40],
		`[` + anEntry + `,` + anEntry + `]`,
		`[{"id":1,"username":"alice","password":"` + secret + `","is_active":false}]`,
		``,
	} {
		w.write(content)
		for range 5 { // once settled it is not even read
			w.look(session.OK)
		}
		if w.logged("level=ERROR") != i+1 {
			t.Errorf("%q is reported %d times:\n%s", content, w.logged("level=ERROR")-i, &w.log)
		}
	}
	w.write(inactiveOne)
	w.look(session.UserInactive)
	if w.logged("in order again") != 1 || w.logged(secret) != 0 {
		t.Errorf("the log says:\n%s", &w.log)
	}
}

func TestVanishedFileChangesNothing(t *testing.T) {
	w := watch(t, activeOne)
	if err := os.Remove(w.path); err != nil {
		t.Fatal(err)
	}
	w.look(session.OK)
	w.look(session.OK)
	if err := syscall.Mkfifo(w.path, 0o600); err != nil { // nobody writes to it: reading would never end
		t.Fatal(err)
	}
	w.look(session.OK)
	w.look(session.OK)
	if w.logged("no such file") != 1 || w.logged("not a plain file") != 1 {
		t.Errorf("the log says:\n%s", &w.log)
	}
	w.write(activeOne)
	w.look(session.OK)
	if w.logged("in order again") != 1 {
		t.Errorf("the log says:\n%s", &w.log)
	}
}

// Two writes within one tick of the file system's clock look the same from
// outside: same file, size and time.
func TestFileChangedWithinATick(t *testing.T) {
	w := watch(t, activeOne)
	w.look(session.OK)
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
		t.Fatal("the change can be seen from outside: this test shows nothing")
	}
	w.look(session.UserInactive)
}

// A file that has settled is not read for nothing.
func TestSettledFileIsNotRead(t *testing.T) {
	w := watch(t, activeOne)
	w.now = w.now.Add(time.Minute)
	w.look(session.OK)
	if w.file().stat == nil {
		t.Fatal("it is still to be read each time")
	}
	w.file().sum[0]++ // were it read, its content would be news
	w.look(session.OK)
	if w.logged("read again") != 0 {
		t.Errorf("the log says:\n%s", &w.log)
	}
}

// The decoys follow the file.
func TestFileTeachesTheDecoys(t *testing.T) {
	w := watch(t, activeOne)
	p, _ := w.Checker.(*passwords)
	if _, ok := p.decoys.pick("nobody").hash.(argon2Hash); !ok {
		t.Errorf("before any hash was seen: %T", p.decoys.pick("nobody").hash)
	}
	w.write(`[{"id":1,"username":"alice","password":"` + quick(t, "correct horse") + `"}]`)
	w.look(session.OK)
	if _, ok := p.decoys.pick("nobody").hash.(pbkdf2Hash); !ok {
		t.Errorf("after a file of pbkdf2: %T", p.decoys.pick("nobody").hash)
	}
}

func TestFileRecheckOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(path, []byte(inactiveOne), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := Open(t.Context(), "file:"+path, Options{Lane: NewLane(1, 0, nil), DecoyKey: testKey, Recheck: RecheckOff()})
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, source.Recheck(t.Context(), session.NumberID(1)), session.OK)
}

// Readers at any moment see one version or the other, whole.
func TestFileUnderManyReaders(t *testing.T) {
	version := func(n int) string {
		return fmt.Sprintf(`[{"id":%d,"username":"alice","password":"!"},{"id":"v","username":"v%d","password":"!"}]`, n, n)
	}
	w := watch(t, version(0))
	f := w.file()
	var mu sync.Mutex
	f.now = func() time.Time { mu.Lock(); defer mu.Unlock(); w.now = w.now.Add(lookEvery); return w.now }
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
				users := f.current()
				a, err := users.find(t.Context(), "alice")
				if err != nil {
					t.Error(err)
				}
				if _, err := users.find(t.Context(), "v"+a.ID.String()); err != nil {
					t.Error("two versions at once")
				}
			}
		})
	}
	for n := range 100 {
		w.write(version(n))
	}
	close(stop)
	wg.Wait()
	if _, err := f.current().find(t.Context(), "v99"); err != nil {
		t.Error("the last version is not in force")
	}
}
