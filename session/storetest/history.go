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

// History records concurrent steps for Check. The zero value is empty; it is
// safe for concurrent use.
type History struct {
	mu    sync.Mutex
	start time.Time
	ops   []porcupine.Operation
}

// Do runs a step for a client and records it. A client, a small number, runs
// one step at a time.
func (h *History) Do(client int, in Input, step func() Output) Output {
	call := h.now()
	out := step()
	op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: h.now()}
	if out.Lost {
		op.Return = math.MaxInt64 // it may still happen
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	return out
}

// now is nanoseconds of the monotonic clock since the first call.
func (h *History) now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.start.IsZero() {
		h.start = time.Now()
	}
	return int64(time.Since(h.start))
}

// Len is how many steps were recorded.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}

// Check fails t unless the steps can have happened one after the other, each
// between its call and its answer, as m says. No verdict within patience is a
// failure, too. The page that it writes then shows how far it came.
func (h *History) Check(t testing.TB, m Model, patience time.Duration) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	model := m.Porcupine()
	result, info := porcupine.CheckOperationsVerbose(model, h.ops, patience)
	if result == porcupine.Ok {
		return
	}
	page := filepath.Join(t.ArtifactDir(), "history.html")
	if file, err := os.Create(page); err == nil {
		_ = porcupine.Visualize(model, info, file) // only a help
		_ = file.Close()
	}
	t.Errorf("%d steps, linearizable: %s; see %s (kept with go test -artifacts)", len(h.ops), result, page)
}
