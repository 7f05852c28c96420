package password

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
	"sync/atomic"
	"syscall"
	"time"

	"tokengate/session"
)

// Worker compares and hashes passwords in a second process of this program. The process runs at a
// lower CPU priority, so when a refresh and a hash both need a processor, the system
// gives it to the refresh. Within one process both would have the same priority, and Go's
// scheduler would keep a refresh waiting for as long as a hash takes.
//
// The process is started when the first password is compared, and again after it has
// failed. If it can't be started or exits, passwords are compared in this process. If it does
// not answer in time, they are not: the machine is overloaded or the hash is slow, and this
// process would stop to serve refreshes. A nil Worker and the zero value compare and hash all
// passwords in this process.
type Worker struct {
	Path string       // of the program; empty means that no process is started
	Args []string     // arguments with which the program calls ServeWorker
	Log  *slog.Logger // required unless Path is empty

	timeout time.Duration // for one response; 0 means workerTimeout

	mu      sync.Mutex
	conn    *workerConn // nil if the process is not running
	retryAt time.Time   // the process is not started before
}

// ThisProgram returns the path of the running program for [Worker], or an empty string
// if the system can't determine it. On Linux this is /proc/self/exe, which still names the
// running program when its file was replaced, so the worker is always of the same version.
func ThisProgram() string {
	path, err := os.Executable()
	if err == nil && runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	return path
}

const (
	// workerTimeout is the time allowed for one response. With a tenth of a processor, which
	// niceness leaves it, the worker needs 10 s for a hash at the bounds, of about a second.
	// It needs as long for a usual hash, of at most half a second, whose password has white
	// space around it and is compared twice. A shorter time would make such logins fail, and
	// with them all others of that moment, whenever the machine is busy.
	workerTimeout = 15 * time.Second
	// workerRestartDelay is the time before a worker that failed is started again.
	workerRestartDelay = time.Second
	// niceness leaves a worker a tenth of a processor that other processes need as
	// well: enough for logins to make progress while refreshes take all they can get.
	niceness = 10
)

// matches calls the function matches in the worker process or, if there is none or it
// exits, in this process. It fails with Unavailable if the process does not answer in time.
func (w *Worker) matches(h Hash, password string, allowed bool) (bool, error) {
	conn := w.connect()
	if conn == nil {
		return matches(h, password, allowed), nil
	}
	response, err := conn.send(workerRequest{Hash: []byte(h.encoded), Password: []byte(password), Allowed: allowed})
	if err == nil {
		return response.Matched, nil
	}
	w.discard(conn, err)
	if errors.Is(err, errWorkerTimeout) {
		return false, session.Fail(session.Unavailable, err)
	}
	return matches(h, password, allowed), nil
}

// rehash calls the function rehash in the worker process or, if there is none, in this
// process. If the worker process fails, rehash does too.
func (w *Worker) rehash(h Hash, password string) (string, error) {
	conn := w.connect()
	if conn == nil {
		return rehash(h, password), nil
	}
	response, err := conn.send(workerRequest{Hash: []byte(h.encoded), Password: []byte(password), Rehash: true})
	if err != nil {
		w.discard(conn, err)
	} else if response.NewHash == "" {
		err = errors.New("the password worker process made no hash")
	}
	if err != nil {
		return "", session.Fail(session.Unavailable, err)
	}
	return response.NewHash, nil
}

// connect returns the connection to the worker process. It starts the process if
// necessary, and returns nil if that is not possible.
func (w *Worker) connect() *workerConn {
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Path == "" || w.conn != nil || time.Now().Before(w.retryAt) {
		return w.conn
	}
	conn, err := w.start()
	if err != nil {
		w.retryAt = time.Now().Add(workerRestartDelay)
		w.Log.Warn("the password worker process can't be started: passwords are hashed in this process, so logins may slow other requests", "error", err)
		return nil
	}
	w.conn = conn
	return conn
}

// start starts the process with an empty environment, because this process's environment
// contains secrets.
func (w *Worker) start() (*workerConn, error) {
	cmd := &exec.Cmd{Path: w.Path, Args: append([]string{"tokengate"}, w.Args...), Env: []string{}, Stderr: os.Stderr}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	conn := &workerConn{
		process: cmd, timeout: cmp.Or(w.timeout, workerTimeout), stdin: stdin, requests: json.NewEncoder(stdin),
		pending: map[uint64]chan workerResponse{}, closed: make(chan struct{}),
	}
	go conn.readResponses(json.NewDecoder(stdout))
	return conn, nil
}

