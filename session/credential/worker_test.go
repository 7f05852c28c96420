package credential

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this program a worker where a test asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "hash-passwords" {
		if err := ServeWorker(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

type syncBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newWorker(t *testing.T) (*Worker, *syncBuffer) {
	t.Helper()
	var log syncBuffer
	w := &Worker{
		Path: ThisProgram(), Args: []string{"hash-passwords"}, Log: slog.New(slog.NewTextHandler(&log, nil)),
		patience: time.Minute, // the race detector's hashes take ten times as long, and others want the processor
	}
	t.Cleanup(w.Close)
	return w, &log
}

func mustRead(t *testing.T, encoded string) stored {
	t.Helper()
	h, err := readHash(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// onePass is a hash that costs next to nothing.
func onePass(t *testing.T, password string) stored {
	t.Helper()
	sum, err := pbkdf2.Key(sha256.New, password, []byte("salt"), 1, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return mustRead(t, "pbkdf2_sha256$1$salt$"+base64.StdEncoding.EncodeToString(sum))
}

func TestWorkerAnswersAsThisProcessWould(t *testing.T) {
	w, log := newWorker(t)
	odd := "p\xffss \n"
	var wg sync.WaitGroup
	for i := range 24 { // together, so that answers have to find their questions
		wg.Go(func() {
			password := fmt.Sprintf("correct horse %d", i%3)
			if i%4 == 3 {
				password = odd
			}
			h := onePass(t, password)
			for _, c := range []struct {
				password      string
				allowed, want bool
			}{{password, true, true}, {password, false, false}, {" " + password + " ", true, strings.TrimFunc(password, space) == password}, {"x", true, false}, {"", true, false}} {
				if got := w.matches(h, c.password, c.allowed); got != c.want {
					t.Errorf("%q for %q, allowed %v: %v", c.password, password, c.allowed, got)
				}
			}
		})
	}
	wg.Wait()
	if w.line == nil || log.String() != "" {
		t.Errorf("running: %v; the log says: %s", w.line != nil, log)
	}
}

func TestDecoysAreWorkForAWorkerToo(t *testing.T) {
	w, log := newWorker(t)
	for _, h := range []stored{usualHere(), usualInDjango()} {
		again := mustRead(t, h.text)
		if fmt.Sprintf("%T", again.hash) != fmt.Sprintf("%T", h.hash) || again.threads() != h.threads() {
			t.Errorf("%s reads as %T", h.text, again.hash)
		}
		begin := time.Now()
		if w.matches(h, "x", true) || time.Since(begin) < time.Millisecond {
			t.Errorf("%T: no work was done", h.hash)
		}
	}
	if log.String() != "" {
		t.Error(log)
	}
}

// TestWorkerDies: what it doesn't answer is compared here, and another one is
// started in a while.
func TestWorkerDies(t *testing.T) {
	w, log := newWorker(t)
	h := mustRead(t, Hash("secret"))
	if !w.matches(h, "secret", true) {
		t.Fatal("no match")
	}
	first := w.line
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !w.matches(h, "secret", true) {
				t.Error("a right password was refused when the worker died")
			}
		})
	}
	_ = first.process.Process.Kill()
	wg.Wait()
	if w.matches(h, "wrong", true) {
		t.Error("a wrong password passed when there was no worker")
	}
	if n := strings.Count(log.String(), "started again"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
	for end := time.Now().Add(10 * time.Second); w.running() == nil && time.Now().Before(end); {
		time.Sleep(workerPause / 10)
	}
	if w.line == nil || w.line == first || !w.matches(h, "secret", true) {
		t.Error("no other one was started")
	}
}

// TestWorkerHangs: one that answers nothing is given up after a while.
func TestWorkerHangs(t *testing.T) {
	w, log := newWorker(t)
	h := onePass(t, "secret")
	if !w.matches(h, "secret", true) {
		t.Fatal("no match")
	}
	first := w.line
	first.patience = 100 * time.Millisecond
	_ = first.process.Process.Signal(syscall.SIGSTOP)
	if !w.matches(h, "secret", true) || w.matches(h, "wrong", true) {
		t.Error("the passwords were not compared here")
	}
	if n := strings.Count(log.String(), "started again"); n != 1 {
		t.Errorf("told %d times: %s", n, log)
	}
	select {
	case <-first.cut:
	case <-time.After(10 * time.Second):
		t.Error("it is still there")
	}
}

func TestNoWorkerCanBeStarted(t *testing.T) {
	w, log := newWorker(t)
	w.Path = filepath.Join(t.TempDir(), "none")
	h := onePass(t, "secret")
	for range 3 {
		if !w.matches(h, "secret", true) || w.matches(h, "wrong", true) {
			t.Error("the passwords were not compared here")
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("told %d times: %s", n, log)
	}
	var none *Worker
	if !none.matches(h, "secret", true) {
		t.Error("without a worker nothing matches")
	}
}

// TestWorkerYields: every thread of it has the lower priority, it knows nothing
// of this process's environment, and it ends when its input does.
func TestWorkerYields(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads Linux's /proc")
	}
	t.Setenv("TOKENGATE_APP_SHOP_SECRET_KEY", "hidden")
	w, _ := newWorker(t)
	if !w.matches(mustRead(t, Hash("secret")), "secret", true) {
		t.Fatal("no match")
	}
	proc := fmt.Sprintf("/proc/%d/", w.line.process.Process.Pid)
	threads, err := filepath.Glob(proc + "task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); fields[16] != fmt.Sprint(niceness) {
			t.Errorf("%s: niceness %s", name, fields[16])
		}
	}
	if environ, err := os.ReadFile(proc + "environ"); err != nil || bytes.Contains(environ, []byte("TOKENGATE")) {
		t.Errorf("its environment: %q %v", environ, err)
	}
	_ = w.line.in.Close()
	select {
	case <-w.line.cut:
	case <-time.After(10 * time.Second):
		t.Error("it goes on when nobody can ask any more")
	}
}
