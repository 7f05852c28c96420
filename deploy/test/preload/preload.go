// Package preload shifts the clock of a server and slows down its disk while a test runs. The server loads a
// library that replaces the C library's functions for both. Only programs that call these in the C library
// are affected, such as redis-server.
package preload

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed testdata/preload.c
var source string

var build struct {
	sync.Once
	library string
	err     error
}

// library builds the library once per test process, in the directory of the test binary, which `go test`
// removes after the run. It needs gcc.
func library(tb testing.TB) string {
	tb.Helper()
	build.Do(func() {
		self, err := os.Executable()
		if err != nil {
			build.err = err
			return
		}
		build.library = filepath.Join(filepath.Dir(self), "preload.so")
		cmd := exec.Command("gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-x", "c", "-o", build.library, "-")
		cmd.Stdin = strings.NewReader(source)
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("this test needs gcc: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		tb.Fatal(build.err)
	}
	return build.library
}

// Faults controls the clock and the disk of the servers that are started with its Env. Create one with New.
type Faults struct {
	tb   testing.TB
	env  []string
	file *os.File
}

// New returns Faults without a fault. They end with the test.
func New(tb testing.TB) *Faults {
	tb.Helper()
	file, err := os.Create(filepath.Join(tb.TempDir(), "faults"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { file.Close() })
	f := &Faults{tb: tb, file: file, env: []string{"LD_PRELOAD=" + library(tb), "TOKENGATE_TEST_PRELOAD=" + file.Name()}}
	f.SetClock(0)
	f.SetSyncDelay(0)
	return f
}

// Env returns the environment variables, beside those of the test, with which a server is started.
func (f *Faults) Env() []string { return f.env }

// SetClock sets how far the real-time clock of the servers is ahead of the machine's. Monotonic clocks stay
// as they are.
func (f *Faults) SetClock(ahead time.Duration) { f.set(0, ahead) }

// SetSyncDelay sets how much longer each fsync and fdatasync of the servers takes.
func (f *Faults) SetSyncDelay(d time.Duration) { f.set(1, d) }

// set writes the i-th number of the file. A write of eight bytes that are aligned is seen as a whole.
func (f *Faults) set(i int64, d time.Duration) {
	f.tb.Helper()
	if _, err := f.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(d)), 8*i); err != nil {
		f.tb.Fatal(err)
	}
}