// discard kills a worker process that failed with err, unless that was done before. One that
// did not answer in time is started again at once: until then, this process would hash.
func (w *Worker) discard(conn *workerConn, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn != conn {
		return // another request has discarded it
	}
	w.conn = nil
	if !errors.Is(err, errWorkerTimeout) {
		w.retryAt = time.Now().Add(workerRestartDelay)
	}
	conn.kill()
	w.Log.Warn("the password worker process failed and will be started again", "error", err)
}

// Close kills the worker process. It is not started again.
func (w *Worker) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Path = ""
	if w.conn != nil {
		w.conn.kill()
		w.conn = nil
	}
}

// workerRequest asks whether a password matches a stored hash or, with Rehash, for a new
// hash of a password that matches. Both are bytes, because JSON would change a string that
// is not UTF-8.
type workerRequest struct {
	ID             uint64
	Hash, Password []byte
	Allowed        bool // see the function matches
	Rehash         bool // call the function rehash instead
}

// workerResponse is the answer to the request with the same ID.
type workerResponse struct {
	ID      uint64
	Matched bool
	NewHash string // empty without Rehash
}

// answer does the work of a request, in the worker process.
func (req workerRequest) answer() workerResponse {
	response := workerResponse{ID: req.ID}
	h, err := ParseHash(string(req.Hash))
	switch {
	case err != nil:
	case req.Rehash:
		response.NewHash = rehash(h, string(req.Password))
	default:
		response.Matched = matches(h, string(req.Password), req.Allowed)
	}
	return response
}

// workerConn sends requests to a worker process and receives its responses, in any order.
type workerConn struct {
	process *exec.Cmd
	timeout time.Duration
	stdin   io.Closer
	closed  chan struct{} // closed when no more responses will arrive
	late    atomic.Bool   // a response did not arrive in time, so the process was killed

	mu       sync.Mutex
	requests *json.Encoder
	lastID   uint64
	pending  map[uint64]chan workerResponse
}

// errWorkerTimeout is the error of all requests that the process has when it does not answer
// one of them in time.
var errWorkerTimeout = errors.New("the password worker process did not answer in time")

// expire kills the process, because it did not answer in time.
func (c *workerConn) expire() {
	c.late.Store(true)
	c.kill()
}

// failure returns the error of a request that gets no response, or could not be sent.
func (c *workerConn) failure(err error) error {
	if c.late.Load() {
		return errWorkerTimeout
	}
	return err
}

// send sends a request and waits for the response.
func (c *workerConn) send(req workerRequest) (workerResponse, error) {
	response := make(chan workerResponse, 1)
	c.mu.Lock()
	c.lastID++
	req.ID = c.lastID
	c.pending[req.ID] = response
	timer := time.AfterFunc(c.timeout, c.expire) // also ends a write that the process does not read
	err := c.requests.Encode(req)
	c.mu.Unlock()
	defer timer.Stop()
	defer c.remove(req.ID)
	if err != nil {
		return workerResponse{}, c.failure(err)
	}
	select {
	case r := <-response:
		return r, nil
	case <-c.closed:
		return workerResponse{}, c.failure(errors.New("the process exited"))
	}
}

// remove removes a request from those that wait for a response.
func (c *workerConn) remove(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// readResponses passes responses to the pending requests until there are no more, and
// then waits for the process to exit.
func (c *workerConn) readResponses(from *json.Decoder) {
	for {
		var r workerResponse
		if from.Decode(&r) != nil {
			break
		}
		c.mu.Lock()
		if response := c.pending[r.ID]; response != nil {
			response <- r // does not block: the channel has room for it
		}
		c.mu.Unlock()
	}
	close(c.closed)
	_ = c.process.Wait() // the process writes its error to the shared standard error
}

// kill kills the process without waiting for pending requests, since it may hang.
func (c *workerConn) kill() {
	_ = c.stdin.Close()
	_ = c.process.Process.Kill()
}

// ServeWorker runs the worker process: it reads requests from in and writes responses to
// out, until in ends because the gateway has exited. Until then it ignores the signals
// that a terminal or a supervisor sends to all processes, because logins in progress
// still need it.
func ServeWorker(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if err := lowerPriority(niceness); err != nil {
		return err
	}
	debug.SetGCPercent(50) // a hash holds megabytes for a short time
	requests, responses := json.NewDecoder(in), json.NewEncoder(out)
	var mu sync.Mutex
	for {
		var req workerRequest
		switch err := requests.Decode(&req); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		go func() { // the gateway's Queue bounds the number of requests in progress
			response := req.answer()
			mu.Lock()
			defer mu.Unlock()
			_ = responses.Encode(response) // fails only if the gateway has exited
		}()
	}
}
