package storetest

import (
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// History records concurrent steps, which Check checks for linearizability. The zero value
// is an empty history. It is safe for concurrent use.
type History struct {
	mu    sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

// Do runs a step and records it. Clients are small numbers; each runs one step at a time.
func (h *History) Do(client int, in Input, step func() Output) Output {
	call := h.now()
	out := step()
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: h.now()}
	if out.Lost {
		op.Return = math.MaxInt64 // the step may still happen
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return out
}

// now returns the nanoseconds since its first call, by the monotonic clock.
func (h *History) now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.start.IsZero() {
		h.start = time.Now()
	}
	return int64(time.Since(h.start))
}

// Len returns the number of recorded steps.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// Check fails t unless m allows the steps to have happened one after the other, each
// between its call and its return. It also fails t if there is no result within timeout.
// On failure it writes an HTML page that shows the longest part that m allows.
func (h *History) Check(t testing.TB, m Model, timeout time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	model := m.Porcupine()
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, timeout)
	if result == porcupine.Ok {
		return
	}
	page := filepath.Join(t.ArtifactDir(), "history.html")
	if file, err := os.Create(page); err == nil {
		_ = porcupine.Visualize(model, info, file) // the page is only an aid
		_ = file.Close()
	}
	t.Errorf("got %s for a history of %d steps, want %s; see %s (kept with go test -artifacts)", result, len(h.ops), porcupine.Ok, page)
}
