package files

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := os.WriteFile(file, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{7, NoLimit} {
		content, info, err := Read(file, limit)
		if err != nil || string(content) != "content" || info.Size() != 7 {
			t.Errorf("limit %d: got %q, %v, want the content", limit, content, err)
		}
	}
	for path, want := range map[string]string{
		file: "it has more than 6 bytes", pipe: "it is not a regular file", dir: "it is not a regular file", "/dev/zero": "it is not a regular file",
		filepath.Join(dir, "missing"): "no such file or directory",
	} {
		if _, _, err := Read(path, 6); err == nil || err.Error() != want || strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

// TestReplacedByPipe checks that a pipe is rejected, and its opening does not wait for a
// writer, if it replaces the file after the check that it is regular.
func TestReplacedByPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := readOpened(pipe, NoLimit)
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got error %v, want one that the file is not regular", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("opening the pipe does not return")
	}
}
