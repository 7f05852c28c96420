package password

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

	"tokengate/session"
	"tokengate/session/fairqueue"
)

// TestMain turns this program into a worker process if a test starts it as one.
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
		timeout: time.Minute, // hashes take ten times as long under the race detector, and other tests run at the same time
	}
	t.Cleanup(w.Close)
	return w, &log
}

func mustParse(t *testing.T, encoded string) Hash {
	t.Helper()
	h, err := ParseHash(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// mustMatch calls matches, which must not fail.
func mustMatch(t *testing.T, w *Worker, h Hash, password string, allowed bool) bool {
	t.Helper()
	matched, err := w.matches(h, password, allowed)
	if err != nil {
		t.Error(err)
	}
	return matched
}

// fastHash returns a hash of password that takes almost no time to compare with.
func fastHash(t *testing.T, password string) Hash {
	t.Helper()
	sum, err := pbkdf2.Key(sha256.New, password, []byte("salt"), 1, sha256.Size)
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, "pbkdf2_sha256$1$salt$"+base64.StdEncoding.EncodeToString(sum))
}

func TestWorkerComparesLikeThisProcess(t *testing.T) {
	w, log := newWorker(t)
	notUTF8 := "p\xffss \n"
	var wg sync.WaitGroup
	for i := range 24 { // at once, so that responses must be assigned to their requests
		wg.Go(func() {
			password := fmt.Sprintf("correct horse %d", i%3)
			if i%4 == 3 {
				password = notUTF8
			}
			h := fastHash(t, password)
			for _, c := range []struct {
				password      string
				allowed, want bool
			}{{password, true, true}, {password, false, false}, {" " + password + " ", true, session.TrimSpace(password) == password}, {"x", true, false}, {"", true, false}} {
				if got := mustMatch(t, w, h, c.password, c.allowed); got != c.want {
					t.Errorf("%q against the hash of %q, allowed %v: got %v, want %v", c.password, password, c.allowed, got, c.want)
				}
			}
		})
	}
	wg.Wait()
	if w.conn == nil || log.String() != "" {
		t.Errorf("running %v, want true; log, want none:\n%s", w.conn != nil, log)
	}
}

func TestWorkerComparesDummyHashes(t *testing.T) {
	w, log := newWorker(t)
	for _, h := range []Hash{Argon2Dummy(), DjangoDummy()} {
		parsed := mustParse(t, h.encoded)
		if fmt.Sprintf("%T", parsed.decodedHash) != fmt.Sprintf("%T", h.decodedHash) || parsed.threads() != h.threads() {
			t.Errorf("%s is parsed as %T with %d threads, want %T with %d", h.encoded, parsed.decodedHash, parsed.threads(), h.decodedHash, h.threads())
		}
		start := time.Now()
		if mustMatch(t, w, h, "x", true) || time.Since(start) < time.Millisecond {
			t.Errorf("%T: the dummy hash matched, or nothing was computed", h.decodedHash)
		}
	}
	if log.String() != "" {
		t.Error(log)
	}
}

// TestWorkerExits checks that passwords are compared in this process if the worker process
// exits before it answers, and that it is started again later.
func TestWorkerExits(t *testing.T) {
	w, log := newWorker(t)
	h := mustParse(t, NewHash("secret"))
	if !mustMatch(t, w, h, "secret", true) {
		t.Fatal("the password does not match")
	}
	first := w.conn
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if !mustMatch(t, w, h, "secret", true) {
				t.Error("the right password was refused when the worker exited")
			}
		})
	}
	_ = first.process.Process.Kill()
	wg.Wait()
	if mustMatch(t, w, h, "wrong", true) {
		t.Error("a wrong password matched when there was no worker")
	}
	if n := strings.Count(log.String(), "started again"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log)
	}
	for deadline := time.Now().Add(10 * time.Second); w.connect() == nil && time.Now().Before(deadline); {
		time.Sleep(workerRestartDelay / 10)
	}
	if w.conn == nil || w.conn == first || !mustMatch(t, w, h, "secret", true) {
		t.Error("no other worker was started")
	}
}

// TestWorkerHangs checks that a worker process that does not answer is killed when the
// timeout has passed, that none of its passwords is compared in this process, neither then nor
// later, and that another worker compares the next one.
func TestWorkerHangs(t *testing.T) {
	w, log := newWorker(t)
	q := NewQueue(8, time.Minute, w)
	h := fastHash(t, "secret")
	if !mustMatch(t, w, h, "secret", true) {
		t.Fatal("the password does not match")
	}
	first := w.conn
	first.timeout = 100 * time.Millisecond
	_ = first.process.Process.Signal(syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(first.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the worker process did not stop: %v, %v", status, err)
	}
	var wg sync.WaitGroup
	for i := range 8 { // only one of them is the first to expire
		wg.Go(func() {
			_, place, err := q.Enter(t.Context(), fairqueue.Client{App: "shop"}, i)
			if err != nil {
				t.Error(err)
				return
			}
			defer place.Leave()
			matched, err := place.Match(t.Context(), h, "secret", true)
			wantCode(t, err, session.Unavailable)
			if matched || err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("got match %v and error %v, want no match, and no password in the error", matched, err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(log.String(), "started again"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log)
	}
	select {
	case <-first.closed:
	case <-time.After(10 * time.Second):
		t.Error("the worker process is still running")
	}
	if !mustMatch(t, w, h, "secret", true) || mustMatch(t, w, h, "wrong", true) {
		t.Error("wrong results after the timeout")
	}
	if w.conn == nil || w.conn == first {
		t.Error("no other worker was started: the passwords were compared in this process")
	}
}

func TestWorkerCannotBeStarted(t *testing.T) {
	w, log := newWorker(t)
	w.Path = filepath.Join(t.TempDir(), "none")
	h := fastHash(t, "secret")
	for range 3 {
		if !mustMatch(t, w, h, "secret", true) || mustMatch(t, w, h, "wrong", true) {
			t.Error("the passwords were not compared in this process")
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "secret") {
		t.Errorf("logged %d times, want once:\n%s", n, log)
	}
	var none *Worker
	if !mustMatch(t, none, h, "secret", true) {
		t.Error("the password does not match with a nil Worker")
	}
}

// TestWorkerProcess checks that all threads of the worker process have the lower priority,
// that its environment does not contain this process's variables, and that it exits when
// its standard input is closed.
func TestWorkerProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc of Linux")
	}
	t.Setenv("TOKENGATE_APP_SHOP_SECRET_KEY", "hidden")
	w, _ := newWorker(t)
	if !mustMatch(t, w, mustParse(t, NewHash("secret")), "secret", true) {
		t.Fatal("the password does not match")
	}
	proc := fmt.Sprintf("/proc/%d/", w.conn.process.Process.Pid)
	threads, err := filepath.Glob(proc + "task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatal(threads, err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has exited
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); fields[16] != fmt.Sprint(niceness) {
			t.Errorf("%s: got niceness %s, want %d", name, fields[16], niceness)
		}
	}
	if environ, err := os.ReadFile(proc + "environ"); err != nil || bytes.Contains(environ, []byte("TOKENGATE")) {
		t.Errorf("the worker's environment is %q (%v), want none of this process", environ, err)
	}
	_ = w.conn.stdin.Close()
	select {
	case <-w.conn.closed:
	case <-time.After(10 * time.Second):
		t.Error("the worker process runs on after its standard input was closed")
	}
}
