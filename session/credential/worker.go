package credential

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Worker is a process of this program's own that hashes. It runs at a lower
// priority, so that the system gives a processor that refresh and hashing both
// want to refresh; within one process they would be alike, and Go's scheduler
// would keep a refresh waiting for as long as a hash takes.
//
// It is started when the first password is checked, and again when it died. A
// password that it doesn't answer for is hashed here, where nil and the zero
// value hash all.
type Worker struct {
	Path string   // of the program; empty: none is started
	Args []string // that make it call ServeWorker
	Log  *slog.Logger

	patience time.Duration // how long an answer may take; 0: workerPatience

	mu    sync.Mutex
	line  *line     // nil: not running
	after time.Time // not to be started before
}

// ThisProgram is a Worker's Path; empty where the system can't tell. Linux has a
// name for it that stays right when the program's file is replaced, so that the
// one that is started is the one that asks.
func ThisProgram() string {
	path, err := os.Executable()
	if err == nil && runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	return path
}

const (
	// workerPatience is how long an answer may take. A hash has bounds that
	// keep it to seconds, even where the worker is given little time.
	workerPatience = 15 * time.Second
	// workerPause is how long a worker that failed is not started again.
	workerPause = time.Second
	// niceness leaves a worker a tenth of a processor that others want, too:
	// enough for logins to go on while refreshes take all that there is.
	niceness = 10
)

// matches is the function of that name, in the worker where there is one.
func (w *Worker) matches(h stored, password string, allowed bool) bool {
	l := w.running()
	if l == nil {
		return matches(h, password, allowed)
	}
	matched, err := l.ask(comparison{Hash: []byte(h.text), Password: []byte(password), Allowed: allowed})
	if err == nil {
		return matched
	}
	w.drop(l, err)
	return matches(h, password, allowed)
}

// running gives the line to the worker, which it starts if need be; nil where
// it can't be.
func (w *Worker) running() *line {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Path == "" || w.line != nil || time.Now().Before(w.after) {
		return w.line
	}
	l, err := w.start()
	if err != nil {
		w.after = time.Now().Add(workerPause)
		w.Log.Warn("no process of its own hashes passwords, so logins may slow other requests", "error", err)
		return nil
	}
	w.line = l
	return l
}

// start runs the program without any of this one's environment, where secrets
// are.
func (w *Worker) start() (*line, error) {
	cmd := &exec.Cmd{Path: w.Path, Args: append([]string{"tokengate"}, w.Args...), Env: []string{}, Stderr: os.Stderr}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	l := &line{process: cmd, patience: cmp.Or(w.patience, workerPatience), in: in, out: json.NewEncoder(in), waiting: map[uint64]chan bool{}, cut: make(chan struct{})}
	go l.listen(json.NewDecoder(out))
	return l, nil
}

// drop ends a worker that failed.
func (w *Worker) drop(l *line, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.line != l {
		return // another question has
	}
	w.line, w.after = nil, time.Now().Add(workerPause)
	l.end()
	w.Log.Warn("the process that hashes passwords has failed and is started again", "error", err)
}

// Close ends the worker for good.
func (w *Worker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Path = ""
	if w.line != nil {
		w.line.end()
		w.line = nil
	}
}

// comparison asks whether a password matches a stored hash; outcome answers.
// JSON would change a text that is not UTF-8, so both are bytes.
type comparison struct {
	ID             uint64
	Hash, Password []byte
	Allowed        bool // see matches
}

type outcome struct {
	ID      uint64
	Matched bool
}

// line carries questions to a worker and its answers back, in whatever order
// they come.
type line struct {
	process  *exec.Cmd
	patience time.Duration
	in       io.Closer
	cut      chan struct{} // closed when no more answers come

	mu      sync.Mutex
	out     *json.Encoder
	last    uint64
	waiting map[uint64]chan bool
}

func (l *line) ask(q comparison) (matched bool, err error) {
	answered := make(chan bool, 1)
	l.mu.Lock()
	l.last++
	q.ID = l.last
	l.waiting[q.ID] = answered
	late := time.AfterFunc(l.patience, l.end) // which also ends a write that nobody reads
	err = l.out.Encode(q)
	l.mu.Unlock()
	defer late.Stop()
	defer l.forget(q.ID)
	if err != nil {
		return false, err
	}
	select {
	case matched = <-answered:
		return matched, nil
	case <-l.cut:
		return false, errors.New("it has ended, or did not answer in time")
	}
}

func (l *line) forget(id uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, id)
}

// listen hands answers out until there are no more, and buries the process.
func (l *line) listen(from *json.Decoder) {
	for {
		var a outcome
		if from.Decode(&a) != nil {
			break
		}
		l.mu.Lock()
		if c := l.waiting[a.ID]; c != nil {
			c <- a.Matched // has room for it
		}
		l.mu.Unlock()
	}
	close(l.cut)
	_ = l.process.Wait() // how it ended is on its standard error
}

// end makes the process end, which may hang: what it was asked is asked again
// elsewhere.
func (l *line) end() {
	_ = l.in.Close()
	_ = l.process.Process.Kill()
}

// ServeWorker answers questions from in on out until in ends, which is when the
// gateway has. Until then it ignores the signals that a terminal or a supervisor
// sends to all processes: logins under way still need it.
func ServeWorker(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if err := yield(niceness); err != nil {
		return err
	}
	debug.SetGCPercent(50) // a hash holds megabytes, for a moment
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	var mu sync.Mutex
	for {
		var q comparison
		switch err := questions.Decode(&q); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		go func() { // who asks is in a Lane, so they are few
			h, err := readHash(string(q.Hash))
			matched := err == nil && matches(h, string(q.Password), q.Allowed)
			mu.Lock()
			defer mu.Unlock()
			_ = answers.Encode(outcome{q.ID, matched}) // nobody is left to hear it
		}()
	}
}
