//go:build unix

package listen

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open. The Go runtime has raised the
// limit as far as it may.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32
	}
	return uint64(limit.Cur) // signed on some systems
}
