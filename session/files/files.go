// Package files reads the files that settings name.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// NoLimit is the limit of a file that may have any size.
const NoLimit = math.MaxInt64 - 1

var errNotRegular = errors.New("it is not a regular file")

// Read returns the content of a regular file, and the state in which it was opened. It fails
// if the file has more than limit bytes. It also fails for a pipe or a device, which may have
// no end, and does not wait for it. Its errors do not contain the path, which may be a secret
// that was given in the wrong setting.
func Read(path string, limit int64) ([]byte, os.FileInfo, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, nil, errNotRegular // not even opened, which may have an effect on a device
	}
	content, info, err := readOpened(path, limit)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return content, info, err
}

// readOpened reads a file that was regular a moment ago. If a pipe has replaced it, the pipe is
// opened without waiting for a writer.
func readOpened(path string, limit int64) ([]byte, os.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, errNotRegular
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return content, info, err
}
